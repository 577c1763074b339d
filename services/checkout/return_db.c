/* Returns and the vendors' ledger. */
#include "common/compiler.h"
#include "services/checkout/admin_db.h"

#define MS(col) "(extract(epoch FROM " col ") * 1000)::bigint"
#define US(col) "(extract(epoch FROM " col ") * 1000000)::bigint"

static const struct pg_stmt insert = {
	.name = "return_insert",
	.sql = "INSERT INTO checkout.return_request (id, order_id, vendor_order_id, vendor_id, reason)"
	       " VALUES ($1, $2, $3, $4, $5)",
};

enum err_code return_db_insert(struct pg *pg, const char *id, const char *order_id, const char *vendor_order_id,
			       const char *vendor_id, const char *reason, struct err *e)
{
	return pg_exec(pg, &insert, PG_ARGS(P(id), P(order_id), P(vendor_order_id), P(vendor_id), P(reason)), NULL, e);
}

static const struct pg_stmt count = {
	.name = "return_count",
	.sql = "UPDATE checkout.order_line SET returned_qty = returned_qty + $3::int WHERE order_id = $1 AND variant_id = $2",
};
static const struct pg_stmt line = {
	.name = "return_line",
	.sql = "INSERT INTO checkout.return_line (return_id, variant_id, qty) VALUES ($1, $2, $3::int)",
};

enum err_code return_db_line(struct pg *pg, const char *return_id, const char *order_id, const char *variant_id,
			     int32_t qty, struct err *e)
{
	if (pg_exec(pg, &count, PG_ARGS(P(order_id), P(variant_id), P(qty)), NULL, e))
		return e->code;
	return pg_exec(pg, &line, PG_ARGS(P(return_id), P(variant_id), P(qty)), NULL, e);
}

#define T(f) PG_COL(return_row, f)
static const struct pg_col return_cols[] = {
	T(id),	     T(order_id), T(vendor_order_id), T(vendor_id), T(status),	   T(reason),	  T(note),
	T(refund_id), T(variants), T(qtys),	      T(version),   T(created_at), T(updated_at), T(created_us),
};
#define RETURN_SQL                                                                                                    \
	"SELECT t.id, t.order_id, t.vendor_order_id, t.vendor_id, t.status, t.reason, t.note, t.refund_id,"              \
	" (SELECT string_agg(l.variant_id, ',' ORDER BY l.variant_id) FROM checkout.return_line l"                      \
	" WHERE l.return_id = t.id) AS variants, (SELECT string_agg(l.qty::text, ',' ORDER BY l.variant_id)"            \
	" FROM checkout.return_line l WHERE l.return_id = t.id) AS qtys, t.version, " MS("t.created_at")                \
	" AS created_at, " MS("t.updated_at") " AS updated_at, " US("t.created_at") " AS created_us"                    \
	" FROM checkout.return_request t"
#define RETURN_ROW .col = return_cols, .ncol = ARRAY_LEN(return_cols), .row_size = sizeof(struct return_row)

static const struct pg_stmt get = {
	.name = "return_get", .sql = RETURN_SQL " WHERE t.vendor_id = $1 AND t.id = $2", RETURN_ROW
};
static const struct pg_stmt lock = {
	.name = "return_lock", .sql = RETURN_SQL " WHERE t.vendor_id = $1 AND t.id = $2 FOR UPDATE OF t", RETURN_ROW
};
static const struct pg_stmt page = {
	.name = "return_page",
	.sql = RETURN_SQL " WHERE t.vendor_id = $4 AND ($1::bigint = 9223372036854775807 OR (t.created_at, t.id) <"
	       " (timestamptz 'epoch' + least($1::bigint, 8000000000000000) * interval '1 microsecond', $2))"
	       " AND ($5::text IS NULL OR t.status = $5) ORDER BY t.created_at DESC, t.id DESC LIMIT $3::int",
	RETURN_ROW,
};

static const struct pg_stmt of_order = {
	.name = "return_of_order",
	.sql = RETURN_SQL " WHERE t.order_id = $1 ORDER BY t.created_at DESC, t.id DESC LIMIT 500",
	RETURN_ROW,
};

enum err_code return_db_of_order(struct pg *pg, struct arena *a, const char *order_id, struct return_row **rows_r,
				 size_t *n_r, struct err *e)
{
	return pg_rows(pg, &of_order, PG_ARGS(P(order_id)), a, rows_r, n_r, e);
}

enum err_code return_db_get(struct pg *pg, struct arena *a, const char *vendor_id, const char *id, bool locked,
			    struct return_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, locked ? &lock : &get, PG_ARGS(P(vendor_id), P(id)), a, row_r, found_r, e);
}

enum err_code return_db_page(struct pg *pg, struct arena *a, const char *vendor_id, const char *status,
			     int64_t before_us, const char *before_id, int32_t limit, struct return_row **rows_r,
			     size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(before_us), P(before_id), P(limit), P(vendor_id), P(status)), a, rows_r, n_r,
		       e);
}

