-- What every schema has: which cluster this is, the event log, the inbox, idempotency keys, leases, the audit log.
-- Runs as the schema's owner. What the daemon's own migrations create is granted to its runtime role from here on; a
-- migration that wants less revokes it.
ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO souk_${schema};
ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT USAGE, SELECT ON SEQUENCES TO souk_${schema};
ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT EXECUTE ON FUNCTIONS TO souk_${schema};

-- ---- which cluster ----
-- Transaction numbers order the event log, and they start anew when the data moves to another cluster or go back when
-- an older state is restored. The epoch counts such moves and comes first in every cursor.
CREATE TABLE ${schema}.cluster (
	one      boolean PRIMARY KEY DEFAULT true CHECK (one),
	identity text NOT NULL, -- system identifier / timeline
	epoch    bigint NOT NULL
);
REVOKE INSERT, UPDATE, DELETE ON ${schema}.cluster FROM souk_${schema};

CREATE FUNCTION ${schema}.cluster_identity() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_is_in_recovery() THEN
		RAISE EXCEPTION 'this server is a standby' USING ERRCODE = 'cannot_connect_now';
	END IF;
	RETURN (SELECT system_identifier FROM pg_control_system()) || '/'
		|| left(pg_walfile_name(pg_current_wal_lsn()), 8);
END $$;

INSERT INTO ${schema}.cluster (identity, epoch) VALUES (${schema}.cluster_identity(), 1);

-- Called on every new connection, before it can write anything. Two at once raise it once.
CREATE FUNCTION ${schema}.outbox_check_epoch() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_now text := ${schema}.cluster_identity();
	v_epoch bigint;
BEGIN
	SELECT c.epoch INTO v_epoch FROM ${schema}.cluster c WHERE c.identity = v_now;
	IF NOT FOUND THEN
		UPDATE ${schema}.cluster c SET identity = v_now, epoch = c.epoch + 1 WHERE c.identity <> v_now;
		SELECT c.epoch INTO v_epoch FROM ${schema}.cluster c;
	END IF;
	RETURN v_epoch;
END $$;

-- ---- events out ----
-- Read only below the oldest running transaction and in the order (epoch, xid, pos): no late commit is missed.
CREATE TABLE ${schema}.outbox (
	epoch       bigint NOT NULL,
	xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
	pos         bigint GENERATED ALWAYS AS IDENTITY,
	event_id    text COLLATE "C" NOT NULL,
	agg_type    text NOT NULL,
	agg_id      text COLLATE "C" NOT NULL,
	agg_version bigint NOT NULL,
	type        text NOT NULL,
	payload     bytea NOT NULL,
	traceparent text,
	occurred_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (epoch, xid, pos)
);
REVOKE UPDATE ON ${schema}.outbox FROM souk_${schema};

