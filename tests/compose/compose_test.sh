#!/usr/bin/env bash
# Proves docker-compose.yml on this machine (`make -f Makefile.ci compose-test`), with or without an image registry.
#
# What is missing is installed from Debian's packages; an engine is started by hand when none runs; images that cannot be
# pulled are built under their own names and tags from Debian's packages (standins/). What cannot run here is named at the
# end as `not run`, and the last line counts. Exit 0 when nothing failed, also where no engine can run.
#
#	COMPOSE_STEPS="e2e roll"	only these, after `up`: harden size memory train observe e2e scale roll arm64
#	SOUK_DOCKER_DIR=/var/lib/souk-docker	data of an engine started here; images stay in it for the next run
#	KEEP=1				leave everything running
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/souk-compose.XXXXXX")
passed=0 failed=0 skipped=0 not_run=() begun=$SECONDS engine_pid=
. tests/support/report.sh
base=$(sed -n 's/^ARG BASE=//p' deploy/Dockerfile)
export COMPOSE_PROJECT_NAME=souktest$$ SOUK_TAG=test COMPOSE_HTTP_TIMEOUT=180 DOCKER_BUILDKIT=0
dc=() docker=docker

cleanup() {
	trap - EXIT INT TERM
	if [[ ${KEEP:-} ]]; then
		echo "kept: project $COMPOSE_PROJECT_NAME, DOCKER_HOST=${DOCKER_HOST:-}, $work"
		return
	fi
	((${#dc[@]})) && "${dc[@]}" --profile load down -v -t 5 >/dev/null 2>&1
	if [[ $engine_pid ]]; then
		kill "$engine_pid" 2>/dev/null
		wait "$engine_pid" 2>/dev/null
		umount "$work"/exec/netns/* 2>/dev/null
	fi
	rm -rf -- "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The whole of what follows needs an engine; without one there is nothing to fail but the static check.
no_engine() {
	not_run+=("docker compose: $1")
	finish
}

pause() {
	read -rt "$1" <> <(:) || true
}

# ---- engine --------------------------------------------------------------------------------------------------------------

install_tools() {
	local missing=()
	command -v dockerd >/dev/null || "$docker" info >/dev/null 2>&1 || missing+=(docker.io iptables)
	"$docker" compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || missing+=(docker-compose)
	command -v debootstrap >/dev/null || missing+=(debootstrap)
	((${#missing[@]})) || return 0
	[[ $(id -u) == 0 ]] || no_engine "missing packages (${missing[*]}) and not root"
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
		>"$work/apt.out" 2>&1 || no_engine "packages cannot be installed: $(tail -n1 "$work/apt.out")"
}

# With the engine's defaults, else without its firewall rules, else without overlayfs: what a sandbox may lack.
start_engine() {
	local options
	for options in '' '--iptables=false --ip6tables=false' '--storage-driver=vfs' '--storage-driver=vfs --iptables=false'; do
		# shellcheck disable=SC2086
		dockerd --host="unix://$work/docker.sock" --data-root="${SOUK_DOCKER_DIR:-/var/lib/souk-docker}" \
			--exec-root="$work/exec" --pidfile="$work/dockerd.pid" $options >"$work/dockerd.out" 2>&1 &
		engine_pid=$!
		export DOCKER_HOST=unix://$work/docker.sock
		for _ in {1..30}; do
			"$docker" info >/dev/null 2>&1 && { echo "#     engine started here${options:+ with $options}"; return 0; }
			kill -0 $engine_pid 2>/dev/null || break
			pause 1
		done
		kill $engine_pid 2>/dev/null
		wait $engine_pid 2>/dev/null
		engine_pid=
	done
	return 1
}

find_engine() {
	# Another client on the path may know no `build` of its own.
	[[ -x /usr/bin/docker ]] && docker=/usr/bin/docker
	install_tools
	[[ -x /usr/bin/docker ]] && docker=/usr/bin/docker
	if ! "$docker" info >/dev/null 2>&1; then
		[[ $(id -u) == 0 ]] || no_engine "no engine runs, and only root can start one"
		start_engine || no_engine "the engine does not start: $(grep -oE 'level=(error|fatal).*|failed.*' "$work/dockerd.out" | tail -n1 | cut -c1-200)"
	fi
	if "$docker" compose version >/dev/null 2>&1; then
		dc=("$docker" compose)
	else
		dc=(docker-compose)
	fi
	export DOCKER=$docker COMPOSE="${dc[*]}"
	pass "engine $("$docker" version -f '{{.Server.Version}}'), $("$docker" info -f '{{.Driver}}'), ${dc[*]}"
}

# ---- images --------------------------------------------------------------------------------------------------------------

have() {
	"$docker" image inspect "$1" >/dev/null 2>&1
}

base_standin() {
	local mirror
	rm -rf "$work/rootfs"
	# From where this machine takes its own packages.
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sed -n 's/ bookworm$//p' | head -1)
	debootstrap --variant=minbase bookworm "$work/rootfs" ${mirror:+"$mirror"} >"$work/debootstrap.out" 2>&1 || return 1
	rm -rf "$work"/rootfs/var/cache/apt/* "$work"/rootfs/var/lib/apt/lists/* "$work"/rootfs/usr/share/{doc,man,locale}/*
	printf '#!/bin/sh\nexit 101\n' >"$work/rootfs/usr/sbin/policy-rc.d"
	chmod 755 "$work/rootfs/usr/sbin/policy-rc.d"
	tar -C "$work/rootfs" -c . | "$docker" import - "$base" >/dev/null || return 1
	rm -rf "$work/rootfs"
}

# not_built IMAGE: our fault, unless no container of this machine can run and reach Debian's packages.
not_built() {
	"$docker" run --rm --network=host "$base" apt-get -o APT::Update::Error-Mode=any update >"$work/reach.out" 2>&1 ||
		no_engine "a container does not run or reaches no packages: $(tail -n1 "$work/reach.out" | cut -c1-200)"
	fail "$1" "$2"
	finish
}

find_images() {
	local image name registry=yes packaged='postgres\|redis\|nginx\|prom/prometheus\|otel/opentelemetry-collector-contrib'
	if ! have "$base" && ! timeout 30 "$docker" pull -q "$base" >/dev/null 2>&1; then
		registry=no
		base_standin || no_engine "no Debian image: neither a registry nor debootstrap ($(tail -n1 "$work/debootstrap.out" | cut -c1-200))"
		not_run+=("official images: no registry; stand-ins from Debian's packages took their names")
	fi
	for image in $(sed -n "s,^ *image: \(\($packaged\):.*\),\1,p" docker-compose.yml | sort -u); do
		name=${image%%:*} name=${name##*/}
		have "$image" && continue
		[[ $registry == yes ]] && timeout 300 "$docker" pull -q "$image" >/dev/null 2>&1 && continue
		if run_quiet "$work/build-$name.out" "$docker" build --network=host --build-arg BASE="$base" \
			-f "tests/compose/standins/$name.Dockerfile" -t "$image" tests; then
			pass "stand-in $image"
		else
			not_built "stand-in $image" "$work/build-$name.out"
		fi
	done
	for name in platform pooler tools; do
		if run_quiet "$work/build-$name.out" "$docker" build --network=host -f deploy/Dockerfile --target "$name" \
			-t "souk/$name:test" .; then
			pass "image souk/$name"
		else
			not_built "image souk/$name" "$work/build-$name.out"
		fi
	done
	not_run+=("opensearch, grafana, the collector itself, jaeger and fluent-bit: no Debian package; checked statically")
}

# ---- the steps -----------------------------------------------------------------------------------------------------------

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A network that nothing else on this machine routes to, also not the leftovers of an engine that was killed.
free_net() {
	local n
	for n in {240..254} {10..239}; do
		# There as the kernel writes it: 172.31.n.0, last byte first.
		grep -qi "\s00$(printf %02x "$n")1FAC\s" /proc/net/route || break
	done
	export SOUK_EDGE_NET=172.31.$n.0/24 SOUK_EDGE_ADDRESS=172.31.$n.10
}

set_up() {
	local name
	free_net
	for name in HTTPS HTTP SANDBOX MAIL STORE; do
		export "SOUK_${name}_PORT=$(free_port)"
	done
	# As tests/run.sh's platform: no limit in the way, a hash that a busy machine can afford, the test's own page origin.
	export SOUK_SANDBOX_URL=http://127.0.0.1:$SOUK_SANDBOX_PORT SOUK_STORE_URL=http://127.0.0.1:$SOUK_STORE_PORT
	export LIMIT_USER=1000000 LIMIT_ANONYMOUS=1000000 LIMIT_AUTH=1000000 IDENTITY_ARGON2_MEMORY_KIB=8192 IDENTITY_ARGON2_PASSES=1
	export OTLP_URL=http://collector:4318 # who waits for nobody: `observe` starts it
	export CORS_ORIGINS=https://pages.e2e.example DEMO_SCALE=${DEMO_SCALE:-200} DRAIN_MS=2000 RESOLVE_MS=1000
	url=http://127.0.0.1:$SOUK_HTTP_PORT
}

traffic() {
	/usr/bin/python3 deploy/demo/traffic.py --url "$url" --sandbox "$SOUK_SANDBOX_URL" --key "$key" "$@"
}

# A run folder as the tests know it, for a platform that runs elsewhere.
make_run_dir() {
	local run=$work/run demo
	mkdir -p "$run"
	chmod 700 "$run"
	"$docker" cp "$("${dc[@]}" ps -q identity | head -n1):/run/souk/keys" "$run/keys" >/dev/null 2>&1
	printf '{"pay_publishable_key": "%s"}' "$key" >"$run/keys/local.json"
	printf '{"ports": {"http": %s, "mail": %s, "sandbox": %s, "store": %s}}' "$SOUK_HTTP_PORT" "$SOUK_MAIL_PORT" \
		"$SOUK_SANDBOX_PORT" "$SOUK_STORE_PORT" >"$run/ports.json"
	echo '{"phase": "ready", "processes": {}}' >"$run/state.json"
	demo=$("${dc[@]}" ps -aq demo 2>/dev/null || "${dc[@]}" ps -q demo)
	"$docker" cp "$demo:/var/lib/souk/demo/demo.json" "$run/demo.json" >/dev/null 2>&1
}

do_up() {
	local since=$SECONDS state=
	section "docker compose up, and a purchase through the edge"
	if ! run_quiet "$work/up.out" timeout 600 "${dc[@]}" up -d --no-build; then
		fail "docker compose up" "$work/up.out"
		"${dc[@]}" ps 2>&1 | sed 's/^/      /' | head -n 40
		"${dc[@]}" logs --tail 5 2>&1 | sed 's/^/      /' | head -n 60
		finish
	fi
	key=$("$docker" exec "$("${dc[@]}" ps -q sandbox)" cat /run/souk/pay_publishable_key)
	for _ in {1..120}; do
		traffic --seconds 0.1 --threads 1 --buy 1 --pause 0 >"$work/first.out" 2>&1 && grep -q '"purchases": [1-9]' "$work/first.out" && break
		pause 0.5
	done
	if grep -q '"purchases": [1-9]' "$work/first.out"; then
		since=$((SECONDS - since))
		pass "a purchase through the edge and PgBouncer in transaction mode, $since s after up"
		# A machine that others use too is no place for a clock to decide.
		((since < 45)) || not_run+=("the figure of 45 s from up to the first purchase: it took $since s, at a load of $(cut -d' ' -f1 /proc/loadavg)")
	else
		fail "a purchase within 2 min" "$work/first.out"
		finish
	fi
	for _ in {1..600}; do
		state=$("$docker" inspect -f '{{.State.Status}} {{.State.ExitCode}}' "${COMPOSE_PROJECT_NAME}_demo_1" \
			"${COMPOSE_PROJECT_NAME}-demo-1" 2>/dev/null)
		[[ $state == exited* ]] && break
		pause 0.5
	done
	if [[ $state == "exited 0" ]]; then
		pass "the demo shop is loaded"
	else
		"${dc[@]}" logs --tail 20 demo >"$work/demo.out" 2>&1
		fail "the demo shop is loaded (${state:-never started})" "$work/demo.out"
	fi
	curl -fsSk --max-time 10 "https://127.0.0.1:$SOUK_HTTPS_PORT/healthz" >"$work/tls.out" 2>&1 && pass "TLS at the edge" \
		|| fail "TLS at the edge" "$work/tls.out"
	[[ $(curl -sk --max-time 10 -o /dev/null -w '%{http_code}' "https://127.0.0.1:$SOUK_HTTPS_PORT/metrics") == 404 ]] \
		&& pass "no figures outside" || fail "no figures outside"
	printf 'POST /api/cart/items HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' |
		timeout 10 curl -s --max-time 5 "telnet://127.0.0.1:$SOUK_HTTP_PORT" >"$work/frame.out" 2>/dev/null
	head -n1 "$work/frame.out" | grep -q ' 400 ' && pass "two lengths are one too many" || fail "two lengths are one too many" "$work/frame.out"
}

do_e2e() {
	local file
	section "the end-to-end tests against it"
	make_run_dir
	export SOUK_RUN_DIR=$work/run SOUK_BEHIND_EDGE=1
	for file in purchase cart browse account people vendor after_sale; do
		[[ -e tests/e2e/test_$file.py ]] && run_python e2e "tests/e2e/test_$file.py"
	done
	unset SOUK_RUN_DIR SOUK_BEHIND_EDGE
	not_run+=("test_platform, test_abuse, test_tour, test_media, test_signals: they look into a local run's processes; \`test\` runs them")
}

do_harden() {
	local id name bad seen=0
	section "hardening, as the engine sees it"
	for id in $("${dc[@]}" ps -q); do
		name=$("$docker" inspect -f '{{index .Config.Labels "com.docker.compose.service"}}' "$id")
		bad=$("$docker" inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Init}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.Privileged}} {{.HostConfig.SecurityOpt}}' "$id")
		[[ $bad =~ ^true\ \[ALL\]\ true\ [1-9][0-9]*\ [1-9][0-9]*\ [1-9][0-9]*\ false\ \[no-new-privileges:true\]$ ]] || fail "$name: $bad"
		[[ $("$docker" inspect -f '{{.State.Status}}' "$id") == running ]] || continue
		if ! "$docker" exec "$id" sh -c 'test "$(id -u)" != 0 && ! touch /usr/x /etc/x 2>/dev/null &&
			grep -q "^CapEff:[[:space:]]*0000000000000000" /proc/self/status && grep -q "^NoNewPrivs:[[:space:]]*1" /proc/self/status' \
			>"$work/harden.out" 2>&1; then
			fail "$name: root, writable or privileged inside" "$work/harden.out"
		fi
	done
	pass "containers looked at: $("${dc[@]}" ps -q | wc -l)"
	for name in gateway $(git ls-files 'services/*/main.c' | cut -d/ -f2); do
		for id in $("${dc[@]}" ps -q "$name"); do
			bad=$("$docker" exec "$id" sh -c 'find /run/souk -type f' |
				grep -vE "/(keys/(cursor|data-$name|pair-$name-[a-z]+|pair-[a-z]+-$name)\.key|$name\.dsn)$" |
				sed 's|.*/||; s/^signing-.*/signing/' | sort | tr '\n' ' ')
			case $name:$bad in
			identity:"index.key signing " | "catalog:store_access_key store_secret_key ") ;;
			"checkout:index.key pay_publishable_key pay_secret_key pay_webhook_secret " | gateway: | cart: | inventory:) ;;
			search: | reco: | notify:) ;;
			*) fail "$name sees another's secrets, or not its own: $bad" ;;
			esac
			seen=$((seen + 1))
		done
	done
	((seen >= 9)) && pass "secrets looked at: of $seen daemons" || fail "secrets looked at: of $seen daemons"
	bad=$("$docker" run --rm --entrypoint sh souk/platform:test -c 'ls /usr/bin/gcc /usr/bin/cc /usr/bin/clang /usr/bin/make /usr/bin/python3 2>/dev/null; find / -xdev -perm /6000 -path "*souk*" 2>/dev/null')
	[[ -z $bad ]] && pass "no compiler in the platform image" || fail "in the platform image: $bad"
}

