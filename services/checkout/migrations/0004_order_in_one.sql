-- Orders are numbered by a sequence per year, so that two orders never wait for each other's commit; a number may be skipped.
DO $$
BEGIN
	FOR y IN 2020 .. 2120 LOOP
		EXECUTE format('CREATE SEQUENCE checkout.order_number_%s', y);
		EXECUTE format('SELECT setval(%L, last) FROM checkout.order_number WHERE year = %s', 'checkout.order_number_' || y, y);
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION checkout.next_order_number() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_year text := to_char(now() AT TIME ZONE 'UTC', 'YYYY');
BEGIN
	RETURN v_year || '-' || lpad(nextval(('checkout.order_number_' || v_year)::regclass)::text, 7, '0');
END $$;
