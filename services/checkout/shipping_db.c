/* Tax rates and shipping methods as administrators keep them. */
#include "common/compiler.h"
#include "services/checkout/admin_db.h"

#define T(f) PG_COL(tax_rate_row, f)
static const struct pg_col tax_cols[] = {
	T(id), T(country), T(region), T(tax_class), T(name), T(rate_bp), T(included), T(version),
};
#define TAX_COLUMNS "t.id, t.country, t.region, t.tax_class, t.name, t.rate_bp, t.included, t.version"
#define TAX_ROW .col = tax_cols, .ncol = ARRAY_LEN(tax_cols), .row_size = sizeof(struct tax_rate_row)

static const struct pg_stmt tax_insert = {
	.name = "tax_insert",
	.sql = "INSERT INTO checkout.tax_rate (id, country, region, tax_class, name, rate_bp, included)"
	       " VALUES ($1, $2, $3, $4, $5, $6::int, $7::bool)",
};
static const struct pg_stmt tax_get = { .name = "tax_get", .sql = "SELECT " TAX_COLUMNS " FROM checkout.tax_rate t WHERE t.id = $1", TAX_ROW };
static const struct pg_stmt tax_page = {
	.name = "tax_page",
	.sql = "SELECT " TAX_COLUMNS " FROM checkout.tax_rate t WHERE ($1::text IS NULL OR t.country = $1) AND t.id > $2 ORDER BY t.id LIMIT $3::int",
	TAX_ROW,
};
static const struct pg_stmt tax_update = {
	.name = "tax_update",
	.sql = "UPDATE checkout.tax_rate SET rate_bp = $2::int, included = $3::bool, name = $4, version = version + 1,"
	       " updated_at = now() WHERE id = $1",
};
static const struct pg_stmt tax_delete = { .name = "tax_delete", .sql = "DELETE FROM checkout.tax_rate WHERE id = $1" };

enum err_code tax_db_insert(struct pg *pg, const struct tax_rate_row *t, struct err *e)
{
	return pg_exec(pg, &tax_insert, PG_ARGS(P(t->id), P(t->country), P(t->region), P(t->tax_class), P(t->name),
						P(t->rate_bp), P(t->included)), NULL, e);
}

enum err_code tax_db_get(struct pg *pg, struct arena *a, const char *id, struct tax_rate_row **row_r, bool *found_r,
			 struct err *e)
{
	return pg_row(pg, &tax_get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code tax_db_page(struct pg *pg, struct arena *a, const char *country, const char *after, int32_t limit,
			  struct tax_rate_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &tax_page, PG_ARGS(P(country), P(after), P(limit)), a, rows_r, n_r, e);
}

static enum err_code one(struct pg *pg, const struct pg_stmt *s, const struct pg_param *p, size_t n, bool *done_r,
			 struct err *e)
{
	int64_t rows = 0;

