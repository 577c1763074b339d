-- A session is a family of refresh tokens: the current one and its immediate predecessor are known by their SHA-256.
-- Rotation is one conditional UPDATE on token_hash.

CREATE TABLE identity.session (
	id           text COLLATE "C" PRIMARY KEY,
	user_id      text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	audience     text NOT NULL CHECK (audience IN ('shop', 'vendor', 'admin')),
	vendor_id    text COLLATE "C",
	token_hash   bytea NOT NULL,
	prev_hash    bytea,
	generation   bigint NOT NULL DEFAULT 0,
	rotated_at   timestamptz,
	created_at   timestamptz NOT NULL DEFAULT now(), -- also when the user last proved who they are
	last_used_at timestamptz NOT NULL DEFAULT now(),
	expires_at   timestamptz NOT NULL, -- slides: 7 days from the last rotation
	absolute_at  timestamptz NOT NULL, -- never moves: 30 days from login
	revoked_at   timestamptz,
	revoked_why  text,
	user_agent   bytea, -- ciphertext
	ip           bytea, -- ciphertext
	CONSTRAINT session_vendor CHECK ((audience = 'vendor') = (vendor_id IS NOT NULL)),
	CONSTRAINT session_sliding_within CHECK (expires_at <= absolute_at),
	CONSTRAINT session_revoked_why CHECK ((revoked_at IS NULL) = (revoked_why IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX session_by_user ON identity.session (user_id, id) WHERE revoked_at IS NULL;
CREATE INDEX session_old ON identity.session (absolute_at);

-- What gateways must stop believing. xid orders rows so that a late commit is never passed over.
CREATE TABLE identity.revocation (
	pos               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	xid               xid8 NOT NULL DEFAULT pg_current_xact_id(),
	session_id        text COLLATE "C",
	user_id           text COLLATE "C",
	min_token_version bigint,
	revoked_at        timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT revocation_of_something CHECK (session_id IS NOT NULL OR (user_id IS NOT NULL AND min_token_version IS NOT NULL))
);
CREATE INDEX revocation_order ON identity.revocation (xid, pos);
CREATE INDEX revocation_old ON identity.revocation (revoked_at);

-- The second factor (RFC 6238). last_step only grows: a code is accepted once.
CREATE TABLE identity.totp (
	user_id      text COLLATE "C" PRIMARY KEY REFERENCES identity.account (id),
	secret       bytea NOT NULL, -- ciphertext
	active       boolean NOT NULL DEFAULT false,
	last_step    bigint NOT NULL DEFAULT 0,
	created_at   timestamptz NOT NULL DEFAULT now(),
	activated_at timestamptz
);

CREATE TABLE identity.recovery_code (
	user_id    text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	code_hash  bytea NOT NULL, -- keyed hash
	used_at    timestamptz,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (user_id, code_hash)
);

-- The password was right, the second factor is awaited.
CREATE TABLE identity.mfa_challenge (
	token_hash bytea PRIMARY KEY,
	user_id    text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	audience   text NOT NULL,
	vendor_id  text COLLATE "C",
	token_version bigint NOT NULL, -- a password change in between ends the challenge
	expires_at timestamptz NOT NULL,
	used_at    timestamptz
);
CREATE INDEX mfa_challenge_due ON identity.mfa_challenge (expires_at);
CREATE INDEX mfa_challenge_user ON identity.mfa_challenge (user_id);

-- Rotation touches a session every quarter of an hour; its beginning and its end are what matters.
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF revoked_at, user_agent, ip ON identity.session
	FOR EACH ROW EXECUTE FUNCTION identity.audit_row('id', 'token_hash', 'prev_hash');
SELECT identity.audit_attach('totp', 'secret');
SELECT identity.audit_attach('recovery_code', 'code_hash');
INSERT INTO identity.audit_exempt (table_name, reason) VALUES
	('revocation', 'written with the audited change it announces'),
	('mfa_challenge', 'the minutes between password and second factor');
