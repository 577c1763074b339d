-- The chain of the audit log is kept per batch, not per row: a row more for every row cost a quarter of what PostgreSQL did for
-- an order. A batch's hash covers the batch before it and every row of its own; what was sealed so far is sealed anew.
DROP TABLE ${schema}.audit_sealed;
DROP FUNCTION ${schema}.audit_digest(bytea, ${schema}.audit_log);
UPDATE ${schema}.audit_head SET epoch = 0, xid = '0', id = 0, hash = sha256('${schema}'::bytea), rows = 0, sealed_at = NULL;

CREATE TABLE ${schema}.audit_batch (
	epoch bigint NOT NULL, -- of its last row, as xid and id
	xid   xid8 NOT NULL,
	id    bigint NOT NULL,
	rows  bigint NOT NULL,
	hash  bytea NOT NULL,
	PRIMARY KEY (epoch, xid, id)
);
REVOKE INSERT, UPDATE, DELETE ON ${schema}.audit_batch FROM souk_${schema};
UPDATE ${schema}.audit_exempt SET table_name = 'audit_batch' WHERE table_name = 'audit_sealed';

-- One row as bytes: a row's text form quotes what it holds, so that no two rows read alike.
CREATE FUNCTION ${schema}.audit_digest(p_row ${schema}.audit_log) RETURNS bytea
LANGUAGE sql STABLE AS $$
	SELECT sha256(convert_to(ROW(p_row.id, p_row.epoch, p_row.xid, extract(epoch FROM p_row.changed_at), p_row.actor,
		p_row.request_id, p_row.action, p_row.table_name, p_row.row_id, p_row.before, p_row.after)::text, 'UTF8'))
$$;

CREATE OR REPLACE FUNCTION ${schema}.audit_seal(p_max integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_head ${schema}.audit_head;
	v_last record;
BEGIN
	SELECT * INTO v_head FROM ${schema}.audit_head;
	PERFORM 1 FROM ${schema}.audit_log l WHERE (l.epoch, l.xid, l.id) > (v_head.epoch, v_head.xid, v_head.id) LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0; -- each second: no lock, no transaction number when there is nothing to do
	END IF;
	SELECT * INTO v_head FROM ${schema}.audit_head FOR UPDATE;
	SELECT count(*) AS n, (array_agg(r.epoch ORDER BY r.epoch DESC, r.xid DESC, r.id DESC))[1] AS epoch,
	       (array_agg(r.xid ORDER BY r.epoch DESC, r.xid DESC, r.id DESC))[1] AS xid,
	       (array_agg(r.id ORDER BY r.epoch DESC, r.xid DESC, r.id DESC))[1] AS id,
	       sha256(v_head.hash || string_agg(r.digest, ''::bytea ORDER BY r.epoch, r.xid, r.id)) AS hash
	  INTO v_last
	  FROM (SELECT l.epoch, l.xid, l.id, ${schema}.audit_digest(l) AS digest
	          FROM ${schema}.audit_log l, ${schema}.cluster c
	         WHERE (l.epoch, l.xid, l.id) > (v_head.epoch, v_head.xid, v_head.id)
	           AND (l.epoch < c.epoch OR l.xid < pg_snapshot_xmin(pg_current_snapshot()))
	         ORDER BY l.epoch, l.xid, l.id LIMIT p_max) AS r;
	IF v_last.n > 0 THEN
		INSERT INTO ${schema}.audit_batch (epoch, xid, id, rows, hash)
		VALUES (v_last.epoch, v_last.xid, v_last.id, v_last.n, v_last.hash);
		UPDATE ${schema}.audit_head h SET epoch = v_last.epoch, xid = v_last.xid, id = v_last.id, hash = v_last.hash,
			rows = h.rows + v_last.n, sealed_at = now();
	END IF;
	RETURN v_last.n;
END $$;

-- Walks the whole chain: the id of the last row of the first batch that does not fit, 0 when the head does not, NULL when all
-- is well.
CREATE OR REPLACE FUNCTION ${schema}.audit_verify() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_hash bytea := sha256('${schema}'::bytea);
	v_head ${schema}.audit_head;
	v_batch ${schema}.audit_batch;
	v_epoch bigint := 0;
	v_xid xid8 := '0';
	v_id bigint := 0;
	v_rows bigint;
	v_n bigint := 0;
BEGIN
	SELECT * INTO v_head FROM ${schema}.audit_head;
	FOR v_batch IN SELECT b.* FROM ${schema}.audit_batch b ORDER BY b.epoch, b.xid, b.id LOOP
		SELECT sha256(v_hash || string_agg(${schema}.audit_digest(l), ''::bytea ORDER BY l.epoch, l.xid, l.id)), count(*)
		  INTO v_hash, v_rows
		  FROM ${schema}.audit_log l
		 WHERE (l.epoch, l.xid, l.id) > (v_epoch, v_xid, v_id)
		   AND (l.epoch, l.xid, l.id) <= (v_batch.epoch, v_batch.xid, v_batch.id);
		IF v_hash IS DISTINCT FROM v_batch.hash OR v_rows <> v_batch.rows THEN
			RETURN v_batch.id;
		END IF;
		v_epoch := v_batch.epoch;
		v_xid := v_batch.xid;
		v_id := v_batch.id;
		v_n := v_n + v_rows;
	END LOOP;
	RETURN CASE WHEN v_hash = v_head.hash AND v_n = v_head.rows THEN NULL ELSE 0 END;
END $$;

-- As before, with less to compute per row.
CREATE OR REPLACE FUNCTION ${schema}.audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_before jsonb;
	v_after jsonb;
	v_row jsonb;
	v_key text;
	v_id text;
	v_actor text := current_setting('souk.actor', true);
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
	IF TG_NARGS > 0 AND strpos(TG_ARGV[0], ',') = 0 THEN
		v_id := coalesce(v_row ->> TG_ARGV[0], '');
	ELSE
		FOREACH v_key IN ARRAY CASE WHEN TG_NARGS > 0 THEN string_to_array(TG_ARGV[0], ',')
		                       ELSE ${schema}.audit_keys(TG_RELID) END LOOP
			v_id := CASE WHEN v_id IS NULL THEN '' ELSE v_id || ':' END || coalesce(v_row ->> v_key, '');
		END LOOP;
	END IF;
	FOR i IN 1 .. TG_NARGS - 1 LOOP
		IF v_before ->> TG_ARGV[i] IS NOT NULL THEN
			v_before := jsonb_set(v_before, ARRAY[TG_ARGV[i]], '"***"');
		END IF;
		IF v_after ->> TG_ARGV[i] IS NOT NULL THEN
			v_after := jsonb_set(v_after, ARRAY[TG_ARGV[i]], '"***"');
		END IF;
	END LOOP;
	IF v_actor IS NULL OR v_actor = '' THEN -- somebody at a prompt, or a migration, is named by its login
		v_actor := CASE WHEN session_user = 'souk_${schema}' THEN 'system' ELSE 'db:' || session_user END;
	END IF;
	INSERT INTO ${schema}.audit_log (epoch, actor, request_id, action, table_name, row_id, before, after)
	SELECT c.epoch, v_actor, coalesce(current_setting('souk.request_id', true), ''), lower(TG_OP), TG_TABLE_NAME,
	       coalesce(v_id, ''), v_before, v_after
	  FROM ${schema}.cluster c;
	RETURN NULL;
END $$;
