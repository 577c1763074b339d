#include "services/reco/reco_db_catalogue.h"

/* ---- told ---- */

static const struct pg_stmt product_told = {
	.name = "product_told",
	.sql = "INSERT INTO reco.product AS p (product_id, vendor_id, published, version, vendor_ok)"
	       " VALUES ($1, $2, $3::boolean, $4::bigint, coalesce((SELECT v.ok FROM reco.vendor v WHERE v.vendor_id = $2), true))"
	       " ON CONFLICT (product_id) DO UPDATE SET vendor_id = coalesce(excluded.vendor_id, p.vendor_id),"
	       " published = excluded.published, version = excluded.version, vendor_ok = excluded.vendor_ok"
	       " WHERE p.version <= excluded.version",
};
static const struct pg_stmt variants_told = {
	.name = "variants_told",
	.sql = "INSERT INTO reco.variant AS v (variant_id, product_id, active)"
	       " SELECT DISTINCT ON (i.id) i.id, $1, i.active <> 0 FROM unnest($2::text[], $3::bigint[]) AS i(id, active)"
	       " WHERE EXISTS (SELECT 1 FROM reco.product p WHERE p.product_id = $1 AND p.version = $4::bigint)"
	       " ORDER BY i.id"
	       " ON CONFLICT (variant_id) DO UPDATE SET product_id = excluded.product_id, active = excluded.active",
};
/* Variants that are not named any more are not sold. */
static const struct pg_stmt variants_gone = {
	.name = "variants_gone",
	.sql = "UPDATE reco.variant v SET active = false WHERE v.product_id = $1 AND v.active"
	       " AND NOT v.variant_id = ANY ($2::text[])"
	       " AND EXISTS (SELECT 1 FROM reco.product p WHERE p.product_id = $1 AND p.version = $3::bigint)",
};
#define IN_STOCK                                                                                   \
	"EXISTS (SELECT 1 FROM reco.variant k WHERE k.product_id = p.product_id AND k.active AND k.availability <> 'out')"
static const struct pg_stmt stock_of_product = {
	.name = "stock_of_product",
	.sql = "UPDATE reco.product p SET in_stock = " IN_STOCK
	       " WHERE p.product_id = ANY ($1::text[]) AND p.in_stock <> " IN_STOCK,
};
static const struct pg_stmt dirty_one = {
	.name = "dirty_one",
	.sql = "INSERT INTO reco.dirty (product_id) VALUES ($1)"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};

enum err_code reco_db_dirty_add(struct pg *pg, const char *product_id, struct err *e)
{
	return pg_exec(pg, &dirty_one, PG_ARGS(P(product_id)), NULL, e);
}

static enum err_code restock(struct pg *pg, struct arena *a, const char *const *ids, size_t n, struct err *e)
{
	return pg_exec(pg, &stock_of_product, PG_ARGS(pg_p_text_array(a, ids, n)), NULL, e);
}

enum err_code reco_db_product_told(struct pg *pg, struct arena *a, const char *product_id, const char *vendor_id,
				   bool published, int64_t version, const struct variant_in *in, size_t n, struct err *e)
{
	const char **ids = arena_array(a, n + 1, sizeof(*ids));
	int64_t *active = arena_array(a, n + 1, sizeof(*active));

	for (size_t i = 0; i < n; i++) {
		ids[i] = in[i].variant_id;
		active[i] = in[i].active;
	}
	if (pg_exec(pg, &product_told, PG_ARGS(P(product_id), P(vendor_id), P(published), P(version)), NULL, e) ||
	    pg_exec(pg, &variants_told,
		    PG_ARGS(P(product_id), pg_p_text_array(a, ids, n), pg_p_i64_array(a, active, n), P(version)), NULL, e) ||
	    pg_exec(pg, &variants_gone, PG_ARGS(P(product_id), pg_p_text_array(a, ids, n), P(version)), NULL, e) ||
	    restock(pg, a, &product_id, 1, e))
		return e->code;
	return reco_db_dirty_add(pg, product_id, e);
}

