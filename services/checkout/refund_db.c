#include "services/checkout/refund_db.h"

#include "common/compiler.h"

#define MS(col) "(extract(epoch FROM " col ") * 1000)::bigint"

#define R(f) PG_COL(refund_row, f)
static const struct pg_col refund_cols[] = {
	R(id),	     R(order_id), R(checkout_id), R(pi_id),	 R(currency),	R(state), R(reason), R(provider_id),
	R(user_id),  R(amount),	  R(version),	  R(created_at), R(updated_at), R(key_n), R(tries),
	R(age_ms),
};
#define REFUND_SQL                                                                                                    \
	"SELECT r.id, r.order_id, r.checkout_id, p.pi_id, r.currency, r.state, r.reason, r.provider_id, o.user_id,"      \
	" r.amount_minor AS amount, r.version, " MS("r.created_at") " AS created_at, " MS("r.updated_at")               \
	" AS updated_at, r.key_n, r.tries,"                                                                         \
	" (extract(epoch FROM now() - r.created_at) * 1000)::bigint AS age_ms FROM checkout.refund r JOIN checkout.payment p ON p.id = r.payment_id"        \
	" LEFT JOIN checkout.orders o ON o.id = r.order_id"
#define REFUND_ROW .col = refund_cols, .ncol = ARRAY_LEN(refund_cols), .row_size = sizeof(struct refund_row)

static const struct pg_stmt get = { .name = "refund_get", .sql = REFUND_SQL " WHERE r.id = $1", REFUND_ROW };
static const struct pg_stmt by_provider = {
	.name = "refund_by_provider", .sql = REFUND_SQL " WHERE r.provider_id = $1", REFUND_ROW
};
static const struct pg_stmt page = {
	.name = "refund_page",
	.sql = REFUND_SQL " WHERE ($1::text IS NULL OR r.order_id = $1) AND ($2 = '' OR r.id < $2)"
	       " ORDER BY r.id DESC LIMIT $3::int",
	REFUND_ROW,
};

enum err_code refund_db_get(struct pg *pg, struct arena *a, const char *id, struct refund_row **row_r, bool *found_r,
			    struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code refund_db_by_provider(struct pg *pg, struct arena *a, const char *provider_id, struct refund_row **row_r,
				    bool *found_r, struct err *e)
{
	return pg_row(pg, &by_provider, PG_ARGS(P(provider_id)), a, row_r, found_r, e);
}

enum err_code refund_db_page(struct pg *pg, struct arena *a, const char *order_id, const char *before, int32_t limit,
			     struct refund_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(order_id), P(before), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_col due_cols[] = { PG_COL(refund_due_row, id) };
static const struct pg_stmt due = {
	.name = "refund_due",
	.sql = "UPDATE checkout.refund r SET next_at = now() + interval '20 s' FROM (SELECT d.id FROM checkout.refund d"
	       " WHERE d.next_at <= now() ORDER BY d.next_at LIMIT $1::int FOR UPDATE SKIP LOCKED) x"
	       " WHERE r.id = x.id RETURNING r.id",
	.col = due_cols, .ncol = 1, .row_size = sizeof(struct refund_due_row),
};

enum err_code refund_db_due(struct pg *pg, struct arena *a, int32_t limit, struct refund_due_row **rows_r, size_t *n_r,
			    struct err *e)
{
	return pg_rows(pg, &due, PG_ARGS(P(limit)), a, rows_r, n_r, e);
}

/* ---- making one ---- */

static const struct pg_stmt insert = {
	.name = "refund_insert",
	.sql = "INSERT INTO checkout.refund (id, payment_id, checkout_id, order_id, currency, amount_minor, reason, next_at)"
	       " SELECT $1, p.id, o.checkout_id, o.id, p.currency, $3::bigint, $4, now() + interval '15 s'"
	       " FROM checkout.orders o JOIN checkout.payment p ON p.pi_id = o.payment_intent_id WHERE o.id = $2",
};

enum err_code refund_db_insert(struct pg *pg, const char *id, const char *order_id, int64_t amount, const char *reason,
			       struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &insert, PG_ARGS(P(id), P(order_id), P(amount), P(reason)), &n, e))
		return e->code;
	return n == 1 ? OK : err_set(e, E_RULE, "refund.nothing", "order %s has no payment", order_id);
}

static const struct pg_stmt line_count = {
	.name = "refund_line_count",
	.sql = "UPDATE checkout.order_line SET refunded_qty = refunded_qty + $3::int WHERE order_id = $1 AND variant_id = $2",
};
static const struct pg_stmt line = {
	.name = "refund_line",
	.sql = "INSERT INTO checkout.refund_line (refund_id, variant_id, qty) VALUES ($1, $2, $3::int)",
};