size_of() {
	"$docker" image inspect -f '{{.Size}}' "$1"
}

do_size() {
	local above
	section "size"
	above=$((($(size_of souk/platform:test) - $(size_of "$base")) / 1000000))
	((above <= 60)) && pass "the platform image is $above MB above its base" || fail "the platform image is $above MB above its base, 60 allowed"
}

# requests CONTAINER PORT: how many RPCs of others it has answered
requests() {
	"$docker" exec "$("${dc[@]}" ps -q mail | head -n1)" python3 -c '
import re, sys, urllib.request
text = urllib.request.urlopen(f"http://{sys.argv[1]}:{sys.argv[2]}/metrics", timeout=5).read().decode()
print(sum(int(float(m.group(2))) for m in re.finditer(r"^souk_rpc_server_requests_total\{([^}]*)\} (\S+)", text, re.M)
          if "Node/" not in m.group(1)))' "$("$docker" inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1")" "$2"
}

do_scale() {
	local ids id before=() after=() i sum=0 low high
	section "scale: catalog=3, then 1"
	"${dc[@]}" up -d --no-build --no-recreate --scale catalog=3 catalog >"$work/scale.out" 2>&1 || { fail "scale to 3" "$work/scale.out"; return; }
	for _ in {1..240}; do
		[[ $("$docker" ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter label=com.docker.compose.service=catalog --filter health=healthy | wc -l) == 3 ]] && break
		pause 0.5
	done
	traffic --seconds 10 --threads 4 --buy 0.5 --pause 0 >/dev/null 2>&1
	read -ra ids <<<"$("${dc[@]}" ps -q catalog | tr '\n' ' ')"
	for id in "${ids[@]}"; do before+=("$(requests "$id" 7202)"); done
	traffic --seconds 20 --threads 4 --buy 0.5 --pause 0 >"$work/scale.out" 2>&1 && pass "nothing lost while three serve: $(tail -n1 "$work/scale.out" | cut -c1-90)" \
		|| fail "requests lost while three serve" "$work/scale.out"
	for i in "${!ids[@]}"; do
		after+=("$(($(requests "${ids[$i]}" 7202) - before[i]))")
		sum=$((sum + after[i]))
	done
	low=$((sum * 80 / 300)) high=$((sum * 120 / 300 + 1))
	for i in "${!ids[@]}"; do
		((sum > 60 && after[i] >= low && after[i] <= high)) || { fail "load is uneven: ${after[*]} (each $low to $high)"; i=bad; break; }
	done
	[[ $i == bad ]] || pass "load is even within 20 %: ${after[*]}"
	traffic --seconds 25 --threads 3 --buy 0.3 >"$work/scale.out" 2>&1 &
	local pid=$!
	pause 3
	"${dc[@]}" up -d --no-build --no-recreate --scale catalog=1 catalog >"$work/scale1.out" 2>&1 || fail "scale to 1" "$work/scale1.out"
	wait $pid && pass "nothing lost on the way to one: $(tail -n1 "$work/scale.out" | cut -c1-90)" || fail "requests lost on the way to one" "$work/scale.out"
}

