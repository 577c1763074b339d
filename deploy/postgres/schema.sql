-- Roles and schema of one daemon; idempotent. Run by a superuser (or a role with CREATEROLE that owns the database)
-- with the setting souk.daemon naming the daemon. roles.sql is the same for psql; the tests send this file as it is.
--
-- souk_<d>_owner  NOLOGIN: owns schema <d>, runs migrations and makes partitions
-- souk_<d>        the daemon: what the migrations grant it, no DDL, no way into another schema
-- souk_migrate    member of every owner: the deployment step that runs `souk-<d> --migrate`
-- Time-outs are settings of the role, so they hold behind a transaction pooler too.
-- Roles belong to the whole cluster: whoever runs this for several databases at once takes a lock around it.
DO $$
DECLARE
	v_d text := current_setting('souk.daemon');
	v_owner text := 'souk_' || v_d || '_owner';
	v_runtime text := 'souk_' || v_d;
BEGIN
	IF v_d !~ '^[a-z_]{1,40}$' THEN
		RAISE EXCEPTION 'souk.daemon is %', v_d;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v_owner) THEN
		EXECUTE format('CREATE ROLE %I NOLOGIN', v_owner);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v_runtime) THEN
		EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', v_runtime);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'souk_migrate') THEN
		CREATE ROLE souk_migrate LOGIN NOINHERIT;
	END IF;
	EXECUTE format('GRANT %I TO souk_migrate', v_owner);

	-- The public schema belongs to nobody, and a database is entered by name only.
	REVOKE ALL ON SCHEMA public FROM PUBLIC;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, souk_migrate', current_database(), v_runtime);

	IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = v_d) THEN
		EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', v_d, v_owner);
	END IF;
	EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', v_d);
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', v_d, v_runtime);
	-- A new function is executable by everyone unless its owner says otherwise.
	EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', v_owner);

	EXECUTE format('ALTER ROLE %I SET search_path = %L', v_runtime, '');
	EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', v_runtime, '10s');
	EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', v_runtime, '10s');
	EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', v_runtime, '3s');
	EXECUTE format('ALTER ROLE %I SET timezone = %L', v_runtime, 'UTC');
	-- Statements are prepared once a connection and written for one plan; choosing anew costs more than running.
	EXECUTE format('ALTER ROLE %I SET plan_cache_mode = %L', v_runtime, 'force_generic_plan');
	ALTER ROLE souk_migrate SET search_path = '';
	ALTER ROLE souk_migrate SET lock_timeout = '30s';
	ALTER ROLE souk_migrate SET timezone = 'UTC';
END $$;
