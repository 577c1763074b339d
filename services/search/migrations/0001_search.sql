-- The searchable copy of the catalogue. Two slots: one is searched, the other is empty or being rebuilt.
CREATE TABLE search.doc (
	slot         integer NOT NULL CHECK (slot IN (0, 1)),
	lang         text COLLATE "C" NOT NULL,
	product_id   text COLLATE "C" NOT NULL,
	tsv          tsvector NOT NULL, -- made by the daemon: its own words and stems; A title, B names and codes, C text, D attributes
	len_a        integer NOT NULL,
	len_b        integer NOT NULL,
	len_c        integer NOT NULL,
	len_d        integer NOT NULL,
	words        text[] COLLATE "C" NOT NULL, -- distinct words as written, each with its stem: "words word"
	title        text NOT NULL,
	description  text NOT NULL,     -- its beginning, to show matches in
	slug         text NOT NULL,
	brand        text,
	vendor_id    text COLLATE "C" NOT NULL,
	vendor_name  text NOT NULL,
	image_key    text,
	availability text NOT NULL,
	categories   text[] COLLATE "C" NOT NULL, -- ids, ancestors too
	attrs        text[] COLLATE "C" NOT NULL, -- "name:value", in small letters
	prices       jsonb NOT NULL,    -- minor units by currency
	compare_at   jsonb NOT NULL,
	rating_x100  integer NOT NULL,
	rating_count integer NOT NULL,
	sold_30d     integer NOT NULL,
	published_at bigint NOT NULL,   -- epoch ms
	version      bigint NOT NULL,
	PRIMARY KEY (slot, lang, product_id)
) PARTITION BY LIST (slot);
CREATE TABLE search.doc_0 PARTITION OF search.doc FOR VALUES IN (0) WITH (toast_tuple_target = 8160);
CREATE TABLE search.doc_1 PARTITION OF search.doc FOR VALUES IN (1) WITH (toast_tuple_target = 8160);
CREATE INDEX doc_vendor ON search.doc (vendor_id);
CREATE INDEX doc_tsv ON search.doc USING gin (tsv) WITH (fastupdate = off);

-- How many products have a word; what correction, suggestions and rarity know.
CREATE TABLE search.word (
	slot   integer NOT NULL,
	lang   text COLLATE "C" NOT NULL,
	word   text COLLATE "C" NOT NULL,
	lexeme text COLLATE "C" NOT NULL,
	df     bigint NOT NULL,
	seq    bigint NOT NULL, -- of the change of the index that counted it last
	PRIMARY KEY (slot, lang, word)
) PARTITION BY LIST (slot);
CREATE TABLE search.word_0 PARTITION OF search.word FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE search.word_1 PARTITION OF search.word FOR VALUES IN (1) WITH (fillfactor = 70);
CREATE INDEX word_seq ON search.word (slot, lang, seq, word);

-- One row: which slot is searched, and the rebuild under way.
CREATE TABLE search.state (
	one          boolean PRIMARY KEY DEFAULT true CHECK (one),
	slot         integer NOT NULL DEFAULT 0,
	seq          bigint NOT NULL DEFAULT 0,   -- goes up with each change of the index
	filled       boolean NOT NULL DEFAULT false, -- a rebuild has ended once
	build        text NOT NULL DEFAULT 'wanted' CHECK (build IN ('idle', 'wanted', 'running')),
	build_after  text COLLATE "C" NOT NULL DEFAULT '',
	build_done   bigint NOT NULL DEFAULT 0,
	build_total  bigint NOT NULL DEFAULT 0,
	started_at   timestamptz,
	finished_at  timestamptz
);
INSERT INTO search.state DEFAULT VALUES;

-- Sums for the mean lengths of fields, by slot and language.
CREATE TABLE search.total (
	slot  integer NOT NULL,
	lang  text COLLATE "C" NOT NULL,
	docs  bigint NOT NULL,
	len_a bigint NOT NULL,
	len_b bigint NOT NULL,
	len_c bigint NOT NULL,
	len_d bigint NOT NULL,
	PRIMARY KEY (slot, lang)
);

CREATE TABLE search.category (
	id   text COLLATE "C" PRIMARY KEY,
	slug text NOT NULL,
	name text NOT NULL
);
CREATE INDEX category_slug ON search.category (slug);
CREATE TABLE search.vendor (
	id   text COLLATE "C" PRIMARY KEY,
	slug text NOT NULL,
	name text NOT NULL
);
CREATE INDEX vendor_slug ON search.vendor (slug);

-- Products to be fetched again, because an event said so.
CREATE TABLE search.dirty (
	product_id text COLLATE "C" PRIMARY KEY,
	n          bigint NOT NULL DEFAULT 1, -- times it was said; fetched only counts when it is the same afterwards
	due_at     timestamptz NOT NULL DEFAULT now(),
	tries      integer NOT NULL DEFAULT 0
);
CREATE INDEX dirty_due ON search.dirty (due_at);

CREATE TABLE search.synonym (
	id         text COLLATE "C" PRIMARY KEY,
	lang       text NOT NULL,
	one_way    boolean NOT NULL, -- the first of words also means the others
	words      text[] NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE search.rule (
	id            text COLLATE "C" PRIMARY KEY,
	query         text NOT NULL, -- normalised
	action        text NOT NULL CHECK (action IN ('pin', 'hide', 'boost')),
	product_id    text COLLATE "C" NOT NULL,
	position      integer NOT NULL DEFAULT 0,
	boost_percent integer NOT NULL DEFAULT 0,
	starts_at     timestamptz,
	ends_at       timestamptz,
	created_at    timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT rule_once UNIQUE (query, action, product_id)
);

-- What is asked for, by day; nothing of who asked.
CREATE TABLE search.query_day (
	day      date NOT NULL DEFAULT current_date,
	lang     text COLLATE "C" NOT NULL,
	query    text COLLATE "C" NOT NULL,
	searches bigint NOT NULL,
	empty    bigint NOT NULL,
	clicks   bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (day, lang, query)
);

SELECT search.audit_attach('synonym');
SELECT search.audit_attach('rule');
INSERT INTO search.audit_exempt (table_name, reason)
SELECT t, 'derived from the catalogue' FROM unnest(ARRAY['doc', 'doc_0', 'doc_1', 'word',
	'word_0', 'word_1', 'total', 'category', 'vendor', 'state',
	'dirty']) t
UNION ALL VALUES ('query_day', 'a count of searches');

-- Empties the slot that is not searched. Owner's right: the daemon itself may not truncate.
CREATE FUNCTION search.clear_slot() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
	IF (SELECT s.slot FROM search.state s) = 0 THEN
		TRUNCATE search.doc_1, search.word_1;
		DELETE FROM search.total t WHERE t.slot = 1;
	ELSE
		TRUNCATE search.doc_0, search.word_0;
		DELETE FROM search.total t WHERE t.slot = 0;
	END IF;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA search TO souk_search;
