-- Checkouts (one row per saga), what was asked of the payment provider, what it told us, money taken and given back.

CREATE TABLE checkout.checkout (
	id            text COLLATE "C" PRIMARY KEY,
	cart_id       text COLLATE "C" NOT NULL,
	cart_version  bigint NOT NULL,
	user_id       text COLLATE "C",  -- NULL: a guest
	token_hash    bytea,             -- of the guest's cart token
	buyer         text COLLATE "C" NOT NULL, -- whom promotion limits count: user id, or index of the guest's e-mail
	order_id      text COLLATE "C" NOT NULL UNIQUE, -- of the order it may become
	request_hash  bytea NOT NULL,    -- of what POST or PATCH asked for: the same again is the same checkout
	currency      text NOT NULL,
	total_minor   bigint NOT NULL CONSTRAINT checkout_total CHECK (total_minor >= 0),
	frozen        bytea NOT NULL,    -- message Frozen: lines, vendors, discounts, totals
	person        bytea,             -- sealed message Person; NULL once erased
	locale        text NOT NULL DEFAULT 'en',
	-- the saga (services/checkout/saga.h)
	state         text NOT NULL CONSTRAINT checkout_state CHECK (state IN ('open', 'reserving', 'reserved', 'pi_creating',
	                  'payment_pending', 'authorized', 'selling', 'capturing', 'ordered', 'capture_failed', 'restocking',
	                  'cancelled', 'expiring', 'cancelling_pi', 'expired', 'refund_due', 'refunding', 'refunded')),
	why           text NOT NULL DEFAULT '',
	attempt       integer NOT NULL,
	pi_n          integer NOT NULL,
	key_n         integer NOT NULL,
	tries         integer NOT NULL,
	begun_at      timestamptz NOT NULL,
	expires_at    timestamptz NOT NULL,
	next_at       timestamptz,       -- when the sweeper drives it
	lease_until   timestamptz NOT NULL DEFAULT '-infinity', -- somebody is acting on it
	free          boolean NOT NULL,
	reserved      boolean NOT NULL,
	rereserved    boolean NOT NULL,
	sold          boolean NOT NULL,
	has_pi        boolean NOT NULL,
	pi_maybe      boolean NOT NULL,
	pi_dead       boolean NOT NULL,
	captured      boolean NOT NULL,
	refunded      boolean NOT NULL,
	ending        boolean NOT NULL,
	-- the payment as last seen
	pi_id         text COLLATE "C" UNIQUE,
	client_secret bytea,             -- sealed
	pay_status    text,
	pay_code      text,
	pay_message   text,
	version       bigint NOT NULL DEFAULT 1,
	created_at    timestamptz NOT NULL DEFAULT now(),
	updated_at    timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT checkout_free CHECK (free = (total_minor = 0)),
	CONSTRAINT checkout_owned CHECK (user_id IS NOT NULL OR token_hash IS NOT NULL),
	CONSTRAINT checkout_driven CHECK ((next_at IS NULL) = (state IN ('ordered', 'cancelled', 'expired', 'refunded'))),
	CONSTRAINT checkout_paid CHECK (state <> 'ordered' OR ((captured OR free) AND sold AND NOT refunded)),
	CONSTRAINT checkout_repaid CHECK (state <> 'refunded' OR (captured AND refunded)),
	CONSTRAINT checkout_ended CHECK (state NOT IN ('expired', 'cancelled') OR NOT captured)
) WITH (fillfactor = 50);
-- One live checkout per cart. Those that can only end in a refund do not stand in the way of a new one.
CREATE UNIQUE INDEX checkout_live ON checkout.checkout (cart_id)
	WHERE state NOT IN ('ordered', 'cancelled', 'expired', 'refunded', 'refund_due', 'refunding');
