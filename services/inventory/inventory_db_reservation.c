#include "services/inventory/inventory_db.h"

static const struct pg_col batch_cols[] = {
	PG_COL(reserve_answer, ord),	    PG_COL(reserve_answer, outcome),	 PG_COL(reserve_answer, available),
	PG_COL(reserve_answer, expires_at), PG_COL(reserve_answer, state_after), PG_COL(reserve_answer, seq_after),
	PG_COL(reserve_answer, moved),	    PG_COL(reserve_answer, vendor_id),
};
static const struct pg_stmt reserve_batch = {
	.name = "reserve_batch",
	.sql = "SELECT ord, outcome, available, expires_at, state_after, seq_after, moved, vendor_id"
	       " FROM inventory.reserve_batch($1, $2::text[], $3::text[], $4::bigint[]::integer[], $5::text[],"
	       " $6::bigint[]::integer[], $7::bigint) ORDER BY ord",
	.col = batch_cols,
	.ncol = 8,
	.row_size = sizeof(struct reserve_answer),
};

enum err_code inventory_db_reserve_batch(struct pg *pg, struct arena *a, const char *variant_id,
					 const struct reserve_ask *ask, size_t n, int64_t cap,
					 struct reserve_answer **rows_r, size_t *n_r, struct err *e)
{
	const char **key = arena_alloc(a, n * sizeof(*key));
	const char **id = arena_alloc(a, n * sizeof(*id));
	const char **owner = arena_alloc(a, n * sizeof(*owner));
	int64_t *qty = arena_alloc(a, n * sizeof(*qty));
	int64_t *ttl = arena_alloc(a, n * sizeof(*ttl));

	for (size_t i = 0; i < n; i++) {
		key[i] = ask[i].key;
		id[i] = ask[i].id;
		owner[i] = ask[i].owner;
		qty[i] = ask[i].qty;
		ttl[i] = ask[i].ttl_s;
	}
	return pg_rows(pg, &reserve_batch,
		       PG_ARGS(P(variant_id), pg_p_text_array(a, key, n), pg_p_text_array(a, id, n),
			       pg_p_i64_array(a, qty, n), pg_p_text_array(a, owner, n), pg_p_i64_array(a, ttl, n),
			       P(cap)),
		       a, rows_r, n_r, e);
}

static const struct pg_col cart_cols[] = {
	PG_COL(reserve_line_answer, variant_id), PG_COL(reserve_line_answer, outcome),
	PG_COL(reserve_line_answer, available),	 PG_COL(reserve_line_answer, state_after),
	PG_COL(reserve_line_answer, seq_after),	 PG_COL(reserve_line_answer, moved),
	PG_COL(reserve_line_answer, vendor_id),
};
static const struct pg_stmt reserve_cart = {
	.name = "reserve_cart",
	.sql = "SELECT variant_id, outcome, available, state_after, seq_after, moved, vendor_id"
	       " FROM inventory.reserve_cart($1, $2, $3, $4::integer, $5::text[], $6::bigint[]::integer[], $7::bigint)",
	.col = cart_cols,
	.ncol = 7,
	.row_size = sizeof(struct reserve_line_answer),
};

enum err_code inventory_db_reserve_cart(struct pg *pg, struct arena *a, const struct reserve_ask *ask,
					const char *const *variants, const int64_t *qtys, size_t n, int64_t cap,
					struct reserve_line_answer **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &reserve_cart,
		       PG_ARGS(P(ask->key), P(ask->id), P(ask->owner), P(ask->ttl_s), pg_p_text_array(a, variants, n),
			       pg_p_i64_array(a, qtys, n), P(cap)),
		       a, rows_r, n_r, e);
}

static const struct pg_col reservation_cols[] = {
	PG_COL(reservation_row, id),	     PG_COL(reservation_row, key),  PG_COL(reservation_row, state),
	PG_COL(reservation_row, expires_at), PG_COL(reservation_row, hold),
};
static const struct pg_stmt reservation = {
	.name = "reservation",
	.sql = "SELECT id, key, state, (extract(epoch FROM expires_at) * 1000)::bigint AS expires_at, hold"
	       " FROM inventory.reservation WHERE key = $1",
	.col = reservation_cols,
	.ncol = 5,
	.row_size = sizeof(struct reservation_row),
};

enum err_code inventory_db_reservation(struct pg *pg, struct arena *a, const char *key, struct reservation_row **row_r,
				       bool *found_r, struct err *e)
{
	return pg_row(pg, &reservation, PG_ARGS(P(key)), a, row_r, found_r, e);
}

static const struct pg_col line_cols[] = {
	PG_COL(reservation_line_row, variant_id),
	PG_COL(reservation_line_row, qty),
};
static const struct pg_stmt lines = {
	.name = "reservation_lines",
	.sql = "SELECT variant_id, qty FROM inventory.reservation_line WHERE reservation_id = $1"
	       " ORDER BY variant_id LIMIT 500",
	.col = line_cols,
	.ncol = 2,
	.row_size = sizeof(struct reservation_line_row),
};

