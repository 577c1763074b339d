#include "services/catalog/catalog_db_vendor.h"

#define VENDOR_COLUMNS                                                                             \
	"v.id, v.slug, v.name, v.description, v.country, v.status, v.status_reason, v.owner_user_id," \
	" v.commission_bp, v.terms_at IS NOT NULL AS terms, EXISTS (SELECT 1 FROM catalog.product p"  \
	" WHERE p.vendor_id = v.id AND p.status <> 'deleted') AS has_product,"                        \
	" (extract(epoch FROM v.created_at) * 1000)::bigint AS created_at, v.version"
static const struct pg_col vendor_cols[] = {
	PG_COL(vendor_row, id),		   PG_COL(vendor_row, slug),	      PG_COL(vendor_row, name),
	PG_COL(vendor_row, description),   PG_COL(vendor_row, country),	      PG_COL(vendor_row, status),
	PG_COL(vendor_row, status_reason), PG_COL(vendor_row, owner_user_id), PG_COL(vendor_row, commission_bp),
	PG_COL(vendor_row, terms),	   PG_COL(vendor_row, has_product),   PG_COL(vendor_row, created_at),
	PG_COL(vendor_row, version),
};
#define VENDOR_ROW .col = vendor_cols, .ncol = 13, .row_size = sizeof(struct vendor_row)

static const struct pg_stmt vendor = {
	.name = "vendor",
	.sql = "SELECT " VENDOR_COLUMNS " FROM catalog.vendor v WHERE v.id = $1 OR v.slug = $1",
	VENDOR_ROW,
};
static const struct pg_stmt vendor_page = {
	.name = "vendor_page",
	.sql = "SELECT " VENDOR_COLUMNS " FROM catalog.vendor v WHERE ($1::text IS NULL OR v.status = $1) AND v.id > $2"
	       " ORDER BY v.id LIMIT $3::integer",
	VENDOR_ROW,
};
static const struct pg_stmt vendor_mine = {
	.name = "vendor_mine",
	.sql = "SELECT " VENDOR_COLUMNS " FROM catalog.vendor v WHERE v.owner_user_id = $1 AND ($2::text IS NULL OR v.id < $2)"
	       " ORDER BY v.id DESC LIMIT $3::integer",
	VENDOR_ROW,
};
static const struct pg_stmt vendor_add = {
	.name = "vendor_add",
	.sql = "INSERT INTO catalog.vendor (id, slug, name, description, country, owner_user_id, terms_at)"
	       " VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7::boolean THEN now() END) ON CONFLICT (slug) DO NOTHING",
};
static const struct pg_stmt vendor_change = {
	.name = "vendor_change",
	.sql = "UPDATE catalog.vendor SET name = coalesce($2, name), description = coalesce($3, description),"
	       " country = coalesce($4, country), version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND ($5::bigint < 0 OR version = $5::bigint)",
};
static const struct pg_stmt vendor_decide = {
	.name = "vendor_decide",
	.sql = "UPDATE catalog.vendor SET status = $3, status_reason = $4, version = version + 1, updated_at = now(),"
	       " commission_bp = CASE WHEN $5::integer < 0 THEN commission_bp ELSE $5::integer END"
	       " WHERE id = $1 AND status = ANY (string_to_array($2, ','))",
};

enum err_code catalog_db_vendor(struct pg *pg, struct arena *a, const char *id_or_slug, struct vendor_row **row_r,
				bool *found_r, struct err *e)
{
	return pg_row(pg, &vendor, PG_ARGS(P(id_or_slug)), a, row_r, found_r, e);
}

