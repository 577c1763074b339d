-- A new address is confirmed by a link mailed to it; the address before is kept until the link is swept, for the notice.
ALTER TABLE identity.link DROP CONSTRAINT link_kind_check;
ALTER TABLE identity.link ADD CONSTRAINT link_kind_check
	CHECK (kind IN ('verify_email', 'password_reset', 'bootstrap', 'change_email'));
ALTER TABLE identity.link
	ADD COLUMN email bytea,		-- ciphertext: the address to be confirmed
	ADD COLUMN email_index bytea,
	ADD COLUMN old_email bytea,	-- ciphertext, once it is confirmed: the address before
	ADD CONSTRAINT link_email CHECK ((kind = 'change_email') = (email IS NOT NULL)
		AND (email IS NULL) = (email_index IS NULL));

-- Someone is asked into a vendor's team, with or without an account. Sealed under the daemon's keys, because there may be
-- no person yet; the address goes when the invitation is over.
CREATE TABLE identity.invitation (
	id          text COLLATE "C" PRIMARY KEY,
	vendor_id   text COLLATE "C" NOT NULL REFERENCES identity.vendor (id),
	email       bytea,
	email_index bytea,
	role        text COLLATE "C" NOT NULL REFERENCES identity.role (name),
	invited_by  text COLLATE "C" NOT NULL,
	status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'accepted', 'revoked')),
	token_hash  bytea CONSTRAINT invitation_token UNIQUE,
	created_at  timestamptz NOT NULL DEFAULT now(),
	expires_at  timestamptz NOT NULL,
	CONSTRAINT invitation_email CHECK ((status = 'open') = (email IS NOT NULL) AND (email IS NULL) = (email_index IS NULL))
);
CREATE UNIQUE INDEX invitation_one ON identity.invitation (vendor_id, email_index) WHERE status = 'open';
CREATE INDEX invitation_vendor ON identity.invitation (vendor_id, id);
CREATE INDEX invitation_person ON identity.invitation (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX invitation_old ON identity.invitation (expires_at);

-- What a person agreed to or took back, append-only; the newest row of a purpose counts.
CREATE TABLE identity.consent (
	id         text COLLATE "C" PRIMARY KEY,
	user_id    text COLLATE "C" NOT NULL REFERENCES identity.account (id),
	purpose    text NOT NULL CHECK (purpose IN ('terms', 'privacy', 'marketing', 'analytics', 'personalisation')),
	granted    boolean NOT NULL,
	version    text NOT NULL, -- of the text that was shown
	decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consent_user ON identity.consent (user_id, purpose, id DESC);

REVOKE UPDATE ON identity.consent FROM souk_identity;

CREATE INDEX session_used ON identity.session (user_id, last_used_at) WHERE revoked_at IS NULL;

SELECT identity.audit_attach('invitation', 'token_hash', 'email', 'email_index');
SELECT identity.audit_attach('consent');