do_roll() {
	local services=() pid d
	section "a rolling recreate of every service under load"
	for d in $(git ls-files 'services/*/main.c' | cut -d/ -f2) gateway; do
		[[ $("${dc[@]}" ps -q "$d" 2>/dev/null) ]] && services+=("$d")
	done
	traffic --seconds 1300 --stop-file "$work/rolled" --threads 3 --buy 0.3 >"$work/roll-traffic.out" 2>&1 &
	pid=$!
	if timeout 1200 deploy/roll.sh "${services[@]}" >"$work/roll.out" 2>&1; then
		pass "replaced: ${services[*]}"
	else
		fail "deploy/roll.sh" "$work/roll.out"
	fi
	touch "$work/rolled"
	wait $pid && pass "nothing lost meanwhile: $(tail -n1 "$work/roll-traffic.out" | cut -c1-90)" || fail "requests lost meanwhile" "$work/roll-traffic.out"
}

# What people bought makes a training wait; the daemon, whose container is too small for it, leaves it to the job.
do_train() {
	local state
	section "a training in a container of its own"
	sql() {
		"$docker" exec "$("${dc[@]}" ps -q postgres)" psql -XAtq -U postgres -d souk -c "$1" 2>"$work/sql.out"
	}
	for _ in {1..120}; do
		state=$(sql "SELECT state FROM reco.training ORDER BY queued_at LIMIT 1")
		[[ $state ]] && break
		pause 0.5
	done
	pause 6 # the daemon looks every five seconds
	[[ $(sql "SELECT count(*) FROM reco.training WHERE state <> 'queued'") == 0 && $state == queued ]] \
		&& pass "a training waits" || fail "no training waits: ${state:-none}" "$work/sql.out"
	run_quiet "$work/train.out" timeout 240 "${dc[@]}" run --rm --no-deps -T reco-train || fail "the job of the training" "$work/train.out"
	state=$(sql "SELECT t.state || ' ' || (m.id IS NOT NULL) FROM reco.training t LEFT JOIN reco.model m ON m.id = t.model_id ORDER BY t.queued_at LIMIT 1")
	[[ $state == "done true" ]] && pass "it was carried out, and there is a model" || fail "after the job: $state" "$work/train.out"
}

