#include "services/catalog/catalog_db_product.h"

#include <string.h>

#define CARD_COLUMNS                                                                               \
	"p.id, p.slug, p.title, p.brand, p.vendor_id, v.name AS vendor_name, p.availability,"      \
	" (SELECT m.key FROM catalog.media m WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1) AS image_key," \
	" p.status, pp.minor IS NOT NULL AS has_price, pp.compare_at_minor IS NOT NULL AS has_compare,"     \
	" coalesce(pp.minor, 0) AS minor, coalesce(pp.compare_at_minor, 0) AS compare_at_minor,"            \
	" coalesce((extract(epoch FROM p.published_at) * 1000)::bigint, 0) AS published_at, p.version,"
#define CARD_RATING                                                                                \
	" CASE WHEN p.rating_count > 0 THEN (p.rating_sum * 100 / p.rating_count)::integer ELSE 0 END AS rating_x100," \
	" p.rating_count"
static const struct pg_col card_cols[] = {
	PG_COL(card_row, id),		PG_COL(card_row, slug),		    PG_COL(card_row, title),
	PG_COL(card_row, brand),	PG_COL(card_row, vendor_id),	    PG_COL(card_row, vendor_name),
	PG_COL(card_row, availability), PG_COL(card_row, image_key),	    PG_COL(card_row, status),
	PG_COL(card_row, has_price),	PG_COL(card_row, has_compare),	    PG_COL(card_row, minor),
	PG_COL(card_row, compare_at_minor), PG_COL(card_row, published_at), PG_COL(card_row, version),
	PG_COL(card_row, key),		PG_COL(card_row, rating_x100),	    PG_COL(card_row, rating_count),
};
#define CARD_ROW .col = card_cols, .ncol = 18, .row_size = sizeof(struct card_row)

/* The public list, one function per sort (0005_list.sql): key is the sort's number, ties go by id in the same direction. */
#define LIST(sort)                                                                                 \
	{                                                                                          \
		.name = "list_" sort,                                                              \
		.sql = "SELECT id, slug, title, brand, vendor_id, vendor_name, availability, image_key, status, has_price," \
		       " has_compare, minor, compare_at_minor, published_at, version, key, rating_x100, rating_count" \
		       " FROM catalog.list_" sort "($1, $2, $3, $4, $5::bigint, $6::bigint, $7::boolean, $8::integer," \
		       " $9::text[], $10::text[], $11::bigint, $12, $13::integer)",                \
		CARD_ROW,                                                                          \
	}
static const struct pg_stmt list_newest = LIST("newest");
static const struct pg_stmt list_price = LIST("price");
static const struct pg_stmt list_price_down = LIST("price_down");
static const struct pg_stmt list_rating = LIST("rating");
static const struct pg_stmt list_best = LIST("best");

enum err_code catalog_db_list(struct pg *pg, struct arena *a, const struct list_filter *f, struct card_row **rows_r,
			      size_t *n_r, struct err *e)
{
	static const struct pg_stmt *const by_sort[] = { &list_newest, &list_price, &list_price_down, &list_rating,
							 &list_best };

	return pg_rows(pg, by_sort[f->sort],
		       PG_ARGS(P(f->currency), P(f->category_id), P(f->vendor_id), P(f->brand),
			       f->has_price_min ? P(f->price_min) : PG_NULL, f->has_price_max ? P(f->price_max) : PG_NULL,
			       P(f->in_stock), P(f->rating_min), pg_p_text_array(a, f->attr_names, f->n_attrs),
			       pg_p_text_array(a, f->attr_values, f->n_attrs), f->after ? P(f->key) : PG_NULL, P(f->id),
			       P(f->limit)),
		       a, rows_r, n_r, e);
}