static const struct pg_stmt stock_told = {
	.name = "stock_told",
	.sql = "INSERT INTO reco.variant AS v (variant_id, availability, seq) VALUES ($1, $2, $3::bigint)"
	       " ON CONFLICT (variant_id) DO UPDATE SET availability = excluded.availability, seq = excluded.seq"
	       " WHERE v.seq < excluded.seq",
};
static const struct pg_stmt stock_of_variant = {
	.name = "stock_of_variant",
	.sql = "UPDATE reco.product p SET in_stock = " IN_STOCK
	       " WHERE p.product_id = (SELECT v.product_id FROM reco.variant v WHERE v.variant_id = $1)"
	       " AND p.in_stock <> " IN_STOCK,
};

/* Who changes what is in stock of a product holds its row: two changes at once would each miss the other's. */
struct held_row {
	const char *id;
};
static const struct pg_col held_cols[] = { PG_COL(held_row, id) };
static const struct pg_stmt hold_product = {
	.name = "hold_product",
	.sql = "SELECT p.product_id AS id FROM reco.product p"
	       " WHERE p.product_id = (SELECT v.product_id FROM reco.variant v WHERE v.variant_id = $1) FOR UPDATE",
	.col = held_cols,
	.ncol = 1,
	.row_size = sizeof(struct held_row),
};

enum err_code reco_db_stock_told(struct pg *pg, struct arena *a, const char *variant_id, const char *availability,
				 int64_t seq, struct err *e)
{
	struct held_row *held = NULL;
	size_t n = 0;

	if (pg_rows(pg, &hold_product, PG_ARGS(P(variant_id)), a, &held, &n, e) ||
	    pg_exec(pg, &stock_told, PG_ARGS(P(variant_id), P(availability), P(seq)), NULL, e))
		return e->code;
	return pg_exec(pg, &stock_of_variant, PG_ARGS(P(variant_id)), NULL, e);
}

