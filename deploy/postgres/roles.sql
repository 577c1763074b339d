-- Roles and schema of one daemon; idempotent. Run by a superuser (or a role with CREATEROLE that owns the database):
--	psql -v ON_ERROR_STOP=1 -v d=cart -f deploy/postgres/roles.sql
-- Passwords are set apart (ALTER ROLE … PASSWORD from the secret store); the local cluster trusts its own socket.
--
-- souk_<d>_owner  NOLOGIN: owns schema <d>, runs migrations and makes partitions
-- souk_<d>        the daemon: what the migrations grant it, no DDL, no way into another schema
-- souk_migrate    member of every owner: the deployment step that runs `souk-<d> --migrate`
-- Time-outs are settings of the role, so they hold behind a transaction pooler too (docs/decisions.md).
\set owner 'souk_' :d '_owner'
\set runtime 'souk_' :d

SELECT format('CREATE ROLE %I NOLOGIN', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') \gexec
SELECT format('CREATE ROLE %I LOGIN NOINHERIT', :'runtime')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'runtime') \gexec
SELECT 'CREATE ROLE souk_migrate LOGIN NOINHERIT'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'souk_migrate') \gexec

-- The public schema belongs to nobody, and a database is entered by name only.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I, souk_migrate', current_database(), :'runtime') \gexec

SELECT format('GRANT %I TO souk_migrate', :'owner') \gexec
SELECT format('CREATE SCHEMA %I AUTHORIZATION %I', :'d', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'d') \gexec
SELECT format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', :'d') \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', :'d', :'runtime') \gexec
-- A new function is executable by everyone unless its owner says otherwise.
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', :'owner') \gexec

SELECT format('ALTER ROLE %I SET search_path = %L', :'runtime', '') \gexec
SELECT format('ALTER ROLE %I SET statement_timeout = %L', :'runtime', '10s') \gexec
SELECT format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', :'runtime', '10s') \gexec
SELECT format('ALTER ROLE %I SET lock_timeout = %L', :'runtime', '3s') \gexec
SELECT format('ALTER ROLE %I SET timezone = %L', :'runtime', 'UTC') \gexec
ALTER ROLE souk_migrate SET search_path = '';
ALTER ROLE souk_migrate SET lock_timeout = '30s';
ALTER ROLE souk_migrate SET timezone = 'UTC';
