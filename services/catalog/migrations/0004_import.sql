-- Bulk import: what came in, what it was read as, what was wrong with it.
CREATE TABLE catalog.import (
	id                 text COLLATE "C" PRIMARY KEY,
	vendor_id          text COLLATE "C" NOT NULL REFERENCES catalog.vendor (id),
	name               text,
	format             text NOT NULL CHECK (format IN ('csv', 'jsonl')),
	policy             text NOT NULL CHECK (policy IN ('reject_all', 'reject_bad_rows')),
	publish            boolean NOT NULL,
	currency           text NOT NULL,
	category_attribute text,
	state              text NOT NULL DEFAULT 'receiving' CHECK (state IN
		('receiving', 'validating', 'applying', 'done', 'rejected', 'failed', 'cancelled')),
	bytes              bigint NOT NULL DEFAULT 0,
	chunks             bigint NOT NULL DEFAULT 0, -- the sequence number expected next
	parsed_chunks      bigint NOT NULL DEFAULT 0,
	parsed_bytes       bigint NOT NULL DEFAULT 0,
	carry              bytea,                     -- the unfinished row at the end of the last parsed chunk
	header             text,                      -- csv: the first row
	rows_read          bigint NOT NULL DEFAULT 0,
	rows_bad           bigint NOT NULL DEFAULT 0,
	rows_applied       bigint NOT NULL DEFAULT 0,
	created            bigint NOT NULL DEFAULT 0,
	updated            bigint NOT NULL DEFAULT 0,
	unchanged          bigint NOT NULL DEFAULT 0,
	message            text,
	created_at         timestamptz NOT NULL DEFAULT now(),
	touched_at         timestamptz NOT NULL DEFAULT now(),
	finished_at        timestamptz
);
CREATE INDEX import_vendor ON catalog.import (vendor_id, id DESC);
CREATE INDEX import_open ON catalog.import (id) WHERE state IN ('receiving', 'validating', 'applying');

CREATE TABLE catalog.import_chunk (
	import_id text COLLATE "C" NOT NULL REFERENCES catalog.import (id) ON DELETE CASCADE,
	seq       bigint NOT NULL,
	data      bytea NOT NULL,
	PRIMARY KEY (import_id, seq)
);
CREATE TABLE catalog.import_row (
	import_id text COLLATE "C" NOT NULL REFERENCES catalog.import (id) ON DELETE CASCADE,
	row       bigint NOT NULL,
	key       text NOT NULL,  -- of the product; rows with the same key are variants of one
	doc       jsonb NOT NULL,
	bad       boolean NOT NULL DEFAULT false,
	PRIMARY KEY (import_id, row),
	UNIQUE (import_id, key)
);
CREATE TABLE catalog.import_error (
	import_id text COLLATE "C" NOT NULL REFERENCES catalog.import (id) ON DELETE CASCADE,
	n         bigint GENERATED ALWAYS AS IDENTITY,
	row       bigint NOT NULL,
	field     text NOT NULL,
	message   text NOT NULL,
	value     text,
	PRIMARY KEY (import_id, n)
);
INSERT INTO catalog.audit_exempt (table_name, reason) VALUES
	('import', 'a journal of its own; the products it changes are audited'),
	('import_chunk', 'raw input, dropped when the import ends'),
	('import_row', 'staging, dropped when the import ends'),
	('import_error', 'the import''s report');
