#!/usr/bin/env bash
# The runner behind `make -f Makefile.ci test|verify|nightly|bench|fuzz|docs|chaos|flash-sale|rolling|models|torture|planted`. Each step counts; the last line is
# `N passed, N failed, N skipped`, and what did not run is named above it.
#
#	TEST_STEPS="lint unit"	only these steps of `test`: lint build docs clang unit integration python e2e chaos
#	VERIFY_STEPS="tsan fuzz"	only these steps of `verify`: tsan fuzz slow planted models torture nodes chaos
#	TORTURE_FILTER=regex TORTURE_SECONDS=n	only rows `METHOD /path` that match; stop after so long
#	PLANTED="word"		only planted bugs whose name holds it
#	CHAOS_MINUTES=5 CHAOS_SEED=n	how long the chaos run is, and which one
#	SIM_RUNS=1000000 MODEL_RUNS=10000	histories of each simulator, and of each model held against PostgreSQL
#	TEST_FILTER=regex	only ctest programs whose name matches
#	E2E_BUILD=debug		the platform of the e2e step: debug (sanitizers, default) or release
#	KEEP=1			keep the work folder
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
what=${1:?test, verify, bench, fuzz or docs}
work=$(mktemp -d "${TMPDIR:-/tmp}/souk-test.XXXXXX")
debug=build/debug clang=build/clang release=build/release
passed=0 failed=0 skipped=0
not_run=()
begun=$SECONDS
. tests/support/report.sh
export LSAN_OPTIONS="suppressions=$root/tests/support/lsan.supp:print_suppressions=0"
# The sanitizers of these compilers cannot map their shadow where a kernel randomises more bits than they know.
fixed=(env)
setarch -R true 2>/dev/null && fixed=(setarch -R)