static const struct pg_col line_cols[] = {
	PG_COL(refund_line_row, variant_id),
	PG_COL(refund_line_row, product_id),
	PG_COL(refund_line_row, vendor_id),
	PG_COL(refund_line_row, qty),
};
static const struct pg_stmt lines_of = {
	.name = "refund_lines_of",
	.sql = "SELECT x.variant_id, l.product_id, v.vendor_id, x.qty FROM checkout.refund_line x"
	       " JOIN checkout.order_line l ON l.order_id = $2 AND l.variant_id = x.variant_id"
	       " JOIN checkout.vendor_order v ON v.id = l.vendor_order_id WHERE x.refund_id = $1 ORDER BY x.variant_id",
	.col = line_cols,
	.ncol = 4,
	.row_size = sizeof(struct refund_line_row),
};

enum err_code refund_db_lines(struct pg *pg, struct arena *a, const char *refund_id, const char *order_id,
			      struct refund_line_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &lines_of, PG_ARGS(P(refund_id), P(order_id)), a, rows_r, n_r, e);
}

enum err_code refund_db_line(struct pg *pg, const char *refund_id, const char *order_id, const char *variant_id,
			     int32_t qty, struct err *e)
{
	if (pg_exec(pg, &line_count, PG_ARGS(P(order_id), P(variant_id), P(qty)), NULL, e))
		return e->code;
	return pg_exec(pg, &line, PG_ARGS(P(refund_id), P(variant_id), P(qty)), NULL, e);
}

static const struct pg_stmt share = {
	.name = "refund_share",
	.sql = "INSERT INTO checkout.refund_share (refund_id, vendor_order_id, amount_minor, commission_minor)"
	       " VALUES ($1, $2, $3::bigint, $4::bigint)",
};

enum err_code refund_db_share(struct pg *pg, const char *refund_id, const char *vendor_order_id, int64_t amount,
			      int64_t commission, struct err *e)
{
	return pg_exec(pg, &share, PG_ARGS(P(refund_id), P(vendor_order_id), P(amount), P(commission)), NULL, e);
}

static const struct pg_col share_cols[] = {
	PG_COL(share_row, vendor_order_id), PG_COL(share_row, total),		 PG_COL(share_row, commission),
	PG_COL(share_row, gone),	    PG_COL(share_row, commission_gone), PG_COL(share_row, left),
};
static const struct pg_stmt shares = {
	.name = "refund_shares",
	.sql = "SELECT v.id AS vendor_order_id, v.total_minor AS total, v.commission_minor AS commission,"
	       " coalesce(sum(s.amount_minor), 0)::bigint AS gone,"
	       " coalesce(sum(s.commission_minor), 0)::bigint AS commission_gone,"
	       " coalesce((SELECT p.captured_minor - p.refunding_minor FROM checkout.payment p JOIN checkout.orders o"
	       " ON o.payment_intent_id = p.pi_id WHERE o.id = $1), 0) AS left FROM checkout.vendor_order v"
	       " LEFT JOIN (checkout.refund_share s JOIN checkout.refund r ON r.id = s.refund_id AND r.state <> 'failed')"
	       " ON s.vendor_order_id = v.id WHERE v.order_id = $1 GROUP BY v.id ORDER BY v.id LIMIT 500",
	.col = share_cols, .ncol = 6, .row_size = sizeof(struct share_row),
};

enum err_code refund_db_shares(struct pg *pg, struct arena *a, const char *order_id, struct share_row **rows_r,
			       size_t *n_r, struct err *e)
{
	return pg_rows(pg, &shares, PG_ARGS(P(order_id)), a, rows_r, n_r, e);
}

/* ---- its outcome ---- */

