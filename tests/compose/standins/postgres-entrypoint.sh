#!/bin/sh
# initdb with POSTGRES_PASSWORD_FILE on an empty PGDATA, then the server; as the official image does it.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	mkdir -p "$PGDATA"
	chmod 700 "$PGDATA"
	# The options are words of their own, as in the official image.
	# shellcheck disable=SC2086
	initdb -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-}
	printf "host all all all scram-sha-256\n" >>"$PGDATA/pg_hba.conf"
	printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
fi
exec "$@"
