-- Orders: the buyer's order, a vendor order per vendor, their lines; what vendors are owed; returns; units to put back.
-- Money columns are written once (column grants below) and must add up when the order's transaction commits.

CREATE TABLE checkout.order_number (
	year integer PRIMARY KEY,
	last bigint NOT NULL
);
-- "2026-0000123", counted per year. The year's row is locked until the order commits, so the order's row is written last,
-- after its parts.
CREATE FUNCTION checkout.next_order_number() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_number text;
BEGIN
	INSERT INTO checkout.order_number AS o (year, last) VALUES (extract(year FROM now() AT TIME ZONE 'UTC')::integer, 1)
	ON CONFLICT (year) DO UPDATE SET last = o.last + 1
	RETURNING o.year || '-' || lpad(o.last::text, 7, '0') INTO v_number;
	RETURN v_number;
END $$;

CREATE TABLE checkout.orders (
	id             text COLLATE "C" PRIMARY KEY,
	number         text COLLATE "C" NOT NULL UNIQUE,
	checkout_id    text COLLATE "C" NOT NULL UNIQUE REFERENCES checkout.checkout (id),
	payment_intent_id text COLLATE "C" UNIQUE, -- NULL: nothing to pay
	reservation_key text COLLATE "C" NOT NULL,
	user_id        text COLLATE "C",
	email_index    bytea, -- of a guest
	currency       text NOT NULL,
	subtotal_minor bigint NOT NULL,
	discount_minor bigint NOT NULL,
	shipping_minor bigint NOT NULL,
	tax_minor      bigint NOT NULL,
	tax_added_minor bigint NOT NULL,
	total_minor    bigint NOT NULL,
	refunded_minor bigint NOT NULL DEFAULT 0, -- succeeded
	item_count     integer NOT NULL,
	discounts      bytea NOT NULL, -- message Frozen with the discounts alone
	person         bytea,          -- sealed message Person; NULL once erased
	locale         text NOT NULL,
	shipping_name  text NOT NULL,
	status         text NOT NULL DEFAULT 'open' CONSTRAINT order_status CHECK (status IN ('open', 'completed', 'cancelled')),
	payment_status text NOT NULL CONSTRAINT order_payment_status
	                   CHECK (payment_status IN ('paid', 'partially_refunded', 'refunded', 'free')),
	fulfilment_status text NOT NULL DEFAULT 'unfulfilled' CONSTRAINT order_fulfilment_status
	                   CHECK (fulfilment_status IN ('unfulfilled', 'partial', 'shipped', 'delivered', 'returned')),
	version        bigint NOT NULL DEFAULT 1,
	placed_at      timestamptz NOT NULL DEFAULT now(),
	updated_at     timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT order_adds_up CHECK (total_minor = subtotal_minor - discount_minor + shipping_minor + tax_added_minor),
	CONSTRAINT order_amounts CHECK (subtotal_minor >= 0 AND discount_minor BETWEEN 0 AND subtotal_minor
	                   AND shipping_minor >= 0 AND tax_added_minor BETWEEN 0 AND tax_minor AND total_minor >= 0),
	CONSTRAINT order_refund_limit CHECK (refunded_minor BETWEEN 0 AND total_minor),
	CONSTRAINT order_paid_or_free CHECK ((payment_intent_id IS NULL) = (total_minor = 0))
) WITH (fillfactor = 80);
CREATE INDEX orders_user ON checkout.orders (user_id, placed_at DESC, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX orders_placed ON checkout.orders (placed_at DESC, id DESC);
CREATE INDEX orders_email ON checkout.orders (email_index) WHERE email_index IS NOT NULL;

CREATE TABLE checkout.vendor_order (
	id             text COLLATE "C" PRIMARY KEY,
	order_id       text COLLATE "C" NOT NULL REFERENCES checkout.orders (id) DEFERRABLE INITIALLY DEFERRED,
	vendor_id      text COLLATE "C" NOT NULL,
	vendor_name    text NOT NULL,
	currency       text NOT NULL,
	subtotal_minor bigint NOT NULL,
	discount_minor bigint NOT NULL,
	shipping_minor bigint NOT NULL,
	tax_minor      bigint NOT NULL,
	tax_added_minor bigint NOT NULL,
	total_minor    bigint NOT NULL,
	commission_minor bigint NOT NULL,
	status         text NOT NULL DEFAULT 'placed' CONSTRAINT vendor_order_status
	                   CHECK (status IN ('placed', 'shipped', 'delivered', 'cancelled')),
	carrier        text,
	tracking       text,
	shipped_at     timestamptz,
	delivered_at   timestamptz,
	version        bigint NOT NULL DEFAULT 1,
	placed_at      timestamptz NOT NULL DEFAULT now(),
	UNIQUE (order_id, vendor_id),
	CONSTRAINT vendor_order_adds_up CHECK (total_minor = subtotal_minor - discount_minor + shipping_minor + tax_added_minor),
	CONSTRAINT vendor_order_amounts CHECK (subtotal_minor >= 0 AND discount_minor BETWEEN 0 AND subtotal_minor
	                   AND shipping_minor >= 0 AND tax_added_minor BETWEEN 0 AND tax_minor
	                   AND commission_minor BETWEEN 0 AND subtotal_minor)
) WITH (fillfactor = 80);
CREATE INDEX vendor_order_vendor ON checkout.vendor_order (vendor_id, placed_at DESC, id DESC);

CREATE TABLE checkout.order_line (
	order_id       text COLLATE "C" NOT NULL REFERENCES checkout.orders (id) DEFERRABLE INITIALLY DEFERRED,
	variant_id     text COLLATE "C" NOT NULL,
	vendor_order_id text COLLATE "C" NOT NULL REFERENCES checkout.vendor_order (id),
	position       integer NOT NULL,
	product_id     text COLLATE "C" NOT NULL,
	sku            text NOT NULL,
	title          text NOT NULL,
	variant_title  text NOT NULL,
	image_key      text NOT NULL,
	qty            integer NOT NULL CONSTRAINT order_line_qty CHECK (qty > 0),
	unit_minor     bigint NOT NULL,
	subtotal_minor bigint NOT NULL,
	discount_minor bigint NOT NULL,
	tax_minor      bigint NOT NULL,
	tax_added_minor bigint NOT NULL,
	tax_bp         integer NOT NULL,
	total_minor    bigint NOT NULL,
	commission_bp  integer NOT NULL,
	commission_minor bigint NOT NULL,
	returned_qty   integer NOT NULL DEFAULT 0, -- asked back and not rejected
	refunded_qty   integer NOT NULL DEFAULT 0,
	PRIMARY KEY (order_id, variant_id),
	CONSTRAINT order_line_price CHECK (subtotal_minor = unit_minor * qty),
	CONSTRAINT order_line_adds_up CHECK (total_minor = subtotal_minor - discount_minor + tax_added_minor),
	CONSTRAINT order_line_returned CHECK (returned_qty BETWEEN 0 AND qty),
	CONSTRAINT order_line_refunded CHECK (refunded_qty BETWEEN 0 AND qty)
) WITH (fillfactor = 80);
CREATE INDEX order_line_vendor_order ON checkout.order_line (vendor_order_id);

-- What the vendors are owed: positive amounts are theirs. Append-only.
CREATE TABLE checkout.ledger (
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	vendor_id       text COLLATE "C" NOT NULL,
	vendor_order_id text COLLATE "C",
	kind            text NOT NULL CONSTRAINT ledger_kind
	                    CHECK (kind IN ('sale', 'commission', 'refund', 'commission_refund', 'refund_failed', 'payout')),
	currency        text NOT NULL,
	amount_minor    bigint NOT NULL,
	reference       text COLLATE "C" NOT NULL, -- order, refund or transfer
	booked_at       timestamptz NOT NULL DEFAULT now(),
	UNIQUE (vendor_id, kind, reference)
);
CREATE INDEX ledger_vendor ON checkout.ledger (vendor_id, id DESC);
REVOKE UPDATE, DELETE ON checkout.ledger FROM souk_checkout;

-- The parts of an order are the order, and it is paid in full: looked at once, when its transaction commits.
CREATE FUNCTION checkout.order_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	v record;
	l record;
	v_paid bigint;
BEGIN
	SELECT count(*) AS n, sum(o.subtotal_minor) AS sub, sum(o.discount_minor) AS disc, sum(o.shipping_minor) AS ship,
	       sum(o.tax_minor) AS tax, sum(o.tax_added_minor) AS added, sum(o.total_minor) AS total,
	       sum(o.commission_minor) AS comm, bool_and(o.currency = NEW.currency) AS cur
	  INTO v FROM checkout.vendor_order o WHERE o.order_id = NEW.id;
	SELECT count(*) AS n, sum(x.subtotal_minor) AS sub, sum(x.discount_minor) AS disc, sum(x.commission_minor) AS comm,
	       sum(x.qty) AS items
	  INTO l FROM checkout.order_line x WHERE x.order_id = NEW.id;
	IF v.n = 0 OR l.n = 0 OR NOT v.cur OR v.sub <> NEW.subtotal_minor OR v.disc <> NEW.discount_minor
	   OR v.ship <> NEW.shipping_minor OR v.tax <> NEW.tax_minor OR v.added <> NEW.tax_added_minor
	   OR v.total <> NEW.total_minor OR l.sub <> NEW.subtotal_minor OR l.disc <> NEW.discount_minor
	   OR l.comm <> v.comm OR l.items <> NEW.item_count THEN
		RAISE EXCEPTION 'the parts of order % do not add up', NEW.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'order_parts';
	END IF;
	IF EXISTS (SELECT 1 FROM checkout.vendor_order o
	            WHERE o.order_id = NEW.id AND (o.subtotal_minor, o.discount_minor, o.commission_minor) <>
	                  (SELECT sum(x.subtotal_minor), sum(x.discount_minor), sum(x.commission_minor)
	                     FROM checkout.order_line x WHERE x.vendor_order_id = o.id)) THEN
		RAISE EXCEPTION 'a vendor order of % does not add up', NEW.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'vendor_order_parts';
	END IF;
	SELECT p.captured_minor INTO v_paid FROM checkout.payment p
	 WHERE p.pi_id = NEW.payment_intent_id AND p.checkout_id = NEW.checkout_id AND p.currency = NEW.currency;
	IF coalesce(v_paid, 0) <> NEW.total_minor THEN
		RAISE EXCEPTION 'order % of % is paid with %', NEW.id, NEW.total_minor, coalesce(v_paid, 0)
			USING ERRCODE = 'check_violation', CONSTRAINT = 'order_paid';
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER adds_up AFTER INSERT ON checkout.orders DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION checkout.order_adds_up();

-- A checkout says "ordered" exactly when its order is there.
CREATE FUNCTION checkout.ordered_has_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT 1 FROM checkout.orders o WHERE o.checkout_id = NEW.id AND o.id = NEW.order_id) THEN
		RAISE EXCEPTION 'checkout % has no order', NEW.id USING ERRCODE = 'check_violation', CONSTRAINT = 'checkout_order';
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ordered_has_order AFTER UPDATE ON checkout.checkout DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.state = 'ordered' AND OLD.state <> 'ordered') EXECUTE FUNCTION checkout.ordered_has_order();

