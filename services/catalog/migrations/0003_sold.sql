-- Units sold a day, for "best selling": the sum of the last 30 days is copied to product.sold_30d.
CREATE TABLE catalog.sold_day (
	product_id text COLLATE "C" NOT NULL REFERENCES catalog.product (id) ON DELETE CASCADE,
	day        date NOT NULL DEFAULT current_date,
	qty        integer NOT NULL,
	PRIMARY KEY (product_id, day)
);
CREATE INDEX sold_day_old ON catalog.sold_day (day);
INSERT INTO catalog.audit_exempt (table_name, reason) VALUES ('sold_day', 'a count of orders, which checkout audits');
