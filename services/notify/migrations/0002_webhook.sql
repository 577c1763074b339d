-- Webhooks that go out to others: who wants to hear what, and every delivery.

CREATE TABLE notify.webhook (
	id              text COLLATE "C" PRIMARY KEY,
	url             text NOT NULL,
	events          text NOT NULL,   -- words separated by blanks: order.placed vendor.* *
	description     text,
	secret          bytea NOT NULL,  -- sealed
	active          boolean NOT NULL DEFAULT true,
	disabled_reason text,
	created_at      timestamptz NOT NULL DEFAULT now(),
	updated_at      timestamptz NOT NULL DEFAULT now(),
	version         bigint NOT NULL DEFAULT 1
);

CREATE TABLE notify.webhook_delivery (
	id          text COLLATE "C" PRIMARY KEY,
	webhook_id  text COLLATE "C" NOT NULL REFERENCES notify.webhook (id) ON DELETE CASCADE,
	event_id    text COLLATE "C" NOT NULL,
	type        text NOT NULL,
	payload     text NOT NULL,       -- the very bytes that are signed
	state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
	attempts    integer NOT NULL DEFAULT 0,
	http_status integer,
	detail      text,
	next_at     timestamptz NOT NULL DEFAULT now(),
	lease       text NOT NULL DEFAULT '',
	created_at  timestamptz NOT NULL DEFAULT now(),
	ended_at    timestamptz,
	UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_delivery_due ON notify.webhook_delivery (next_at) WHERE state IN ('queued', 'sending');
CREATE INDEX webhook_delivery_page ON notify.webhook_delivery (webhook_id, id);
CREATE INDEX webhook_delivery_ended ON notify.webhook_delivery (ended_at) WHERE ended_at IS NOT NULL;

SELECT notify.audit_attach('webhook', 'secret');
INSERT INTO notify.audit_exempt (table_name, reason) VALUES ('webhook_delivery', 'a queue and its own log');
