-- Stock. The variant id is the key; the SKU is copied so that a vendor's REST paths can be resolved here.
--
-- inventory.stock is the row that guards a variant: on_hand and reserved over all locations. inventory.level says
-- where the units lie. Sum of levels = on_hand, always changed in the same transaction by the functions of 0002.

CREATE TABLE inventory.location (
	id         text COLLATE "C" PRIMARY KEY,
	vendor_id  text COLLATE "C" NOT NULL,
	code       text NOT NULL,
	name       text NOT NULL,
	country    text,
	priority   integer NOT NULL DEFAULT 100, -- lower ships first
	version    bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (vendor_id, code)
);

CREATE TABLE inventory.stock (
	variant_id    text COLLATE "C" PRIMARY KEY,
	vendor_id     text COLLATE "C" NOT NULL,
	sku           text NOT NULL,
	active        boolean NOT NULL DEFAULT true,
	catalog_version bigint NOT NULL DEFAULT 0, -- of the product.changed that sku and active are from
	on_hand       bigint NOT NULL DEFAULT 0,
	reserved      bigint NOT NULL DEFAULT 0,
	backorder     boolean NOT NULL DEFAULT false,
	low_threshold bigint NOT NULL DEFAULT 5,
	state         text NOT NULL DEFAULT 'out',
	version       bigint NOT NULL DEFAULT 1, -- counts on_hand and settings, not reservations: a vendor's If-Match
	event_seq     bigint NOT NULL DEFAULT 0,
	created_at    timestamptz NOT NULL DEFAULT now(),
	updated_at    timestamptz NOT NULL DEFAULT now(),
	UNIQUE (vendor_id, sku) DEFERRABLE INITIALLY DEFERRED, -- one event may swap two SKUs
	CONSTRAINT stock_reserved_sane CHECK (reserved >= 0),
	CONSTRAINT stock_not_oversold CHECK (backorder OR reserved <= on_hand),
	CONSTRAINT stock_on_hand_sane CHECK (backorder OR on_hand >= 0),
	CONSTRAINT stock_threshold_sane CHECK (low_threshold BETWEEN 0 AND 1000000000),
	CONSTRAINT stock_state_known CHECK (state IN ('in', 'low', 'out'))
) WITH (fillfactor = 70); -- a hot row is rewritten in its own page
CREATE INDEX stock_vendor ON inventory.stock (vendor_id, variant_id);

CREATE TABLE inventory.level (
	variant_id  text COLLATE "C" NOT NULL REFERENCES inventory.stock (variant_id),
	location_id text COLLATE "C" NOT NULL REFERENCES inventory.location (id),
	on_hand     bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (variant_id, location_id)
);
CREATE INDEX level_location ON inventory.level (location_id);

-- Append-only: the runtime role may insert and read (grants in 0002).
CREATE TABLE inventory.movement (
	seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	variant_id     text COLLATE "C" NOT NULL,
	location_id    text COLLATE "C" NOT NULL,
	kind           text NOT NULL CHECK (kind IN ('receipt', 'adjustment', 'import', 'sale', 'restock')),
	delta          bigint NOT NULL CHECK (delta <> 0),
	on_hand_after  bigint NOT NULL, -- of the variant, over all locations
	reason         text,
	reservation_id text COLLATE "C",
	order_id       text COLLATE "C",
	operation_id   text COLLATE "C",
	actor          text,
	request_id     text,
	at             timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX movement_variant ON inventory.movement (variant_id, seq DESC);

-- What must happen once: an import row, a restock, an adjustment that names its own id.
CREATE TABLE inventory.operation (
	id         text COLLATE "C" PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE inventory.reservation (
	id         text COLLATE "C" PRIMARY KEY,
	key        text COLLATE "C" NOT NULL UNIQUE, -- chosen by checkout: one per checkout and attempt
	owner      text COLLATE "C" NOT NULL DEFAULT '',
	state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'sold', 'released')),
	hold       boolean NOT NULL DEFAULT false,   -- payment outcome unknown: the sweep keeps away
	expires_at timestamptz NOT NULL,
	order_id   text COLLATE "C",
	reason     text,
	created_at timestamptz NOT NULL DEFAULT now(),
	ended_at   timestamptz,
	CONSTRAINT reservation_ended CHECK ((state = 'active') = (ended_at IS NULL))
);
CREATE INDEX reservation_due ON inventory.reservation (expires_at) WHERE state = 'active' AND NOT hold;
CREATE INDEX reservation_owner ON inventory.reservation (owner) WHERE state = 'active';

CREATE TABLE inventory.reservation_line (
	reservation_id text COLLATE "C" NOT NULL REFERENCES inventory.reservation (id),
	variant_id     text COLLATE "C" NOT NULL REFERENCES inventory.stock (variant_id),
	qty            integer NOT NULL CHECK (qty > 0),
	restocked      integer NOT NULL DEFAULT 0,
	PRIMARY KEY (reservation_id, variant_id),
	CONSTRAINT line_restock_sane CHECK (restocked BETWEEN 0 AND qty)
);
CREATE INDEX reservation_line_variant ON inventory.reservation_line (variant_id);

SELECT inventory.audit_attach('location');
-- The ledger tells of every unit; the trigger only of the vendor's settings.
CREATE TRIGGER audit AFTER UPDATE OF backorder, low_threshold ON inventory.stock
	FOR EACH ROW WHEN (old.backorder <> new.backorder OR old.low_threshold <> new.low_threshold)
	EXECUTE FUNCTION inventory.audit_row();
INSERT INTO inventory.audit_exempt (table_name, reason) VALUES
	('level', 'every change is a row of the movement ledger'),
	('movement', 'is the ledger'),
	('operation', 'names of work already done'),
	('reservation', 'rows are their own history: never deleted, ends recorded'),
	('reservation_line', 'written once with its reservation');
REVOKE UPDATE, DELETE, TRUNCATE ON inventory.movement FROM souk_inventory;
