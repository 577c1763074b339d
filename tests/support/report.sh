# Counting and showing for tests/run.sh; sourced.

section() {
	printf '\n== %s [%d:%02d]\n' "$1" $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60))
}

pass() {
	passed=$((passed + 1))
	echo "ok    $1"
}

# fail NAME FILE: the end of what the step printed goes with it
fail() {
	failed=$((failed + 1))
	echo "FAIL  $1"
	[[ ${2:-} && -s $2 ]] && tail -n "${FAIL_LINES:-25}" "$2" | sed 's/^/      /'
}

run_quiet() {
	local out=$1
	shift
	"$@" >"$out" 2>&1 &
	wait_with_progress $! "$out" '(\[[0-9]+/[0-9]+\]|build [A-Za-z]+: [^ ]*)'
}

# wait_with_progress PID FILE REGEX: the newest match now and then, so that a long step shows that it lives
wait_with_progress() {
	local pid=$1 file=$2 regex=$3 since=$SECONDS now shown=
	while kill -0 "$pid" 2>/dev/null; do
		read -rt 1 <> <(:) || true
		if ((SECONDS - since >= 15)); then
			since=$SECONDS
			now=$(grep -oE "$regex" "$file" 2>/dev/null | tail -n1)
			[[ $now == "$shown" ]] || echo "      … $now"
			shown=$now
		fi
	done
	wait "$pid"
}

# count_lines FILE COMMAND: the command prints `ok NAME`, `FAIL NAME …`, `skip NAME why` lines
count_lines() {
	local out=$1 code=0
	shift
	"$@" >"$out" 2>&1 || code=$?
	add_counts "$out"
	if ((code != 0)) && ! grep -q '^FAIL' "$out"; then
		fail "$1 (exit code $code)" "$out"
	fi
}

# add_counts FILE [NAME]: what the passes are of
add_counts() {
	local ok bad skip why
	ok=$(grep -c '^ok ' "$1")
	bad=$(grep -c '^FAIL' "$1")
	skip=$(grep -c '^skip ' "$1")
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	# Passes are a number; all else is shown.
	echo "ok    $ok${2:+  $2}"
	grep -E '^(FAIL|skip |warn |#|      )' "$1"
	while read -r _ why; do
		not_run+=("$why")
	done < <(grep '^skip ' "$1")
}

# run_python LABEL GLOB: each file by itself, so that none can lean on another's state; four at a time (they mostly wait), but for those that
# say `# runs alone` (they stop daemons or load the whole machine), which come last
run_python() {
	local label=$1 file pids=() files=() begins=() alone=()
	for file in $2; do
		if grep -q '^# runs alone' "$file"; then
			alone+=("$file")
			continue
		fi
		((${#pids[@]} < ${PY_JOBS:-4})) || end_oldest
		start_file "$file"
	done
	while ((${#pids[@]})); do
		end_oldest
	done
	for file in "${alone[@]}"; do
		start_file "$file"
		end_oldest
	done
}

# The two below share run_python's lists of what runs.
start_file() {
	local out
	out=$work/$label-$(basename "$1" .py).out
	(cd tests && PYTHONPATH="$root/tests" timeout "${PY_TIMEOUT:-300}" /usr/bin/python3 -u support/run_unittest.py "$root/$1") \
		>"$out" 2>&1 &
	pids+=($!)
	files+=("$1")
	begins+=("$SECONDS")
}

end_oldest() {
	local file=${files[0]} begun_at=${begins[0]} out code
	out=$work/$label-$(basename "$file" .py).out
	wait_with_progress "${pids[0]}" "$out" '^(ok|FAIL).*'
	code=$?
	pids=("${pids[@]:1}") files=("${files[@]:1}") begins=("${begins[@]:1}")
	add_counts "$out" "$(basename "$file" .py) $((SECONDS - begun_at)) s"
	if ((code != 0)) && ! grep -q '^FAIL' "$out"; then
		fail "$file (exit code $code)" "$out"
	fi
}

# No daemon may have crashed, and no sanitizer may have spoken, whatever the tests thought.
check_logs() {
	local hits
	hits=$(grep -lE 'AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer|Assertion .* failed' "$1"/*.log 2>/dev/null | grep -v '/all.log$')
	if [[ $hits ]]; then
		failed=$((failed + 1))
		echo "FAIL  a sanitizer reported in: $(xargs -n1 basename <<<"$hits" | tr '\n' ' ')"
		# shellcheck disable=SC2086
		grep -hE -A12 'AddressSanitizer|LeakSanitizer|runtime error:|Assertion .* failed' $hits | head -n 40 | sed 's/^/      /'
	else
		pass "logs: no sanitizer report"
	fi
}

finish() {
	local line
	echo
	for line in "${not_run[@]}"; do
		echo "not run: $line"
	done
	echo "took $(((SECONDS - begun) / 60)) min $(((SECONDS - begun) % 60)) s"
	echo "$passed passed, $failed failed, $skipped skipped"
	((failed == 0 && passed > 0))
	exit $?
}