CREATE INDEX checkout_cart ON checkout.checkout (cart_id, cart_version) WHERE state = 'ordered';
CREATE INDEX checkout_due ON checkout.checkout (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX checkout_user ON checkout.checkout (user_id, id) WHERE user_id IS NOT NULL;

-- A payment intent that was or may have been made: key and exact parameters are stored before the first call, so that
-- every repetition is the same to the byte.
CREATE TABLE checkout.payment_attempt (
	checkout_id text COLLATE "C" NOT NULL REFERENCES checkout.checkout (id),
	n           integer NOT NULL,
	idem_key    text COLLATE "C" NOT NULL UNIQUE,
	params      text NOT NULL,
	pi_id       text COLLATE "C" UNIQUE,
	created_at  timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (checkout_id, n)
);

-- The provider's events, each kept once and then worked on until handled. A hint only: what is true is asked of the
-- provider.
CREATE TABLE checkout.provider_event (
	id          text COLLATE "C" PRIMARY KEY,
	type        text NOT NULL,
	object_id   text COLLATE "C" NOT NULL,
	intent_id   text COLLATE "C" NOT NULL,
	checkout_id text COLLATE "C" NOT NULL, -- as its metadata say, or ''
	parked      text,        -- why nobody can handle it: unknown, livemode
	tries       integer NOT NULL DEFAULT 0,
	next_at     timestamptz DEFAULT now(), -- NULL: handled, parked, or of no interest
	received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX provider_event_due ON checkout.provider_event (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX provider_event_age ON checkout.provider_event (received_at);

-- Money that the provider holds for us.
CREATE TABLE checkout.payment (
	id            text COLLATE "C" PRIMARY KEY,
	checkout_id   text COLLATE "C" NOT NULL REFERENCES checkout.checkout (id),
	pi_id         text COLLATE "C" NOT NULL UNIQUE,
	currency      text NOT NULL,
	captured_minor bigint NOT NULL CONSTRAINT payment_captured CHECK (captured_minor > 0),
	refunding_minor bigint NOT NULL DEFAULT 0, -- pending and succeeded refunds; kept by a trigger of refund
	disputed_at   timestamptz,
	created_at    timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT payment_refund_limit CHECK (refunding_minor BETWEEN 0 AND captured_minor)
);
CREATE INDEX payment_checkout ON checkout.payment (checkout_id);

CREATE TABLE checkout.refund (
	id          text COLLATE "C" PRIMARY KEY,
	payment_id  text COLLATE "C" NOT NULL REFERENCES checkout.payment (id),
	checkout_id text COLLATE "C" NOT NULL,
	order_id    text COLLATE "C", -- NULL: the checkout never became an order
	currency    text NOT NULL,
	amount_minor bigint NOT NULL CONSTRAINT refund_amount CHECK (amount_minor > 0),
	state       text NOT NULL DEFAULT 'pending' CONSTRAINT refund_state CHECK (state IN ('pending', 'succeeded', 'failed')),
	reason      text NOT NULL DEFAULT '',
	provider_id text COLLATE "C" UNIQUE,
	key_n       integer NOT NULL DEFAULT 1,
	tries       integer NOT NULL DEFAULT 0,
	next_at     timestamptz DEFAULT now(), -- when it is driven; NULL: done
	version     bigint NOT NULL DEFAULT 1,
	created_at  timestamptz NOT NULL DEFAULT now(),
	updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refund_order ON checkout.refund (order_id, id);
CREATE INDEX refund_payment ON checkout.refund (payment_id);
CREATE INDEX refund_due ON checkout.refund (next_at) WHERE next_at IS NOT NULL;

-- Two refunds at once queue on the payment's row, and its CHECK refuses what exceeds it: no way around this in C.
CREATE FUNCTION checkout.refund_counts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	v_before bigint := 0;
	v_after bigint := 0;
BEGIN
	IF TG_OP = 'UPDATE' AND OLD.state <> 'failed' THEN
		v_before := OLD.amount_minor;
	END IF;
	IF NEW.state <> 'failed' THEN
		v_after := NEW.amount_minor;
	END IF;
	IF v_after <> v_before THEN
		UPDATE checkout.payment p SET refunding_minor = p.refunding_minor + v_after - v_before
		 WHERE p.id = NEW.payment_id AND p.currency = NEW.currency;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'refund of another currency' USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_currency';
		END IF;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER counts AFTER INSERT OR UPDATE OF state ON checkout.refund
	FOR EACH ROW EXECUTE FUNCTION checkout.refund_counts();

-- Amounts never change once written.
REVOKE UPDATE, DELETE ON checkout.payment, checkout.refund, checkout.payment_attempt FROM souk_checkout;
GRANT UPDATE (refunding_minor, disputed_at) ON checkout.payment TO souk_checkout;
GRANT UPDATE (state, provider_id, key_n, tries, next_at, version, updated_at) ON checkout.refund TO souk_checkout;
GRANT UPDATE (pi_id) ON checkout.payment_attempt TO souk_checkout;
REVOKE DELETE ON checkout.checkout FROM souk_checkout;

SELECT checkout.audit_attach('payment');
SELECT checkout.audit_attach('refund');
-- Of a checkout its beginning and its end; the steps between are the machine's own.
CREATE TRIGGER audit_begin AFTER INSERT ON checkout.checkout
	FOR EACH ROW EXECUTE FUNCTION checkout.audit_row('id', 'frozen', 'person', 'client_secret');
CREATE TRIGGER audit_end AFTER UPDATE ON checkout.checkout
	FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.next_at IS NULL)
	EXECUTE FUNCTION checkout.audit_row('id', 'frozen', 'person', 'client_secret');
INSERT INTO checkout.audit_exempt (table_name, reason) VALUES
	('payment_attempt', 'written once, never changed but for the id the provider gave'),
	('provider_event', 'is a log of what the provider sent');
