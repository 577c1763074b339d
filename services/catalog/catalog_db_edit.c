#include "services/catalog/catalog_db_edit.h"

/* Most changes say whether they met a row. */
static enum err_code exec_found(struct pg *pg, const struct pg_stmt *s, const struct pg_param *p, size_t n, bool *found_r,
				struct err *e)
{
	int64_t rows = 0;

	if (pg_exec(pg, s, p, n, &rows, e))
		return e->code;
	*found_r = rows > 0;
	return OK;
}

static const struct pg_stmt product_add = {
	.name = "product_add",
	.sql = "INSERT INTO catalog.product (id, vendor_id, slug, title, description, brand, status, tax_class, attributes,"
	       " import_key, import_hash, published_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11::bytea,"
	       " CASE WHEN $7 = 'published' THEN clock_timestamp() END) ON CONFLICT (slug) DO NOTHING",
};

enum err_code catalog_db_product_add(struct pg *pg, const struct product_new *p, bool *found_r, struct err *e)
{
	return exec_found(pg, &product_add,
			  PG_ARGS(P(p->id), P(p->vendor_id), P(p->slug), P(p->title), P(p->description), P(p->brand),
				  P(p->status), P(p->tax_class), P(p->attributes), P(p->import_key), P(p->import_hash)),
			  found_r, e);
}

static const struct pg_col touched_cols[] = {
	PG_COL(touched_row, id),
	PG_COL(touched_row, slug),
	PG_COL(touched_row, status),
	PG_COL(touched_row, version),
};
static const struct pg_stmt product_touch = {
	.name = "product_touch",
	.sql = "UPDATE catalog.product SET version = version + 1, updated_at = now() WHERE id = $1 AND vendor_id = $2"
	       " AND status <> 'deleted' AND ($3::bigint < 0 OR version = $3::bigint) RETURNING id, slug, status, version",
	.col = touched_cols,
	.ncol = 4,
	.row_size = sizeof(struct touched_row),
};

enum err_code catalog_db_product_touch(struct pg *pg, struct arena *a, const char *id, const char *vendor_id,
				       int64_t version, struct touched_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &product_touch, PG_ARGS(P(id), P(vendor_id), P(version)), a, row_r, found_r, e);
}

static const struct pg_stmt product_patch = {
	.name = "product_patch",
	.sql = "UPDATE catalog.product SET title = coalesce($2, title), slug = coalesce($3, slug),"
	       " description = coalesce($4, description), brand = coalesce($5, brand), tax_class = coalesce($6, tax_class),"
	       " attributes = coalesce($7::jsonb, attributes) WHERE id = $1",
};

enum err_code catalog_db_product_patch(struct pg *pg, const char *id, const struct product_patch *p, struct err *e)
{
	return pg_exec(pg, &product_patch,
		       PG_ARGS(P(id), P(p->title), P(p->slug), P(p->description), P(p->brand), P(p->tax_class),
			       P(p->attributes)),
		       NULL, e);
}

/* A deleted product frees its slug and its import key for others. */
static const struct pg_stmt product_status = {
	.name = "product_status",
	.sql = "UPDATE catalog.product SET status = $2, published_at = CASE WHEN $2 = 'published'"
	       " THEN coalesce(published_at, clock_timestamp()) ELSE published_at END,"
	       " slug = CASE WHEN $2 = 'deleted' THEN slug || '--' || id ELSE slug END,"
	       " import_key = CASE WHEN $2 = 'deleted' THEN NULL ELSE import_key END WHERE id = $1",
};
static const struct pg_stmt free_skus = {
	.name = "product_free_skus",
	.sql = "UPDATE catalog.variant SET active = false, sku = sku || '--' || id, version = version + 1"
	       " WHERE product_id = $1 AND $2 = 'deleted'",
};

enum err_code catalog_db_product_status(struct pg *pg, const char *id, const char *status, struct err *e)
{
	if (pg_exec(pg, &product_status, PG_ARGS(P(id), P(status)), NULL, e))
		return e->code;
	return pg_exec(pg, &free_skus, PG_ARGS(P(id), P(status)), NULL, e);
}

static const struct pg_stmt import_hash = {
	.name = "product_import_hash",
	.sql = "UPDATE catalog.product SET import_hash = $2::bytea WHERE id = $1",
};

enum err_code catalog_db_product_import_hash(struct pg *pg, const char *id, struct pg_bytes hash, struct err *e)
{
	return pg_exec(pg, &import_hash, PG_ARGS(P(id), P(hash)), NULL, e);
}

