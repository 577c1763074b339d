-- Vendors, categories, products, variants, prices, media, reviews.

CREATE TABLE catalog.vendor (
	id            text COLLATE "C" PRIMARY KEY,
	slug          text NOT NULL CONSTRAINT vendor_slug UNIQUE,
	name          text NOT NULL,
	description   text,
	country       text,
	status        text NOT NULL DEFAULT 'applied' CHECK (status IN ('applied', 'approved', 'rejected', 'suspended')),
	status_reason text,
	commission_bp integer NOT NULL DEFAULT 1000 CHECK (commission_bp BETWEEN 0 AND 10000),
	owner_user_id text COLLATE "C" NOT NULL,
	terms_at      timestamptz,
	created_at    timestamptz NOT NULL DEFAULT now(),
	updated_at    timestamptz NOT NULL DEFAULT now(),
	version       bigint NOT NULL DEFAULT 1
);
-- One application at a time; a rejected one may be followed by another.
CREATE UNIQUE INDEX vendor_owner ON catalog.vendor (owner_user_id) WHERE status <> 'rejected';
CREATE INDEX vendor_status ON catalog.vendor (status, id);

CREATE TABLE catalog.category (
	id            text COLLATE "C" PRIMARY KEY,
	parent_id     text COLLATE "C" REFERENCES catalog.category (id),
	slug          text NOT NULL CONSTRAINT category_slug UNIQUE,
	name          text NOT NULL,
	path          text[] COLLATE "C" NOT NULL, -- ids from the top down to this one
	position      integer NOT NULL DEFAULT 0,
	commission_bp integer CHECK (commission_bp BETWEEN 0 AND 10000), -- NULL: the vendor's
	version       bigint NOT NULL DEFAULT 1,
	CONSTRAINT category_depth CHECK (array_length(path, 1) BETWEEN 1 AND 8)
);
CREATE INDEX category_parent ON catalog.category (parent_id);

CREATE TABLE catalog.product (
	id           text COLLATE "C" PRIMARY KEY,
	vendor_id    text COLLATE "C" NOT NULL REFERENCES catalog.vendor (id),
	slug         text NOT NULL CONSTRAINT product_slug UNIQUE,
	title        text NOT NULL,
	description  text,
	brand        text,
	status       text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'hidden', 'deleted')),
	tax_class    text NOT NULL DEFAULT 'standard' CHECK (tax_class IN ('standard', 'reduced', 'zero')),
	attributes   jsonb NOT NULL DEFAULT '{}',
	import_key   text,               -- what a bulk import calls it; repeating the import finds it again
	import_hash  bytea,              -- of the row that made it as it is: an unchanged row changes nothing
	availability text NOT NULL DEFAULT 'out' CHECK (availability IN ('in', 'low', 'out')),
	rating_sum   bigint NOT NULL DEFAULT 0,
	rating_count integer NOT NULL DEFAULT 0,
	sold_30d     integer NOT NULL DEFAULT 0,
	created_at   timestamptz NOT NULL DEFAULT now(),
	updated_at   timestamptz NOT NULL DEFAULT now(),
	published_at timestamptz,
	version      bigint NOT NULL DEFAULT 1,
	CONSTRAINT product_import UNIQUE (vendor_id, import_key)
);
CREATE INDEX product_newest ON catalog.product (published_at DESC, id DESC) WHERE status = 'published';
CREATE INDEX product_best ON catalog.product (sold_30d DESC, id DESC) WHERE status = 'published';
CREATE INDEX product_vendor ON catalog.product (vendor_id, id);

CREATE TABLE catalog.product_category (
	product_id  text COLLATE "C" NOT NULL REFERENCES catalog.product (id) ON DELETE CASCADE,
	category_id text COLLATE "C" NOT NULL REFERENCES catalog.category (id),
	PRIMARY KEY (product_id, category_id)
);
CREATE INDEX product_category_back ON catalog.product_category (category_id, product_id);