static const struct pg_stmt set_state = {
	.name = "refund_set_state",
	.sql = "UPDATE checkout.refund SET state = $3, provider_id = coalesce($4, provider_id), next_at = NULL,"
	       " version = version + 1, updated_at = now() WHERE id = $1 AND version = $2::bigint AND state <> $3",
};
/* The order's row counts what has come back; sign is 1 or -1. */
static const struct pg_stmt order_counts = {
	.name = "refund_order_counts",
	.sql = "UPDATE checkout.orders SET refunded_minor = refunded_minor + $2::bigint,"
	       " payment_status = CASE WHEN refunded_minor + $2::bigint = 0 THEN 'paid'"
	       " WHEN refunded_minor + $2::bigint = total_minor THEN 'refunded' ELSE 'partially_refunded' END,"
	       " version = version + 1, updated_at = now() WHERE id = $1",
};
static const struct pg_stmt book = {
	.name = "refund_book",
	.sql = "INSERT INTO checkout.ledger (vendor_id, vendor_order_id, kind, currency, amount_minor, reference)"
	       " SELECT v.vendor_id, v.id, k.kind, v.currency,"
	       " CASE k.kind WHEN 'refund' THEN -s.amount_minor ELSE s.commission_minor END, s.refund_id"
	       " FROM checkout.refund_share s JOIN checkout.vendor_order v ON v.id = s.vendor_order_id"
	       " CROSS JOIN (VALUES ('refund'), ('commission_refund')) AS k (kind) WHERE s.refund_id = $1",
};
static const struct pg_stmt unbook = {
	.name = "refund_unbook",
	.sql = "INSERT INTO checkout.ledger (vendor_id, vendor_order_id, kind, currency, amount_minor, reference)"
	       " SELECT v.vendor_id, v.id, 'refund_failed', v.currency, s.amount_minor - s.commission_minor, s.refund_id"
	       " FROM checkout.refund_share s JOIN checkout.vendor_order v ON v.id = s.vendor_order_id"
	       " WHERE s.refund_id = $1",
};
static const struct pg_stmt lines_back = {
	.name = "refund_lines_back",
	.sql = "UPDATE checkout.order_line l SET refunded_qty = l.refunded_qty - x.qty FROM checkout.refund_line x"
	       " WHERE x.refund_id = $1 AND l.order_id = $2 AND l.variant_id = x.variant_id",
};

