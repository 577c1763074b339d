-- What suggestions are made from: the products that sell first, and how many people asked the same.
CREATE INDEX doc_best ON search.doc (slot, lang, sold_30d DESC, rating_count DESC, product_id DESC);

-- Of people only a count: who they were is told apart in the daemon's memory, by a key that it forgets with the day.
ALTER TABLE search.query_day ADD COLUMN people bigint NOT NULL DEFAULT 0;