static const struct pg_stmt own_list = {
	.name = "own_list",
	.sql = "SELECT " CARD_COLUMNS " 0::bigint AS key," CARD_RATING " FROM catalog.product p"
	       " JOIN catalog.vendor v ON v.id = p.vendor_id"
	       " LEFT JOIN catalog.product_price pp ON pp.product_id = p.id AND pp.currency = $4"
	       " WHERE p.vendor_id = $1 AND p.status <> 'deleted' AND ($2::text IS NULL OR p.status = $2)"
	       " AND ($3::text IS NULL OR strpos(lower(p.title), lower($3)) > 0 OR EXISTS (SELECT 1 FROM catalog.variant k"
	       " WHERE k.product_id = p.id AND k.sku = $3)) AND p.id > $5 ORDER BY p.id LIMIT $6::integer",
	CARD_ROW,
};

enum err_code catalog_db_own_list(struct pg *pg, struct arena *a, const char *vendor_id, const char *status, const char *q,
				  const char *currency, const char *after, int32_t limit, struct card_row **rows_r,
				  size_t *n_r, struct err *e)
{
	return pg_rows(pg, &own_list, PG_ARGS(P(vendor_id), P(status), P(q), P(currency), P(after), P(limit)), a, rows_r,
		       n_r, e);
}

static const struct pg_col product_cols[] = {
	PG_COL(product_row, id),	    PG_COL(product_row, slug),	      PG_COL(product_row, title),
	PG_COL(product_row, description),   PG_COL(product_row, brand),	      PG_COL(product_row, status),
	PG_COL(product_row, tax_class),	    PG_COL(product_row, attributes),  PG_COL(product_row, availability),
	PG_COL(product_row, vendor_id),	    PG_COL(product_row, vendor_name), PG_COL(product_row, vendor_slug),
	PG_COL(product_row, vendor_status), PG_COL(product_row, rating_sum),  PG_COL(product_row, created_at),
	PG_COL(product_row, updated_at),    PG_COL(product_row, published_at), PG_COL(product_row, version),
	PG_COL(product_row, rating_count),  PG_COL(product_row, edge_s),
};
#define PRODUCT_COLUMNS                                                                                    \
	"p.id, p.slug, p.title, p.description, p.brand, p.status, p.tax_class, p.attributes, p.availability,"   \
	" p.vendor_id, v.name AS vendor_name, v.slug AS vendor_slug, v.status AS vendor_status, p.rating_sum," \
	" (extract(epoch FROM p.created_at) * 1000)::bigint AS created_at,"                               \
	" (extract(epoch FROM p.updated_at) * 1000)::bigint AS updated_at,"                               \
	" coalesce((extract(epoch FROM p.published_at) * 1000)::bigint, 0) AS published_at, p.version, p.rating_count," \
	" coalesce((SELECT greatest(extract(epoch FROM pp.next_edge - now()), 0)::integer FROM catalog.product_price pp" \
	" WHERE pp.product_id = p.id AND pp.currency = $2 AND pp.next_edge IS NOT NULL"                    \
	" AND pp.next_edge < now() + interval '1 day'), -1) AS edge_s"
#define PRODUCT_ROW .col = product_cols, .ncol = 20, .row_size = sizeof(struct product_row)

static const struct pg_stmt product_by_id = {
	.name = "product_by_id",
	.sql = "SELECT " PRODUCT_COLUMNS " FROM catalog.product p JOIN catalog.vendor v ON v.id = p.vendor_id"
	       " WHERE p.id = $1 AND p.status <> 'deleted' AND ($3::text IS NULL OR p.vendor_id = $3)",
	PRODUCT_ROW,
};
static const struct pg_stmt product_by_slug = {
	.name = "product_by_slug",
	.sql = "SELECT " PRODUCT_COLUMNS " FROM catalog.product p JOIN catalog.vendor v ON v.id = p.vendor_id"
	       " WHERE p.slug = $1 AND p.status <> 'deleted' AND ($3::text IS NULL OR p.vendor_id = $3)",
	PRODUCT_ROW,
};

static bool is_id(const char *id_or_slug)
{
	return strncmp(id_or_slug, "prd_", 4) == 0;
}

