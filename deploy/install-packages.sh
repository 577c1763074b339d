#!/usr/bin/env bash
# Installs the packages of packages.txt, or of the list that PACKAGES names, that are missing; says nothing and needs no
# network when none is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=${PACKAGES:-$here/packages.txt}

die() {
	echo "packages: $*" >&2
	exit 1
}

command -v dpkg-query >/dev/null || die "this is not a Debian system; install by hand what deploy/packages.txt names"

mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list")
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
missing=()
for package in "${wanted[@]}"; do
	grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
((${#missing[@]})) || exit 0

if [[ ${1:-} == --check ]]; then
	die "missing: ${missing[*]}"
fi

as_root=()
if ((EUID != 0)); then
	command -v sudo >/dev/null || die "missing: ${missing[*]} (install them as root, or install sudo)"
	# Asks for the password now, where a person can see it.
	sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; } ||
		die "missing: ${missing[*]} (sudo refused; install them as root)"
	as_root=(sudo)
fi

log=$(mktemp "${TMPDIR:-/tmp}/souk-apt.XXXXXX")
trap 'rm -f "$log"' EXIT
apt() {
	# No system service may start because a package arrived: `up` runs its own PostgreSQL and Redis.
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" >"$log" 2>&1
}

# The postgresql package would create and start a cluster on port 5432; we never use it.
if printf '%s\n' "${missing[@]}" | grep -qx postgresql && [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
	"${as_root[@]}" mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
policy=/usr/sbin/policy-rc.d
policy_ours=
if [[ ! -e $policy ]]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
	"${as_root[@]}" chmod 755 $policy
	policy_ours=yes
fi
# shellcheck disable=SC2154
trap 'rm -f "$log"; [[ -z $policy_ours ]] || "${as_root[@]}" rm -f $policy' EXIT

echo "packages: installing ${#missing[@]}: ${missing[*]}"
updated=
for try in 1 2 3; do
	if apt update; then
		updated=yes
		break
	fi
	echo "packages: package lists could not be fetched (try $try of 3)"
	sleep $((try * 2))
done
[[ $updated ]] || echo "packages: going on with the package lists that are here"
if ! apt install -y --no-install-recommends "${missing[@]}"; then
	die "apt-get failed: $(grep -m1 -E '^E:' "$log" || tail -n1 "$log")"
fi
echo "packages: done"