-- How far each consumer has come; what all have passed may be pruned after the retention.
CREATE TABLE ${schema}.outbox_consumer (
	consumer text PRIMARY KEY,
	epoch    bigint NOT NULL,
	xid      xid8 NOT NULL,
	pos      bigint NOT NULL,
	seen_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- ---- events in ----
CREATE TABLE ${schema}.inbox_cursor (
	source      text PRIMARY KEY,
	epoch       bigint NOT NULL DEFAULT 0,
	xid         xid8 NOT NULL DEFAULT '0',
	pos         bigint NOT NULL DEFAULT 0,
	owner       text NOT NULL DEFAULT '',
	lease_until timestamptz NOT NULL DEFAULT '-infinity',
	applied_at  timestamptz, -- when the last event applied occurred at its source
	behind      bigint NOT NULL DEFAULT 0 -- fetched, not applied: its transaction keeps failing
) WITH (fillfactor = 50);

CREATE TABLE ${schema}.inbox (
	source     text NOT NULL,
	event_id   text COLLATE "C" NOT NULL,
	handled_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (source, event_id)
);
CREATE INDEX inbox_age ON ${schema}.inbox (handled_at);

-- retrying: waits for its next attempt. dead: attempts are used up, waits for a replay. parked: waits behind an earlier
-- event of the same aggregate that is retrying or dead.
CREATE TABLE ${schema}.dead_letter (
	id              text COLLATE "C" PRIMARY KEY,
	ord             bigint GENERATED ALWAYS AS IDENTITY,
	source          text NOT NULL,
	event_id        text COLLATE "C" NOT NULL,
	type            text NOT NULL,
	agg_type        text NOT NULL,
	agg_id          text COLLATE "C" NOT NULL,
	agg_version     bigint NOT NULL,
	payload         bytea NOT NULL,
	traceparent     text,
	occurred_at     timestamptz NOT NULL,
	state           text NOT NULL CHECK (state IN ('retrying', 'dead', 'parked')),
	attempts        integer NOT NULL DEFAULT 0,
	next_attempt_at timestamptz,
	error           text,
	failed_at       timestamptz NOT NULL DEFAULT now(),
	UNIQUE (source, event_id)
);
CREATE INDEX dead_letter_due ON ${schema}.dead_letter (source, next_attempt_at) WHERE state = 'retrying';
CREATE INDEX dead_letter_aggregate ON ${schema}.dead_letter (source, agg_type, agg_id, ord);
CREATE INDEX dead_letter_agg_id ON ${schema}.dead_letter (agg_id);

-- ---- idempotency keys ----
CREATE TABLE ${schema}.idempotency (
	scope       text NOT NULL,
	method      text NOT NULL,
	key         text NOT NULL,
	fingerprint bytea NOT NULL,
	state       text NOT NULL CHECK (state IN ('running', 'done')),
	attempt     integer NOT NULL DEFAULT 1, -- counts take-overs; a late first attempt no longer matches
	lease_until timestamptz NOT NULL,
	resource_id text COLLATE "C",
	code        integer,
	reply       bytea,
	expires_at  timestamptz NOT NULL,
	PRIMARY KEY (scope, method, key)
);
CREATE INDEX idempotency_expiry ON ${schema}.idempotency (expires_at);

-- ---- leases ----
CREATE TABLE ${schema}.lease (
	name        text PRIMARY KEY,
	owner       text NOT NULL,
	lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- ---- audit ----
-- Plain rows by trigger; the sealer chains committed ones by hash (audit_seal below). The runtime role reads, and
-- writes only through the trigger.
CREATE TABLE ${schema}.audit_log (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	epoch      bigint NOT NULL,
	xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
	changed_at timestamptz NOT NULL DEFAULT now(),
	actor      text NOT NULL,
	request_id text NOT NULL,
	action     text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
	table_name text NOT NULL,
	row_id     text NOT NULL,
	before     jsonb,
	after      jsonb
);
CREATE INDEX audit_log_chain ON ${schema}.audit_log (epoch, xid, id);
CREATE INDEX audit_log_row ON ${schema}.audit_log (table_name, row_id, id);
CREATE INDEX audit_log_actor ON ${schema}.audit_log (actor, id);
CREATE INDEX audit_log_request ON ${schema}.audit_log (request_id, id);

CREATE TABLE ${schema}.audit_sealed (
	id   bigint PRIMARY KEY,
	hash bytea NOT NULL
);
CREATE TABLE ${schema}.audit_head (
	one       boolean PRIMARY KEY DEFAULT true CHECK (one),
	epoch     bigint NOT NULL,
	xid       xid8 NOT NULL,
	id        bigint NOT NULL,
	hash      bytea NOT NULL,
	rows      bigint NOT NULL,
	sealed_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO ${schema}.audit_head (epoch, xid, id, hash, rows) VALUES (0, '0', 0, sha256('${schema}'::bytea), 0);

CREATE TABLE ${schema}.audit_exempt (
	table_name text PRIMARY KEY,
	reason     text NOT NULL
);
REVOKE INSERT, UPDATE, DELETE ON ${schema}.audit_log, ${schema}.audit_sealed, ${schema}.audit_head, ${schema}.audit_exempt
	FROM souk_${schema};

-- The columns that name a row: `id` when it is the key, else the primary key's columns in its order.
CREATE FUNCTION ${schema}.audit_keys(p_table oid) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(array_agg(a.attname::text ORDER BY k.ord), '{}')
	  FROM pg_index i
	 CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, ord)
	  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
	 WHERE i.indrelid = p_table AND i.indisprimary
$$;

-- Arguments, when audit_attach made the trigger: the key columns joined with ',', then columns whose values stay out of the
-- log (secrets): they appear as "***", so that a change of them is seen.
CREATE FUNCTION ${schema}.audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_before jsonb;
	v_after jsonb;
	v_row jsonb;
	v_keys text[];
	v_actor text;
BEGIN
	IF TG_OP <> 'INSERT' THEN
		v_before := to_jsonb(OLD);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		v_after := to_jsonb(NEW);
	END IF;
	IF v_before = v_after THEN
		RETURN NULL;
	END IF;
	v_row := coalesce(v_after, v_before);
	v_keys := CASE WHEN TG_NARGS > 0 THEN string_to_array(TG_ARGV[0], ',') ELSE ${schema}.audit_keys(TG_RELID) END;
	FOR i IN 1 .. TG_NARGS - 1 LOOP
		IF v_before ->> TG_ARGV[i] IS NOT NULL THEN
			v_before := jsonb_set(v_before, ARRAY[TG_ARGV[i]], '"***"');
		END IF;
		IF v_after ->> TG_ARGV[i] IS NOT NULL THEN
			v_after := jsonb_set(v_after, ARRAY[TG_ARGV[i]], '"***"');
		END IF;
	END LOOP;
	v_actor := nullif(current_setting('souk.actor', true), '');
	IF v_actor IS NULL THEN -- somebody at a prompt, or a migration, is named by its login
		v_actor := CASE WHEN session_user = 'souk_${schema}' THEN 'system' ELSE 'db:' || session_user END;
	END IF;
	INSERT INTO ${schema}.audit_log (epoch, actor, request_id, action, table_name, row_id, before, after)
	SELECT c.epoch, v_actor, coalesce(current_setting('souk.request_id', true), ''), lower(TG_OP), TG_TABLE_NAME,
	       coalesce((SELECT string_agg(coalesce(v_row ->> u.k, ''), ':' ORDER BY u.ord)
	                   FROM unnest(v_keys) WITH ORDINALITY AS u (k, ord)), ''),
	       v_before, v_after
	  FROM ${schema}.cluster c;
	RETURN NULL;
END $$;

-- For migrations: SELECT <schema>.audit_attach('user', 'password_hash');
CREATE FUNCTION ${schema}.audit_attach(p_table text, VARIADIC p_hidden text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_table oid := (SELECT c.oid FROM pg_class c
	                 WHERE c.relnamespace = '${schema}'::regnamespace AND c.relname = p_table AND c.relkind IN ('r', 'p'));
	v_args text;
	v_keys text[];
	v_bad text;
BEGIN
	IF v_table IS NULL THEN
		RAISE EXCEPTION 'audit_attach: there is no table ${schema}.%', p_table;
	END IF;
	v_keys := ${schema}.audit_keys(v_table);
	IF v_keys = '{}' THEN
		RAISE EXCEPTION 'audit_attach: ${schema}.% has no primary key', p_table;
	END IF;
	SELECT h INTO v_bad FROM unnest(p_hidden) AS h
	 WHERE NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = v_table AND a.attname = h AND NOT a.attisdropped);
	IF FOUND THEN
		RAISE EXCEPTION 'audit_attach: ${schema}.% has no column %', p_table, v_bad;
	END IF;
	SELECT string_agg(quote_literal(x), ', ' ORDER BY ord) INTO v_args
	  FROM unnest(array_to_string(v_keys, ',') || p_hidden) WITH ORDINALITY AS u (x, ord);
	EXECUTE format('CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON ${schema}.%I'
		' FOR EACH ROW EXECUTE FUNCTION ${schema}.audit_row(%s)', p_table, v_args);
END $$;

-- Tables whose changes nobody records and nobody excused. Every daemon's test expects none.
CREATE FUNCTION ${schema}.audit_unaudited() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.relname::text FROM pg_class c
	 WHERE c.relnamespace = '${schema}'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	   AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN ('O', 'A')
	                      AND t.tgfoid = '${schema}.audit_row'::regproc)
	   AND NOT EXISTS (SELECT 1 FROM ${schema}.audit_exempt x WHERE x.table_name = c.relname)
	 ORDER BY 1
$$;

CREATE FUNCTION ${schema}.audit_digest(p_before bytea, p_row ${schema}.audit_log) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN -- not in SQL: that would be planned anew for every row
	RETURN sha256(p_before || convert_to(jsonb_build_array(p_row.id, p_row.epoch, p_row.xid::text,
		extract(epoch FROM p_row.changed_at), p_row.actor, p_row.request_id, p_row.action, p_row.table_name,
		p_row.row_id, p_row.before, p_row.after)::text, 'UTF8'));
END $$;

-- Chains up to p_max rows that no running transaction can still precede; returns how many. One at a time.
CREATE FUNCTION ${schema}.audit_seal(p_max integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_head ${schema}.audit_head;
	v_row ${schema}.audit_log;
	v_done bigint := 0;
BEGIN
	SELECT * INTO v_head FROM ${schema}.audit_head;
	PERFORM 1 FROM ${schema}.audit_log l WHERE (l.epoch, l.xid, l.id) > (v_head.epoch, v_head.xid, v_head.id) LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0; -- each second: no lock, no transaction number when there is nothing to do
	END IF;
	SELECT * INTO v_head FROM ${schema}.audit_head FOR UPDATE;
	FOR v_row IN SELECT l.* FROM ${schema}.audit_log l, ${schema}.cluster c
			WHERE (l.epoch, l.xid, l.id) > (v_head.epoch, v_head.xid, v_head.id)
			  AND (l.epoch < c.epoch OR l.xid < pg_snapshot_xmin(pg_current_snapshot()))
			ORDER BY l.epoch, l.xid, l.id LIMIT p_max LOOP
		v_head.hash := ${schema}.audit_digest(v_head.hash, v_row);
		v_head.epoch := v_row.epoch;
		v_head.xid := v_row.xid;
		v_head.id := v_row.id;
		INSERT INTO ${schema}.audit_sealed (id, hash) VALUES (v_row.id, v_head.hash);
		v_done := v_done + 1;
	END LOOP;
	IF v_done > 0 THEN
		UPDATE ${schema}.audit_head h SET epoch = v_head.epoch, xid = v_head.xid, id = v_head.id, hash = v_head.hash,
			rows = h.rows + v_done, sealed_at = now();
	END IF;
	RETURN v_done;
END $$;

-- Walks the whole chain: the id of the first row that does not fit, 0 when the head does not, NULL when all is well.
CREATE FUNCTION ${schema}.audit_verify() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_hash bytea := sha256('${schema}'::bytea);
	v_head ${schema}.audit_head;
	v_row ${schema}.audit_log;
	v_sealed bytea;
	v_n bigint := 0;
BEGIN
	SELECT * INTO v_head FROM ${schema}.audit_head;
	FOR v_row IN SELECT l.* FROM ${schema}.audit_log l
			WHERE (l.epoch, l.xid, l.id) <= (v_head.epoch, v_head.xid, v_head.id)
			ORDER BY l.epoch, l.xid, l.id LOOP
		v_hash := ${schema}.audit_digest(v_hash, v_row);
		SELECT s.hash INTO v_sealed FROM ${schema}.audit_sealed s WHERE s.id = v_row.id;
		IF v_sealed IS DISTINCT FROM v_hash THEN
			RETURN v_row.id;
		END IF;
		v_n := v_n + 1;
	END LOOP;
	RETURN CASE WHEN v_hash = v_head.hash AND v_n = v_head.rows THEN NULL ELSE 0 END;
END $$;

INSERT INTO ${schema}.audit_exempt (table_name, reason) VALUES
	('audit_exempt', 'written by migrations only'),
	('audit_head', 'is the audit'),
	('audit_log', 'is the audit'),
	('audit_sealed', 'is the audit'),
	('cluster', 'mechanism; written by its own function only'),
	('dead_letter', 'mechanism; replays are in the audit log stream'),
	('idempotency', 'mechanism'),
	('inbox', 'mechanism'),
	('inbox_cursor', 'mechanism'),
	('lease', 'mechanism'),
	('migration', 'written by migrations only'),
	('outbox', 'is a log of changes'),
	('outbox_consumer', 'mechanism');
