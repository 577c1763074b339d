#!/bin/sh
# Loads the demo shop into the running platform, once per seed and scale: what is there stays, also when repeated.
set -eu
run=/var/lib/souk/demo
mkdir -p $run/keys $run/env
key=$(cat /run/souk/pay_publishable_key)
printf '{"pay_publishable_key": "%s"}' "$key" >$run/keys/local.json
cat >$run/ports.json <<JSON
{"ports": {"http": 8080, "mail": 8026, "sandbox": 8090}, "hosts": {"http": "gateway", "mail": "mail", "sandbox": "sandbox"}}
JSON
: >$run/env/identity.env
for name in $(env | sed -n 's/^\([A-Z_]*\)=.*/\1/p'); do
	case $name in
	IDENTITY_* | CATALOG_URL | CATALOG_BELL_URL | PG_POOLER | REDIS_URL | SOUK_KEYS_DIR)
		eval "printf \"%s='%s'\n\" $name \"\$$name\"" >>$run/env/identity.env
		;;
	esac
done
scale=${DEMO_SCALE:-200} seed=${DEMO_SEED:-1}
if [ -e "$run/done-$seed-$scale" ]; then
	echo "demo: there"
	exit 0
fi
python3 /opt/souk/demo/load.py --run-dir $run --identity /usr/local/bin/souk-identity --scale "$scale" --seed "$seed"
: >"$run/done-$seed-$scale"
