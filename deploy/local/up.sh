#!/usr/bin/env bash
# What `make -f Makefile.ci up` does before Python takes over: packages, disk space, build.
#	up.sh [--no-build]	DETACH=1 returns when the platform is ready
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"

if [[ ${1:-} != --no-build ]]; then
	deploy/install-packages.sh
	deploy/local/build.sh Release "${SOUK_BUILD_DIR:-build/release}" platform
fi
exec /usr/bin/python3 deploy/local/local.py up