enum err_code catalog_db_product(struct pg *pg, struct arena *a, const char *id_or_slug, const char *vendor_id,
				 const char *currency, struct product_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, is_id(id_or_slug) ? &product_by_id : &product_by_slug,
		      PG_ARGS(P(id_or_slug), P(currency), P(vendor_id)), a, row_r, found_r, e);
}

static const struct pg_col variant_cols[] = {
	PG_COL(variant_row, id),	   PG_COL(variant_row, product_id),  PG_COL(variant_row, sku),
	PG_COL(variant_row, title),	   PG_COL(variant_row, options),     PG_COL(variant_row, ean),
	PG_COL(variant_row, availability), PG_COL(variant_row, weight_g),    PG_COL(variant_row, position),
	PG_COL(variant_row, active),	   PG_COL(variant_row, has_price),   PG_COL(variant_row, has_compare),
	PG_COL(variant_row, minor),	   PG_COL(variant_row, compare_at_minor), PG_COL(variant_row, version),
};
static const struct pg_stmt variants = {
	.name = "variants",
	.sql = "SELECT k.id, k.product_id, k.sku, k.title, k.options, k.ean, k.availability,"
	       " coalesce(k.weight_g, -1) AS weight_g, k.position, k.active, n.minor IS NOT NULL AS has_price,"
	       " n.compare_at_minor IS NOT NULL AS has_compare, coalesce(n.minor, 0) AS minor,"
	       " coalesce(n.compare_at_minor, 0) AS compare_at_minor, k.version FROM catalog.variant k"
	       " LEFT JOIN LATERAL catalog.price_now(k.id, $2) n ON true WHERE k.product_id = $1"
	       " ORDER BY k.position, k.id LIMIT 200",
	.col = variant_cols,
	.ncol = 15,
	.row_size = sizeof(struct variant_row),
};

static const struct pg_col price_cols[] = {
	PG_COL(price_row, id),		    PG_COL(price_row, variant_id), PG_COL(price_row, currency),
	PG_COL(price_row, minor),	    PG_COL(price_row, compare_at_minor), PG_COL(price_row, starts_at),
	PG_COL(price_row, ends_at),
};
static const struct pg_stmt prices = {
	.name = "prices",
	.sql = "SELECT r.id, r.variant_id, r.currency, r.minor, coalesce(r.compare_at_minor, -1) AS compare_at_minor,"
	       " coalesce((extract(epoch FROM r.starts_at) * 1000)::bigint, 0) AS starts_at,"
	       " coalesce((extract(epoch FROM r.ends_at) * 1000)::bigint, 0) AS ends_at"
	       " FROM catalog.price r JOIN catalog.variant k ON k.id = r.variant_id WHERE k.product_id = $1"
	       " ORDER BY r.variant_id, r.currency, r.starts_at NULLS FIRST LIMIT 2000",
	.col = price_cols,
	.ncol = 7,
	.row_size = sizeof(struct price_row),
};

static const struct pg_col media_cols[] = {
	PG_COL(media_row, id),	       PG_COL(media_row, key),	    PG_COL(media_row, alt),
	PG_COL(media_row, variant_id), PG_COL(media_row, position),
};
static const struct pg_stmt media = {
	.name = "media",
	.sql = "SELECT id, key, alt, variant_id, position FROM catalog.media WHERE product_id = $1"
	       " ORDER BY position, id LIMIT 100",
	.col = media_cols,
	.ncol = 5,
	.row_size = sizeof(struct media_row),
};

