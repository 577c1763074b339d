-- A checkout's row changes at every step of its saga. PostgreSQL changes a row in place, without touching an index, as long as no
-- column changes that an index holds or that decides whether it holds the row. So the indexes stand on what the steps leave as
-- it is: whether the checkout is live, and the minute, not the moment, in which it is due.
ALTER TABLE checkout.checkout
	ADD COLUMN live boolean GENERATED ALWAYS AS
		(state NOT IN ('ordered', 'cancelled', 'expired', 'refunded', 'refund_due', 'refunding')) STORED,
	ADD COLUMN due_minute timestamptz GENERATED ALWAYS AS (date_bin('1 minute', next_at, '2000-01-01 00:00:00+00')) STORED,
	-- Of a payment intent there is one attempt, so one checkout: payment_attempt.pi_id is unique, and is written with this one.
	DROP CONSTRAINT checkout_pi_id_key;
DROP INDEX checkout.checkout_live, checkout.checkout_cart, checkout.checkout_due;
-- One live checkout per cart. Those that can only end in a refund do not stand in the way of a new one.
CREATE UNIQUE INDEX checkout_live ON checkout.checkout (cart_id) WHERE live;
CREATE INDEX checkout_cart ON checkout.checkout (cart_id, cart_version);
CREATE INDEX checkout_due ON checkout.checkout (due_minute) WHERE due_minute IS NOT NULL;
