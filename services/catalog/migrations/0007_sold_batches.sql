-- A sale is noted here and added to the product every few seconds, many sales at once: updating the product for each would write
-- all its indexes and an audit row a time.
CREATE TABLE catalog.sold_new (
	product_id text COLLATE "C" NOT NULL,
	day        date NOT NULL DEFAULT current_date,
	qty        integer NOT NULL CONSTRAINT sold_new_qty CHECK (qty > 0)
);
INSERT INTO catalog.audit_exempt (table_name, reason) VALUES ('sold_new', 'a count of orders, which checkout audits');