# The processes of the nine, as this machine numbers them.
our_pids() {
	local id name
	for name in gateway $(git ls-files 'services/*/main.c' | cut -d/ -f2); do
		for id in $("${dc[@]}" ps -q "$name"); do
			"$docker" top "$id" -o pid,comm | awk '/souk-/ { print $1 }'
		done
	done
}

# Prometheus finds every process and understands rules and dashboards; spans come as one trace.
do_observe() {
	section "profile observability: Prometheus and a receiver of spans"
	if ! run_quiet "$work/observe.out" timeout 120 "${dc[@]}" --profile observability up -d --no-build --no-deps prometheus collector; then
		fail "prometheus and collector start" "$work/observe.out"
		return
	fi
	traffic --seconds 25 --threads 3 --buy 0.5 >"$work/observe.out" 2>&1 || fail "requests lost" "$work/observe.out"
	{
		echo "DAEMONS = '$(git ls-files 'services/*/main.c' | cut -d/ -f2 | tr '\n' ' ') gateway'.split()"
		/usr/bin/python3 -c '
import glob, json
panels = [(p["title"], t["expr"]) for f in sorted(glob.glob("deploy/observability/grafana/dashboards/*.json"))
          for p in json.load(open(f))["panels"] for t in p.get("targets", [])]
print("PANELS =", repr(panels))'
		cat tests/compose/observed.py
	} >"$work/observed.py"
	count_lines "$work/observed.out" "$docker" exec -i "$("${dc[@]}" ps -q mail | head -n1)" python3 - <"$work/observed.py"
	"${dc[@]}" --profile observability rm -fs prometheus collector >/dev/null 2>&1
}