enum err_code inventory_db_reservation_lines(struct pg *pg, struct arena *a, const char *reservation_id,
					     struct reservation_line_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &lines, PG_ARGS(P(reservation_id)), a, rows_r, n_r, e);
}

static const struct pg_stmt extend = {
	.name = "reservation_extend",
	.sql = "UPDATE inventory.reservation SET hold = hold OR $3::boolean, expires_at = CASE WHEN $3::boolean"
	       " THEN greatest(expires_at, now() + make_interval(secs => $2::integer))"
	       " ELSE greatest(expires_at, least(now() + make_interval(secs => $2::integer),"
	       " created_at + interval '30 min')) END WHERE key = $1 AND state = 'active'",
};

enum err_code inventory_db_extend(struct pg *pg, struct arena *a, const char *key, int32_t ttl_s, bool hold,
				  bool *found_r, struct err *e)
{
	int64_t n = 0;

	(void)a;
	if (pg_exec(pg, &extend, PG_ARGS(P(key), P(ttl_s), P(hold)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

static const struct pg_col finish_cols[] = {
	PG_COL(finish_row, reservation_id), PG_COL(finish_row, outcome),     PG_COL(finish_row, variant_id),
	PG_COL(finish_row, vendor_id),	    PG_COL(finish_row, state_after), PG_COL(finish_row, seq_after),
	PG_COL(finish_row, moved),
};
static const struct pg_stmt finish = {
	.name = "reservation_finish",
	.sql = "SELECT reservation_id, outcome, variant_id, vendor_id, state_after, seq_after, moved"
	       " FROM inventory.finish($1, $2, $3, $4, $5, $6)",
	.col = finish_cols,
	.ncol = 7,
	.row_size = sizeof(struct finish_row),
};

enum err_code inventory_db_finish(struct pg *pg, struct arena *a, const char *key, const char *state,
				  const char *order_id, const char *reason, const char *actor, const char *request_id,
				  struct finish_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &finish,
		       PG_ARGS(P(key), P(state), P(order_id), P(reason), P(actor), P(request_id)), a, rows_r, n_r, e);
}

static const struct pg_stmt line_restock = {
	.name = "reservation_line_restock",
	.sql = "UPDATE inventory.reservation_line l SET restocked = l.restocked + $3::integer"
	       " FROM inventory.reservation r WHERE r.key = $1 AND r.state = 'sold' AND l.reservation_id = r.id"
	       " AND l.variant_id = $2 AND l.restocked + $3::integer <= l.qty",
};

enum err_code inventory_db_line_restock(struct pg *pg, const char *key, const char *variant_id, int32_t qty,
					bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &line_restock, PG_ARGS(P(key), P(variant_id), P(qty)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

static const struct pg_stmt operation = {
	.name = "operation",
	.sql = "INSERT INTO inventory.operation (id) VALUES ($1) ON CONFLICT DO NOTHING",
};

enum err_code inventory_db_operation(struct pg *pg, const char *id, bool *fresh_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &operation, PG_ARGS(P(id)), &n, e))
		return e->code;
	*fresh_r = n == 1;
	return OK;
}

static const struct pg_col key_cols[] = { PG_COL(key_row, key) };
static const struct pg_stmt expired = {
	.name = "reservation_expired",
	.sql = "SELECT key FROM inventory.reservation WHERE state = 'active' AND NOT hold"
	       " AND expires_at < now() - make_interval(secs => $1::integer) ORDER BY expires_at LIMIT $2::integer",
	.col = key_cols,
	.ncol = 1,
	.row_size = sizeof(struct key_row),
};

enum err_code inventory_db_expired(struct pg *pg, struct arena *a, int32_t grace_s, int32_t limit,
				   struct key_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &expired, PG_ARGS(P(grace_s), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt still_expired = {
	.name = "reservation_still_expired",
	.sql = "SELECT key FROM inventory.reservation WHERE key = $1 AND state = 'active' AND NOT hold"
	       " AND expires_at < now() - make_interval(secs => $2::integer) FOR UPDATE",
	.col = key_cols,
	.ncol = 1,
	.row_size = sizeof(struct key_row),
};

enum err_code inventory_db_still_expired(struct pg *pg, struct arena *a, const char *key, int32_t grace_s, bool *yes_r,
					 struct err *e)
{
	struct key_row *row;

	return pg_row(pg, &still_expired, PG_ARGS(P(key), P(grace_s)), a, &row, yes_r, e);
}

const struct pg_stmt *const inventory_db_reservation_stmts[] = {
	&reserve_batch, &reserve_cart, &reservation, &lines,	    &extend, &finish,
	&line_restock, &operation,    &expired,	    &still_expired, NULL,
};
