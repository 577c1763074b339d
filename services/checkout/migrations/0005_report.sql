-- Reports read sums by day, made from orders and the ledger; nothing here is truth, all of it can be made again. A day is UTC's
-- day of the sale, and so are its refunds: of what was sold on a day, so much went back.
CREATE TABLE checkout.sales_day (
	vendor_id        text COLLATE "C" NOT NULL,
	day              date NOT NULL,
	currency         text NOT NULL,
	vendor_name      text NOT NULL,
	orders           bigint NOT NULL,
	units            bigint NOT NULL,
	subtotal_minor   bigint NOT NULL,
	discount_minor   bigint NOT NULL,
	shipping_minor   bigint NOT NULL,
	tax_minor        bigint NOT NULL,
	total_minor      bigint NOT NULL,
	commission_minor bigint NOT NULL,
	refunded_minor   bigint NOT NULL,
	PRIMARY KEY (vendor_id, day, currency)
);
CREATE INDEX sales_day_day ON checkout.sales_day (day, currency);

CREATE TABLE checkout.product_day (
	vendor_id   text COLLATE "C" NOT NULL,
	day         date NOT NULL,
	currency    text NOT NULL,
	product_id  text COLLATE "C" NOT NULL,
	title       text NOT NULL,
	units       bigint NOT NULL,
	sales_minor bigint NOT NULL, -- after discounts
	PRIMARY KEY (vendor_id, day, currency, product_id)
);
CREATE INDEX product_day_day ON checkout.product_day (day, currency);

-- How far the ledger was read: every sale and refund writes there. Rows of the last two minutes are read again, because a later
-- number may be committed earlier.
CREATE TABLE checkout.report_state (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	done_id bigint NOT NULL DEFAULT 0
);
INSERT INTO checkout.report_state DEFAULT VALUES;
CREATE INDEX ledger_refunds ON checkout.ledger (vendor_order_id) WHERE kind IN ('refund', 'refund_failed');

INSERT INTO checkout.audit_exempt (table_name, reason) VALUES
	('sales_day', 'sums of orders, which are audited'),
	('product_day', 'sums of orders, which are audited'),
	('report_state', 'how far the sums have come');

-- Makes one vendor's day true again.
CREATE FUNCTION checkout.report_day(p_vendor text, p_day date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	v_from constant timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
	v_to constant timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
	DELETE FROM checkout.sales_day s WHERE s.vendor_id = p_vendor AND s.day = p_day;
	INSERT INTO checkout.sales_day
	SELECT p_vendor, p_day, v.currency, max(v.vendor_name), count(*), sum(u.units), sum(v.subtotal_minor), sum(v.discount_minor),
	       sum(v.shipping_minor), sum(v.tax_minor), sum(v.total_minor), sum(v.commission_minor), sum(r.refunded)
	  FROM checkout.vendor_order v
	  JOIN LATERAL (SELECT coalesce(sum(l.qty), 0) AS units FROM checkout.order_line l WHERE l.vendor_order_id = v.id) u ON true
	  JOIN LATERAL (SELECT coalesce(-sum(g.amount_minor), 0) AS refunded FROM checkout.ledger g
	                 WHERE g.vendor_order_id = v.id AND g.kind IN ('refund', 'refund_failed')) r ON true
	 WHERE v.vendor_id = p_vendor AND v.placed_at >= v_from AND v.placed_at < v_to
	 GROUP BY v.currency;
	DELETE FROM checkout.product_day d WHERE d.vendor_id = p_vendor AND d.day = p_day;
	INSERT INTO checkout.product_day
	SELECT p_vendor, p_day, v.currency, l.product_id, max(l.title), sum(l.qty), sum(l.subtotal_minor - l.discount_minor)
	  FROM checkout.vendor_order v
	  JOIN checkout.order_line l ON l.vendor_order_id = v.id
	 WHERE v.vendor_id = p_vendor AND v.placed_at >= v_from AND v.placed_at < v_to
	 GROUP BY v.currency, l.product_id;
END $$;

-- One step over at most p_limit rows of the ledger; true when there may be more.
CREATE FUNCTION checkout.report_refresh(p_limit integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	v_done bigint := (SELECT s.done_id FROM checkout.report_state s);
	v_last bigint;
	v_rows bigint;
	v_due record;
BEGIN
	SELECT max(w.id) FILTER (WHERE w.booked_at < now() - interval '2 minutes'), count(*) INTO v_last, v_rows
	  FROM (SELECT g.id, g.booked_at FROM checkout.ledger g WHERE g.id > v_done ORDER BY g.id LIMIT p_limit) w;
	FOR v_due IN
		SELECT DISTINCT v.vendor_id, (v.placed_at AT TIME ZONE 'UTC')::date AS day
		  FROM (SELECT g.vendor_order_id FROM checkout.ledger g WHERE g.id > v_done ORDER BY g.id LIMIT p_limit) w
		  JOIN checkout.vendor_order v ON v.id = w.vendor_order_id
		 ORDER BY 1, 2
	LOOP
		PERFORM checkout.report_day(v_due.vendor_id, v_due.day);
	END LOOP;
	UPDATE checkout.report_state s SET done_id = v_last WHERE v_last > s.done_id;
	RETURN FOUND AND v_rows = p_limit;
END $$;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA checkout TO souk_checkout;
