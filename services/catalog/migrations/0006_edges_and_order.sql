-- A currency in which a product has only a sale to come has no price yet, but an edge to be noticed.
ALTER TABLE catalog.product_price ALTER COLUMN minor DROP NOT NULL;

CREATE OR REPLACE FUNCTION catalog.refresh_price(p_product text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM catalog.product_price pp WHERE pp.product_id = p_product AND NOT EXISTS (
		SELECT 1 FROM catalog.variant v JOIN catalog.price p ON p.variant_id = v.id
		 WHERE v.product_id = p_product AND v.active AND p.currency = pp.currency
		   AND (p.starts_at IS NULL OR now() < p.ends_at));
	INSERT INTO catalog.product_price (product_id, currency, minor, compare_at_minor, next_edge)
	SELECT DISTINCT ON (c.currency) p_product, c.currency, n.minor, n.compare_at_minor,
	       (SELECT min(e) FROM catalog.variant v2 JOIN catalog.price p2 ON p2.variant_id = v2.id,
	               unnest(ARRAY[p2.starts_at, p2.ends_at]) AS e
	         WHERE v2.product_id = p_product AND p2.currency = c.currency AND e > now())
	  FROM catalog.variant v
	  JOIN LATERAL (SELECT DISTINCT p.currency FROM catalog.price p WHERE p.variant_id = v.id
	                   AND (p.starts_at IS NULL OR now() < p.ends_at)) c ON true
	  LEFT JOIN LATERAL catalog.price_now(v.id, c.currency) n ON true
	 WHERE v.product_id = p_product AND v.active
	 ORDER BY c.currency, n.minor NULLS LAST
	ON CONFLICT (product_id, currency) DO UPDATE
	   SET minor = excluded.minor, compare_at_minor = excluded.compare_at_minor, next_edge = excluded.next_edge;
END $$;

-- Sales that were waited for in vain.
SELECT catalog.refresh_price(w.product_id) FROM (SELECT DISTINCT v.product_id FROM catalog.price p
	JOIN catalog.variant v ON v.id = p.variant_id WHERE p.ends_at > now()) w;

-- By rating: the same expression as in the function.
CREATE INDEX product_rating ON catalog.product
	((CASE WHEN rating_count > 0 THEN rating_sum * 1000 / rating_count ELSE 0 END), id) WHERE status = 'published';

-- The public list anew. Every sort follows an index; by price that takes a query for products with a price in the currency and
-- one for those without, because an outer join is sorted whole. Categories are resolved first, so that the planner knows how
-- few products a small one holds and begins with them.
DO $do$
DECLARE
	v_sort record;
	v_head constant text := $x$(p_currency text, p_category text, p_vendor text, p_brand text, p_min bigint, p_max bigint,
	p_in_stock boolean, p_rating integer, p_names text[], p_values text[], p_key bigint, p_id text, p_limit integer)
RETURNS TABLE (id text, slug text, title text, brand text, vendor_id text, vendor_name text, availability text, image_key text,
	status text, has_price boolean, has_compare boolean, minor bigint, compare_at_minor bigint, published_at bigint,
	version bigint, key bigint, rating_x100 integer, rating_count integer)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $body$
#variable_conflict use_column
DECLARE
	v_given integer := 0;
	v_cats text[] := (SELECT array_agg(c.id) FROM catalog.category c WHERE p_category = ANY (c.path));
BEGIN
	RETURN QUERY
$x$;
	v_columns constant text := $x$	SELECT p.id, p.slug, p.title, p.brand, p.vendor_id, v.name, p.availability,
	       (SELECT m.key FROM catalog.media m WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1), p.status,
	       %s, coalesce((extract(epoch FROM p.published_at) * 1000)::bigint, 0), p.version, %s,
	       CASE WHEN p.rating_count > 0 THEN (p.rating_sum * 100 / p.rating_count)::integer ELSE 0 END, p.rating_count
$x$;
	v_price constant text := 'pp.minor IS NOT NULL, pp.compare_at_minor IS NOT NULL, coalesce(pp.minor, 0), coalesce(pp.compare_at_minor, 0)';
	v_filter constant text := $x$	   AND (p_category IS NULL OR p.id IN (SELECT pc.product_id FROM catalog.product_category pc
	        WHERE pc.category_id = ANY (v_cats)))
	   AND (p_vendor IS NULL OR p.vendor_id = p_vendor) AND (p_brand IS NULL OR p.brand = p_brand)
	   AND (NOT p_in_stock OR p.availability <> 'out')
	   AND (p_rating = 0 OR (p.rating_count > 0 AND p.rating_sum >= p_rating * p.rating_count))
	   AND (p_names = '{}' OR NOT EXISTS (SELECT 1 FROM unnest(p_names, p_values) AS f (n, x)
	        WHERE p.attributes ->> f.n IS DISTINCT FROM f.x))
$x$;
	v_range constant text := $x$	   AND (p_min IS NULL OR pp.minor >= p_min) AND (p_max IS NULL OR pp.minor <= p_max)
$x$;
	v_rating constant text := 'CASE WHEN p.rating_count > 0 THEN p.rating_sum * 1000 / p.rating_count ELSE 0 END';
BEGIN
	FOR v_sort IN SELECT * FROM (VALUES
		-- name, the sort's number in the cursor, what is sorted by, what it is compared with
		('newest', '(extract(epoch FROM p.published_at) * 1000000)::bigint', 'p.published_at',
			$$'epoch'::timestamptz + p_key * interval '1 microsecond'$$),
		('rating', v_rating, v_rating, 'p_key'),
		('best', 'p.sold_30d::bigint', 'p.sold_30d', 'p_key::integer'))
		AS s (name, key, sorted, bound)
	LOOP
		EXECUTE 'CREATE OR REPLACE FUNCTION catalog.list_' || v_sort.name || v_head || format(v_columns, v_price, v_sort.key)
			|| format($x$	  FROM catalog.product p
	  JOIN catalog.vendor v ON v.id = p.vendor_id AND v.status = 'approved'
	  LEFT JOIN catalog.product_price pp ON pp.product_id = p.id AND pp.currency = p_currency
	 WHERE p.status = 'published'
%3$s%4$s	   AND (p_key IS NULL OR (%1$s, p.id) < (%2$s, p_id))
	 ORDER BY %1$s DESC, p.id DESC LIMIT p_limit;
END $body$ $x$, v_sort.sorted, v_sort.bound, v_filter, v_range);
	END LOOP;
	FOR v_sort IN SELECT * FROM (VALUES
		-- name, the key of products without a price, how the cursor is compared, direction
		('price', '9223372036854775807', '>', 'ASC'),
		('price_down', '-1', '<', 'DESC'))
		AS s (name, none, cmp, dir)
	LOOP
		EXECUTE 'CREATE OR REPLACE FUNCTION catalog.list_' || v_sort.name || v_head || format(v_columns, v_price, 'pp.minor')
			|| format($x$	  FROM catalog.product_price pp
	  JOIN catalog.product p ON p.id = pp.product_id AND p.status = 'published'
	  JOIN catalog.vendor v ON v.id = p.vendor_id AND v.status = 'approved'
	 WHERE pp.currency = p_currency AND pp.minor IS NOT NULL
%3$s%4$s	   AND (p_key IS NULL OR (pp.minor, pp.product_id) %1$s (p_key, p_id))
	 ORDER BY pp.minor %2$s, pp.product_id %2$s LIMIT p_limit;
	GET DIAGNOSTICS v_given = ROW_COUNT;
	IF v_given >= p_limit OR p_min IS NOT NULL OR p_max IS NOT NULL THEN
		RETURN;
	END IF;
	RETURN QUERY
$x$, v_sort.cmp, v_sort.dir, v_filter, v_range)
			|| format(v_columns, 'false, false, 0::bigint, 0::bigint', v_sort.none || '::bigint')
			|| format($x$	  FROM catalog.product p
	  JOIN catalog.vendor v ON v.id = p.vendor_id AND v.status = 'approved'
	 WHERE p.status = 'published'
	   AND NOT EXISTS (SELECT 1 FROM catalog.product_price pp WHERE pp.product_id = p.id AND pp.currency = p_currency
	                      AND pp.minor IS NOT NULL)
%4$s	   AND (p_key IS NULL OR p_key <> %1$s OR p.id %2$s p_id)
	 ORDER BY p.id %3$s LIMIT p_limit - v_given;
END $body$ $x$, v_sort.none, v_sort.cmp, v_sort.dir, v_filter);
	END LOOP;
END $do$;
