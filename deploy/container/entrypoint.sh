#!/bin/sh
# The platform image's entrypoint: the first word picks the program, the rest is its own.
#
#	cart [--check …]	souk-cart
#	migrate			souk-<d> --migrate for every daemon of this image, one after another
#	soukctl …		the operator's command
set -eu

what=${1:?which program? for example: cart}
shift
case $what in
migrate)
	for program in /usr/local/bin/souk-*; do
		case $program in
		*/souk-entrypoint | */souk-gateway | */souk-tools | */souk-sandbox) ;;
		*) "$program" --migrate ;;
		esac
	done
	;;
soukctl) exec /usr/local/bin/soukctl "$@" ;;
*) exec "/usr/local/bin/souk-$what" "$@" ;;
esac
