#!/usr/bin/env bash
# Configures and builds with progress; a failure is the compiler's first words and one line.
#	build.sh Debug|Release DIR TARGET…	CMAKE_ARGS adds options, CC chooses the compiler, JOBS the parallelism
set -euo pipefail
type=$1 dir=$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
if ((free_mb < 600)); then
	echo "build: disk full: $free_mb MB free, 600 MB needed" >&2
	exit 1
fi
mkdir -p "$dir"
log=$dir/build.log
read -ra extra <<<"${CMAKE_ARGS:-}"
if ! cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE="$type" ${CC:+-DCMAKE_C_COMPILER="$CC"} "${extra[@]}" >"$log" 2>&1; then
	grep -m1 -A2 'CMake Error' "$log" | sed -n '2,3p' >&2 || true
	echo "build: configuration failed; see $log" >&2
	exit 1
fi

jobs=(${JOBS:+-j"$JOBS"})
keep=(${SOUK_BUILD_KEEP_GOING:+-k0})
begun=$SECONDS
NINJA_STATUS='[%f/%t] ' ninja -C "$dir" "${jobs[@]}" "${keep[@]}" "$@" >>"$log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || true' INT TERM
shown=
while kill -0 $pid 2>/dev/null; do
	# Not a wait for luck: the next line of progress.
	read -rt 1 <> <(:) || true
	if ((SECONDS - begun >= 3)); then
		now=$(grep -oE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n1 || true)
		if [[ $now && $now != "$shown" ]]; then
			if [[ -t 1 ]]; then
				printf '\rbuild %s: %s ' "$type" "$now"
				shown=$now
			elif ((SECONDS % 10 == 0)); then
				echo "build $type: $now"
				shown=$now
			fi
		fi
	fi
done
[[ -t 1 && $shown ]] && echo
if ! wait $pid; then
	grep -m1 -A12 -E '(error|undefined reference|FAILED)' "$log" | grep -vE '^(FAILED|/usr/bin/ccache)' | head -n 8 >&2 || true
	echo "build: $(grep -m1 -oE '^FAILED: .*' "$log" || echo failed); see $log" >&2
	[[ ${SOUK_BUILD_KEEP_GOING:-} ]] || exit 1
fi
if ((SECONDS - begun >= 3)); then
	echo "build $type: done in $((SECONDS - begun)) s"
fi
