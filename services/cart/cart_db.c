#include "services/cart/cart_db.h"

#define CART_COLUMNS                                                                               \
	"c.id, c.user_id, c.currency, c.state, c.merged_into, c.version,"                          \
	" (extract(epoch FROM c.updated_at) * 1000)::bigint AS updated_at"
static const struct pg_col cart_cols[] = {
	PG_COL(cart_row, id),	       PG_COL(cart_row, user_id), PG_COL(cart_row, currency),	PG_COL(cart_row, state),
	PG_COL(cart_row, merged_into), PG_COL(cart_row, version), PG_COL(cart_row, updated_at),
};
#define CART_ROW .col = cart_cols, .ncol = 7, .row_size = sizeof(struct cart_row)

static const struct pg_stmt by_user = {
	.name = "cart_by_user",
	.sql = "SELECT " CART_COLUMNS " FROM cart.cart c WHERE c.user_id = $1 AND c.state = 'open'",
	CART_ROW,
};
static const struct pg_stmt by_token = {
	.name = "cart_by_token",
	.sql = "SELECT " CART_COLUMNS " FROM cart.cart c WHERE c.token_hash = $1::bytea",
	CART_ROW,
};
static const struct pg_stmt by_id = {
	.name = "cart_by_id",
	.sql = "SELECT " CART_COLUMNS " FROM cart.cart c WHERE c.id = $1",
	CART_ROW,
};
static const struct pg_stmt make = {
	.name = "cart_make",
	.sql = "INSERT INTO cart.cart AS c (id, user_id, token_hash, currency) VALUES ($1, $2, $3::bytea, $4)"
	       " ON CONFLICT (user_id) WHERE state = 'open' DO UPDATE SET user_id = excluded.user_id"
	       " RETURNING " CART_COLUMNS,
	CART_ROW,
};
static const struct pg_stmt touch = {
	.name = "cart_touch",
	.sql = "UPDATE cart.cart c SET version = c.version + 1, updated_at = now(), reminded_at = NULL"
	       " WHERE c.id = $1 AND c.state = 'open' AND ($2::bigint < 0 OR c.version = $2::bigint)"
	       " RETURNING " CART_COLUMNS,
	CART_ROW,
};
static const struct pg_stmt lock = {
	.name = "cart_lock",
	.sql = "SELECT " CART_COLUMNS " FROM cart.cart c WHERE c.id = $1 AND c.state = 'open' FOR UPDATE",
	CART_ROW,
};
static const struct pg_stmt taken = {
	.name = "cart_taken",
	.sql = "UPDATE cart.cart c SET version = c.version + 1, updated_at = now(), reminded_at = NULL, currency ="
	       " CASE WHEN EXISTS (SELECT 1 FROM cart.line l WHERE l.cart_id = c.id) THEN c.currency END WHERE c.id = $1",
};

enum err_code cart_db_by_user(struct pg *pg, struct arena *a, const char *user_id, struct cart_row **row_r,
			      bool *found_r, struct err *e)
{
	return pg_row(pg, &by_user, PG_ARGS(P(user_id)), a, row_r, found_r, e);
}

enum err_code cart_db_by_token(struct pg *pg, struct arena *a, struct pg_bytes token_hash, struct cart_row **row_r,
			       bool *found_r, struct err *e)
{
	return pg_row(pg, &by_token, PG_ARGS(P(token_hash)), a, row_r, found_r, e);
}

