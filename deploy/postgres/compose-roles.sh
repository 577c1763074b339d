#!/bin/sh
# One-shot job of docker-compose.yml, in the PostgreSQL image: the database, a schema with its roles per daemon, their
# passwords. Idempotent.
set -eu
export PGHOST=postgres PGUSER=postgres PGCONNECT_TIMEOUT=5
PGPASSWORD=$(cat /run/pg/superuser)
export PGPASSWORD
# printf: this shell's echo would take \c for an order of its own.
{
	printf '%s\n' '\set ON_ERROR_STOP 1' \
		"SELECT 'CREATE DATABASE souk' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'souk') \\gexec" '\c souk'
	for d in identity catalog inventory cart checkout search reco notify; do
		printf '%s\n' "\\set d $d" '\i /opt/souk/postgres/roles.sql'
	done
	printf '%s\n' '\i /run/pg/passwords.sql'
} | psql -X -q -o /dev/null -d postgres
echo "roles: there"