	if (pg_exec(pg, s, p, n, &rows, e))
		return e->code;
	*done_r = rows == 1;
	return OK;
}

enum err_code tax_db_update(struct pg *pg, const struct tax_rate_row *t, bool *done_r, struct err *e)
{
	return one(pg, &tax_update, PG_ARGS(P(t->id), P(t->rate_bp), P(t->included), P(t->name)), done_r, e);
}

enum err_code tax_db_delete(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	return one(pg, &tax_delete, PG_ARGS(P(id)), done_r, e);
}

/* ---- shipping ---- */

#define M(f) PG_COL(method_row, f)
static const struct pg_col method_cols[] = {
	M(id), M(zone), M(name), M(countries), M(max_weight_g), M(min_days), M(max_days), M(priority), M(active), M(version),
};
#define METHOD_SQL                                                                                                    \
	"SELECT m.id, m.zone, m.name, array_to_string(m.countries, ',') AS countries,"                                   \
	" coalesce(m.max_weight_g, 0) AS max_weight_g, m.min_days, m.max_days, m.priority, m.active, m.version"         \
	" FROM checkout.shipping_method m"
#define METHOD_ROW .col = method_cols, .ncol = ARRAY_LEN(method_cols), .row_size = sizeof(struct method_row)

/* Version 0: a new one; else the one to be replaced. */
static const struct pg_stmt method_insert = {
	.name = "method_insert",
	.sql = "INSERT INTO checkout.shipping_method (id, zone, name, countries, max_weight_g, min_days, max_days, priority,"
	       " active) VALUES ($1, $2, $3, $4::text[], nullif($5::int, 0), $6::int, $7::int, $8::int, $9::bool)",
};
static const struct pg_stmt method_update = {
	.name = "method_update",
	.sql = "UPDATE checkout.shipping_method SET zone = $2, name = $3, countries = $4::text[],"
	       " max_weight_g = nullif($5::int, 0), min_days = $6::int, max_days = $7::int, priority = $8::int,"
	       " active = $9::bool, version = version + 1, updated_at = now() WHERE id = $1 AND version = $10::bigint",
};

enum err_code method_db_put(struct pg *pg, struct arena *a, const struct method_row *m, const char *const *countries,
			    size_t n, bool *done_r, struct err *e)
{
	if (m->version == 0)
		return one(pg, &method_insert,
			   PG_ARGS(P(m->id), P(m->zone), P(m->name), pg_p_text_array(a, countries, n), P(m->max_weight_g),
				   P(m->min_days), P(m->max_days), P(m->priority), P(m->active)), done_r, e);
	return one(pg, &method_update,
		   PG_ARGS(P(m->id), P(m->zone), P(m->name), pg_p_text_array(a, countries, n), P(m->max_weight_g),
			   P(m->min_days), P(m->max_days), P(m->priority), P(m->active), P(m->version)), done_r, e);
}

static const struct pg_stmt prices_clear = {
	.name = "method_prices_clear", .sql = "DELETE FROM checkout.shipping_price WHERE method_id = $1"
};
static const struct pg_stmt price_put = {
	.name = "method_price_put",
	.sql = "INSERT INTO checkout.shipping_price (method_id, currency, base_minor, per_kg_minor, free_from_minor)"
	       " VALUES ($1, $2, $3::bigint, $4::bigint, CASE WHEN $5::bigint >= 0 THEN $5::bigint END)",
};
static const struct pg_stmt method_get = { .name = "method_get", .sql = METHOD_SQL " WHERE m.id = $1", METHOD_ROW };
static const struct pg_stmt method_page = {
	.name = "method_page", .sql = METHOD_SQL " WHERE m.id > $1 ORDER BY m.id LIMIT $2::int", METHOD_ROW
};
static const struct pg_stmt method_delete = {
	.name = "method_delete", .sql = "DELETE FROM checkout.shipping_method WHERE id = $1"
};

enum err_code method_db_prices_clear(struct pg *pg, const char *id, struct err *e)
{
	return pg_exec(pg, &prices_clear, PG_ARGS(P(id)), NULL, e);
}

enum err_code method_db_price_put(struct pg *pg, const struct method_price_row *p, struct err *e)
{
	return pg_exec(pg, &price_put, PG_ARGS(P(p->method_id), P(p->currency), P(p->price), P(p->per_kg),
					       P(p->free_from)), NULL, e);
}

enum err_code method_db_get(struct pg *pg, struct arena *a, const char *id, struct method_row **row_r, bool *found_r,
			    struct err *e)
{
	return pg_row(pg, &method_get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code method_db_page(struct pg *pg, struct arena *a, const char *after, int32_t limit,
			     struct method_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &method_page, PG_ARGS(P(after), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_col price_cols[] = {
	PG_COL(method_price_row, method_id), PG_COL(method_price_row, currency),  PG_COL(method_price_row, price),
	PG_COL(method_price_row, per_kg),    PG_COL(method_price_row, free_from),
};
static const struct pg_stmt prices = {
	.name = "method_prices",
	.sql = "SELECT p.method_id, p.currency, p.base_minor AS price, p.per_kg_minor AS per_kg,"
	       " coalesce(p.free_from_minor, -1) AS free_from FROM checkout.shipping_price p"
	       " WHERE p.method_id = ANY ($1::text[]) ORDER BY p.method_id, p.currency LIMIT 20000",
	.col = price_cols, .ncol = 5, .row_size = sizeof(struct method_price_row),
};

enum err_code method_db_prices(struct pg *pg, struct arena *a, const char *const *ids, size_t n,
			       struct method_price_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &prices, PG_ARGS(pg_p_text_array(a, ids, n)), a, rows_r, n_r, e);
}

enum err_code method_db_delete(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	return one(pg, &method_delete, PG_ARGS(P(id)), done_r, e);
}

const struct pg_stmt *const shipping_db_stmts[] = { &tax_insert,   &tax_get,	  &tax_page,	  &tax_update, &tax_delete,
						    &method_insert, &method_update, &prices_clear, &price_put,
						    &method_get,    &method_page,   &method_delete, &prices,	NULL };
