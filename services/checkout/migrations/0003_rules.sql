-- What shapes totals: promotions with limits that concurrency cannot pass, tax rates, shipping methods.

CREATE TABLE checkout.promotion (
	id           text COLLATE "C" PRIMARY KEY,
	code         text COLLATE "C" UNIQUE CONSTRAINT promotion_code CHECK (code = upper(code) AND code <> ''), -- NULL: by itself
	title        text NOT NULL,
	kind         text NOT NULL CONSTRAINT promotion_kind CHECK (kind IN ('percent', 'fixed', 'free_shipping', 'buy_x_get_y')),
	percent_bp   integer NOT NULL DEFAULT 0,
	amount_minor bigint NOT NULL DEFAULT 0,
	currency     text, -- of amount and minimum
	buy_qty      integer NOT NULL DEFAULT 0,
	get_qty      integer NOT NULL DEFAULT 0,
	min_minor    bigint NOT NULL DEFAULT 0,
	vendor_id    text COLLATE "C",
	product_ids  text[] NOT NULL DEFAULT '{}',
	category_ids text[] NOT NULL DEFAULT '{}',
	max_uses     bigint,
	per_buyer    integer,
	combinable   boolean NOT NULL DEFAULT true,
	priority     integer NOT NULL DEFAULT 100,
	active       boolean NOT NULL DEFAULT true,
	starts_at    timestamptz,
	ends_at      timestamptz,
	uses         bigint NOT NULL DEFAULT 0, -- held by live checkouts, and used
	version      bigint NOT NULL DEFAULT 1,
	created_at   timestamptz NOT NULL DEFAULT now(),
	updated_at   timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT promotion_limit CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses)),
	CONSTRAINT promotion_value CHECK (CASE kind WHEN 'percent' THEN percent_bp BETWEEN 1 AND 10000
	               WHEN 'fixed' THEN amount_minor > 0 AND currency IS NOT NULL
	               WHEN 'buy_x_get_y' THEN buy_qty > 0 AND get_qty > 0 AND percent_bp BETWEEN 1 AND 10000
	               ELSE true END),
	CONSTRAINT promotion_minimum CHECK (min_minor >= 0 AND (min_minor = 0 OR currency IS NOT NULL))
);
CREATE INDEX promotion_by_itself ON checkout.promotion (priority, id) WHERE code IS NULL AND active;

CREATE TABLE checkout.promotion_buyer (
	promotion_id text COLLATE "C" NOT NULL REFERENCES checkout.promotion (id),
	buyer        text COLLATE "C" NOT NULL,
	uses         integer NOT NULL,
	cap          integer NOT NULL,
	PRIMARY KEY (promotion_id, buyer),
	CONSTRAINT promotion_buyer_limit CHECK (uses BETWEEN 0 AND cap)
);
CREATE TABLE checkout.redemption (
	checkout_id  text COLLATE "C" NOT NULL,
	attempt      integer NOT NULL,
	promotion_id text COLLATE "C" NOT NULL REFERENCES checkout.promotion (id),
	buyer        text COLLATE "C" NOT NULL,
	state        text NOT NULL DEFAULT 'held' CONSTRAINT redemption_state CHECK (state IN ('held', 'used', 'released')),
	capped       boolean NOT NULL, -- counted in promotion_buyer
	PRIMARY KEY (checkout_id, attempt, promotion_id)
);

