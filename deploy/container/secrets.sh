#!/bin/sh
# Makes what must not be in the repository, once, and deals it out: each reader's files in a volume of its own. What exists
# stays; what is changed in /init/app is dealt out anew.
#
#	/init/app	the originals: keys/ (soukctl keys init), a DSN per daemon, the provider's and the store's keys
#	/init/NAME	copies of what the program NAME reads, and nothing else
#	/init/pg	the superuser's password, passwords.sql of the roles
#	/init/pooler	PgBouncer's user list
#	/init/edge	certificate and key of the edge, self-signed
set -eu
umask 022
init=${INIT_DIR:-/init}
app=$init/app pg=$init/pg pooler=$init/pooler edge=$init/edge

random() { od -An -N"${1:-24}" -tx1 /dev/urandom | tr -d ' \n'; }
# once FILE TEXT…: a file is there as a whole or not at all
once() {
	file=$1
	shift
	[ -s "$file" ] && return 0
	printf '%s' "$*" >"$file.new"
	chmod 444 "$file.new"
	mv "$file.new" "$file"
}

# deal READER FILE…: copies of these originals, under their own names or, as ORIGINAL=NAME, another; the reader has no others
deal() {
	to=$init/$1 names=
	shift
	mkdir -p -m 700 "$to" "$to/keys"
	for file; do
		name=${file#*=} file=${file%%=*}
		names="$names $name"
		[ -e "$to/$name" ] && cmp -s "$app/$file" "$to/$name" || cp --remove-destination "$app/$file" "$to/$name"
	done
	find "$to" -type f -exec chmod 400 {} +
	for file in "$to"/* "$to"/keys/*; do
		case "$names " in
		*" ${file#"$to/"} "*) ;;
		*) [ -d "$file" ] || rm -f "$file" ;;
		esac
	done
}
# keys_of DAEMON FILE…: its data key, its pair keys and those of the daemons that call it, the cursor key that is its alone
keys_of() {
	d=$1
	shift
	once $app/keys/cursor-$d.key "$(random 32)"
	for file in "$app"/keys/pair-$d-*.key "$app"/keys/pair-*-$d.key; do
		set -- "$@" "keys/${file##*/}"
	done
	deal "${reader:-$d}" keys/cursor-$d.key=keys/cursor.key keys/data-$d.key $d.dsn "$@"
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

signing=
for file in "$app"/keys/signing-*.pem; do
	signing="$signing keys/${file##*/}"
done
for d in inventory cart search reco notify; do
	keys_of $d
done
# Names without blanks, several of them.
# shellcheck disable=SC2086
keys_of identity keys/index.key $signing
# It makes the first administrator, by identity's own program.
# shellcheck disable=SC2086
reader=demo keys_of identity keys/index.key $signing pay_publishable_key
keys_of catalog store_access_key store_secret_key
keys_of checkout keys/index.key pay_secret_key pay_publishable_key pay_webhook_secret
set --
for file in "$app"/keys/pair-gateway-*.key; do
	set -- "$@" "keys/${file##*/}"
done
deal gateway "$@"
once $app/unused unused
deal migrate migrate.dsn unused keys/cursor.key
deal sandbox pay_secret_key pay_publishable_key pay_webhook_secret
deal load pay_publishable_key
deal store store_access_key store_secret_key
echo "secrets: there"