static const struct pg_stmt vendor_told = {
	.name = "vendor_told",
	.sql = "INSERT INTO reco.vendor AS v (vendor_id, ok, version) VALUES ($1, $2::boolean, $3::bigint)"
	       " ON CONFLICT (vendor_id) DO UPDATE SET ok = excluded.ok, version = excluded.version"
	       " WHERE v.version < excluded.version",
};
static const struct pg_stmt vendor_products = {
	.name = "vendor_products",
	.sql = "UPDATE reco.product p SET vendor_ok = v.ok FROM reco.vendor v"
	       " WHERE v.vendor_id = $1 AND p.vendor_id = $1 AND p.vendor_ok <> v.ok",
};
static const struct pg_stmt dirty_vendor = {
	.name = "dirty_vendor",
	.sql = "INSERT INTO reco.dirty (product_id) SELECT p.product_id FROM reco.product p WHERE p.vendor_id = $1"
	       " ORDER BY 1 ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};

enum err_code reco_db_vendor_told(struct pg *pg, const char *vendor_id, bool ok, int64_t version, struct err *e)
{
	if (pg_exec(pg, &vendor_told, PG_ARGS(P(vendor_id), P(ok), P(version)), NULL, e) ||
	    pg_exec(pg, &vendor_products, PG_ARGS(P(vendor_id)), NULL, e))
		return e->code;
	return pg_exec(pg, &dirty_vendor, PG_ARGS(P(vendor_id)), NULL, e);
}

static const struct pg_stmt dirty_category = {
	.name = "dirty_category",
	.sql = "INSERT INTO reco.dirty (product_id) SELECT p.product_id FROM reco.product p"
	       " WHERE p.categories @> ARRAY[$1]::text[] ORDER BY 1"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};

enum err_code reco_db_dirty_category(struct pg *pg, const char *category_id, struct err *e)
{
	return pg_exec(pg, &dirty_category, PG_ARGS(P(category_id)), NULL, e);
}

/* ---- dirty ---- */

static const struct pg_col dirty_cols[] = { PG_COL(dirty_row, product_id), PG_COL(dirty_row, n) };
static const struct pg_stmt dirty = {
	.name = "dirty",
	.sql = "SELECT product_id, n FROM reco.dirty WHERE due_at <= now() ORDER BY due_at, product_id LIMIT $1::integer",
	.col = dirty_cols,
	.ncol = 2,
	.row_size = sizeof(struct dirty_row),
};
static const struct pg_stmt dirty_done = {
	.name = "dirty_done",
	.sql = "DELETE FROM reco.dirty d USING unnest($1::text[], $2::bigint[]) AS x(id, n)"
	       " WHERE d.product_id = x.id AND d.n = x.n",
};
static const struct pg_stmt dirty_later = {
	.name = "dirty_later",
	.sql = "UPDATE reco.dirty SET tries = tries + 1, due_at = now() + least(power(2, tries), 60) * interval '1 second'"
	       " WHERE product_id = ANY ($1::text[])",
};

enum err_code reco_db_dirty(struct pg *pg, struct arena *a, int32_t limit, struct dirty_row **rows_r, size_t *n_r,
			    struct err *e)
{
	return pg_rows(pg, &dirty, PG_ARGS(P(limit)), a, rows_r, n_r, e);
}

static struct pg_param ids_of(struct arena *a, const struct dirty_row *rows, size_t n)
{
	const char **ids = arena_array(a, n + 1, sizeof(*ids));

	for (size_t i = 0; i < n; i++)
		ids[i] = rows[i].product_id;
	return pg_p_text_array(a, ids, n);
}

enum err_code reco_db_dirty_done(struct pg *pg, struct arena *a, const struct dirty_row *rows, size_t n, struct err *e)
{
	int64_t *times = arena_array(a, n + 1, sizeof(*times));

	for (size_t i = 0; i < n; i++)
		times[i] = rows[i].n;
	return pg_exec(pg, &dirty_done, PG_ARGS(ids_of(a, rows, n), pg_p_i64_array(a, times, n)), NULL, e);
}

enum err_code reco_db_dirty_later(struct pg *pg, struct arena *a, const struct dirty_row *rows, size_t n, struct err *e)
{
	return pg_exec(pg, &dirty_later, PG_ARGS(ids_of(a, rows, n)), NULL, e);
}

/* ---- fetched ---- */

/* What events tell of the vendor counts before what was fetched, which may be older. */
static const struct pg_stmt product_put = {
	.name = "product_put",
	.sql = "INSERT INTO reco.product AS p (product_id, vendor_id, title, brand, categories, prices, rating_x100,"
	       " rating_count, published_at, version, published, vendor_ok)"
	       " VALUES ($1, $2, $3, $4, $5::text[], $6::jsonb, $7::integer, $8::integer, $9::bigint, $10::bigint,"
	       " $11::boolean, coalesce((SELECT v.ok FROM reco.vendor v WHERE v.vendor_id = $2), true))"
	       " ON CONFLICT (product_id) DO UPDATE SET vendor_id = excluded.vendor_id, title = excluded.title,"
	       " brand = excluded.brand, categories = excluded.categories, prices = excluded.prices,"
	       " rating_x100 = excluded.rating_x100, rating_count = excluded.rating_count,"
	       " published_at = excluded.published_at, version = excluded.version, published = excluded.published,"
	       " vendor_ok = excluded.vendor_ok WHERE p.version <= excluded.version",
};
static const struct pg_stmt product_gone = {
	.name = "product_gone",
	.sql = "UPDATE reco.product SET published = false WHERE product_id = ANY ($1::text[]) AND published",
};
static const struct pg_stmt stock_put = {
	.name = "stock_put",
	.sql = "INSERT INTO reco.variant AS v (variant_id, product_id, availability)"
	       " SELECT DISTINCT ON (i.id) i.id, i.product_id, i.availability"
	       " FROM unnest($1::text[], $2::text[], $3::text[]) AS i(id, product_id, availability) ORDER BY i.id"
	       " ON CONFLICT (variant_id) DO UPDATE SET product_id = excluded.product_id,"
	       " availability = CASE WHEN v.seq = 0 THEN excluded.availability ELSE v.availability END",
};
static const struct pg_stmt category_put = {
	.name = "category_put",
	.sql = "INSERT INTO reco.category AS c (id, slug) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE"
	       " SET slug = excluded.slug WHERE c.slug <> excluded.slug",
};

enum err_code reco_db_product_put(struct pg *pg, struct arena *a, const struct product_in *in, struct err *e)
{
	return pg_exec(pg, &product_put,
		       PG_ARGS(P(in->product_id), P(in->vendor_id), P(in->title ? in->title : ""), P(in->brand),
			       pg_p_text_array(a, in->categories, in->n_categories), P(in->prices), P(in->rating_x100),
			       P(in->rating_count), P(in->published_at), P(in->version), P(in->visible)),
		       NULL, e);
}

enum err_code reco_db_product_gone(struct pg *pg, struct arena *a, const char *const *ids, size_t n, struct err *e)
{
	return pg_exec(pg, &product_gone, PG_ARGS(pg_p_text_array(a, ids, n)), NULL, e);
}

enum err_code reco_db_stock_put(struct pg *pg, struct arena *a, const struct stock_in *in, size_t n, struct err *e)
{
	const char **text[3];

	for (size_t k = 0; k < 3; k++)
		text[k] = arena_array(a, n + 1, sizeof(*text[k]));
	for (size_t i = 0; i < n; i++) {
		text[0][i] = in[i].variant_id;
		text[1][i] = in[i].product_id;
		text[2][i] = in[i].availability;
	}
	if (pg_exec(pg, &stock_put,
		    PG_ARGS(pg_p_text_array(a, text[0], n), pg_p_text_array(a, text[1], n), pg_p_text_array(a, text[2], n)),
		    NULL, e))
		return e->code;
	return restock(pg, a, text[1], n, e);
}

enum err_code reco_db_category_put(struct pg *pg, const char *id, const char *slug, struct err *e)
{
	return pg_exec(pg, &category_put, PG_ARGS(P(id), P(slug)), NULL, e);
}

/* ---- the first filling ---- */

static const struct pg_col filling_cols[] = { PG_COL(filling_row, after), PG_COL(filling_row, filled) };
static const struct pg_stmt filling = {
	.name = "filling",
	.sql = "SELECT after, filled FROM reco.filling WHERE one",
	.col = filling_cols,
	.ncol = 2,
	.row_size = sizeof(struct filling_row),
};
static const struct pg_stmt filling_set = {
	.name = "filling_set",
	.sql = "UPDATE reco.filling SET after = $1, filled = $2::boolean WHERE one",
};

enum err_code reco_db_filling(struct pg *pg, struct arena *a, struct filling_row **row_r, struct err *e)
{
	return pg_one(pg, &filling, PG_NONE, a, row_r, e);
}

enum err_code reco_db_filling_set(struct pg *pg, const char *after, bool filled, struct err *e)
{
	return pg_exec(pg, &filling_set, PG_ARGS(P(after), P(filled)), NULL, e);
}

const struct pg_stmt *const reco_db_catalogue_stmts[] = {
	&product_told, &variants_told, &variants_gone, &stock_of_product, &dirty_one,  &stock_told,	&hold_product,
	&stock_of_variant, &vendor_told, &vendor_products, &dirty_vendor, &dirty_category, &dirty,
	&dirty_done,   &dirty_later,   &product_put,   &product_gone,	  &stock_put,  &category_put,
	&filling,      &filling_set,   NULL,
};