static const struct pg_stmt categories_drop = {
	.name = "product_categories_drop",
	.sql = "DELETE FROM catalog.product_category WHERE product_id = $1 AND category_id <> ALL ($2::text[])",
};
static const struct pg_stmt categories_add = {
	.name = "product_categories_add",
	.sql = "INSERT INTO catalog.product_category (product_id, category_id) SELECT $1, x FROM unnest($2::text[]) AS x"
	       " ON CONFLICT DO NOTHING",
};

enum err_code catalog_db_product_categories(struct pg *pg, struct arena *a, const char *id,
					    const char *const *category_ids, size_t n, struct err *e)
{
	if (pg_exec(pg, &categories_drop, PG_ARGS(P(id), pg_p_text_array(a, category_ids, n)), NULL, e))
		return e->code;
	return pg_exec(pg, &categories_add, PG_ARGS(P(id), pg_p_text_array(a, category_ids, n)), NULL, e);
}

static const struct pg_stmt refresh = {
	.name = "product_refresh",
	.sql = "SELECT catalog.refresh_price($1), catalog.refresh_availability($1)",
};

enum err_code catalog_db_refresh(struct pg *pg, const char *product_id, struct err *e)
{
	return pg_exec(pg, &refresh, PG_ARGS(P(product_id)), NULL, e);
}

/* ---- variants ---- */

static const struct pg_stmt variant_add = {
	.name = "variant_add",
	.sql = "INSERT INTO catalog.variant (id, product_id, vendor_id, sku, title, options, ean, weight_g, position)"
	       " VALUES ($1, $2, $3, $4, $5, coalesce($6::jsonb, '{}'), $7, nullif($8::integer, -1), $9::integer)",
};

enum err_code catalog_db_variant_add(struct pg *pg, const struct variant_new *v, struct err *e)
{
	return pg_exec(pg, &variant_add,
		       PG_ARGS(P(v->id), P(v->product_id), P(v->vendor_id), P(v->sku), P(v->title), P(v->options),
			       P(v->ean), P(v->weight_g), P(v->position)),
		       NULL, e);
}

static const struct pg_stmt variant_patch = {
	.name = "variant_patch",
	.sql = "UPDATE catalog.variant SET sku = coalesce($3, sku), title = coalesce($4, title),"
	       " options = coalesce($5::jsonb, options), ean = coalesce($6, ean),"
	       " weight_g = CASE WHEN $7::integer < 0 THEN weight_g ELSE $7::integer END,"
	       " position = CASE WHEN $8::integer < 0 THEN position ELSE $8::integer END,"
	       " active = coalesce($9::boolean, active), version = version + 1 WHERE product_id = $1 AND id = $2",
};

enum err_code catalog_db_variant_patch(struct pg *pg, const char *product_id, const char *id,
				       const struct variant_patch *p, bool *found_r, struct err *e)
{
	return exec_found(pg, &variant_patch,
			  PG_ARGS(P(product_id), P(id), P(p->sku), P(p->title), P(p->options), P(p->ean), P(p->weight_g),
				  P(p->position), p->active ? P(*p->active) : PG_NULL),
			  found_r, e);
}

struct count_row {
	int64_t n;
};
static const struct pg_col count_cols[] = { PG_COL(count_row, n) };
static const struct pg_stmt variant_count = {
	.name = "variant_count",
	.sql = "SELECT count(*) AS n FROM catalog.variant WHERE product_id = $1",
	.col = count_cols,
	.ncol = 1,
	.row_size = sizeof(struct count_row),
};

enum err_code catalog_db_variant_count(struct pg *pg, struct arena *a, const char *product_id, int64_t *n_r,
				       struct err *e)
{
	struct count_row *row = NULL;
	bool found = false;

	if (pg_row(pg, &variant_count, PG_ARGS(P(product_id)), a, &row, &found, e))
		return e->code;
	*n_r = found ? row->n : 0;
	return OK;
}

/* ---- prices, media ---- */

static const struct pg_stmt price_base_put = {
	.name = "price_base_put",
	.sql = "INSERT INTO catalog.price AS r (id, variant_id, currency, minor, compare_at_minor)"
	       " SELECT $1, k.id, $4, $5::bigint, nullif($6::bigint, -1) FROM catalog.variant k WHERE k.product_id = $2"
	       " AND k.id = $3 ON CONFLICT (variant_id, currency) WHERE starts_at IS NULL"
	       " DO UPDATE SET minor = excluded.minor, compare_at_minor = excluded.compare_at_minor",
};
static const struct pg_stmt price_sale_add = {
	.name = "price_sale_add",
	.sql = "INSERT INTO catalog.price (id, variant_id, currency, minor, compare_at_minor, starts_at, ends_at)"
	       " SELECT $1, k.id, $4, $5::bigint, nullif($6::bigint, -1),"
	       " 'epoch'::timestamptz + $7::bigint * interval '1 millisecond',"
	       " 'epoch'::timestamptz + $8::bigint * interval '1 millisecond'"
	       " FROM catalog.variant k WHERE k.product_id = $2 AND k.id = $3",
};

