-- The price of a variant now: the open sale that began last, else the base price.
CREATE FUNCTION catalog.price_now(p_variant text, p_currency text)
RETURNS TABLE (minor bigint, compare_at_minor bigint)
LANGUAGE sql STABLE ROWS 1 AS $$
	SELECT p.minor, coalesce(p.compare_at_minor,
			CASE WHEN p.starts_at IS NOT NULL THEN (SELECT b.minor FROM catalog.price b
				WHERE b.variant_id = p_variant AND b.currency = p_currency AND b.starts_at IS NULL) END)
	  FROM catalog.price p
	 WHERE p.variant_id = p_variant AND p.currency = p_currency
	   AND (p.starts_at IS NULL OR (p.starts_at <= now() AND now() < p.ends_at))
	 ORDER BY p.starts_at DESC NULLS LAST LIMIT 1
$$;

-- Makes product_price true again for one product.
-- (plpgsql, because its plans are kept; a function in SQL is planned anew at each call.)
CREATE FUNCTION catalog.refresh_price(p_product text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM catalog.product_price pp WHERE pp.product_id = p_product AND NOT EXISTS (
		SELECT 1 FROM catalog.variant v JOIN catalog.price p ON p.variant_id = v.id
		 WHERE v.product_id = p_product AND v.active AND p.currency = pp.currency
		   AND (p.starts_at IS NULL OR (p.starts_at <= now() AND now() < p.ends_at)));
	INSERT INTO catalog.product_price (product_id, currency, minor, compare_at_minor, next_edge)
	SELECT DISTINCT ON (c.currency) p_product, c.currency, n.minor, n.compare_at_minor,
	       (SELECT min(e) FROM catalog.variant v2 JOIN catalog.price p2 ON p2.variant_id = v2.id,
	               unnest(ARRAY[p2.starts_at, p2.ends_at]) AS e
	         WHERE v2.product_id = p_product AND p2.currency = c.currency AND e > now())
	  FROM catalog.variant v
	  JOIN LATERAL (SELECT DISTINCT p.currency FROM catalog.price p WHERE p.variant_id = v.id) c ON true
	  JOIN LATERAL catalog.price_now(v.id, c.currency) n ON true
	 WHERE v.product_id = p_product AND v.active
	 ORDER BY c.currency, n.minor
	ON CONFLICT (product_id, currency) DO UPDATE
	   SET minor = excluded.minor, compare_at_minor = excluded.compare_at_minor, next_edge = excluded.next_edge;
END $$;

-- The product's availability is the best of its active variants.
CREATE FUNCTION catalog.refresh_availability(p_product text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	v_best text;
BEGIN
	SELECT CASE WHEN bool_or(v.availability = 'in') THEN 'in' WHEN bool_or(v.availability = 'low') THEN 'low' ELSE 'out' END
	  INTO v_best FROM catalog.variant v WHERE v.product_id = p_product AND v.active;
	UPDATE catalog.product p SET availability = v_best WHERE p.id = p_product AND p.availability <> v_best;
	RETURN FOUND;
END $$;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA catalog TO souk_catalog;
