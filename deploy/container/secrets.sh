#!/bin/sh
# Makes what must not be in the repository, once: each reader's files in a volume of its own. What exists stays.
#
#	/init/app	keys/ (soukctl keys init), a DSN per daemon, the provider's and the store's keys
#	/init/pg	the superuser's password, passwords.sql of the roles
#	/init/pooler	PgBouncer's user list
#	/init/edge	certificate and key of the edge, self-signed
set -eu
umask 022
app=/init/app pg=/init/pg pooler=/init/pooler edge=/init/edge

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# once FILE TEXT…: a file is there as a whole or not at all
once() {
	file=$1
	shift
	[ -s "$file" ] && return 0
	printf '%s' "$*" >"$file.new"
	chmod 444 "$file.new"
	mv "$file.new" "$file"
}

mkdir -p $app/keys
chmod 700 $app/keys
soukctl keys init --dir $app/keys
once $pg/superuser "$(random)"
once $app/pay_secret_key "sk_test_$(random)"
once $app/pay_publishable_key "pk_test_$(random)"
once $app/pay_webhook_secret "whsec_$(random)"
once $app/store_access_key "AK$(random)"
once $app/store_secret_key "$(random)"

users='' passwords=''
for d in migrate identity catalog inventory cart checkout search reco notify; do
	once $pg/password_$d "$(random)"
	word=$(cat $pg/password_$d)
	if [ $d = migrate ]; then
		once $app/migrate.dsn "host=postgres port=5432 user=souk_migrate password=$word dbname=souk connect_timeout=5"
	else
		once $app/$d.dsn "host=pgbouncer port=6432 user=souk_$d password=$word dbname=souk connect_timeout=5"
	fi
	users="$users\"souk_$d\" \"$word\"
"
	passwords="${passwords}ALTER ROLE souk_$d PASSWORD '$word';
"
done
once $pg/passwords.sql "$passwords"
once $pooler/userlist.txt "$users"

if [ ! -s $edge/tls.crt ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=${SOUK_HOST:-localhost}" \
		-addext "subjectAltName=DNS:${SOUK_HOST:-localhost},DNS:edge,IP:127.0.0.1" \
		-keyout $edge/tls.key.new -out $edge/tls.crt.new 2>/dev/null
	chmod 444 $edge/tls.key.new
	mv $edge/tls.key.new $edge/tls.key
	mv $edge/tls.crt.new $edge/tls.crt
fi
echo "secrets: there"
