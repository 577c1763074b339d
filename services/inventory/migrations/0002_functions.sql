-- The changes of stock. Each function is one statement for its caller, locks stock rows in the order of their ids (so
-- that no two of them can deadlock), and returns the variants whose availability changed (in, low, out) so that the daemon
-- puts the event into the same transaction.

CREATE FUNCTION inventory.state_of(available bigint, backorder boolean, low bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN available <= 0 AND NOT backorder THEN 'out' WHEN available <= low THEN 'low' ELSE 'in' END
$$;

-- Applies deltas to one stock row that the caller has locked; tells the new state when it changed.
CREATE FUNCTION inventory.apply(p_variant text, p_hand bigint, p_reserved bigint, p_count boolean,
	OUT on_hand_after bigint, OUT moved boolean, OUT state_after text, OUT seq_after bigint, OUT vendor text)
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE inventory.stock s
	   SET on_hand = s.on_hand + p_hand, reserved = s.reserved + p_reserved,
	       version = s.version + CASE WHEN p_count THEN 1 ELSE 0 END, updated_at = now(),
	       event_seq = s.event_seq + CASE WHEN s.state <> n.state THEN 1 ELSE 0 END, state = n.state
	  FROM (SELECT o.variant_id, o.state AS before,
	               inventory.state_of(o.on_hand + p_hand - o.reserved - p_reserved, o.backorder, o.low_threshold) AS state
	          FROM inventory.stock o WHERE o.variant_id = p_variant) n
	 WHERE s.variant_id = n.variant_id
	RETURNING s.on_hand, n.before <> s.state, s.state, s.event_seq, s.vendor_id
	     INTO on_hand_after, moved, state_after, seq_after, vendor;
END $$;

-- One variant, many waiting requests, admitted in the order of the arrays: exact, and none falsely sold out. A request that
-- does not fit does not stop a smaller one behind it. Result per request: 'ok', 'known' (that key exists already),
-- 'short', 'capped', 'unknown' (no such variant).
CREATE FUNCTION inventory.reserve_many(p_variant text, p_keys text[], p_ids text[], p_qtys integer[],
	p_owners text[], p_ttls integer[], p_cap bigint)
RETURNS TABLE (ord integer, outcome text, available bigint, state_after text, seq_after bigint, moved boolean, vendor_id text)
LANGUAGE plpgsql AS $$
DECLARE
	v_stock inventory.stock;
	v_left bigint;
	v_taken bigint := 0;
	v_owned bigint;
	v_out text[] := '{}';
	v_seen bigint[] := '{}';
	v_state text; v_seq bigint; v_moved boolean := false;
BEGIN
	SELECT * INTO v_stock FROM inventory.stock s WHERE s.variant_id = p_variant FOR UPDATE;
	v_left := v_stock.on_hand - v_stock.reserved;
	FOR i IN 1 .. array_length(p_keys, 1) LOOP
		v_seen := v_seen || coalesce(v_left, 0);
		IF v_stock.variant_id IS NULL THEN
			v_out := v_out || 'unknown'::text;
			CONTINUE;
		END IF;
		IF EXISTS (SELECT 1 FROM inventory.reservation r WHERE r.key = p_keys[i]) THEN
			v_out := v_out || 'known'::text;
			CONTINUE;
		END IF;
		IF NOT v_stock.backorder AND v_left < p_qtys[i] THEN
			v_out := v_out || 'short'::text;
			CONTINUE;
		END IF;
		IF p_owners[i] <> '' AND p_cap > 0 THEN
			SELECT coalesce(sum(l.qty), 0) INTO v_owned
			  FROM inventory.reservation r JOIN inventory.reservation_line l ON l.reservation_id = r.id
			 WHERE r.owner = p_owners[i] AND r.state = 'active' AND l.variant_id = p_variant;
			IF v_owned + p_qtys[i] > p_cap THEN
				v_out := v_out || 'capped'::text;
				CONTINUE;
			END IF;
		END IF;
		-- A request for the same key may be running elsewhere: the UNIQUE makes it wait, then this one is 'known'.
		INSERT INTO inventory.reservation (id, key, owner, expires_at)
		VALUES (p_ids[i], p_keys[i], p_owners[i], now() + make_interval(secs => p_ttls[i]))
		ON CONFLICT (key) DO NOTHING;
		IF NOT FOUND THEN
			v_out := v_out || 'known'::text;
			CONTINUE;
		END IF;
		INSERT INTO inventory.reservation_line (reservation_id, variant_id, qty)
		VALUES (p_ids[i], p_variant, p_qtys[i]);
		v_left := v_left - p_qtys[i];
		v_taken := v_taken + p_qtys[i];
		v_out := v_out || 'ok'::text;
	END LOOP;
	IF v_taken > 0 THEN
		SELECT a.moved, a.state_after, a.seq_after INTO v_moved, v_state, v_seq
		  FROM inventory.apply(p_variant, 0, v_taken, false) a;
	END IF;
	RETURN QUERY SELECT g.i, v_out[g.i], v_seen[g.i], v_state, v_seq, coalesce(v_moved, false), v_stock.vendor_id
		       FROM generate_series(1, array_length(p_keys, 1)) AS g (i);
END $$;

-- Several variants (distinct, in the order of their ids), all or none.
CREATE FUNCTION inventory.reserve_cart(p_key text, p_id text, p_owner text, p_ttl integer, p_variants text[],
	p_qtys integer[], p_cap bigint)
RETURNS TABLE (variant_id text, outcome text, available bigint, state_after text, seq_after bigint, moved boolean,
	vendor_id text)
LANGUAGE plpgsql AS $$
DECLARE
	v_bad boolean := false;
	v_stock inventory.stock;
	v_owned bigint;
	v_out text[] := '{}';
	v_left bigint[] := '{}';
	v_new record;
BEGIN
	-- The key first: a second call with it waits here for the first, and ends as 'known'.
	INSERT INTO inventory.reservation (id, key, owner, expires_at)
	VALUES (p_id, p_key, p_owner, now() + make_interval(secs => p_ttl))
	ON CONFLICT (key) DO NOTHING;
	IF NOT FOUND THEN
		RETURN QUERY SELECT v, 'known'::text, 0::bigint, NULL::text, NULL::bigint, false, NULL::text
			FROM unnest(p_variants) AS v;
		RETURN;
	END IF;
	FOR i IN 1 .. array_length(p_variants, 1) LOOP
		SELECT * INTO v_stock FROM inventory.stock s WHERE s.variant_id = p_variants[i] FOR UPDATE;
		v_left := v_left || coalesce(v_stock.on_hand - v_stock.reserved, 0);
		IF v_stock.variant_id IS NULL THEN
			v_out := v_out || 'unknown'::text;
			v_bad := true;
			CONTINUE;
		END IF;
		IF NOT v_stock.backorder AND v_left[i] < p_qtys[i] THEN
			v_out := v_out || 'short'::text;
			v_bad := true;
			CONTINUE;
		END IF;
		SELECT coalesce(sum(l.qty), 0) INTO v_owned
		  FROM inventory.reservation r JOIN inventory.reservation_line l ON l.reservation_id = r.id
		 WHERE p_owner <> '' AND p_cap > 0 AND r.owner = p_owner AND r.state = 'active' AND l.variant_id = p_variants[i];
		IF p_cap > 0 AND v_owned + p_qtys[i] > p_cap THEN
			v_out := v_out || 'capped'::text;
			v_bad := true;
			CONTINUE;
		END IF;
		v_out := v_out || 'ok'::text;
	END LOOP;
	IF v_bad THEN
		DELETE FROM inventory.reservation r WHERE r.id = p_id;
		RETURN QUERY SELECT p_variants[g.i], v_out[g.i], v_left[g.i], NULL::text, NULL::bigint, false, NULL::text
			       FROM generate_series(1, array_length(p_variants, 1)) AS g (i);
		RETURN;
	END IF;
	FOR i IN 1 .. array_length(p_variants, 1) LOOP
		INSERT INTO inventory.reservation_line (reservation_id, variant_id, qty) VALUES (p_id, p_variants[i], p_qtys[i]);
		SELECT * INTO v_new FROM inventory.apply(p_variants[i], 0, p_qtys[i], false);
		variant_id := p_variants[i]; outcome := 'ok'; available := v_left[i];
		state_after := v_new.state_after; seq_after := v_new.seq_after; moved := v_new.moved; vendor_id := v_new.vendor;
		RETURN NEXT;
	END LOOP;
END $$;

-- Ends an active reservation: released, or sold to an order. The caller has locked nothing; the reservation row is locked
-- first here, so two ends of one reservation queue up and the second sees the first one's state.
CREATE FUNCTION inventory.finish(p_key text, p_state text, p_order text, p_reason text, p_actor text, p_request text)
RETURNS TABLE (reservation_id text, outcome text, variant_id text, vendor_id text, state_after text, seq_after bigint,
	moved boolean)
LANGUAGE plpgsql AS $$
DECLARE
	v_res inventory.reservation;
	v_line record; v_new record; v_level record;
	v_left bigint; v_take bigint;
BEGIN
	SELECT * INTO v_res FROM inventory.reservation r WHERE r.key = p_key FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT NULL::text, 'missing'::text, NULL::text, NULL::text, NULL::text, NULL::bigint, false;
		RETURN;
	END IF;
	IF v_res.state <> 'active' THEN
		RETURN QUERY SELECT v_res.id, v_res.state, NULL::text, NULL::text, NULL::text, NULL::bigint, false;
		RETURN;
	END IF;
	FOR v_line IN SELECT l.variant_id, l.qty, s.vendor_id FROM inventory.reservation_line l
			JOIN inventory.stock s ON s.variant_id = l.variant_id
			WHERE l.reservation_id = v_res.id ORDER BY l.variant_id FOR UPDATE OF s LOOP
		IF p_state = 'released' THEN
			SELECT * INTO v_new FROM inventory.apply(v_line.variant_id, 0, -v_line.qty, false);
		ELSE
			SELECT * INTO v_new FROM inventory.apply(v_line.variant_id, -v_line.qty, -v_line.qty, true);
			-- Units leave by location priority; what no location has (backorder) is owed by the first one.
			v_left := v_line.qty;
			FOR v_level IN SELECT v.location_id, v.on_hand FROM inventory.level v
					JOIN inventory.location o ON o.id = v.location_id
					WHERE v.variant_id = v_line.variant_id ORDER BY o.priority, o.id FOR UPDATE OF v LOOP
				EXIT WHEN v_left = 0;
				v_take := least(greatest(v_level.on_hand, 0), v_left);
				CONTINUE WHEN v_take = 0;
				UPDATE inventory.level v SET on_hand = v.on_hand - v_take
				 WHERE v.variant_id = v_line.variant_id AND v.location_id = v_level.location_id;
				v_left := v_left - v_take;
				INSERT INTO inventory.movement (variant_id, location_id, kind, delta, on_hand_after,
					reservation_id, order_id, actor, request_id)
				VALUES (v_line.variant_id, v_level.location_id, 'sale', -v_take, v_new.on_hand_after + v_left,
					v_res.id, p_order, p_actor, p_request);
			END LOOP;
			IF v_left > 0 THEN
				SELECT v.location_id INTO v_level FROM inventory.level v
				  JOIN inventory.location o ON o.id = v.location_id
				 WHERE v.variant_id = v_line.variant_id ORDER BY o.priority, o.id LIMIT 1;
				UPDATE inventory.level v SET on_hand = v.on_hand - v_left
				 WHERE v.variant_id = v_line.variant_id AND v.location_id = v_level.location_id;
				INSERT INTO inventory.movement (variant_id, location_id, kind, delta, on_hand_after,
					reservation_id, order_id, actor, request_id)
				VALUES (v_line.variant_id, v_level.location_id, 'sale', -v_left, v_new.on_hand_after,
					v_res.id, p_order, p_actor, p_request);
			END IF;
		END IF;
		reservation_id := v_res.id; outcome := 'done'; variant_id := v_line.variant_id;
		vendor_id := v_line.vendor_id; state_after := v_new.state_after; seq_after := v_new.seq_after;
		moved := v_new.moved;
		RETURN NEXT;
	END LOOP;
	UPDATE inventory.reservation r SET state = p_state, ended_at = now(), order_id = p_order, reason = p_reason, hold = false
	 WHERE r.id = v_res.id;
END $$;

-- Changes the units of a variant at one location. The caller passes either a delta or the wanted total there.
CREATE FUNCTION inventory.adjust(p_variant text, p_location text, p_delta bigint, p_set_to bigint, p_kind text,
	p_reason text, p_operation text, p_order text, p_reservation text, p_actor text, p_request text)
RETURNS TABLE (outcome text, on_hand bigint, state_after text, seq_after bigint, moved boolean, vendor_id text)
LANGUAGE plpgsql AS $$
DECLARE
	v_stock inventory.stock;
	v_here bigint; v_delta bigint; v_new record;
BEGIN
	SELECT * INTO v_stock FROM inventory.stock s WHERE s.variant_id = p_variant FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'unknown'::text, 0::bigint, NULL::text, NULL::bigint, false, NULL::text;
		RETURN;
	END IF;
	IF p_operation IS NOT NULL THEN
		INSERT INTO inventory.operation (id) VALUES (p_operation) ON CONFLICT DO NOTHING;
		IF NOT FOUND THEN
			RETURN QUERY SELECT 'known'::text, v_stock.on_hand, v_stock.state, v_stock.event_seq, false, v_stock.vendor_id;
			RETURN;
		END IF;
	END IF;
	INSERT INTO inventory.level (variant_id, location_id) VALUES (p_variant, p_location) ON CONFLICT DO NOTHING;
	SELECT v.on_hand INTO v_here FROM inventory.level v WHERE v.variant_id = p_variant AND v.location_id = p_location;
	v_delta := coalesce(p_delta, p_set_to - v_here);
	IF NOT v_stock.backorder AND v_stock.on_hand + v_delta < v_stock.reserved THEN
		RETURN QUERY SELECT 'reserved'::text, v_stock.on_hand, v_stock.state, v_stock.event_seq, false, v_stock.vendor_id;
		RETURN;
	END IF;
	IF v_here + v_delta < least(0, v_here) OR abs(v_stock.on_hand + v_delta) > 1000000000000 THEN
		RETURN QUERY SELECT 'range'::text, v_stock.on_hand, v_stock.state, v_stock.event_seq, false, v_stock.vendor_id;
		RETURN;
	END IF;
	IF v_delta = 0 THEN
		RETURN QUERY SELECT 'same'::text, v_stock.on_hand, v_stock.state, v_stock.event_seq, false, v_stock.vendor_id;
		RETURN;
	END IF;
	UPDATE inventory.level v SET on_hand = v.on_hand + v_delta WHERE v.variant_id = p_variant AND v.location_id = p_location;
	SELECT * INTO v_new FROM inventory.apply(p_variant, v_delta, 0, true);
	INSERT INTO inventory.movement (variant_id, location_id, kind, delta, on_hand_after, reason, reservation_id, order_id,
		operation_id, actor, request_id)
	VALUES (p_variant, p_location, p_kind, v_delta, v_new.on_hand_after, p_reason, p_reservation, p_order, p_operation,
		p_actor, p_request);
	RETURN QUERY SELECT 'done'::text, v_new.on_hand_after, v_new.state_after, v_new.seq_after, v_new.moved, v_stock.vendor_id;
END $$;

-- A vendor's settings of one variant; the state follows them.
CREATE FUNCTION inventory.configure(p_variant text, p_low bigint, p_backorder boolean)
RETURNS TABLE (outcome text, state_after text, seq_after bigint, moved boolean, vendor_id text)
LANGUAGE plpgsql AS $$
DECLARE
	v_stock inventory.stock;
	v_state text;
BEGIN
	SELECT * INTO v_stock FROM inventory.stock s WHERE s.variant_id = p_variant FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'unknown'::text, NULL::text, NULL::bigint, false, NULL::text;
		RETURN;
	END IF;
	IF NOT coalesce(p_backorder, v_stock.backorder) AND (v_stock.on_hand < 0 OR v_stock.reserved > v_stock.on_hand) THEN
		RETURN QUERY SELECT 'owed'::text, NULL::text, NULL::bigint, false, v_stock.vendor_id;
		RETURN;
	END IF;
	v_state := inventory.state_of(v_stock.on_hand - v_stock.reserved, coalesce(p_backorder, v_stock.backorder),
		coalesce(p_low, v_stock.low_threshold));
	RETURN QUERY
	UPDATE inventory.stock s
	   SET low_threshold = coalesce(p_low, s.low_threshold), backorder = coalesce(p_backorder, s.backorder),
	       state = v_state, event_seq = s.event_seq + CASE WHEN s.state <> v_state THEN 1 ELSE 0 END,
	       version = s.version + 1, updated_at = now()
	 WHERE s.variant_id = p_variant
	RETURNING 'done'::text, s.state, s.event_seq, v_stock.state <> v_state, s.vendor_id;
END $$;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA inventory TO souk_inventory;