enum err_code cart_db_by_id(struct pg *pg, struct arena *a, const char *id, struct cart_row **row_r, bool *found_r,
			    struct err *e)
{
	return pg_row(pg, &by_id, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code cart_db_make(struct pg *pg, struct arena *a, const char *id, const char *user_id,
			   struct pg_bytes token_hash, const char *currency, struct cart_row **row_r, struct err *e)
{
	bool found = false;

	if (pg_row(pg, &make, PG_ARGS(P(id), P(user_id), P(token_hash), P(currency)), a, row_r, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_INTERNAL, "common.internal", "no cart made");
}

enum err_code cart_db_touch(struct pg *pg, struct arena *a, const char *id, int64_t version, struct cart_row **row_r,
			    bool *found_r, struct err *e)
{
	return pg_row(pg, &touch, PG_ARGS(P(id), P(version)), a, row_r, found_r, e);
}

enum err_code cart_db_lock(struct pg *pg, struct arena *a, const char *id, struct cart_row **row_r, bool *found_r,
			   struct err *e)
{
	return pg_row(pg, &lock, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code cart_db_taken(struct pg *pg, const char *id, struct err *e)
{
	return pg_later(pg, &taken, PG_ARGS(P(id)), e);
}

static const struct pg_stmt currency_set = {
	.name = "cart_currency",
	.sql = "UPDATE cart.cart SET currency = $2 WHERE id = $1 AND currency IS DISTINCT FROM $2",
};
static const struct pg_stmt currency_free = {
	.name = "cart_free_currency",
	.sql = "UPDATE cart.cart SET currency = NULL WHERE id = $1 AND currency IS NOT NULL"
	       " AND NOT EXISTS (SELECT 1 FROM cart.line l WHERE l.cart_id = $1)",
};

enum err_code cart_db_currency(struct pg *pg, const char *id, const char *currency, struct err *e)
{
	return pg_later(pg, &currency_set, PG_ARGS(P(id), P(currency)), e);
}

enum err_code cart_db_free_currency(struct pg *pg, const char *id, struct err *e)
{
	return pg_later(pg, &currency_free, PG_ARGS(P(id)), e);
}

/* ---- lines ---- */

static const struct pg_col line_cols[] = {
	PG_COL(line_row, id),	      PG_COL(line_row, variant_id), PG_COL(line_row, qty),
	PG_COL(line_row, seen_minor), PG_COL(line_row, added_at),
};
static const struct pg_stmt lines = {
	.name = "cart_lines",
	.sql = "SELECT id, variant_id, qty, seen_minor, (extract(epoch FROM added_at) * 1000)::bigint AS added_at"
	       " FROM cart.line WHERE cart_id = $1 ORDER BY added_at, id LIMIT 500",
	.col = line_cols,
	.ncol = 5,
	.row_size = sizeof(struct line_row),
};
static const struct pg_stmt line_put = {
	.name = "cart_line_put",
	.sql = "INSERT INTO cart.line AS l (id, cart_id, variant_id, qty, seen_minor)"
	       " VALUES ($1, $2, $3, $4::integer, $5::bigint) ON CONFLICT (cart_id, variant_id)"
	       " DO UPDATE SET qty = excluded.qty, seen_minor = excluded.seen_minor",
};
static const struct pg_stmt line_set = {
	.name = "cart_line_set",
	.sql = "UPDATE cart.line SET qty = $3::integer, seen_minor = $4::bigint WHERE cart_id = $1 AND id = $2",
};
static const struct pg_stmt line_del = {
	.name = "cart_line_del",
	.sql = "DELETE FROM cart.line WHERE cart_id = $1 AND id = $2",
};
static const struct pg_stmt line_take_all = {
	.name = "cart_line_take_all",
	.sql = "DELETE FROM cart.line WHERE cart_id = $1 AND variant_id = $2 AND qty <= $3::integer",
};
static const struct pg_stmt line_take = {
	.name = "cart_line_take",
	.sql = "UPDATE cart.line SET qty = qty - $3::integer WHERE cart_id = $1 AND variant_id = $2 AND qty > $3::integer",
};
static const struct pg_stmt lines_clear = {
	.name = "cart_lines_clear",
	.sql = "DELETE FROM cart.line WHERE cart_id = $1",
};

enum err_code cart_db_lines(struct pg *pg, struct arena *a, const char *cart_id, struct line_row **rows_r, size_t *n_r,
			    struct err *e)
{
	return pg_rows(pg, &lines, PG_ARGS(P(cart_id)), a, rows_r, n_r, e);
}

enum err_code cart_db_line_put(struct pg *pg, const char *id, const char *cart_id, const char *variant_id, int32_t qty,
			       int64_t seen_minor, struct err *e)
{
	return pg_later(pg, &line_put, PG_ARGS(P(id), P(cart_id), P(variant_id), P(qty), P(seen_minor)), e);
}

enum err_code cart_db_line_set(struct pg *pg, const char *cart_id, const char *line_id, int32_t qty, int64_t seen_minor,
			       bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &line_set, PG_ARGS(P(cart_id), P(line_id), P(qty), P(seen_minor)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code cart_db_line_del(struct pg *pg, const char *cart_id, const char *line_id, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &line_del, PG_ARGS(P(cart_id), P(line_id)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code cart_db_line_take(struct pg *pg, const char *cart_id, const char *variant_id, int32_t qty, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &line_take_all, PG_ARGS(P(cart_id), P(variant_id), P(qty)), &n, e))
		return e->code;
	return n ? OK : pg_exec(pg, &line_take, PG_ARGS(P(cart_id), P(variant_id), P(qty)), NULL, e);
}

enum err_code cart_db_lines_clear(struct pg *pg, const char *cart_id, struct err *e)
{
	return pg_exec(pg, &lines_clear, PG_ARGS(P(cart_id)), NULL, e);
}

/* ---- coupons ---- */

static const struct pg_col coupon_cols[] = { PG_COL(coupon_row, code) };
static const struct pg_stmt coupons = {
	.name = "cart_coupons",
	.sql = "SELECT code FROM cart.coupon WHERE cart_id = $1 ORDER BY added_at, code LIMIT 50",
	.col = coupon_cols,
	.ncol = 1,
	.row_size = sizeof(struct coupon_row),
};
static const struct pg_stmt coupon_put = {
	.name = "cart_coupon_put",
	.sql = "INSERT INTO cart.coupon (cart_id, code) VALUES ($1, $2) ON CONFLICT DO NOTHING",
};
static const struct pg_stmt coupon_del = {
	.name = "cart_coupon_del",
	.sql = "DELETE FROM cart.coupon WHERE cart_id = $1 AND code = $2",
};
static const struct pg_stmt coupons_clear = {
	.name = "cart_coupons_clear",
	.sql = "DELETE FROM cart.coupon WHERE cart_id = $1",
};
static const struct pg_stmt coupons_copy = {
	.name = "cart_coupons_copy",
	.sql = "INSERT INTO cart.coupon (cart_id, code) SELECT $2, code FROM cart.coupon WHERE cart_id = $1"
	       " ON CONFLICT DO NOTHING",
};

enum err_code cart_db_coupons(struct pg *pg, struct arena *a, const char *cart_id, struct coupon_row **rows_r,
			      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &coupons, PG_ARGS(P(cart_id)), a, rows_r, n_r, e);
}

enum err_code cart_db_content(struct pg *pg, struct arena *a, const char *cart_id, struct line_row **lines_r,
			      size_t *n_lines_r, struct coupon_row **coupons_r, size_t *n_coupons_r, struct err *e)
{
	const struct pg_param key[] = { P(cart_id) };
	const struct pg_read reads[] = {
		{ &lines, key, 1, lines_r, n_lines_r },
		{ &coupons, key, 1, coupons_r, n_coupons_r },
	};

	return pg_reads(pg, reads, 2, a, e);
}

enum err_code cart_db_coupon_put(struct pg *pg, const char *cart_id, const char *code, struct err *e)
{
	return pg_exec(pg, &coupon_put, PG_ARGS(P(cart_id), P(code)), NULL, e);
}

enum err_code cart_db_coupon_del(struct pg *pg, const char *cart_id, const char *code, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &coupon_del, PG_ARGS(P(cart_id), P(code)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code cart_db_coupons_clear(struct pg *pg, const char *cart_id, struct err *e)
{
	return pg_later(pg, &coupons_clear, PG_ARGS(P(cart_id)), e);
}

enum err_code cart_db_coupons_copy(struct pg *pg, const char *from, const char *to, struct err *e)
{
	return pg_exec(pg, &coupons_copy, PG_ARGS(P(from), P(to)), NULL, e);
}

/* ---- ends ---- */

static const struct pg_stmt close_merged = {
	.name = "cart_close_merged",
	.sql = "UPDATE cart.cart SET state = 'merged', merged_into = $2, version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND state = 'open'",
};
static const struct pg_stmt erase_user = {
	.name = "cart_erase_user",
	.sql = "DELETE FROM cart.cart WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM cart.cart m WHERE m.merged_into ="
	       " cart.cart.id AND m.user_id IS DISTINCT FROM $1)",
};
static const struct pg_stmt erase_guests = {
	.name = "cart_erase_merged",
	.sql = "DELETE FROM cart.cart g USING cart.cart u WHERE u.user_id = $1 AND g.merged_into = u.id",
};
static const struct pg_stmt expire_guests = {
	.name = "cart_expire_guests",
	.sql = "UPDATE cart.cart SET state = 'expired', version = version + 1 WHERE id IN (SELECT id FROM cart.cart"
	       " WHERE state = 'open' AND user_id IS NULL AND updated_at < now() - make_interval(days => $1::integer)"
	       " ORDER BY updated_at LIMIT $2::integer FOR UPDATE SKIP LOCKED)",
};
static const struct pg_stmt expire_users = {
	.name = "cart_expire_users",
	.sql = "UPDATE cart.cart SET state = 'expired', version = version + 1 WHERE id IN (SELECT id FROM cart.cart"
	       " WHERE state = 'open' AND user_id IS NOT NULL AND updated_at < now() - make_interval(days => $1::integer)"
	       " ORDER BY updated_at LIMIT $2::integer FOR UPDATE SKIP LOCKED)",
};
static const struct pg_col abandoned_cols[] = {
	PG_COL(abandoned_row, id),
	PG_COL(abandoned_row, user_id),
	PG_COL(abandoned_row, version),
};
static const struct pg_stmt mark_abandoned = {
	.name = "cart_mark_abandoned",
	/* Empty ones are marked too, so that the next scan does not meet them again. */
	.sql = "WITH due AS (UPDATE cart.cart SET reminded_at = now() WHERE id IN (SELECT c.id FROM cart.cart c"
	       " WHERE c.state = 'open' AND c.user_id IS NOT NULL AND c.reminded_at IS NULL AND c.updated_at < now() -"
	       " make_interval(mins => $1::integer) ORDER BY c.updated_at LIMIT $2::integer FOR UPDATE SKIP LOCKED)"
	       " RETURNING id, user_id, version) SELECT id, user_id, version FROM due d"
	       " WHERE EXISTS (SELECT 1 FROM cart.line l WHERE l.cart_id = d.id) LIMIT $2::integer",
	.col = abandoned_cols,
	.ncol = 3,
	.row_size = sizeof(struct abandoned_row),
};

enum err_code cart_db_close_merged(struct pg *pg, const char *id, const char *into, struct err *e)
{
	return pg_exec(pg, &close_merged, PG_ARGS(P(id), P(into)), NULL, e);
}

enum err_code cart_db_erase_user(struct pg *pg, const char *user_id, struct err *e)
{
	if (pg_exec(pg, &erase_guests, PG_ARGS(P(user_id)), NULL, e))
		return e->code;
	return pg_exec(pg, &erase_user, PG_ARGS(P(user_id)), NULL, e);
}

enum err_code cart_db_expire_guests(struct pg *pg, int32_t days, int32_t limit, int64_t *n_r, struct err *e)
{
	return pg_exec(pg, &expire_guests, PG_ARGS(P(days), P(limit)), n_r, e);
}

enum err_code cart_db_expire_users(struct pg *pg, int32_t days, int32_t limit, int64_t *n_r, struct err *e)
{
	return pg_exec(pg, &expire_users, PG_ARGS(P(days), P(limit)), n_r, e);
}

enum err_code cart_db_mark_abandoned(struct pg *pg, struct arena *a, int32_t idle_min, int32_t limit,
				     struct abandoned_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &mark_abandoned, PG_ARGS(P(idle_min), P(limit)), a, rows_r, n_r, e);
}

const struct pg_stmt *const cart_db_stmts[] = {
	&by_user,	&by_token,	&by_id,		&make,		&touch,		&lock,		&taken,
	&currency_set,	&currency_free,
	&lines,		&line_put,	&line_set,	&line_del,	&line_take_all, &line_take,	&lines_clear,
	&coupons,	&coupon_put,	&coupon_del,	&coupons_clear, &coupons_copy,	&close_merged,	&erase_user,
	&erase_guests,	&expire_guests, &expire_users,	&mark_abandoned, NULL,
};
