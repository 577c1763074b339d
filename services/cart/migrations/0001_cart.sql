-- Carts. A user has at most one open cart; a guest's cart is proved by a token of which only the hash is kept.

CREATE TABLE cart.cart (
	id           text COLLATE "C" PRIMARY KEY,
	user_id      text COLLATE "C",
	token_hash   bytea UNIQUE,
	currency     text,            -- fixed by the first line, free again when the last one goes
	version      bigint NOT NULL DEFAULT 1,
	state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'merged', 'expired')),
	merged_into  text COLLATE "C" REFERENCES cart.cart (id),
	created_at   timestamptz NOT NULL DEFAULT now(),
	updated_at   timestamptz NOT NULL DEFAULT now(),
	reminded_at  timestamptz,     -- cart.abandoned was told for this idle time
	CONSTRAINT cart_owned CHECK (user_id IS NOT NULL OR token_hash IS NOT NULL),
	CONSTRAINT cart_merged CHECK ((state = 'merged') = (merged_into IS NOT NULL))
);
CREATE UNIQUE INDEX cart_of_user ON cart.cart (user_id) WHERE state = 'open';
CREATE INDEX cart_idle ON cart.cart (updated_at) WHERE state = 'open';

CREATE TABLE cart.line (
	id         text COLLATE "C" PRIMARY KEY,
	cart_id    text COLLATE "C" NOT NULL REFERENCES cart.cart (id) ON DELETE CASCADE,
	variant_id text COLLATE "C" NOT NULL,
	qty        integer NOT NULL CONSTRAINT line_qty CHECK (qty BETWEEN 1 AND 999),
	seen_minor bigint NOT NULL,   -- the unit price the buyer last saw, in the cart's currency
	added_at   timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT line_once UNIQUE (cart_id, variant_id)
);

CREATE TABLE cart.coupon (
	cart_id  text COLLATE "C" NOT NULL REFERENCES cart.cart (id) ON DELETE CASCADE,
	code     text NOT NULL,
	added_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (cart_id, code)
);

SELECT cart.audit_attach('cart');
SELECT cart.audit_attach('line');
SELECT cart.audit_attach('coupon');
