-- What ranking reads instead of the tsvector, which then is read by nobody but its index: out of the row with it and with
-- all else that is long, so that a page has ten rows and not three.
ALTER TABLE search.doc
	ADD COLUMN card text COLLATE "C" NOT NULL DEFAULT '', -- made by the daemon; empty: the row is from before cards
	ADD COLUMN tier smallint NOT NULL DEFAULT 2 CHECK (tier BETWEEN 0 AND 2);
ALTER TABLE search.doc_0 ALTER COLUMN card SET STORAGE MAIN;
ALTER TABLE search.doc_1 ALTER COLUMN card SET STORAGE MAIN;
ALTER TABLE search.doc_0 SET (toast_tuple_target = 700);
ALTER TABLE search.doc_1 SET (toast_tuple_target = 700);

-- A word that stands in half of a million products: its first thousand are sought where there are few but good ones.
CREATE INDEX doc_tsv_top ON search.doc USING gin (tsv) WITH (fastupdate = off) WHERE tier = 0;
CREATE INDEX doc_tsv_good ON search.doc USING gin (tsv) WITH (fastupdate = off) WHERE tier <= 1;
ALTER TABLE search.total
	ADD COLUMN sold_top integer, -- more than this, and a product is among the first sixty-fourth
	ADD COLUMN sold_good integer; -- or eighth

-- Made anew beside what is searched meanwhile.
UPDATE search.state SET build = 'wanted', build_done = 0, build_total = 0, started_at = now() WHERE filled;