# The images name no architecture; whether the code does is what this tells.
do_arm64() {
	section "arm64: cross-compiled, unit tests under emulation"
	if ! run_quiet "$work/arm64.out" "$docker" build --network=host --build-arg BASE="$base" -f tests/compose/arm64.Dockerfile \
		-t souk/arm64:test tests/compose/standins; then
		not_run+=("arm64: its packages cannot be had ($(tail -n1 "$work/arm64.out" | cut -c1-160))")
	elif run_quiet "$work/arm64.out" timeout 900 "$docker" run --rm -v "$root:/src:ro" souk/arm64:test /src/tests/compose/arm64.sh; then
		pass "every program is built for arm64; $(grep 'tests passed' "$work/arm64.out")"
	else
		fail "arm64" "$work/arm64.out"
	fi
}

do_memory() {
	local now total=0 load pids=() pid pss
	section "memory of our processes under load (PSS)"
	mapfile -t pids < <(our_pids)
	traffic --seconds 20 --threads 6 --buy 0.3 >"$work/load.out" 2>&1 &
	load=$!
	while kill -0 $load 2>/dev/null; do
		now=0
		for pid in "${pids[@]}"; do
			pss=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null)
			now=$((now + ${pss:-0}))
		done
		total=$((now > total ? now : total))
		pause 1
	done
	wait $load || fail "requests lost under load" "$work/load.out"
	((total > 0)) || { not_run+=("memory: the processes are not visible from here"); return; }
	((total / 1024 <= 300)) && pass "at most $((total / 1024)) MiB together, ${#pids[@]} processes" || fail "at most $((total / 1024)) MiB together, 300 allowed"
	[[ $("$docker" inspect -f '{{.State.OOMKilled}}' $("${dc[@]}" ps -q) | grep -c true) == 0 ]] && pass "no container met its limit" || fail "a container met its memory limit"
}

section "static"
count_lines "$work/static.out" /usr/bin/python3 tests/compose/check_compose.py
count_lines "$work/alerts.out" /usr/bin/python3 tests/compose/check_alerts.py
section "engine and images"
find_engine
find_images
set_up
do_up
for step in ${COMPOSE_STEPS:-harden size memory train observe e2e scale roll arm64}; do
	"do_$step"
done
finish
