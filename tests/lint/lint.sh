#!/usr/bin/env bash
# Source gates: cheap, compile nothing. Prints `ok NAME`, `FAIL NAME` with places, `warn NAME`; exit 1 on a failure.
#	lint.sh [SECTION…]	all sections, or the named ones
#	lint.sh --golden	accept new migrations and compatible contracts into tests/golden/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [[ ${1:-} == --golden ]]; then
	/usr/bin/python3 tests/support/proto_compat.py --update
	exec /usr/bin/python3 tests/lint/gates.py --golden
fi
exec /usr/bin/python3 tests/lint/gates.py "$@"
