-- A request that waits beside its own repeat: the repeat took units of its own while the batch was being picked, and was
-- refused as sold out or capped when there were none left, although its key holds what it asks for.

-- One variant, many waiting requests, admitted in the order of the arrays: exact, and none falsely sold out. A request that
-- does not fit does not stop a smaller one behind it. Result per request: 'ok', 'known' (that key exists already),
-- 'short', 'capped', 'unknown' (no such variant).
CREATE OR REPLACE FUNCTION inventory.reserve_batch(p_variant text, p_keys text[], p_ids text[], p_qtys integer[],
	p_owners text[], p_ttls integer[], p_cap bigint)
RETURNS TABLE (ord integer, outcome text, available bigint, expires_at bigint, state_after text, seq_after bigint,
	moved boolean, vendor_id text)
LANGUAGE plpgsql AS $$
DECLARE
	v_n integer := array_length(p_keys, 1);
	v_stock inventory.stock;
	v_known text[];
	v_out text[] := array_fill(''::text, ARRAY[v_n]); -- '' is not decided
	v_seen bigint[] := array_fill(0::bigint, ARRAY[v_n]);
	v_left bigint;            -- after those that are in
	v_rest bigint;            -- after those that are picked as well
	v_mine bigint;
	v_pick integer[];
	v_in text[];              -- ids
	v_lost boolean;
	v_state text; v_seq bigint; v_moved boolean := false;
BEGIN
	SELECT * INTO v_stock FROM inventory.stock s WHERE s.variant_id = p_variant FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT g.i, 'unknown'::text, 0::bigint, NULL::bigint, NULL::text, NULL::bigint, false, NULL::text
			       FROM generate_series(1, v_n) AS g (i);
		RETURN;
	END IF;
	v_left := v_stock.on_hand - v_stock.reserved;
	v_known := ARRAY(SELECT r.key FROM inventory.reservation r WHERE r.key = ANY (p_keys));
	LOOP
		v_pick := '{}';
		v_rest := v_left;
		FOR i IN 1 .. v_n LOOP
			CONTINUE WHEN v_out[i] <> '';
			v_seen[i] := v_rest;
			IF p_keys[i] = ANY (v_known) THEN
				v_out[i] := 'known';
				CONTINUE;
			END IF;
			CONTINUE WHEN NOT v_stock.backorder AND v_rest < p_qtys[i];
			IF p_owners[i] <> '' AND p_cap > 0 THEN
				SELECT inventory.held_by(p_owners[i], p_variant) + coalesce(sum(p_qtys[k]), 0) INTO v_mine
				  FROM unnest(v_pick) AS k WHERE p_owners[k] = p_owners[i];
				IF v_mine + p_qtys[i] > p_cap THEN
					v_out[i] := 'capped';
					CONTINUE;
				END IF;
			END IF;
			v_pick := v_pick || i;
			v_rest := v_rest - p_qtys[i];
			v_known := v_known || p_keys[i]; -- whoever wins it, a repeat behind it is not a request of its own
		END LOOP;
		EXIT WHEN v_pick = '{}';
		-- A request for the same key may be running elsewhere: the UNIQUE makes this one wait, then it is 'known'.
		WITH new AS (
			INSERT INTO inventory.reservation (id, key, owner, expires_at)
			SELECT p_ids[k], p_keys[k], p_owners[k], now() + make_interval(secs => p_ttls[k]) FROM unnest(v_pick) AS k
			ON CONFLICT (key) DO NOTHING RETURNING id
		), put AS (
			INSERT INTO inventory.reservation_line (reservation_id, variant_id, qty)
			SELECT p_ids[k], p_variant, p_qtys[k] FROM unnest(v_pick) AS k JOIN new ON new.id = p_ids[k]
		)
		SELECT array_agg(new.id) INTO v_in FROM new;
		v_lost := false;
		FOREACH v_mine IN ARRAY v_pick LOOP
			IF p_ids[v_mine] = ANY (v_in) THEN
				v_out[v_mine] := 'ok';
				v_left := v_left - p_qtys[v_mine];
			ELSE
				v_out[v_mine] := 'known';
				v_lost := true;
			END IF;
		END LOOP;
		EXIT WHEN NOT v_lost; -- what a lost one had picked may be enough for one that was short
	END LOOP;
	IF v_left < v_stock.on_hand - v_stock.reserved THEN
		SELECT a.moved, a.state_after, a.seq_after INTO v_moved, v_state, v_seq
		  FROM inventory.apply(p_variant, 0, v_stock.on_hand - v_stock.reserved - v_left, false) a;
	END IF;
	RETURN QUERY SELECT g.i, coalesce(nullif(v_out[g.i], ''), 'short'), v_seen[g.i],
			    (extract(epoch FROM now() + make_interval(secs => p_ttls[g.i])) * 1000)::bigint, v_state, v_seq,
			    coalesce(v_moved, false), v_stock.vendor_id
		       FROM generate_series(1, v_n) AS g (i);
END $$;