enum err_code catalog_db_price_put(struct pg *pg, const char *id, const char *product_id, const char *variant_id,
				   const char *currency, int64_t minor, int64_t compare, int64_t starts_at,
				   int64_t ends_at, bool *found_r, struct err *e)
{
	if (starts_at == 0)
		return exec_found(
			pg, &price_base_put,
			PG_ARGS(P(id), P(product_id), P(variant_id), P(currency), P(minor), P(compare)), found_r, e);
	return exec_found(pg, &price_sale_add,
			  PG_ARGS(P(id), P(product_id), P(variant_id), P(currency), P(minor), P(compare), P(starts_at),
				  P(ends_at)),
			  found_r, e);
}

static const struct pg_stmt price_del = {
	.name = "price_del",
	.sql = "DELETE FROM catalog.price r USING catalog.variant k WHERE k.id = r.variant_id AND k.product_id = $1"
	       " AND k.id = $2 AND r.id = $3",
};

enum err_code catalog_db_price_del(struct pg *pg, const char *product_id, const char *variant_id, const char *id,
				   bool *found_r, struct err *e)
{
	return exec_found(pg, &price_del, PG_ARGS(P(product_id), P(variant_id), P(id)), found_r, e);
}

static const struct pg_stmt media_put = {
	.name = "media_put",
	.sql = "INSERT INTO catalog.media (id, product_id, key, alt, position, variant_id)"
	       " SELECT $1, $2, $3, $4, $5::integer, $6 WHERE (SELECT count(*) FROM catalog.media WHERE product_id = $2) < 50"
	       " AND ($6::text IS NULL OR EXISTS (SELECT 1 FROM catalog.variant k WHERE k.id = $6 AND k.product_id = $2))"
	       " ON CONFLICT (product_id, key) DO UPDATE SET alt = excluded.alt, position = excluded.position,"
	       " variant_id = excluded.variant_id",
};
static const struct pg_stmt media_del = {
	.name = "media_del",
	.sql = "DELETE FROM catalog.media WHERE product_id = $1 AND id = $2",
};

enum err_code catalog_db_media_put(struct pg *pg, const char *id, const char *product_id, const char *key,
				   const char *alt, int32_t position, const char *variant_id, bool *found_r, struct err *e)
{
	return exec_found(pg, &media_put, PG_ARGS(P(id), P(product_id), P(key), P(alt), P(position), P(variant_id)),
			  found_r, e);
}

enum err_code catalog_db_media_del(struct pg *pg, const char *product_id, const char *id, bool *found_r, struct err *e)
{
	return exec_found(pg, &media_del, PG_ARGS(P(product_id), P(id)), found_r, e);
}

/* ---- events ---- */

static const struct pg_col ref_cols[] = {
	PG_COL(ref_row, variant_id),
	PG_COL(ref_row, sku),
	PG_COL(ref_row, active),
};
static const struct pg_stmt refs = {
	.name = "variant_refs",
	.sql = "SELECT id AS variant_id, sku, active FROM catalog.variant WHERE product_id = $1 ORDER BY id LIMIT 200",
	.col = ref_cols,
	.ncol = 3,
	.row_size = sizeof(struct ref_row),
};

enum err_code catalog_db_refs(struct pg *pg, struct arena *a, const char *product_id, struct ref_row **rows_r,
			      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &refs, PG_ARGS(P(product_id)), a, rows_r, n_r, e);
}

static const struct pg_stmt availability_set = {
	.name = "availability_set",
	.sql = "UPDATE catalog.variant SET availability = $2, stock_seq = $3::bigint WHERE id = $1 AND stock_seq < $3::bigint",
};
static const struct pg_col key_cols[] = {
	PG_COL(product_key_row, id),
	PG_COL(product_key_row, slug),
	PG_COL(product_key_row, version),
};
#define KEY_ROW .col = key_cols, .ncol = 3, .row_size = sizeof(struct product_key_row)
static const struct pg_stmt availability_product = {
	.name = "availability_product",
	.sql = "SELECT p.id, p.slug, p.version FROM catalog.variant k JOIN catalog.product p ON p.id = k.product_id,"
	       " LATERAL (SELECT catalog.refresh_availability(p.id) AS changed) r WHERE k.id = $1 AND r.changed IS NOT NULL",
	KEY_ROW,
};

