-- What engine `opensearch` must still be told, and where its index stands; empty while engine `pg` searches.
CREATE TABLE search.feed (
	product_id text COLLATE "C" PRIMARY KEY,
	n          bigint NOT NULL DEFAULT 1, -- times it changed; told only counts when it is the same afterwards
	due_at     timestamptz NOT NULL DEFAULT now(),
	tries      integer NOT NULL DEFAULT 0
);
CREATE INDEX feed_due ON search.feed (due_at, product_id);

CREATE TABLE search.feed_state (
	one         boolean PRIMARY KEY DEFAULT true CHECK (one),
	noted_seq   bigint NOT NULL DEFAULT 0, -- change of the index that was noted last: a gap means that some were not
	index_name  text COLLATE "C" NOT NULL DEFAULT '', -- the one that is searched
	build       text NOT NULL DEFAULT 'wanted' CHECK (build IN ('idle', 'wanted', 'running')),
	build_index text COLLATE "C" NOT NULL DEFAULT '',
	build_after text COLLATE "C" NOT NULL DEFAULT ''
);
INSERT INTO search.feed_state DEFAULT VALUES;
INSERT INTO search.audit_exempt (table_name, reason)
VALUES ('feed', 'derived from the catalogue'), ('feed_state', 'derived from the catalogue');