enum err_code catalog_db_product_whole(struct pg *pg, struct arena *a, const char *id_or_slug, const char *vendor_id,
				       const char *currency, struct product_whole *whole_r, struct err *e)
{
	struct product_whole w = { 0 };
	const char *id = id_or_slug;
	size_t n_products = 0, first = 0;
	bool found = false;

	if (!is_id(id_or_slug)) { /* the parts go by id */
		if (catalog_db_product(pg, a, id_or_slug, vendor_id, currency, &w.product, &found, e))
			return e->code;
		if (!found) {
			*whole_r = (struct product_whole){ 0 };
			return OK;
		}
		id = w.product->id;
		first = 1;
		n_products = 1;
	}
	const struct pg_param key[] = { P(id), P(currency), P(vendor_id) };
	const struct pg_read reads[] = {
		{ &product_by_id, key, 3, &w.product, &n_products },
		{ &variants, key, 2, &w.variants, &w.n_variants },
		{ &catalog_db_categories_stmt, key, 1, &w.categories, &w.n_categories },
		{ &media, key, 1, &w.media, &w.n_media },
		{ &prices, key, 1, &w.prices, &w.n_prices },
	};

	if (pg_reads(pg, reads + first, (vendor_id ? 5 : 4) - first, a, e))
		return e->code;
	*whole_r = w;
	if (n_products == 0)
		whole_r->product = NULL;
	return OK;
}

static const struct pg_col info_cols[] = {
	PG_COL(info_row, variant_id),	 PG_COL(info_row, product_id),	  PG_COL(info_row, vendor_id),
	PG_COL(info_row, vendor_name),	 PG_COL(info_row, sku),		  PG_COL(info_row, product_title),
	PG_COL(info_row, variant_title), PG_COL(info_row, product_slug),  PG_COL(info_row, image_key),
	PG_COL(info_row, tax_class),	 PG_COL(info_row, category_ids),  PG_COL(info_row, has_price),
	PG_COL(info_row, has_compare),	 PG_COL(info_row, sellable),	  PG_COL(info_row, minor),
	PG_COL(info_row, compare_at_minor), PG_COL(info_row, weight_g),	  PG_COL(info_row, commission_bp),
};
static const struct pg_stmt infos = {
	.name = "variant_infos",
	.sql = "SELECT k.id AS variant_id, p.id AS product_id, v.id AS vendor_id, v.name AS vendor_name, k.sku,"
	       " p.title AS product_title, k.title AS variant_title, p.slug AS product_slug,"
	       " (SELECT m.key FROM catalog.media m WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1) AS image_key,"
	       " p.tax_class, coalesce((SELECT string_agg(pc.category_id, ' ' ORDER BY pc.category_id)"
	       " FROM catalog.product_category pc WHERE pc.product_id = p.id), '') AS category_ids,"
	       " n.minor IS NOT NULL AS has_price, n.compare_at_minor IS NOT NULL AS has_compare,"
	       " k.active AND p.status = 'published' AND v.status = 'approved' AND n.minor IS NOT NULL AS sellable,"
	       " coalesce(n.minor, 0) AS minor, coalesce(n.compare_at_minor, 0) AS compare_at_minor,"
	       " coalesce(k.weight_g, 0) AS weight_g, coalesce((SELECT min(c.commission_bp) FROM catalog.product_category pc"
	       " JOIN catalog.category c ON c.id = pc.category_id WHERE pc.product_id = p.id), v.commission_bp)"
	       " AS commission_bp FROM catalog.variant k JOIN catalog.product p ON p.id = k.product_id"
	       " JOIN catalog.vendor v ON v.id = k.vendor_id LEFT JOIN LATERAL catalog.price_now(k.id, $2) n ON true"
	       " WHERE k.id = ANY ($1::text[]) LIMIT 500",
	.col = info_cols,
	.ncol = 18,
	.row_size = sizeof(struct info_row),
};

enum err_code catalog_db_infos(struct pg *pg, struct arena *a, const char *const *variant_ids, size_t n,
			       const char *currency, struct info_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &infos, PG_ARGS(pg_p_text_array(a, variant_ids, n), P(currency)), a, rows_r, n_r, e);
}

const struct pg_stmt *const catalog_db_product_stmts[] = {
	&list_newest, &list_price, &list_price_down, &list_rating, &list_best, &own_list, &product_by_id,
	&product_by_slug, &variants, &prices,	     &media,	   &infos,     NULL,
};
