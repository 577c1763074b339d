-- ---- what people did ----
-- kind: 1 view, 2 click, 3 impression, 4 into the cart, 5 purchase, 6 rating, 7 purchase undone.
-- source: 1 a page of the shop, 2 another daemon, 3 an import of history.
-- Who withheld consent has neither user_id nor session_id here: such rows are counted and belong to nobody.
CREATE TABLE reco.event (
	ts         timestamptz NOT NULL,
	key        uuid NOT NULL,   -- of the source's own id: the same event comes once
	epoch      bigint NOT NULL, -- with xid the order in which features are counted, as in the outbox
	xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
	kind       smallint NOT NULL CHECK (kind BETWEEN 1 AND 7),
	source     smallint NOT NULL CHECK (source BETWEEN 1 AND 3),
	user_id    text COLLATE "C",
	session_id text COLLATE "C",
	product_id text COLLATE "C" NOT NULL,
	order_id   text COLLATE "C",
	request_id text COLLATE "C", -- of the recommendations that led to it
	placement  text COLLATE "C",
	position   integer,
	qty        integer NOT NULL DEFAULT 1,
	rating     smallint CHECK (rating BETWEEN 1 AND 5),
	PRIMARY KEY (ts, key)
) PARTITION BY RANGE (ts);
CREATE INDEX event_user ON reco.event (user_id, ts) WHERE user_id IS NOT NULL;
CREATE INDEX event_session ON reco.event (session_id, ts) WHERE session_id IS NOT NULL;
CREATE INDEX event_order ON reco.event (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX event_request ON reco.event (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX event_counted ON reco.event (epoch, xid);

-- Pages' events of the last days by key alone: a page that sends again may give another time.
CREATE TABLE reco.event_key (
	key uuid PRIMARY KEY,
	at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_key_age ON reco.event_key USING brin (at);

-- ---- features ----
-- Of one person (a user id, or the session of a visitor) and one product; written with the event.
-- w is decayed by being kept at one instant, 2026-01-01: a later event weighs more there. reco.growth(t) is what one
-- unit of time t weighs at that instant; w / reco.growth(now()) is the weight now.
CREATE TABLE reco.user_item (
	subject      text COLLATE "C" NOT NULL,
	product_id   text COLLATE "C" NOT NULL,
	n_view       integer NOT NULL DEFAULT 0,
	n_cart       integer NOT NULL DEFAULT 0,
	n_buy        integer NOT NULL DEFAULT 0, -- without those undone
	rating       smallint,
	w            double precision NOT NULL DEFAULT 0,
	first_at     timestamptz NOT NULL,
	last_at      timestamptz NOT NULL,
	last_view_at timestamptz,
	last_cart_at timestamptz,
	last_buy_at  timestamptz,
	visitor      boolean NOT NULL, -- the subject is a session: forgotten after a month
	PRIMARY KEY (subject, product_id)
) WITH (fillfactor = 80);
CREATE INDEX user_item_visitor ON reco.user_item (last_at) WHERE visitor;

-- Of one product and one day (UTC); counted behind the watermark.
CREATE TABLE reco.item_day (
	day          date NOT NULL,
	product_id   text COLLATE "C" NOT NULL,
	n_impression bigint NOT NULL DEFAULT 0,
	n_click      bigint NOT NULL DEFAULT 0,
	n_view       bigint NOT NULL DEFAULT 0,
	n_cart       bigint NOT NULL DEFAULT 0,
	n_buy        bigint NOT NULL DEFAULT 0, -- order lines, without those undone
	qty          bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (day, product_id)
) WITH (fillfactor = 80);
CREATE INDEX item_day_product ON reco.item_day (product_id, day);

-- Every event before (epoch, xid) is counted, none after it.
CREATE TABLE reco.watermark (
	name  text PRIMARY KEY,
	epoch bigint NOT NULL DEFAULT 0,
	xid   xid8 NOT NULL DEFAULT '0',
	at    timestamptz NOT NULL DEFAULT now() -- when it was last there with nothing left to count
) WITH (fillfactor = 50);
INSERT INTO reco.watermark (name) VALUES ('item_day');

-- Weight at 2026-01-01 of one unit at time t: half after 60 days.
CREATE FUNCTION reco.growth(t timestamptz) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT power(2.0::double precision, extract(epoch FROM t - '2026-01-01 00:00:00+00'::timestamptz)::double precision
		/ 5184000.0)
$$;
-- What an event says about liking: a view 1, a click half, into the cart 3, a purchase 5, a good rating 3; a bad one takes away.
CREATE FUNCTION reco.liking(kind smallint, rating smallint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT CASE kind WHEN 1 THEN 1.0 WHEN 2 THEN 0.5 WHEN 4 THEN 3.0 WHEN 5 THEN 5.0 WHEN 7 THEN -5.0
		WHEN 6 THEN CASE WHEN rating >= 4 THEN 3.0 WHEN rating <= 2 THEN -3.0 ELSE 0.0 END
		ELSE 0.0 END::double precision
$$;

-- ---- people ----
CREATE TABLE reco.opt_out ( -- took back the consent to personalisation
	user_id text COLLATE "C" PRIMARY KEY,
	at      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE reco.opt_in ( -- gave it; asked for only where the shop wants it given first
	user_id text COLLATE "C" PRIMARY KEY,
	at      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE reco.erased ( -- nothing of them is taken any more
	user_id text COLLATE "C" PRIMARY KEY,
	at      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE reco.cart ( -- what carts hold, to tell what came in and to leave it out
	cart_id     text COLLATE "C" PRIMARY KEY,
	user_id     text COLLATE "C",
	variant_ids text[] COLLATE "C" NOT NULL,
	version     bigint NOT NULL,
	changed_at  timestamptz NOT NULL
);
CREATE INDEX cart_user ON reco.cart (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX cart_age ON reco.cart (changed_at);

-- ---- products: what may be shown ----
CREATE TABLE reco.product (
	product_id   text COLLATE "C" PRIMARY KEY,
	vendor_id    text COLLATE "C",
	title        text NOT NULL DEFAULT '',
	brand        text,
	categories   text[] COLLATE "C" NOT NULL DEFAULT '{}', -- ids, ancestors too
	prices       jsonb NOT NULL DEFAULT '{}', -- minor units by currency
	rating_x100  integer NOT NULL DEFAULT 0,
	rating_count integer NOT NULL DEFAULT 0,
	published_at bigint NOT NULL DEFAULT 0,   -- epoch ms
	created_at   timestamptz NOT NULL DEFAULT now(), -- first heard of
	published    boolean NOT NULL DEFAULT false,
	vendor_ok    boolean NOT NULL DEFAULT true, -- its vendor is approved
	in_stock     boolean NOT NULL DEFAULT false, -- a variant that is sold is not out
	version      bigint NOT NULL DEFAULT 0,   -- of catalog's last event
	shown        boolean GENERATED ALWAYS AS (published AND vendor_ok AND in_stock) STORED
);
CREATE INDEX product_vendor ON reco.product (vendor_id);
CREATE INDEX product_category ON reco.product USING gin (categories) WHERE shown;
CREATE TABLE reco.variant (
	variant_id   text COLLATE "C" PRIMARY KEY,
	product_id   text COLLATE "C", -- NULL: stock was told first
	active       boolean NOT NULL DEFAULT true,
	availability text COLLATE "C" NOT NULL DEFAULT 'out' CHECK (availability IN ('in', 'low', 'out')),
	seq          bigint NOT NULL DEFAULT 0 -- of inventory's last event
);
CREATE INDEX variant_product ON reco.variant (product_id);
CREATE TABLE reco.category (
	id   text COLLATE "C" PRIMARY KEY,
	slug text COLLATE "C" NOT NULL
);
CREATE INDEX category_slug ON reco.category (slug);
CREATE TABLE reco.vendor ( -- whether a vendor's products may be shown
	vendor_id text COLLATE "C" PRIMARY KEY,
	ok        boolean NOT NULL,
	version   bigint NOT NULL
);
-- Products to be fetched again, because an event said so.
CREATE TABLE reco.dirty (
	product_id text COLLATE "C" PRIMARY KEY,
	n          bigint NOT NULL DEFAULT 1, -- times it was said; fetched only counts when it is the same afterwards
	due_at     timestamptz NOT NULL DEFAULT now(),
	tries      integer NOT NULL DEFAULT 0
);
CREATE INDEX dirty_due ON reco.dirty (due_at);
-- One row: the walk over the catalogue that fills an empty copy.
CREATE TABLE reco.filling (
	one    boolean PRIMARY KEY DEFAULT true CHECK (one),
	after  text COLLATE "C" NOT NULL DEFAULT '',
	filled boolean NOT NULL DEFAULT false
);
INSERT INTO reco.filling DEFAULT VALUES;

CREATE TABLE reco.pin (
	id             text COLLATE "C" PRIMARY KEY,
	placement      text COLLATE "C" NOT NULL,
	product_id     text COLLATE "C" NOT NULL,
	for_product_id text COLLATE "C",
	position       integer NOT NULL CHECK (position BETWEEN 1 AND 50),
	starts_at      timestamptz,
	ends_at        timestamptz,
	created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX pin_once ON reco.pin (placement, product_id, coalesce(for_product_id, ''));

-- ---- models ----
CREATE TABLE reco.model (
	id           text COLLATE "C" PRIMARY KEY,
	kind         text NOT NULL,
	version      text COLLATE "C" NOT NULL CONSTRAINT model_version UNIQUE, -- what answers and cache keys carry
	state        text NOT NULL CHECK (state IN ('trained', 'evaluated', 'approved', 'deployed', 'retired', 'rejected')),
	params       jsonb NOT NULL DEFAULT '{}',
	metrics      jsonb NOT NULL DEFAULT '{}',
	gate         jsonb NOT NULL DEFAULT '{}',
	routine      boolean NOT NULL DEFAULT false, -- the deployed one's parameters on newer data
	code_rev     text NOT NULL DEFAULT '',
	data_from    timestamptz,
	data_to      timestamptz, -- nothing later was seen
	data_rows    bigint NOT NULL DEFAULT 0,
	seed         bigint NOT NULL DEFAULT 0,
	sha256       text COLLATE "C" NOT NULL,
	bytes        bigint NOT NULL DEFAULT 0,
	path         text NOT NULL, -- file name under the models' folder
	why          text,
	trained_at   timestamptz NOT NULL DEFAULT now(),
	evaluated_at timestamptz,
	approved_at  timestamptz,
	approved_by  text,
	deployed_at  timestamptz,
	retired_at   timestamptz
);
CREATE INDEX model_state ON reco.model (state, trained_at);
CREATE TABLE reco.model_history (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	model_id   text COLLATE "C" NOT NULL,
	from_state text NOT NULL,
	to_state   text NOT NULL,
	who        text NOT NULL,
	why        text,
	at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX model_history_model ON reco.model_history (model_id, id);
-- Who gets which model: 'main' always, 'canary' for a share of the visitors. seq goes up with each change.
CREATE TABLE reco.deployment (
	variant       text COLLATE "C" PRIMARY KEY CHECK (variant IN ('main', 'canary')),
	model_id      text COLLATE "C" NOT NULL,
	previous_id   text COLLATE "C", -- what a rollback goes back to
	share_percent integer NOT NULL DEFAULT 100 CHECK (share_percent BETWEEN 1 AND 100),
	until         timestamptz,      -- when a canary is judged
	seq           bigint NOT NULL DEFAULT 1,
	who           text NOT NULL,
	since         timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE reco.training (
	id          text COLLATE "C" PRIMARY KEY,
	state       text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
	step        text NOT NULL DEFAULT '',
	percent     integer NOT NULL DEFAULT 0,
	params      jsonb NOT NULL DEFAULT '{}',
	seed        bigint NOT NULL DEFAULT 0,
	as_of       timestamptz, -- the instant its data ends; kept when it is resumed
	cancel      boolean NOT NULL DEFAULT false,
	model_id    text COLLATE "C",
	message     text,
	who         text NOT NULL,
	queued_at   timestamptz NOT NULL DEFAULT now(),
	started_at  timestamptz,
	beat_at     timestamptz, -- the job lives
	finished_at timestamptz
);
CREATE INDEX training_state ON reco.training (state, queued_at);

-- ---- what was shown ----
CREATE TABLE reco.answer (
	ts            timestamptz NOT NULL DEFAULT now(),
	request_id    text COLLATE "C" NOT NULL,
	type          text COLLATE "C" NOT NULL,
	placement     text COLLATE "C" NOT NULL,
	variant       text COLLATE "C" NOT NULL,
	model_version text COLLATE "C" NOT NULL,
	fallback      boolean NOT NULL DEFAULT false,
	subject       text COLLATE "C", -- NULL: nobody in particular
	items         text[] COLLATE "C" NOT NULL,
	PRIMARY KEY (request_id, ts)
) PARTITION BY RANGE (ts);
CREATE INDEX answer_subject ON reco.answer (subject, ts) WHERE subject IS NOT NULL;
CREATE INDEX answer_ts ON reco.answer USING brin (ts);

-- ---- partitions: one a month and table, made ahead, dropped when they are old ----
CREATE FUNCTION reco.partitions_make(p_from timestamptz, p_to timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_month timestamp := date_trunc('month', greatest(p_from, '1990-01-01 00:00:00+00') AT TIME ZONE 'UTC');
	v_last timestamp := date_trunc('month', least(p_to, now() + interval '12 months') AT TIME ZONE 'UTC');
	v_table text;
	v_name text;
	v_made integer := 0;
BEGIN
	WHILE v_month <= v_last LOOP
		FOREACH v_table IN ARRAY ARRAY['event', 'answer'] LOOP
			v_name := v_table || to_char(v_month, '"_"YYYYMM');
			-- Answers are never imported: no partition for them further back than the last month.
			CONTINUE WHEN v_table = 'answer' AND v_month < date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month';
			CONTINUE WHEN to_regclass('reco.' || v_name) IS NOT NULL;
			PERFORM pg_advisory_xact_lock(hashtextextended('reco.partitions', 0));
			CONTINUE WHEN to_regclass('reco.' || v_name) IS NOT NULL;
			EXECUTE format('CREATE TABLE reco.%I PARTITION OF reco.%I FOR VALUES FROM (%L) TO (%L)', v_name, v_table,
				v_month AT TIME ZONE 'UTC', (v_month + interval '1 month') AT TIME ZONE 'UTC');
			v_made := v_made + 1;
		END LOOP;
		v_month := v_month + interval '1 month';
	END LOOP;
	RETURN v_made;
END $$;
-- Drops the months of a table that ended p_keep months ago; p_keep is at least 1.
CREATE FUNCTION reco.partitions_drop(p_table text, p_keep integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_first text := p_table || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => greatest(p_keep, 1)),
		'"_"YYYYMM');
	v_name text;
	v_dropped integer := 0;
BEGIN
	IF p_table NOT IN ('event', 'answer') THEN
		RAISE EXCEPTION 'partitions_drop: no table %', p_table;
	END IF;
	FOR v_name IN
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		 WHERE i.inhparent = ('reco.' || p_table)::regclass AND c.relname < v_first ORDER BY 1
	LOOP
		EXECUTE format('DROP TABLE reco.%I', v_name);
		v_dropped := v_dropped + 1;
	END LOOP;
	RETURN v_dropped;
END $$;
SELECT reco.partitions_make(now() - interval '1 month', now() + interval '3 months');

SELECT reco.audit_attach(t) FROM unnest(ARRAY['pin', 'model', 'deployment', 'opt_out', 'opt_in', 'erased']) t;
INSERT INTO reco.audit_exempt (table_name, reason)
SELECT t, 'behaviour itself is a log' FROM unnest(ARRAY['event', 'event_key', 'answer']) t
UNION ALL
SELECT t, 'derived from events' FROM unnest(ARRAY['user_item', 'item_day', 'watermark', 'cart']) t
UNION ALL
SELECT t, 'derived from the catalogue and the stock'
  FROM unnest(ARRAY['product', 'variant', 'category', 'vendor', 'dirty', 'filling']) t
UNION ALL
VALUES ('model_history', 'a history itself'), ('training', 'a job and how far it is');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA reco TO souk_reco;
