#include "services/catalog/catalog_db_export.h"

static const struct pg_col export_cols[] = {
	PG_COL(export_row, id),		 PG_COL(export_row, slug),	   PG_COL(export_row, title),
	PG_COL(export_row, description), PG_COL(export_row, brand),	   PG_COL(export_row, vendor_id),
	PG_COL(export_row, vendor_name), PG_COL(export_row, vendor_slug),  PG_COL(export_row, attributes),
	PG_COL(export_row, categories),	 PG_COL(export_row, codes),	   PG_COL(export_row, variant_titles),
	PG_COL(export_row, availability), PG_COL(export_row, prices),	   PG_COL(export_row, image_key),
	PG_COL(export_row, rating_x100), PG_COL(export_row, rating_count), PG_COL(export_row, sold_30d),
	PG_COL(export_row, published_at), PG_COL(export_row, version),	   PG_COL(export_row, visible),
	PG_COL(export_row, variants),
};
#define EXPORT_ROW .col = export_cols, .ncol = 22, .row_size = sizeof(struct export_row)
#define EXPORT_COLUMNS                                                                             \
	"p.id, p.slug, p.title, p.description, p.brand, p.vendor_id, v.name AS vendor_name,"       \
	" v.slug AS vendor_slug, p.attributes,"                                                    \
	" coalesce((SELECT string_agg(DISTINCT o.id || chr(30) || o.slug || chr(30) || o.name, chr(31))" \
	" FROM catalog.product_category pc JOIN catalog.category c ON c.id = pc.category_id"       \
	" JOIN catalog.category o ON o.id = ANY (c.path) WHERE pc.product_id = p.id), '') AS categories," \
	" coalesce((SELECT string_agg(k.sku || coalesce(chr(31) || k.ean, ''), chr(31)) FROM catalog.variant k" \
	" WHERE k.product_id = p.id AND k.active), '') AS codes,"                                  \
	" coalesce((SELECT string_agg(k.title, chr(31)) FROM catalog.variant k"                    \
	" WHERE k.product_id = p.id AND k.active AND k.title <> p.title), '') AS variant_titles, p.availability," \
	" coalesce((SELECT string_agg(pp.currency || chr(30) || pp.minor || chr(30) || coalesce(pp.compare_at_minor, -1)," \
	" chr(31)) FROM catalog.product_price pp WHERE pp.product_id = p.id), '') AS prices,"      \
	" (SELECT m.key FROM catalog.media m WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1) AS image_key," \
	" CASE WHEN p.rating_count > 0 THEN (p.rating_sum * 100 / p.rating_count)::integer ELSE 0 END AS rating_x100," \
	" p.rating_count, p.sold_30d, coalesce((extract(epoch FROM p.published_at) * 1000)::bigint, 0) AS published_at," \
	" p.version, p.status = 'published' AND v.status = 'approved' AS visible,"                 \
	" coalesce((SELECT string_agg(k.id, chr(31)) FROM catalog.variant k"                       \
	" WHERE k.product_id = p.id AND k.active), '') AS variants"                                \
	" FROM catalog.product p JOIN catalog.vendor v ON v.id = p.vendor_id"

static const struct pg_stmt export_ids = {
	.name = "export_ids",
	.sql = "SELECT " EXPORT_COLUMNS " WHERE p.id = ANY ($1::text[]) AND p.status <> 'deleted' LIMIT 200",
	EXPORT_ROW,
};
static const struct pg_stmt export_walk = {
	.name = "export_walk",
	.sql = "SELECT " EXPORT_COLUMNS " WHERE p.id > $1 AND p.status = 'published' AND v.status = 'approved'"
	       " AND ($3::text IS NULL OR p.vendor_id = $3) ORDER BY p.id LIMIT $2::integer",
	EXPORT_ROW,
	.flags = PG_REPLICA,
};
struct count_row {
	int64_t n;
};
static const struct pg_col count_cols[] = { PG_COL(count_row, n) };
static const struct pg_stmt export_count = {
	.name = "export_count",
	.sql = "SELECT count(*) AS n FROM catalog.product p JOIN catalog.vendor v ON v.id = p.vendor_id"
	       " WHERE p.status = 'published' AND v.status = 'approved'",
	.col = count_cols,
	.ncol = 1,
	.row_size = sizeof(struct count_row),
	.flags = PG_REPLICA,
};

enum err_code catalog_db_export_ids(struct pg *pg, struct arena *a, const char *const *ids, size_t n_ids,
				    struct export_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &export_ids, PG_ARGS(pg_p_text_array(a, ids, n_ids)), a, rows_r, n_r, e);
}

enum err_code catalog_db_export_walk(struct pg *pg, struct arena *a, const char *after, const char *vendor_id,
				     int32_t limit, struct export_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &export_walk, PG_ARGS(P(after), P(limit), P(vendor_id)), a, rows_r, n_r, e);
}

enum err_code catalog_db_export_count(struct pg *pg, struct arena *a, int64_t *n_r, struct err *e)
{
	struct count_row *row = NULL;

	if (pg_one(pg, &export_count, PG_NONE, a, &row, e))
		return e->code;
	*n_r = row->n;
	return OK;
}

const struct pg_stmt *const catalog_db_export_stmts[] = { &export_ids, &export_walk, &export_count, NULL };