cleanup() {
	trap - EXIT INT TERM
	local dir
	[[ ${chaos_pid:-} ]] && kill "$chaos_pid" 2>/dev/null && wait "$chaos_pid"
	for dir in "$work"/e2e "$work"/verify; do
		[[ -d $dir ]] && SOUK_RUN_DIR=$dir /usr/bin/python3 deploy/local/local.py down >/dev/null 2>&1
		[[ -L $dir/pg ]] && rm -rf -- "$(readlink "$dir/pg")"
	done
	for dir in "$work"/node-*; do
		[[ -d $dir ]] && tests/support/search_node.sh stop "$dir"
	done
	[[ -d $work/svc ]] && tests/support/services.sh stop "$work/svc" >/dev/null 2>&1
	if [[ ${KEEP:-} ]]; then
		echo "kept: $work"
	else
		rm -rf -- "$work"
	fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

need_services() {
	[[ ${TEST_PG_ADMIN:-} && ${TEST_REDIS_URL:-} ]] && return 0
	local out
	out=$(tests/support/services.sh start "$work/svc") || return 1
	eval "$out"
}

step_lint() {
	section "source gates"
	count_lines "$work/lint.out" tests/lint/lint.sh
}

step_build() {
	section "build: gcc, Debug (ASan, UBSan), everything"
	if run_quiet "$work/build.out" env CC=gcc deploy/local/build.sh Debug $debug all; then
		pass "gcc Debug build"
	else
		fail "gcc Debug build" "$work/build.out"
	fi
}

step_docs() {
	section "generated pages are fresh"
	if /usr/bin/python3 tests/support/gen_docs.py $debug --check >"$work/docs.out" 2>&1; then
		pass "docs/configuration.md, errors.md, events.md"
	else
		fail "generated pages (make -f Makefile.ci docs)" "$work/docs.out"
	fi
}

step_clang() {
	section "build: clang, Release flags, everything"
	if run_quiet "$work/clang.out" env CC=clang deploy/local/build.sh Release $clang all; then
		pass "clang Release build"
	else
		fail "clang Release build" "$work/clang.out"
	fi
}

# ctest with the programs that exist; a program that did not build is a failure of its own.
run_ctest() {
	local label=$1 dir=$2 jobs=$3
	[[ -f $dir/CTestTestfile.cmake ]] || { fail "$label tests: nothing is built" /dev/null; return; }
	"${fixed[@]}" ctest --test-dir "$dir" -L "^$label\$" ${TEST_FILTER:+-R "$TEST_FILTER"} -j"$jobs" --output-on-failure \
		--timeout 180 --no-tests=ignore >"$work/ctest-$label.out" 2>&1 &
	wait_with_progress $! "$work/ctest-$label.out" '[0-9]+/[0-9]+ Test'
	/usr/bin/python3 tests/support/ctest_count.py "$work/ctest-$label.out" >"$work/ctest-$label.count"
	add_counts "$work/ctest-$label.count"
}

step_unit() {
	section "unit tests"
	run_ctest unit $debug "${JOBS:-$(nproc)}"
}

step_integration() {
	section "integration tests (private PostgreSQL and Redis)"
	if need_services; then
		export TEST_PG_ADMIN TEST_REDIS_URL
		[[ -n ${OPENSEARCH_URL:-} ]] ||
			not_run+=("search on real OpenSearch and Elasticsearch nodes: OPENSEARCH_URL names none (verify starts both)")
		run_ctest integration $debug "${JOBS:-$(nproc)}"
	else
		fail "private PostgreSQL and Redis" /dev/null
	fi
}

step_python() {
	section "integration tests in Python"
	if ! compgen -G 'tests/integration/*/test_*.py' >/dev/null; then
		not_run+=("Python integration tests: there are none")
		return
	fi
	need_services || { fail "private PostgreSQL and Redis" /dev/null; return; }
	export TEST_PG_ADMIN TEST_REDIS_URL SOUK_BUILD_DIR=$root/$debug
	run_python integration 'tests/integration/*/test_*.py'
	unset SOUK_BUILD_DIR
}

step_e2e() {
	section "end to end (the whole platform, ${E2E_BUILD:-debug} build)"
	if ! compgen -G 'tests/e2e/test_*.py' >/dev/null; then
		not_run+=("end-to-end tests: there are none")
		return
	fi
	local build=$debug
	[[ ${E2E_BUILD:-debug} == release ]] && build=$release
	on_platform e2e "$build" "${E2E_DEMO_SCALE:-60}" 'tests/e2e/test_*.py'
}

# A minute, always the same plan; the clang step has built what it runs on.
step_chaos() {
	section "chaos: one minute of faults under load, then the books (Release flags)"
	if run_quiet "$work/chaos-build.out" env CC=clang deploy/local/build.sh Release $clang platform; then
		chaos_run chaos.py --build "$clang" --seconds "${CHAOS_SECONDS:-45}" --seed "${CHAOS_SEED:-1}" --gap 0.9
	else
		fail "clang Release build" "$work/chaos-build.out"
	fi
}

# chaos_run PROGRAM ARGUMENTS: prints its report, counts its lines
chaos_run() {
	local program=$1 out where=tests/chaos
	shift
	[[ -f $where/$program ]] || where=tests/${program%.py}
	out=$work/$(basename "$program").out
	/usr/bin/python3 -u "$where/$program" "$@" >"$out" 2>&1 &
	chaos_pid=$!
	wait_with_progress $chaos_pid "$out" '^# .*'
	local code=$?
	chaos_pid=
	add_counts "$out"
	if ((code != 0)) && ! grep -q '^FAIL' "$out"; then
		fail "$where/$program (exit code $code)" "$out"
	fi
}

# on_platform LABEL BUILD DEMO_SCALE GLOB: starts a platform of its own, runs the tests on it, stops it, reads its logs
on_platform() {
	local label=$1 build=$2 scale=$3 glob=$4
	export SOUK_RUN_DIR=$work/$label SOUK_PORT_BASE=auto SOUK_BUILD_DIR=$root/$build SOUK_PG_FAST=1 DETACH=1 SOUK_TEST=1
	export DEMO_SCALE=$scale LOG_LEVEL=${LOG_LEVEL:-INFO}
	if /usr/bin/python3 deploy/local/local.py up >"$work/up.out" 2>&1 && ! grep -qE 'NOT BUILT|demo shop is incomplete' "$work/up.out"; then
		pass "platform starts, with its demo shop"
		run_python "$label" "$glob"
	else
		fail "platform starts, with its demo shop" "$work/up.out"
		not_run+=("$label tests: the platform did not start")
	fi
	if /usr/bin/python3 deploy/local/local.py down >"$work/down.out" 2>&1; then
		pass "platform stops"
	else
		fail "platform stops" "$work/down.out"
	fi
	check_logs "$work/$label/logs"
	unset SOUK_RUN_DIR SOUK_PORT_BASE SOUK_BUILD_DIR SOUK_PG_FAST DETACH SOUK_TEST
}

do_test() {
	local step
	for step in ${TEST_STEPS:-lint build docs clang unit integration python e2e chaos}; do
		"step_$step"
	done
}

verify_tsan() {
	section "thread sanitizer: unit and integration tests"
	if run_quiet "$work/tsan.out" env CC=clang CMAKE_ARGS=-DSOUK_TSAN=ON deploy/local/build.sh Debug build/tsan all; then
		export TSAN_OPTIONS="suppressions=$root/tests/support/tsan.supp halt_on_error=0 exitcode=66"
		run_ctest unit build/tsan "${JOBS:-$(nproc)}"
		if need_services; then
			export TEST_PG_ADMIN TEST_REDIS_URL
			run_ctest integration build/tsan "${JOBS:-$(nproc)}"
		else
			fail "private PostgreSQL and Redis" /dev/null
		fi
	else
		fail "clang build with the thread sanitizer" "$work/tsan.out"
	fi
}

verify_fuzz() {
	do_fuzz "${FUZZ_SECONDS:-30}"
}

verify_slow() {
	section "slow end-to-end checks (Release)"
	if run_quiet "$work/rel.out" deploy/local/build.sh Release $release platform; then
		PY_TIMEOUT=${PY_TIMEOUT:-1800} on_platform verify $release 300 'tests/verify/test_*.py'
	else
		fail "Release build" "$work/rel.out"
	fi
}

# The behaviour tests of search, where the jars of a node can be had.
verify_nodes() {
	local kind url test=integration_search_test_search why=$work/node.out
	section "search on real nodes: OpenSearch 2, Elasticsearch 8"
	run_quiet "$work/nodes.out" env CC=gcc deploy/local/build.sh Debug $debug $test || { fail "gcc Debug build" "$work/nodes.out"; return; }
	need_services || { fail "private PostgreSQL and Redis" /dev/null; return; }
	export TEST_PG_ADMIN TEST_REDIS_URL
	if ! PACKAGES=deploy/packages-search-nodes.txt deploy/install-packages.sh >"$why" 2>&1; then
		not_run+=("search on real nodes: $(tail -n 1 "$why")")
		return
	fi
	chmod 711 "$work" # a node does not run as root and must reach its folder
	for kind in opensearch elasticsearch; do
		if ! url=$(tests/support/search_node.sh start $kind "$work/node-$kind" 2>"$why"); then
			not_run+=("search on a real node: $(tail -n 1 "$why")")
			continue
		fi
		if OPENSEARCH_URL=$url run_quiet "$work/nodes.out" $debug/$test; then
			pass "$kind: $(grep -oE '[0-9]+ test\(s\)\.$' "$work/nodes.out" | tail -n 1) of the engine's behaviour"
		else
			fail "search on a real $kind node" "$work/nodes.out"
		fi
		tests/support/search_node.sh stop "$work/node-$kind"
	done
}

verify_chaos() {
	do_chaos
}

do_chaos() {
	section "chaos: ${CHAOS_MINUTES:-5} minutes of faults under load, then the books (Release)"
	run_quiet "$work/rel.out" deploy/local/build.sh Release $release platform || { fail "Release build" "$work/rel.out"; return; }
	chaos_run chaos.py --build "$release" --seconds $((${CHAOS_MINUTES:-5} * 60)) --seed "${CHAOS_SEED:-$RANDOM}"
}

do_nightly() {
	export CHAOS_MINUTES=${CHAOS_MINUTES:-60} FUZZ_SECONDS=${FUZZ_SECONDS:-600}
	export SIM_RUNS=${SIM_RUNS:-1000000} MODEL_RUNS=${MODEL_RUNS:-10000}
	do_verify
	do_flash_sale
	do_rolling
	TORTURE_SECONDS=${TORTURE_SECONDS:-0} do_torture
	torture_sanitized
}

verify_models() {
	SIM_RUNS=${SIM_RUNS:-100000} MODEL_RUNS=${MODEL_RUNS:-200} do_models
}

# simulated PROGRAM WHAT: its histories, and what it says of their number a minute
simulated() {
	local out=$work/$1.out
	if SIM_RUNS=$sim_runs run_quiet "$out" "$release/$1" && rate=$(grep -oE '[0-9]+ a minute' "$out") && ((${rate%% *} >= 50000)); then
		pass "$2: $(grep -m1 ' a minute' "$out")"
	else
		fail "$2 (50000 a minute are promised)" "$out"
	fi
}

modelled() {
	local out=$work/$1.out
	if MODEL_RUNS=$model_runs run_quiet "$out" "$release/$1"; then
		pass "$2: $(grep -m1 'histories of' "$out")"
	else
		fail "$2" "$out"
	fi
}

do_models() {
	local rate sim_runs=${SIM_RUNS:-1000000} model_runs=${MODEL_RUNS:-10000}
	section "simulators: $sim_runs histories each; models against PostgreSQL: $model_runs (Release)"
	if ! run_quiet "$work/models.out" deploy/local/build.sh Release $release unit_checkout_test_saga_sim unit_identity_test_refresh_sim \
		integration_inventory_test_stock_model integration_common_test_outbox_model; then
		fail "Release build" "$work/models.out"
		return
	fi
	simulated unit_checkout_test_saga_sim "simulated checkouts"
	simulated unit_identity_test_refresh_sim "refresh rotation"
	need_services || { fail "private PostgreSQL and Redis" /dev/null; return; }
	export TEST_PG_ADMIN TEST_REDIS_URL
	modelled integration_inventory_test_stock_model "model of stock"
	modelled integration_common_test_outbox_model "model of the event log"
}

verify_planted() {
	do_planted
}

do_planted() {
	section "planted bugs: each must be seen by a test"
	need_services || { fail "private PostgreSQL and Redis" /dev/null; return; }
	export TEST_PG_ADMIN TEST_REDIS_URL
	count_lines "$work/planted.out" /usr/bin/python3 tests/planted/planted.py
}

do_flash_sale() {
	section "flash sale: ${FLASH_BUYERS:-10000} buyers, ${FLASH_UNITS:-100} units"
	run_quiet "$work/rel.out" deploy/local/build.sh Release $release platform || { fail "Release build" "$work/rel.out"; return; }
	chaos_run flash_sale.py --build "$release" --buyers "${FLASH_BUYERS:-10000}" --units "${FLASH_UNITS:-100}"
}

do_rolling() {
	section "rolling restarts: ${ROLLING_ROUNDS:-20} of each daemon, two replicas"
	run_quiet "$work/rel.out" deploy/local/build.sh Release $release platform || { fail "Release build" "$work/rel.out"; return; }
	chaos_run rolling.py --build "$release" --rounds "${ROLLING_ROUNDS:-20}"
}

# As long as it takes, or TORTURE_SECONDS.
do_torture() {
	section "torture: each call of each request fails once (Release)"
	run_quiet "$work/rel.out" deploy/local/build.sh Release $release platform || { fail "Release build" "$work/rel.out"; return; }
	chaos_run torture.py --build "$release" --seconds "${TORTURE_SECONDS:-0}" "$@"
}

# The most important rows, two calls of each kind in each process, half a minute.
verify_torture() {
	TORTURE_SECONDS=${TORTURE_SECONDS:-30} do_torture --samples 2 --seed "${TORTURE_SEED:-$RANDOM}"
}

# Leaks and what is used after it was freed; the sanitizer wants the allocator for itself, so all kinds but allocations.
torture_sanitized() {
	section "torture under the address sanitizer (Debug)"
	run_quiet "$work/dbg.out" deploy/local/build.sh Debug $debug platform || { fail "Debug build" "$work/dbg.out"; return; }
	chaos_run torture.py --build "$debug" --sanitized --most "${TORTURE_MOST:-40}"
}

do_verify() {
	local step
	for step in ${VERIFY_STEPS:-tsan fuzz slow planted models torture nodes chaos}; do
		"verify_$step"
	done
}

do_fuzz() {
	local seconds=${1:-${FUZZ_SECONDS:-60}} name
	section "fuzzing, $seconds s for each target"
	if ! compgen -G 'tests/fuzz/fuzz_*.c' >/dev/null; then
		not_run+=("fuzzing: there are no targets")
		return
	fi
	if ! run_quiet "$work/fuzz.out" env CC=clang CMAKE_ARGS=-DSOUK_FUZZ=ON deploy/local/build.sh Debug build/fuzz fuzzers; then
		fail "clang build with libFuzzer" "$work/fuzz.out"
		return
	fi
	for source in tests/fuzz/fuzz_*.c; do
		name=$(basename "$source" .c)
		mkdir -p "$work/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}"
		if run_quiet "$work/$name.out" "build/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
			-artifact_prefix="$work/$name-" "$work/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}"; then
			pass "$name"
		else
			cp "$work/$name-"* build/fuzz/ 2>/dev/null
			fail "$name (the input is kept in build/fuzz/)" "$work/$name.out"
		fi
	done
}

do_bench() {
	if [[ ! -f tests/bench/bench.py ]]; then
		not_run+=("bench: tests/bench/bench.py does not exist")
		return
	fi
	deploy/local/build.sh Release $release all || exit 1
	SOUK_BUILD_DIR=$root/$release exec_bench
}

exec_bench() {
	trap - EXIT
	rm -rf -- "$work"
	exec /usr/bin/python3 tests/bench/bench.py "$root/$release"
}

do_docs() {
	deploy/local/build.sh Release $release platform || exit 1
	/usr/bin/python3 tests/support/gen_docs.py "$release"
	exit $?
}

"do_${what//-/_}"
finish