enum err_code catalog_db_vendor_page(struct pg *pg, struct arena *a, const char *status, const char *after,
				     int32_t limit, struct vendor_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &vendor_page, PG_ARGS(P(status), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_vendor_mine(struct pg *pg, struct arena *a, const char *owner, const char *before, int32_t limit,
				     struct vendor_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &vendor_mine, PG_ARGS(P(owner), P(before), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_vendor_add(struct pg *pg, const struct vendor_row *r, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &vendor_add,
		    PG_ARGS(P(r->id), P(r->slug), P(r->name), P(r->description), P(r->country), P(r->owner_user_id),
			    P(r->terms)),
		    &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code catalog_db_vendor_change(struct pg *pg, const char *id, const char *name, const char *description,
				       const char *country, int64_t version, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &vendor_change, PG_ARGS(P(id), P(name), P(description), P(country), P(version)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code catalog_db_vendor_decide(struct pg *pg, const char *id, const char *from, const char *status,
				       const char *reason, int32_t commission_bp, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &vendor_decide, PG_ARGS(P(id), P(from), P(status), P(reason), P(commission_bp)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

/* ---- categories ---- */

#define CATEGORY_COLUMNS                                                                           \
	"c.id, c.parent_id, c.slug, c.name, array_to_string(c.path, '/') AS path, c.position,"     \
	" coalesce(c.commission_bp, -1) AS commission_bp, c.version"
static const struct pg_col category_cols[] = {
	PG_COL(category_row, id),   PG_COL(category_row, parent_id), PG_COL(category_row, slug),
	PG_COL(category_row, name), PG_COL(category_row, path),	     PG_COL(category_row, position),
	PG_COL(category_row, commission_bp), PG_COL(category_row, version),
};
#define CATEGORY_ROW .col = category_cols, .ncol = 8, .row_size = sizeof(struct category_row)

static const struct pg_stmt category = {
	.name = "category",
	.sql = "SELECT " CATEGORY_COLUMNS " FROM catalog.category c WHERE c.id = $1 OR c.slug = $1",
	CATEGORY_ROW,
};
static const struct pg_stmt category_page = {
	.name = "category_page",
	.sql = "SELECT " CATEGORY_COLUMNS " FROM catalog.category c WHERE ($1::text IS NULL OR c.parent_id = $1)"
	       " AND c.id > $2 ORDER BY c.id LIMIT $3::integer",
	CATEGORY_ROW,
};
const struct pg_stmt catalog_db_categories_stmt = {
	.name = "categories_of",
	.sql = "SELECT " CATEGORY_COLUMNS " FROM catalog.product_category pc JOIN catalog.category c ON c.id = pc.category_id"
	       " WHERE pc.product_id = $1 ORDER BY c.id LIMIT 50",
	CATEGORY_ROW,
};
static const struct pg_stmt category_add = {
	.name = "category_add",
	.sql = "INSERT INTO catalog.category (id, parent_id, slug, name, path, position, commission_bp)"
	       " SELECT $1, $2, $3, $4, coalesce((SELECT p.path FROM catalog.category p WHERE p.id = $2), '{}') ||"
	       " ARRAY[$1::text], $5::integer, nullif($6::integer, -1)"
	       " WHERE $7::integer = 0 OR (SELECT count(*) FROM catalog.category) < $7::integer ON CONFLICT (slug) DO NOTHING",
};
static const struct pg_stmt category_change = {
	.name = "category_change",
	.sql = "UPDATE catalog.category SET name = coalesce($2, name), slug = coalesce($3, slug),"
	       " position = CASE WHEN $4::integer < 0 THEN position ELSE $4::integer END,"
	       " commission_bp = CASE WHEN $5::integer < 0 THEN commission_bp ELSE $5::integer END, version = version + 1"
	       " WHERE id = $1 AND ($6::bigint < 0 OR version = $6::bigint)",
};
static const struct pg_stmt category_del = {
	.name = "category_del",
	.sql = "DELETE FROM catalog.category c WHERE c.id = $1 AND ($2::bigint < 0 OR c.version = $2::bigint)"
	       " AND NOT EXISTS (SELECT 1 FROM catalog.category k WHERE k.parent_id = c.id)"
	       " AND NOT EXISTS (SELECT 1 FROM catalog.product_category pc WHERE pc.category_id = c.id)",
};

enum err_code catalog_db_category(struct pg *pg, struct arena *a, const char *id_or_slug, struct category_row **row_r,
				  bool *found_r, struct err *e)
{
	return pg_row(pg, &category, PG_ARGS(P(id_or_slug)), a, row_r, found_r, e);
}

enum err_code catalog_db_category_page(struct pg *pg, struct arena *a, const char *parent_id, const char *after,
				       int32_t limit, struct category_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &category_page, PG_ARGS(P(parent_id), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_category_add(struct pg *pg, const struct category_row *r, int32_t most, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &category_add,
		    PG_ARGS(P(r->id), P(r->parent_id), P(r->slug), P(r->name), P(r->position), P(r->commission_bp), P(most)),
		    &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code catalog_db_category_change(struct pg *pg, const char *id, const char *name, const char *slug,
					 int32_t position, int32_t commission_bp, int64_t version, bool *found_r,
					 struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &category_change,
		    PG_ARGS(P(id), P(name), P(slug), P(position), P(commission_bp), P(version)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code catalog_db_category_del(struct pg *pg, const char *id, int64_t version, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &category_del, PG_ARGS(P(id), P(version)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

const struct pg_stmt *const catalog_db_vendor_stmts[] = {
	&vendor,	&vendor_page,	&vendor_mine,	&vendor_add,	&vendor_change,	  &vendor_decide, &category,
	&category_page, &catalog_db_categories_stmt, &category_add, &category_change, &category_del,	  NULL,
};