CREATE TABLE catalog.variant (
	id           text COLLATE "C" PRIMARY KEY,
	product_id   text COLLATE "C" NOT NULL REFERENCES catalog.product (id),
	vendor_id    text COLLATE "C" NOT NULL REFERENCES catalog.vendor (id),
	sku          text NOT NULL,
	title        text,
	options      jsonb NOT NULL DEFAULT '{}',
	ean          text,
	weight_g     integer CHECK (weight_g BETWEEN 0 AND 100000000),
	active       boolean NOT NULL DEFAULT true,
	availability text NOT NULL DEFAULT 'out' CHECK (availability IN ('in', 'low', 'out')),
	stock_seq    bigint NOT NULL DEFAULT 0, -- of the stock.changed that availability is from: an older one comes too late
	position     integer NOT NULL DEFAULT 0,
	version      bigint NOT NULL DEFAULT 1,
	CONSTRAINT variant_sku UNIQUE (vendor_id, sku)
);
CREATE INDEX variant_product ON catalog.variant (product_id, position, id);

-- A base price per currency (no window) and any number of sales with one. The latest-starting open sale wins.
CREATE TABLE catalog.price (
	id               text COLLATE "C" PRIMARY KEY,
	variant_id       text COLLATE "C" NOT NULL REFERENCES catalog.variant (id) ON DELETE CASCADE,
	currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
	minor            bigint NOT NULL CHECK (minor BETWEEN 0 AND 100000000000),
	compare_at_minor bigint CHECK (compare_at_minor BETWEEN 0 AND 100000000000),
	starts_at        timestamptz,
	ends_at          timestamptz,
	CONSTRAINT price_window CHECK (starts_at IS NULL = (ends_at IS NULL) AND (starts_at IS NULL OR starts_at < ends_at))
);
CREATE UNIQUE INDEX price_base ON catalog.price (variant_id, currency) WHERE starts_at IS NULL;
CREATE INDEX price_variant ON catalog.price (variant_id, currency, starts_at);
CREATE INDEX price_edges ON catalog.price (starts_at, ends_at) WHERE starts_at IS NOT NULL;

-- The least price now of a product's active variants, for lists; kept by catalog.refresh_price.
CREATE TABLE catalog.product_price (
	product_id       text COLLATE "C" NOT NULL REFERENCES catalog.product (id) ON DELETE CASCADE,
	currency         text NOT NULL,
	minor            bigint NOT NULL,
	compare_at_minor bigint,
	next_edge        timestamptz, -- when a sale begins or ends next
	PRIMARY KEY (product_id, currency)
);
CREATE INDEX product_price_sort ON catalog.product_price (currency, minor, product_id);
CREATE INDEX product_price_edge ON catalog.product_price (next_edge) WHERE next_edge IS NOT NULL;

CREATE TABLE catalog.media (
	id         text COLLATE "C" PRIMARY KEY,
	product_id text COLLATE "C" NOT NULL REFERENCES catalog.product (id) ON DELETE CASCADE,
	variant_id text COLLATE "C" REFERENCES catalog.variant (id),
	key        text NOT NULL,
	alt        text,
	position   integer NOT NULL DEFAULT 0,
	CONSTRAINT media_key UNIQUE (product_id, key)
);

CREATE TABLE catalog.review (
	id         text COLLATE "C" PRIMARY KEY,
	product_id text COLLATE "C" NOT NULL REFERENCES catalog.product (id),
	user_id    text COLLATE "C" NOT NULL,
	rating     integer NOT NULL CHECK (rating BETWEEN 1 AND 5),
	title      text,
	body       text,
	status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected')),
	created_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT review_once UNIQUE (product_id, user_id)
);
CREATE INDEX review_product ON catalog.review (product_id, id DESC) WHERE status = 'approved';
CREATE INDEX review_user ON catalog.review (user_id);
CREATE INDEX review_status ON catalog.review (status, id);

SELECT catalog.audit_attach('vendor');
SELECT catalog.audit_attach('category');
SELECT catalog.audit_attach('product');
SELECT catalog.audit_attach('product_category');
SELECT catalog.audit_attach('variant');
SELECT catalog.audit_attach('price');
SELECT catalog.audit_attach('media');
SELECT catalog.audit_attach('review');
INSERT INTO catalog.audit_exempt (table_name, reason) VALUES
	('product_price', 'derived from price, which is audited');
