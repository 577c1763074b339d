#!/usr/bin/env bash
# The search at scale, on a PostgreSQL of its own:
#	tests/bench/search_scale.sh BENCH_SEARCH PRODUCTS [SECONDS]
# 1000000 products take about 8 GB of disk and a while to put in; the figures are printed beside a plain AND query.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/souk-scale.XXXXXX")
trap '"$here/../support/services.sh" stop "$work/svc" >/dev/null 2>&1; rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
eval "$("$here/../support/services.sh" start "$work/svc")"
export TEST_PG_ADMIN
"$@"