static enum err_code state_to(struct pg *pg, const struct refund_row *r, const char *state, const char *provider_id,
			      bool *done_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &set_state, PG_ARGS(P(r->id), P(r->version), P(state), P(provider_id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code refund_db_succeed(struct pg *pg, const struct refund_row *r, const char *provider_id, bool *done_r,
				struct err *e)
{
	if (state_to(pg, r, "succeeded", provider_id, done_r, e) || !*done_r || !r->order_id)
		return e->code;
	if (pg_exec(pg, &order_counts, PG_ARGS(P(r->order_id), P(r->amount)), NULL, e))
		return e->code;
	return pg_exec(pg, &book, PG_ARGS(P(r->id)), NULL, e);
}

enum err_code refund_db_fail(struct pg *pg, const struct refund_row *r, bool *done_r, struct err *e)
{
	bool booked = r->state[0] == 's'; /* it had succeeded before */

	if (state_to(pg, r, "failed", NULL, done_r, e) || !*done_r || !r->order_id)
		return e->code;
	if (booked && (pg_exec(pg, &order_counts, PG_ARGS(P(r->order_id), P(-r->amount)), NULL, e) ||
		       pg_exec(pg, &unbook, PG_ARGS(P(r->id)), NULL, e)))
		return e->code;
	return pg_exec(pg, &lines_back, PG_ARGS(P(r->id), P(r->order_id)), NULL, e);
}

static const struct pg_stmt later = {
	.name = "refund_later",
	.sql = "UPDATE checkout.refund SET provider_id = coalesce($3, provider_id), key_n = $4::int, tries = $5::int,"
	       " next_at = now() + make_interval(secs => $6::int / 1000.0), version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND version = $2::bigint AND state = 'pending'",
};

enum err_code refund_db_later(struct pg *pg, const struct refund_row *r, const char *provider_id, int32_t key_n,
			      int32_t tries, int32_t ms, struct err *e)
{
	return pg_exec(pg, &later, PG_ARGS(P(r->id), P(r->version), P(provider_id), P(key_n), P(tries), P(ms)), NULL, e);
}

static const struct pg_stmt dispute = {
	.name = "payment_dispute",
	.sql = "UPDATE checkout.payment SET disputed_at = coalesce(disputed_at, now()) WHERE pi_id = $1",
};

enum err_code refund_db_dispute(struct pg *pg, const char *pi_id, struct err *e)
{
	return pg_exec(pg, &dispute, PG_ARGS(P(pi_id)), NULL, e);
}

/* ---- units to put back ---- */

static const struct pg_stmt restock_put = {
	.name = "restock_put",
	.sql = "INSERT INTO checkout.restock (operation_id, reservation_key, order_id, variants, qtys, reason)"
	       " VALUES ($1, $2, $3, $4::text[], $5::bigint[], $6) ON CONFLICT (operation_id) DO NOTHING",
};

enum err_code restock_db_put(struct pg *pg, struct arena *a, const char *operation_id, const char *reservation_key,
			     const char *order_id, const char *const *variants, const int64_t *qtys, size_t n,
			     const char *reason, struct err *e)
{
	return pg_exec(pg, &restock_put,
		       PG_ARGS(P(operation_id), P(reservation_key), P(order_id), pg_p_text_array(a, variants, n),
			       pg_p_i64_array(a, qtys, n), P(reason)),
		       NULL, e);
}

static const struct pg_col restock_cols[] = {
	PG_COL(restock_row, operation_id), PG_COL(restock_row, reservation_key), PG_COL(restock_row, variants),
	PG_COL(restock_row, qtys),	   PG_COL(restock_row, reason),		 PG_COL(restock_row, tries),
};
static const struct pg_stmt restock_due = {
	.name = "restock_due",
	.sql = "UPDATE checkout.restock r SET tries = r.tries + 1,"
	       " next_at = now() + least(r.tries + 1, 12) * interval '5 s' FROM (SELECT d.operation_id"
	       " FROM checkout.restock d WHERE d.next_at <= now() ORDER BY d.next_at LIMIT $1::int FOR UPDATE SKIP LOCKED) x"
	       " WHERE r.operation_id = x.operation_id RETURNING r.operation_id, r.reservation_key,"
	       " array_to_string(r.variants, ',') AS variants, array_to_string(r.qtys, ',') AS qtys, r.reason, r.tries",
	.col = restock_cols, .ncol = 6, .row_size = sizeof(struct restock_row),
};

enum err_code restock_db_due(struct pg *pg, struct arena *a, int32_t limit, struct restock_row **rows_r, size_t *n_r,
			     struct err *e)
{
	return pg_rows(pg, &restock_due, PG_ARGS(P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt restock_done = {
	.name = "restock_done",
	.sql = "UPDATE checkout.restock SET next_at = NULL WHERE operation_id = $1",
};

enum err_code restock_db_done(struct pg *pg, const char *operation_id, struct err *e)
{
	return pg_exec(pg, &restock_done, PG_ARGS(P(operation_id)), NULL, e);
}

/* ---- states of an order ---- */

static const struct pg_stmt cancel = {
	.name = "order_cancel",
	.sql = "UPDATE checkout.orders o SET status = 'cancelled', version = version + 1, updated_at = now()"
	       " WHERE o.id = $1 AND o.status = 'open' AND NOT EXISTS (SELECT 1 FROM checkout.vendor_order v"
	       " WHERE v.order_id = o.id AND v.status <> 'placed')",
};
static const struct pg_stmt cancel_parts = {
	.name = "order_cancel_parts",
	.sql = "UPDATE checkout.vendor_order SET status = 'cancelled', version = version + 1 WHERE order_id = $1",
};

enum err_code order_db_cancel(struct pg *pg, const char *order_id, bool *done_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &cancel, PG_ARGS(P(order_id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return *done_r ? pg_exec(pg, &cancel_parts, PG_ARGS(P(order_id)), NULL, e) : OK;
}

static const struct pg_stmt ship = {
	.name = "vorder_ship",
	.sql = "UPDATE checkout.vendor_order SET status = 'shipped', carrier = $2, tracking = $3, shipped_at = now(),"
	       " version = version + 1 WHERE id = $1 AND status = 'placed'",
};
static const struct pg_stmt deliver = {
	.name = "vorder_deliver",
	.sql = "UPDATE checkout.vendor_order SET status = 'delivered', delivered_at = now(),"
	       " version = version + 1 WHERE id = $1 AND status = 'shipped'",
};

enum err_code vorder_db_ship(struct pg *pg, const char *id, const char *carrier, const char *tracking, bool *done_r,
			     struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &ship, PG_ARGS(P(id), P(carrier), P(tracking)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code vorder_db_deliver(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &deliver, PG_ARGS(P(id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

static const struct pg_stmt follow = {
	.name = "order_follow",
	.sql = "UPDATE checkout.orders o SET fulfilment_status = CASE WHEN x.delivered = x.n THEN 'delivered'"
	       " WHEN x.shipped + x.delivered = x.n THEN 'shipped' WHEN x.shipped + x.delivered > 0 THEN 'partial'"
	       " ELSE 'unfulfilled' END, status = CASE WHEN x.delivered = x.n AND o.status = 'open' THEN 'completed'"
	       " ELSE o.status END, version = o.version + 1, updated_at = now() FROM (SELECT count(*) AS n,"
	       " count(*) FILTER (WHERE v.status = 'shipped') AS shipped,"
	       " count(*) FILTER (WHERE v.status = 'delivered') AS delivered FROM checkout.vendor_order v"
	       " WHERE v.order_id = $1 AND v.status <> 'cancelled') x WHERE o.id = $1 AND x.n > 0",
};

enum err_code order_db_follow(struct pg *pg, const char *order_id, struct err *e)
{
	return pg_exec(pg, &follow, PG_ARGS(P(order_id)), NULL, e);
}

const struct pg_stmt *const refund_db_stmts[] = {
	&get,	     &by_provider, &page,    &due,	    &insert,	   &line_count,	  &line,   &share, &shares,
	&lines_of,
	&set_state,  &order_counts, &book,   &unbook,	    &lines_back,   &later,	  &dispute, &restock_put,
	&restock_due, &restock_done, &cancel, &cancel_parts, &ship,	   &deliver,	  &follow, NULL,
};
