-- Who bought what: a review says whether its author did. Guests are nobody here; an erased user's rows go.
CREATE TABLE catalog.bought (
	user_id    text COLLATE "C" NOT NULL,
	product_id text COLLATE "C" NOT NULL,
	PRIMARY KEY (user_id, product_id)
);
INSERT INTO catalog.audit_exempt (table_name, reason) VALUES ('bought', 'follows from orders, which checkout audits');
