-- A release that comes before its reservation ends the key; carts without an owner have no cap of one.

-- Several variants (distinct, in the order of their ids), all or none.
CREATE OR REPLACE FUNCTION inventory.reserve_cart(p_key text, p_id text, p_owner text, p_ttl integer, p_variants text[],
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
		IF p_owner <> '' AND p_cap > 0 THEN
			SELECT coalesce(sum(l.qty), 0) INTO v_owned
			  FROM inventory.reservation r JOIN inventory.reservation_line l ON l.reservation_id = r.id
			 WHERE r.owner = p_owner AND r.state = 'active' AND l.variant_id = p_variants[i];
			IF v_owned + p_qtys[i] > p_cap THEN
				v_out := v_out || 'capped'::text;
				v_bad := true;
				CONTINUE;
			END IF;
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
-- first here, so two ends of one reservation queue up and the second sees the first one's state. A key that nobody has
-- used yet and that is released is released for good: a request to reserve that comes late finds it ended.
CREATE OR REPLACE FUNCTION inventory.finish(p_key text, p_state text, p_order text, p_reason text, p_actor text, p_request text)
RETURNS TABLE (reservation_id text, outcome text, variant_id text, vendor_id text, state_after text, seq_after bigint,
	moved boolean)
LANGUAGE plpgsql AS $$
DECLARE
	v_res inventory.reservation;
	v_line record; v_new record; v_level record;
	v_left bigint; v_take bigint;
BEGIN
	IF p_state = 'released' THEN
		INSERT INTO inventory.reservation (id, key, state, expires_at, ended_at, reason)
		VALUES ('never:' || p_key, p_key, 'released', now(), now(), p_reason)
		ON CONFLICT (key) DO NOTHING;
	END IF;
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