CREATE TABLE checkout.refund_line (
	refund_id  text COLLATE "C" NOT NULL REFERENCES checkout.refund (id),
	variant_id text COLLATE "C" NOT NULL,
	qty        integer NOT NULL CHECK (qty > 0),
	PRIMARY KEY (refund_id, variant_id)
);
-- How a refund divides over the vendors, fixed when it is made; booked when it has succeeded.
CREATE TABLE checkout.refund_share (
	refund_id       text COLLATE "C" NOT NULL REFERENCES checkout.refund (id),
	vendor_order_id text COLLATE "C" NOT NULL REFERENCES checkout.vendor_order (id),
	amount_minor    bigint NOT NULL,
	commission_minor bigint NOT NULL,
	PRIMARY KEY (refund_id, vendor_order_id)
);

CREATE TABLE checkout.return_request (
	id              text COLLATE "C" PRIMARY KEY,
	order_id        text COLLATE "C" NOT NULL REFERENCES checkout.orders (id),
	vendor_order_id text COLLATE "C" NOT NULL REFERENCES checkout.vendor_order (id),
	vendor_id       text COLLATE "C" NOT NULL,
	status          text NOT NULL DEFAULT 'requested' CONSTRAINT return_status
	                    CHECK (status IN ('requested', 'approved', 'rejected', 'received')),
	reason          text NOT NULL,
	note            text NOT NULL DEFAULT '',
	refund_id       text COLLATE "C" REFERENCES checkout.refund (id),
	version         bigint NOT NULL DEFAULT 1,
	created_at      timestamptz NOT NULL DEFAULT now(),
	updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX return_vendor ON checkout.return_request (vendor_id, created_at DESC, id DESC);
CREATE INDEX return_order ON checkout.return_request (order_id);
CREATE TABLE checkout.return_line (
	return_id  text COLLATE "C" NOT NULL REFERENCES checkout.return_request (id),
	variant_id text COLLATE "C" NOT NULL,
	qty        integer NOT NULL CHECK (qty > 0),
	PRIMARY KEY (return_id, variant_id)
);

-- Units that inventory is still to be told to put back; driven until it confirms.
CREATE TABLE checkout.restock (
	operation_id    text COLLATE "C" PRIMARY KEY,
	reservation_key text COLLATE "C" NOT NULL,
	order_id        text COLLATE "C" NOT NULL,
	variants        text[] NOT NULL, -- empty: everything
	qtys            bigint[] NOT NULL,
	reason          text NOT NULL,
	tries           integer NOT NULL DEFAULT 0,
	next_at         timestamptz DEFAULT now(), -- NULL: done
	created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX restock_due ON checkout.restock (next_at) WHERE next_at IS NOT NULL;

REVOKE UPDATE, DELETE ON checkout.orders, checkout.vendor_order, checkout.order_line, checkout.refund_line,
	checkout.refund_share, checkout.return_request, checkout.return_line, checkout.restock FROM souk_checkout;
GRANT UPDATE (status, payment_status, fulfilment_status, refunded_minor, person, version, updated_at)
	ON checkout.orders TO souk_checkout;
GRANT UPDATE (status, carrier, tracking, shipped_at, delivered_at, version) ON checkout.vendor_order TO souk_checkout;
GRANT UPDATE (returned_qty, refunded_qty) ON checkout.order_line TO souk_checkout;
GRANT UPDATE (status, note, refund_id, version, updated_at) ON checkout.return_request TO souk_checkout;
GRANT UPDATE (tries, next_at) ON checkout.restock TO souk_checkout;

SELECT checkout.audit_attach('orders', 'person', 'discounts');
SELECT checkout.audit_attach('vendor_order');
SELECT checkout.audit_attach('return_request');
CREATE TRIGGER audit AFTER UPDATE ON checkout.order_line
	FOR EACH ROW EXECUTE FUNCTION checkout.audit_row('order_id,variant_id');
INSERT INTO checkout.audit_exempt (table_name, reason) VALUES
	('ledger', 'append-only: is its own log'),
	('order_number', 'a counter'),
	('refund_line', 'written once with its refund'),
	('refund_share', 'written once with its refund'),
	('restock', 'work to do; the effect is in the ledger of inventory'),
	('return_line', 'written once with its return');
