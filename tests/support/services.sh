#!/usr/bin/env bash
# A throwaway PostgreSQL and Redis for tests, on free ports and in a folder of their own:
#	eval "$(tests/support/services.sh start DIR)"	# exports TEST_PG_ADMIN and TEST_REDIS_URL
#	tests/support/services.sh stop DIR		# stops them and removes DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
local_py=$here/../../deploy/local/local.py
what=${1:?start or stop}
dir=${2:?folder}
case $what in
start)
	out=$(SOUK_PG_FAST=1 /usr/bin/python3 "$local_py" stores --dir "$dir")
	grep '^export ' <<<"$out" || {
		echo "$out" >&2
		exit 1
	}
	;;
stop)
	/usr/bin/python3 "$local_py" stores-down --dir "$dir"
	if [[ -L $dir/pg ]]; then
		rm -rf -- "$(readlink "$dir/pg")"
	fi
	rm -rf -- "$dir"
	;;
*)
	echo "services.sh: start DIR or stop DIR" >&2
	exit 2
	;;
esac
