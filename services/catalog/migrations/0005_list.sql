-- The public list, one function per sort. They are planned for each call's own filters: a plan that must serve every combination
-- of optional filters expects one row and is quadratic in a large shop.
DO $do$
DECLARE
	v_sort record;
BEGIN
	FOR v_sort IN SELECT * FROM (VALUES
		-- name, the sort's number in the cursor, what is sorted by, how the cursor's number is compared with it, direction
		('newest', '(extract(epoch FROM p.published_at) * 1000000)::bigint', 'p.published_at',
			$$'epoch'::timestamptz + p_key * interval '1 microsecond'$$, '<', 'DESC'),
		('price', 'coalesce(pp.minor, 9223372036854775807)', 'coalesce(pp.minor, 9223372036854775807)', 'p_key', '>', 'ASC'),
		('price_down', 'coalesce(pp.minor, -1)', 'coalesce(pp.minor, -1)', 'p_key', '<', 'DESC'),
		('rating', 'CASE WHEN p.rating_count > 0 THEN p.rating_sum * 1000 / p.rating_count ELSE 0 END::bigint',
			'CASE WHEN p.rating_count > 0 THEN p.rating_sum * 1000 / p.rating_count ELSE 0 END::bigint', 'p_key', '<', 'DESC'),
		('best', 'p.sold_30d::bigint', 'p.sold_30d', 'p_key::integer', '<', 'DESC'))
		AS s (name, key, sorted, bound, cmp, dir)
	LOOP
		EXECUTE format($fn$
CREATE FUNCTION catalog.list_%1$s(p_currency text, p_category text, p_vendor text, p_brand text, p_min bigint, p_max bigint,
	p_in_stock boolean, p_rating integer, p_names text[], p_values text[], p_key bigint, p_id text, p_limit integer)
RETURNS TABLE (id text, slug text, title text, brand text, vendor_id text, vendor_name text, availability text, image_key text,
	status text, has_price boolean, has_compare boolean, minor bigint, compare_at_minor bigint, published_at bigint,
	version bigint, key bigint, rating_x100 integer, rating_count integer)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $body$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT p.id, p.slug, p.title, p.brand, p.vendor_id, v.name, p.availability,
	       (SELECT m.key FROM catalog.media m WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1), p.status,
	       pp.minor IS NOT NULL, pp.compare_at_minor IS NOT NULL, coalesce(pp.minor, 0), coalesce(pp.compare_at_minor, 0),
	       coalesce((extract(epoch FROM p.published_at) * 1000)::bigint, 0), p.version, %2$s,
	       CASE WHEN p.rating_count > 0 THEN (p.rating_sum * 100 / p.rating_count)::integer ELSE 0 END, p.rating_count
	  FROM catalog.product p
	  JOIN catalog.vendor v ON v.id = p.vendor_id AND v.status = 'approved'
	  LEFT JOIN catalog.product_price pp ON pp.product_id = p.id AND pp.currency = p_currency
	 WHERE p.status = 'published'
	   AND (p_category IS NULL OR EXISTS (SELECT 1 FROM catalog.product_category pc JOIN catalog.category c
	        ON c.id = pc.category_id WHERE pc.product_id = p.id AND p_category = ANY (c.path)))
	   AND (p_vendor IS NULL OR p.vendor_id = p_vendor) AND (p_brand IS NULL OR p.brand = p_brand)
	   AND (p_min IS NULL OR pp.minor >= p_min) AND (p_max IS NULL OR pp.minor <= p_max)
	   AND (NOT p_in_stock OR p.availability <> 'out')
	   AND (p_rating = 0 OR (p.rating_count > 0 AND p.rating_sum >= p_rating * p.rating_count))
	   AND (p_names = '{}' OR NOT EXISTS (SELECT 1 FROM unnest(p_names, p_values) AS f (n, x)
	        WHERE p.attributes ->> f.n IS DISTINCT FROM f.x))
	   AND (p_key IS NULL OR (%3$s, p.id) %5$s (%4$s, p_id))
	 ORDER BY %3$s %6$s, p.id %6$s LIMIT p_limit;
END $body$ $fn$, v_sort.name, v_sort.key, v_sort.sorted, v_sort.bound, v_sort.cmp, v_sort.dir);
	END LOOP;
END $do$;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA catalog TO souk_catalog;
