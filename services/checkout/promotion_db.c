/* Promotions as administrators keep them. */
#include "common/compiler.h"
#include "services/checkout/admin_db.h"

#define MS(col) "(extract(epoch FROM " col ") * 1000)::bigint"
#define AT(n)	"CASE WHEN $" n "::bigint > 0 THEN to_timestamp($" n "::bigint / 1000.0) END"

#define Q(f) PG_COL(promotion_row, f)
static const struct pg_col cols[] = {
	Q(id),	   Q(code), Q(title),	Q(kind),    Q(currency), Q(vendor_id), Q(products),  Q(categories), Q(amount),
	Q(min),	   Q(max_uses), Q(uses), Q(version), Q(starts_at), Q(ends_at), Q(percent_bp), Q(buy_qty),   Q(get_qty),
	Q(per_buyer), Q(priority), Q(combinable), Q(active),
};
#define SQL                                                                                                           \
	"SELECT p.id, p.code, p.title, p.kind, p.currency, p.vendor_id, array_to_string(p.product_ids, ',') AS products," \
	" array_to_string(p.category_ids, ',') AS categories, p.amount_minor AS amount, p.min_minor AS min,"            \
	" coalesce(p.max_uses, -1) AS max_uses, p.uses, p.version, coalesce(" MS("p.starts_at") ", 0) AS starts_at,"    \
	" coalesce(" MS("p.ends_at") ", 0) AS ends_at, p.percent_bp, p.buy_qty, p.get_qty,"                             \
	" coalesce(p.per_buyer, -1) AS per_buyer, p.priority, p.combinable, p.active FROM checkout.promotion p"
#define ROW .col = cols, .ncol = ARRAY_LEN(cols), .row_size = sizeof(struct promotion_row)

static const struct pg_stmt insert = {
	.name = "promotion_insert",
	.sql = "INSERT INTO checkout.promotion (id, code, title, kind, currency, vendor_id, product_ids, category_ids,"
	       " amount_minor, min_minor, max_uses, starts_at, ends_at, percent_bp, buy_qty, get_qty, per_buyer, priority,"
	       " combinable, active) VALUES ($1, $2, $3, $4, $5, $6, $7::text[], $8::text[], $9::bigint, $10::bigint,"
	       " CASE WHEN $11::bigint >= 0 THEN $11::bigint END, " AT("12") ", " AT("13") ", $14::int, $15::int, $16::int,"
	       " CASE WHEN $17::int >= 0 THEN $17::int END, $18::int, $19::bool, $20::bool)",
};

enum err_code promotion_db_insert(struct pg *pg, struct arena *a, const struct promotion_row *p,
				  const char *const *products, size_t n_products, const char *const *categories,
				  size_t n_categories, struct err *e)
{
	return pg_exec(pg, &insert,
		       PG_ARGS(P(p->id), P(p->code), P(p->title), P(p->kind), P(p->currency), P(p->vendor_id),
			       pg_p_text_array(a, products, n_products), pg_p_text_array(a, categories, n_categories),
			       P(p->amount), P(p->min), P(p->max_uses), P(p->starts_at), P(p->ends_at), P(p->percent_bp),
			       P(p->buy_qty), P(p->get_qty), P(p->per_buyer), P(p->priority), P(p->combinable),
			       P(p->active)),
		       NULL, e);
}

static const struct pg_stmt get = { .name = "promotion_get", .sql = SQL " WHERE p.id = $1", ROW };

enum err_code promotion_db_get(struct pg *pg, struct arena *a, const char *id, struct promotion_row **row_r,
			       bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt page = {
	.name = "promotion_page", .sql = SQL " WHERE $1 = '' OR p.id < $1 ORDER BY p.id DESC LIMIT $2::int", ROW
};

enum err_code promotion_db_page(struct pg *pg, struct arena *a, const char *before, int32_t limit,
				struct promotion_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(before), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt update = {
	.name = "promotion_update",
	.sql = "UPDATE checkout.promotion SET title = $2, max_uses = CASE WHEN $3::bigint >= 0 THEN $3::bigint END,"
	       " per_buyer = CASE WHEN $4::int >= 0 THEN $4::int END, starts_at = " AT("5") ", ends_at = " AT("6") ","
	       " priority = $7::int, combinable = $8::bool, active = $9::bool, version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND ($10::bigint < 0 OR version = $10::bigint)",
};

enum err_code promotion_db_update(struct pg *pg, const struct promotion_row *p, int64_t version, bool *done_r,
				  struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &update,
		    PG_ARGS(P(p->id), P(p->title), P(p->max_uses), P(p->per_buyer), P(p->starts_at), P(p->ends_at),
			    P(p->priority), P(p->combinable), P(p->active), P(version)),
		    &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

const struct pg_stmt *const promotion_db_stmts[] = { &insert, &get, &page, &update, NULL };
