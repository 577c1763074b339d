#!/bin/sh
# The tools image's entrypoint: what a shop of one's own needs beside the platform. NAME_FILE gives NAME from a file.
#
#	secrets		keys, passwords and the edge's certificate, once
#	demo		the demo shop, through REST, once per seed and scale
#	mail | store	the mail catcher, the object store
#	sandbox		the payment sandbox
#	traffic …	browses and buys for a while and says what came of it
set -eu

for name in SANDBOX_SECRET_KEY SANDBOX_PUBLISHABLE_KEY SANDBOX_WEBHOOK_SECRET STORE_ACCESS_KEY STORE_SECRET_KEY; do
	eval "file=\${${name}_FILE:-}"
	if [ "$file" ]; then
		eval "$name=\$(cat \"\$file\")"
		export "${name?}"
	fi
done
what=${1:?secrets, demo, mail, store, sandbox or traffic}
shift
case $what in
secrets) exec /opt/souk/secrets.sh "$@" ;;
demo) exec /opt/souk/demo.sh "$@" ;;
mail) exec python3 /opt/souk/mail_catcher.py --smtp 0.0.0.0:8025 --web 0.0.0.0:8026 --dir /tmp/mail "$@" ;;
store) exec python3 /opt/souk/object_store.py --listen 0.0.0.0:8027 --dir /var/lib/souk/media "$@" ;;
sandbox) exec souk-sandbox "$@" ;;
traffic) exec python3 /opt/souk/demo/traffic.py "$@" ;;
probe) exec python3 /opt/souk/probe.py "$@" ;;
*) echo "souk-tools: $what?" >&2; exit 2 ;;
esac