enum err_code catalog_db_availability(struct pg *pg, struct arena *a, const char *variant_id, const char *state,
				      int64_t seq, struct product_key_row **row_r, bool *found_r, struct err *e)
{
	bool changed = false;

	*found_r = false;
	if (exec_found(pg, &availability_set, PG_ARGS(P(variant_id), P(state), P(seq)), &changed, e))
		return e->code;
	return changed ? pg_row(pg, &availability_product, PG_ARGS(P(variant_id)), a, row_r, found_r, e) : OK;
}

static const struct pg_stmt sold_add = {
	.name = "sold_add",
	.sql = "WITH line AS (SELECT x.id, x.qty FROM unnest($1::text[], $2::bigint[]) AS x (id, qty)),"
	       " noted AS (INSERT INTO catalog.sold_new (product_id, qty) SELECT id, qty::integer FROM line)"
	       " INSERT INTO catalog.bought (user_id, product_id) SELECT DISTINCT $3, id FROM line WHERE $3 <> ''"
	       " ON CONFLICT DO NOTHING",
};
static const struct pg_stmt sold_count = {
	.name = "sold_count",
	.sql = "WITH took AS (DELETE FROM catalog.sold_new n WHERE n.ctid = ANY (ARRAY(SELECT m.ctid FROM catalog.sold_new m"
	       " LIMIT $1::integer)) RETURNING n.product_id, n.day, n.qty),"
	       " known AS (SELECT t.product_id, t.day, sum(t.qty) AS qty FROM took t JOIN catalog.product p ON p.id = t.product_id"
	       " GROUP BY t.product_id, t.day),"
	       " days AS (INSERT INTO catalog.sold_day AS d (product_id, day, qty) SELECT k.product_id, k.day,"
	       " least(k.qty, 2147483647) FROM known k ON CONFLICT (product_id, day)"
	       " DO UPDATE SET qty = least(d.qty::bigint + excluded.qty, 2147483647)),"
	       " sums AS (SELECT k.product_id, sum(k.qty) AS qty FROM known k GROUP BY k.product_id)"
	       " UPDATE catalog.product p SET sold_30d = least(p.sold_30d + s.qty, 2147483647) FROM sums s"
	       " WHERE p.id = s.product_id",
};

enum err_code catalog_db_sold(struct pg *pg, struct arena *a, const char *user_id, const char *const *product_ids,
			      const int64_t *qty, size_t n, struct err *e)
{
	return pg_exec(pg, &sold_add,
		       PG_ARGS(pg_p_text_array(a, product_ids, n), pg_p_i64_array(a, qty, n), P(user_id)), NULL, e);
}

enum err_code catalog_db_sold_count(struct pg *pg, int32_t limit, struct err *e)
{
	return pg_exec(pg, &sold_count, PG_ARGS(P(limit)), NULL, e);
}

static const struct pg_stmt sold_forget = {
	.name = "sold_forget",
	.sql = "WITH gone AS (DELETE FROM catalog.sold_day WHERE day < current_date - 30 RETURNING product_id, qty),"
	       " sums AS (SELECT product_id, sum(qty) AS qty FROM gone GROUP BY product_id)"
	       " UPDATE catalog.product p SET sold_30d = greatest(p.sold_30d - s.qty, 0) FROM sums s WHERE p.id = s.product_id",
};

enum err_code catalog_db_sold_decay(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &sold_forget, PG_NONE, NULL, e);
}

static const struct pg_stmt price_edges = {
	.name = "price_edges",
	.sql = "UPDATE catalog.product p SET version = p.version + 1 WHERE p.id IN (SELECT pp.product_id"
	       " FROM catalog.product_price pp WHERE pp.next_edge <= now() LIMIT $1::integer)"
	       " RETURNING p.id, p.slug, p.version",
	KEY_ROW,
};

enum err_code catalog_db_price_edges(struct pg *pg, struct arena *a, int32_t limit, struct product_key_row **rows_r,
				     size_t *n_r, struct err *e)
{
	struct product_key_row *rows = NULL;
	size_t n = 0;

	if (pg_rows(pg, &price_edges, PG_ARGS(P(limit)), a, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (catalog_db_refresh(pg, rows[i].id, e))
			return e->code;
	*rows_r = rows;
	*n_r = n;
	return OK;
}

const struct pg_stmt *const catalog_db_edit_stmts[] = {
	&product_add,	  &product_touch,   &product_patch, &product_status, &free_skus,	 &import_hash,
	&categories_drop, &categories_add,  &refresh,	    &variant_add,    &variant_patch,	 &variant_count,
	&price_base_put,  &price_sale_add,  &price_del,	    &media_put,	     &media_del,	 &refs,
	&availability_set, &availability_product, &sold_add,  &sold_count,	     &sold_forget,	 &price_edges,
	NULL,
};
