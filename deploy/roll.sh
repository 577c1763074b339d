#!/usr/bin/env bash
# Replaces the containers of a service one after another while the others serve, for docker-compose.yml:
#
#	deploy/roll.sh SERVICE…		new containers come up beside the old ones, become healthy, and only then do the old go
#
# Uses `docker compose`, else `docker-compose`; extra words for it in COMPOSE_ARGS. A daemon that is told to stop says so to
# its callers, who go to the new one; nothing is lost.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
docker=${DOCKER:-docker}
if [[ ${COMPOSE:-} ]]; then
	read -ra compose <<<"$COMPOSE"
elif "$docker" compose version >/dev/null 2>&1; then
	compose=("$docker" compose)
else
	compose=(docker-compose)
fi
read -ra extra <<<"${COMPOSE_ARGS:-}"
compose+=("${extra[@]}")

healthy() {
	local id
	for id in "$@"; do
		[[ $("$docker" inspect -f '{{.State.Health.Status}}' "$id" 2>/dev/null) == healthy ]] || return 1
	done
}

for service in "$@"; do
	read -ra old <<<"$("${compose[@]}" ps -q "$service" | tr '\n' ' ')"
	n=${#old[@]}
	((n > 0)) || { echo "roll: $service does not run" >&2; exit 1; }
	"${compose[@]}" up -d --no-deps --no-build --no-recreate --scale "$service=$((2 * n))" "$service" >/dev/null 2>&1
	new=()
	for id in $("${compose[@]}" ps -q "$service"); do
		[[ " ${old[*]} " == *" $id "* ]] || new+=("$id")
	done
	until=$((SECONDS + 90))
	until healthy "${new[@]}"; do
		((SECONDS < until)) || { echo "roll: the new $service is not healthy; the old goes on" >&2; exit 1; }
		read -rt 1 <> <(:) || true
	done
	# Callers look for addresses every RESOLVE_MS; the edge every 2 s.
	read -rt "${SETTLE_S:-5}" <> <(:) || true
	"$docker" stop "${old[@]}" >/dev/null
	"$docker" rm "${old[@]}" >/dev/null
	echo "roll: $service: $n replaced"
done