static const struct pg_stmt move = {
	.name = "return_move",
	.sql = "UPDATE checkout.return_request SET status = $3, note = coalesce($4, note),"
	       " refund_id = coalesce($5, refund_id), version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND status = $2",
};

enum err_code return_db_move(struct pg *pg, const char *id, const char *from, const char *to, const char *note,
			     const char *refund_id, bool *done_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &move, PG_ARGS(P(id), P(from), P(to), P(note), P(refund_id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

static const struct pg_stmt uncount = {
	.name = "return_uncount",
	.sql = "UPDATE checkout.order_line l SET returned_qty = l.returned_qty - x.qty FROM checkout.return_line x"
	       " JOIN checkout.return_request t ON t.id = x.return_id WHERE t.id = $1 AND l.order_id = t.order_id"
	       " AND l.variant_id = x.variant_id",
};

enum err_code return_db_uncount(struct pg *pg, const char *id, struct err *e)
{
	return pg_exec(pg, &uncount, PG_ARGS(P(id)), NULL, e);
}

/* ---- the ledger ---- */

static const struct pg_col balance_cols[] = { PG_COL(balance_row, currency), PG_COL(balance_row, owed) };
static const struct pg_stmt balance = {
	.name = "ledger_balance",
	.sql = "SELECT l.currency, sum(l.amount_minor)::bigint AS owed FROM checkout.ledger l WHERE l.vendor_id = $1"
	       " GROUP BY l.currency ORDER BY l.currency LIMIT 200",
	.col = balance_cols, .ncol = 2, .row_size = sizeof(struct balance_row),
};

enum err_code ledger_db_balance(struct pg *pg, struct arena *a, const char *vendor_id, struct balance_row **rows_r,
				size_t *n_r, struct err *e)
{
	return pg_rows(pg, &balance, PG_ARGS(P(vendor_id)), a, rows_r, n_r, e);
}

static const struct pg_col ledger_cols[] = {
	PG_COL(ledger_row, id),	      PG_COL(ledger_row, amount),	   PG_COL(ledger_row, booked_at),
	PG_COL(ledger_row, kind),     PG_COL(ledger_row, currency),	   PG_COL(ledger_row, vendor_order_id),
	PG_COL(ledger_row, reference),
};
#define LEDGER_COLUMNS                                                                                                \
	"l.id, l.amount_minor AS amount, " MS("l.booked_at") " AS booked_at, l.kind, l.currency, l.vendor_order_id, l.reference"
#define LEDGER_ROW .col = ledger_cols, .ncol = ARRAY_LEN(ledger_cols), .row_size = sizeof(struct ledger_row)

static const struct pg_stmt ledger_page = {
	.name = "ledger_page",
	.sql = "SELECT " LEDGER_COLUMNS " FROM checkout.ledger l WHERE l.vendor_id = $1 AND l.id < $2::bigint"
	       " ORDER BY l.id DESC LIMIT $3::int",
	LEDGER_ROW,
};

enum err_code ledger_db_page(struct pg *pg, struct arena *a, const char *vendor_id, int64_t before, int32_t limit,
			     struct ledger_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &ledger_page, PG_ARGS(P(vendor_id), P(before), P(limit)), a, rows_r, n_r, e);
}

/* Two payouts of one vendor queue here, so that together they cannot pass what is owed. */
static const struct pg_stmt payout_lock = {
	.name = "payout_lock",
	.sql = "SELECT pg_advisory_xact_lock(hashtextextended('checkout.payout:' || $1, 0))",
};
static const struct pg_stmt payout = {
	.name = "payout",
	.sql = "INSERT INTO checkout.ledger AS l (vendor_id, kind, currency, amount_minor, reference)"
	       " SELECT $1, 'payout', $2, -$3::bigint, $4 WHERE (SELECT coalesce(sum(x.amount_minor), 0)"
	       " FROM checkout.ledger x WHERE x.vendor_id = $1 AND x.currency = $2) >= $3::bigint RETURNING " LEDGER_COLUMNS,
	LEDGER_ROW,
};

enum err_code ledger_db_payout(struct pg *pg, struct arena *a, const char *vendor_id, const char *currency,
			       int64_t amount, const char *reference, struct ledger_row **row_r, bool *done_r,
			       struct err *e)
{
	if (pg_exec(pg, &payout_lock, PG_ARGS(P(vendor_id)), NULL, e))
		return e->code;
	return pg_row(pg, &payout, PG_ARGS(P(vendor_id), P(currency), P(amount), P(reference)), a, row_r, done_r, e);
}

const struct pg_stmt *const return_db_stmts[] = { &insert, &count,   &line,	 &get,		&lock,	 &page,
						  &move,   &uncount, &balance, &ledger_page, &payout_lock, &payout,
						  &of_order, NULL };
