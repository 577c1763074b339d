-- Mails and what becomes of them. No address is stored: it is asked for when a mail is sent.

-- Texts that administrators wrote; a missing row means the text that came with the program.
CREATE TABLE notify.template (
	kind       text NOT NULL,
	lang       text NOT NULL,
	subject    text NOT NULL,
	text       text NOT NULL,
	html       text NOT NULL,
	version    bigint NOT NULL DEFAULT 1,
	updated_by text NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (kind, lang)
);

CREATE TABLE notify.preference (
	user_id        text COLLATE "C" PRIMARY KEY,
	order_mail     boolean NOT NULL DEFAULT true,
	marketing_mail boolean NOT NULL DEFAULT false,
	cart_reminder  boolean NOT NULL DEFAULT false,
	updated_at     timestamptz NOT NULL DEFAULT now()
);

-- Who owns a vendor, as catalog's events tell.
CREATE TABLE notify.vendor (
	id            text COLLATE "C" PRIMARY KEY,
	owner_user_id text COLLATE "C",
	name          text,
	status        text
);

-- dedupe_key is the left part of the Message-ID: one mail for it, whatever happens twice. next_at is when it is due, or,
-- while sending, when the sender's lease ends.
CREATE TABLE notify.message (
	id         text COLLATE "C" PRIMARY KEY,
	dedupe_key text COLLATE "C" NOT NULL UNIQUE,
	kind       text NOT NULL,
	user_id    text COLLATE "C",
	order_id   text COLLATE "C",
	ref_id     text COLLATE "C" NOT NULL, -- what it is about: order, vendor order, link, vendor, event …
	detail     text,                      -- a word or a vendor's name
	amount     text,                      -- of a refund, as shown
	lang       text,                      -- of the event; the person's own language wins
	state      text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'suppressed')),
	attempts   integer NOT NULL DEFAULT 0,
	next_at    timestamptz NOT NULL DEFAULT now(),
	lease      text NOT NULL DEFAULT '',
	reason     text,                      -- of the last failure: a slug or an SMTP outcome, nothing personal
	created_at timestamptz NOT NULL DEFAULT now(),
	ended_at   timestamptz,
	CONSTRAINT message_ended CHECK ((state IN ('sent', 'failed', 'suppressed')) = (ended_at IS NOT NULL))
);
CREATE INDEX message_due ON notify.message (next_at) WHERE state IN ('queued', 'sending');
CREATE INDEX message_user ON notify.message (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX message_order ON notify.message (order_id, id) WHERE order_id IS NOT NULL;
CREATE INDEX message_ended_at ON notify.message (ended_at) WHERE ended_at IS NOT NULL;

-- One row an attempt, append-only.
CREATE TABLE notify.delivery (
	message_id text COLLATE "C" NOT NULL REFERENCES notify.message (id) ON DELETE CASCADE,
	attempt    integer NOT NULL,
	outcome    text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'rejected', 'unknown', 'not_tried')),
	smtp_code  integer,
	detail     text,
	took_ms    bigint NOT NULL,
	tried_at   timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (message_id, attempt)
);
REVOKE UPDATE ON notify.delivery FROM souk_notify;

SELECT notify.audit_attach('template');
SELECT notify.audit_attach('preference');
INSERT INTO notify.audit_exempt (table_name, reason) VALUES
	('vendor', 'a copy of catalog''s'),
	('message', 'a queue; its history is in delivery'),
	('delivery', 'is a log');
