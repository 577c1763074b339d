-- Who people are. Everything personal is ciphertext (AES-256-GCM, AAD = table.column|row id); *_index columns are keyed
-- hashes for exact lookup. An erased account keeps its id and nothing else.

CREATE TABLE identity.account (
	id             text COLLATE "C" PRIMARY KEY,
	email          bytea,
	email_index    bytea CONSTRAINT account_email_taken UNIQUE,
	email_verified boolean NOT NULL DEFAULT false,
	name           bytea,
	phone          bytea,
	phone_index    bytea, -- not unique: a number is unverified and may be a household's
	locale         text NOT NULL DEFAULT 'en',
	status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'erased')),
	status_reason  text,
	token_version  bigint NOT NULL DEFAULT 1, -- access tokens of an older version are refused
	version        bigint NOT NULL DEFAULT 1, -- ETag of the profile
	created_at     timestamptz NOT NULL DEFAULT now(),
	updated_at     timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT account_has_email CHECK (status = 'erased' OR (email IS NOT NULL AND email_index IS NOT NULL)),
	CONSTRAINT account_erased_empty CHECK (status <> 'erased' OR (email IS NULL AND email_index IS NULL
		AND name IS NULL AND phone IS NULL AND phone_index IS NULL))
);
CREATE INDEX account_phone ON identity.account (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX account_status ON identity.account (status, id);

-- Aggregate versions of the events of this schema: growing for each account, whatever else changes.
CREATE SEQUENCE identity.event_seq;

-- One key per person, sealed under the daemon's key ring; everything personal is sealed under it. Erasure deletes the row,
-- and what audit images and old dumps still hold of the person can no longer be read.
CREATE TABLE identity.person_key (
	user_id text COLLATE "C" PRIMARY KEY REFERENCES identity.account (id),
	sealed  bytea NOT NULL
);

-- Apart from the account, so that no query about people ever touches a hash.
CREATE TABLE identity.password (
	user_id    text COLLATE "C" PRIMARY KEY REFERENCES identity.account (id),
	phc        text NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE identity.address (
	id          text COLLATE "C" PRIMARY KEY,
	user_id     text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	name        bytea NOT NULL,
	line1       bytea NOT NULL,
	line2       bytea,
	city        bytea NOT NULL,
	region      bytea,
	postal_code bytea,
	country     text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
	phone       bytea,
	is_default  boolean NOT NULL DEFAULT false,
	version     bigint NOT NULL DEFAULT 1,
	created_at  timestamptz NOT NULL DEFAULT now(),
	updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX address_user ON identity.address (user_id, id);
CREATE UNIQUE INDEX address_one_default ON identity.address (user_id) WHERE is_default;

-- Links sent by mail. The token is derived from the id, so a mail that is sent again carries the same link; only its
-- SHA-256 is kept, written when notify first asks for it.
CREATE TABLE identity.link (
	id         text COLLATE "C" PRIMARY KEY,
	user_id    text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	kind       text NOT NULL CHECK (kind IN ('verify_email', 'password_reset', 'bootstrap')),
	token_hash bytea CONSTRAINT link_token UNIQUE,
	expires_at timestamptz NOT NULL,
	used_at    timestamptz,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX link_user ON identity.link (user_id, kind);
CREATE INDEX link_due ON identity.link (expires_at);

-- Failures of guessing, per account, per account and address, per address; the key is a keyed hash.
CREATE TABLE identity.backoff (
	key        text COLLATE "C" PRIMARY KEY,
	failures   integer NOT NULL,
	next_at    timestamptz NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX backoff_old ON identity.backoff (updated_at);

SELECT identity.audit_attach('account');
SELECT identity.audit_attach('person_key', 'sealed');
SELECT identity.audit_attach('password', 'phc');
SELECT identity.audit_attach('address');
SELECT identity.audit_attach('link', 'token_hash');
INSERT INTO identity.audit_exempt (table_name, reason) VALUES ('backoff', 'counters of failed guesses');
