-- Roles and permissions are rows. Administrators' roles hang on the account, vendors' on the membership.

CREATE TABLE identity.permission (
	name        text COLLATE "C" PRIMARY KEY,
	side        text NOT NULL CHECK (side IN ('admin', 'vendor')),
	description text NOT NULL
);

CREATE TABLE identity.role (
	name        text COLLATE "C" PRIMARY KEY,
	side        text NOT NULL CHECK (side IN ('admin', 'vendor')),
	description text NOT NULL
);

CREATE TABLE identity.role_permission (
	role       text COLLATE "C" NOT NULL REFERENCES identity.role (name),
	permission text COLLATE "C" NOT NULL REFERENCES identity.permission (name),
	PRIMARY KEY (role, permission)
);

CREATE TABLE identity.user_role (
	user_id    text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	role       text COLLATE "C" NOT NULL REFERENCES identity.role (name),
	granted_by text COLLATE "C",
	granted_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (user_id, role)
);
CREATE INDEX user_role_role ON identity.user_role (role, user_id);

-- What identity needs to know of catalog's vendors, kept by their events. agg_version guards against old news.
CREATE TABLE identity.vendor (
	id            text COLLATE "C" PRIMARY KEY,
	owner_user_id text COLLATE "C",
	status        text NOT NULL CHECK (status IN ('applied', 'approved', 'rejected', 'suspended')),
	agg_version   bigint NOT NULL DEFAULT 0,
	updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE identity.vendor_member (
	vendor_id text COLLATE "C" NOT NULL REFERENCES identity.vendor (id),
	user_id   text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	role      text COLLATE "C" NOT NULL REFERENCES identity.role (name),
	version   bigint NOT NULL DEFAULT 1,
	joined_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (vendor_id, user_id)
);
CREATE INDEX vendor_member_user ON identity.vendor_member (user_id, vendor_id);

-- Keys of scripts and soukctl. They act for the administrator who made them and never with more than he has now.
CREATE TABLE identity.api_key (
	id           text COLLATE "C" PRIMARY KEY,
	user_id      text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	name         text NOT NULL,
	secret_hash  bytea NOT NULL,
	perms        text[] NOT NULL,
	created_at   timestamptz NOT NULL DEFAULT now(),
	expires_at   timestamptz,
	revoked_at   timestamptz,
	last_used_at timestamptz
);
CREATE INDEX api_key_user ON identity.api_key (user_id, id);

INSERT INTO identity.permission (name, side, description) VALUES
	('vendor.catalog', 'vendor', 'products, variants, prices, media, imports'),
	('vendor.inventory', 'vendor', 'stock, locations, adjustments'),
	('vendor.orders', 'vendor', 'vendor orders, shipping, returns'),
	('vendor.members', 'vendor', 'the team and the profile'),
	('vendor.payouts', 'vendor', 'payouts and reports'),
	('admin.vendors', 'admin', 'approve, reject and suspend vendors'),
	('admin.users', 'admin', 'find users, disable them, end their sessions'),
	('admin.users.personal', 'admin', 'see personal data unmasked'),
	('admin.roles', 'admin', 'grant and revoke roles, act on administrators'),
	('admin.catalog', 'admin', 'categories, products, reviews'),
	('admin.orders', 'admin', 'see and change orders'),
	('admin.refunds', 'admin', 'refund payments'),
	('admin.promotions', 'admin', 'promotions, tax and shipping tables, commissions'),
	('admin.audit', 'admin', 'read the audit log'),
	('admin.events', 'admin', 'events and dead letters'),
	('admin.notify', 'admin', 'templates, deliveries, outgoing webhooks'),
	('admin.keys', 'admin', 'API keys'),
	('admin.reports', 'admin', 'reports');

INSERT INTO identity.role (name, side, description) VALUES
	('administrator', 'admin', 'everything'),
	('support', 'admin', 'helps buyers: users (masked), orders'),
	('catalog_manager', 'admin', 'vendors, categories, products, promotions'),
	('vendor_owner', 'vendor', 'everything of the vendor'),
	('vendor_manager', 'vendor', 'everything but payouts'),
	('vendor_staff', 'vendor', 'products, stock, orders'),
	('vendor_finance', 'vendor', 'orders and payouts');

INSERT INTO identity.role_permission (role, permission)
	SELECT 'administrator', name FROM identity.permission WHERE side = 'admin';
INSERT INTO identity.role_permission (role, permission)
	SELECT 'vendor_owner', name FROM identity.permission WHERE side = 'vendor';
INSERT INTO identity.role_permission (role, permission) VALUES
	('support', 'admin.users'), ('support', 'admin.orders'), ('support', 'admin.notify'),
	('catalog_manager', 'admin.vendors'), ('catalog_manager', 'admin.catalog'),
	('catalog_manager', 'admin.promotions'), ('catalog_manager', 'admin.reports'),
	('vendor_manager', 'vendor.catalog'), ('vendor_manager', 'vendor.inventory'),
	('vendor_manager', 'vendor.orders'), ('vendor_manager', 'vendor.members'),
	('vendor_staff', 'vendor.catalog'), ('vendor_staff', 'vendor.inventory'), ('vendor_staff', 'vendor.orders'),
	('vendor_finance', 'vendor.orders'), ('vendor_finance', 'vendor.payouts');

SELECT identity.audit_attach('permission');
SELECT identity.audit_attach('role');
SELECT identity.audit_attach('role_permission');
SELECT identity.audit_attach('user_role');
SELECT identity.audit_attach('vendor');
SELECT identity.audit_attach('vendor_member');
-- The time of last use is not a change.
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF name, perms, expires_at, revoked_at, secret_hash ON identity.api_key
	FOR EACH ROW EXECUTE FUNCTION identity.audit_row('id', 'secret_hash');