-- 'ok', 'known' (this attempt has it), 'exhausted', 'used' (this buyer may not again), 'inactive'.
CREATE FUNCTION checkout.promotion_take(p_promotion text, p_checkout text, p_attempt integer, p_buyer text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v checkout.promotion;
BEGIN
	IF EXISTS (SELECT 1 FROM checkout.redemption r WHERE r.checkout_id = p_checkout AND r.attempt = p_attempt
	              AND r.promotion_id = p_promotion) THEN
		RETURN 'known';
	END IF;
	SELECT * INTO v FROM checkout.promotion p WHERE p.id = p_promotion FOR UPDATE;
	IF NOT FOUND OR NOT v.active THEN
		RETURN 'inactive';
	END IF;
	IF v.max_uses IS NOT NULL AND v.uses >= v.max_uses THEN
		RETURN 'exhausted';
	END IF;
	IF v.per_buyer IS NOT NULL THEN
		INSERT INTO checkout.promotion_buyer AS b (promotion_id, buyer, uses, cap) VALUES (p_promotion, p_buyer, 1, v.per_buyer)
		ON CONFLICT (promotion_id, buyer) DO UPDATE SET uses = b.uses + 1, cap = greatest(excluded.cap, b.uses + 1)
		 WHERE b.uses < excluded.cap;
		IF NOT FOUND THEN
			RETURN 'used';
		END IF;
	END IF;
	UPDATE checkout.promotion p SET uses = p.uses + 1 WHERE p.id = p_promotion;
	INSERT INTO checkout.redemption (checkout_id, attempt, promotion_id, buyer, capped)
	VALUES (p_checkout, p_attempt, p_promotion, p_buyer, v.per_buyer IS NOT NULL);
	RETURN 'ok';
END $$;

-- The checkout became an order ('used'), or ended ('released': the uses are free again). Twice is once.
CREATE FUNCTION checkout.promotion_end(p_checkout text, p_attempt integer, p_state text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	r record;
	v_n bigint := 0;
BEGIN
	FOR r IN UPDATE checkout.redemption x SET state = p_state
	          WHERE x.checkout_id = p_checkout AND x.attempt = p_attempt AND x.state = 'held'
	      RETURNING x.promotion_id, x.buyer, x.capped LOOP
		v_n := v_n + 1;
		IF p_state = 'released' THEN
			UPDATE checkout.promotion p SET uses = p.uses - 1 WHERE p.id = r.promotion_id;
			IF r.capped THEN
				UPDATE checkout.promotion_buyer b SET uses = b.uses - 1
				 WHERE b.promotion_id = r.promotion_id AND b.buyer = r.buyer;
			END IF;
		END IF;
	END LOOP;
	RETURN v_n;
END $$;

CREATE TABLE checkout.tax_rate (
	id         text COLLATE "C" PRIMARY KEY,
	country    text NOT NULL,
	region     text NOT NULL DEFAULT '', -- '': the whole country
	tax_class  text NOT NULL DEFAULT 'standard',
	rate_bp    integer NOT NULL CONSTRAINT tax_rate_range CHECK (rate_bp BETWEEN 0 AND 10000),
	included   boolean NOT NULL, -- prices contain it
	name       text NOT NULL,
	version    bigint NOT NULL DEFAULT 1,
	updated_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT tax_rate_once UNIQUE (country, region, tax_class)
);

CREATE TABLE checkout.shipping_method (
	id           text COLLATE "C" PRIMARY KEY,
	zone         text NOT NULL,
	name         text NOT NULL,
	countries    text[] NOT NULL CONSTRAINT shipping_countries CHECK (cardinality(countries) > 0), -- {*}: the rest of the world
	max_weight_g integer,
	min_days     integer NOT NULL DEFAULT 0,
	max_days     integer NOT NULL DEFAULT 0,
	active       boolean NOT NULL DEFAULT true,
	priority     integer NOT NULL DEFAULT 100,
	version      bigint NOT NULL DEFAULT 1,
	updated_at   timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT shipping_days CHECK (min_days BETWEEN 0 AND max_days)
);
CREATE TABLE checkout.shipping_price (
	method_id   text COLLATE "C" NOT NULL REFERENCES checkout.shipping_method (id) ON DELETE CASCADE,
	currency    text NOT NULL,
	base_minor  bigint NOT NULL CHECK (base_minor >= 0),
	per_kg_minor bigint NOT NULL DEFAULT 0 CHECK (per_kg_minor >= 0),
	free_from_minor bigint, -- subtotal after discounts
	PRIMARY KEY (method_id, currency)
);

SELECT checkout.audit_attach('promotion');
SELECT checkout.audit_attach('tax_rate');
SELECT checkout.audit_attach('shipping_method');
SELECT checkout.audit_attach('shipping_price');
INSERT INTO checkout.audit_exempt (table_name, reason) VALUES
	('promotion_buyer', 'counts redemptions'),
	('redemption', 'written once; its end is the end of its checkout');

-- What a new shop begins with; administrators change it.
INSERT INTO checkout.shipping_method (id, zone, name, countries, min_days, max_days, priority) VALUES
	('shm_standard', 'World', 'Standard', '{*}', 3, 7, 10),
	('shm_express', 'World', 'Express', '{*}', 1, 2, 20);
INSERT INTO checkout.shipping_price (method_id, currency, base_minor, per_kg_minor, free_from_minor)
SELECT m.id, p.currency, p.base * m.factor, p.per_kg * m.factor, CASE WHEN m.id = 'shm_standard' THEN p.free_from END
  FROM (VALUES ('shm_standard', 1), ('shm_express', 3)) AS m (id, factor)
 CROSS JOIN (VALUES ('USD', 499, 50, 7500), ('EUR', 499, 50, 7500), ('GBP', 399, 40, 6000), ('CHF', 690, 60, 9000),
                    ('SEK', 4900, 500, 75000), ('NOK', 4900, 500, 75000), ('DKK', 3900, 400, 55000),
                    ('PLN', 1490, 150, 25000), ('CZK', 9900, 1000, 150000), ('CAD', 699, 70, 10000),
                    ('AUD', 799, 80, 12000), ('NZD', 899, 90, 12000), ('JPY', 600, 80, 10000), ('KRW', 4000, 500, 60000),
                    ('CNY', 1500, 200, 30000), ('INR', 9900, 1000, 150000), ('BRL', 1990, 200, 30000),
                    ('MXN', 9900, 1000, 150000), ('TRY', 4900, 500, 90000), ('ZAR', 5900, 600, 90000),
                    ('SGD', 590, 60, 9000), ('HKD', 3000, 300, 50000), ('AED', 1500, 150, 25000),
                    ('KWD', 1500, 150, 25000)) AS p (currency, base, per_kg, free_from);
INSERT INTO checkout.tax_rate (id, country, region, tax_class, rate_bp, included, name) VALUES
	('tax_de', 'DE', '', 'standard', 1900, true, 'USt. 19 %'),
	('tax_de_reduced', 'DE', '', 'reduced', 700, true, 'USt. 7 %'),
	('tax_fr', 'FR', '', 'standard', 2000, true, 'TVA 20 %'),
	('tax_fr_reduced', 'FR', '', 'reduced', 550, true, 'TVA 5,5 %'),
	('tax_at', 'AT', '', 'standard', 2000, true, 'USt. 20 %'),
	('tax_nl', 'NL', '', 'standard', 2100, true, 'BTW 21 %'),
	('tax_it', 'IT', '', 'standard', 2200, true, 'IVA 22 %'),
	('tax_es', 'ES', '', 'standard', 2100, true, 'IVA 21 %'),
	('tax_pl', 'PL', '', 'standard', 2300, true, 'VAT 23 %'),
	('tax_gb', 'GB', '', 'standard', 2000, true, 'VAT 20 %'),
	('tax_ch', 'CH', '', 'standard', 810, true, 'MWST 8.1 %'),
	('tax_jp', 'JP', '', 'standard', 1000, true, 'Consumption tax 10 %'),
	('tax_us_ca', 'US', 'CA', 'standard', 725, false, 'Sales tax'),
	('tax_us_ny', 'US', 'NY', 'standard', 400, false, 'Sales tax'),
	('tax_us_tx', 'US', 'TX', 'standard', 625, false, 'Sales tax'),
	('tax_us_wa', 'US', 'WA', 'standard', 650, false, 'Sales tax');
