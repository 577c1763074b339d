-- Roles and schema of one daemon, by psql; idempotent:
--	psql -v ON_ERROR_STOP=1 -v d=cart -f deploy/postgres/roles.sql
-- Passwords are set apart (ALTER ROLE … PASSWORD from the secret store); the local cluster trusts its own socket.
SELECT pg_catalog.set_config('souk.daemon', :'d', false);
\ir schema.sql
