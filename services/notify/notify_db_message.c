#include "services/notify/notify_db.h"

#include "services/notify/notify_db_columns.h"

static const struct pg_stmt put = {
	.name = "message_put",
	.sql = "INSERT INTO notify.message (id, dedupe_key, kind, user_id, order_id, ref_id, detail, amount, lang)"
	       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (dedupe_key) DO NOTHING",
};

enum err_code notify_db_message_put(struct pg *pg, const struct message_new *m, char id_r[ID_LEN], bool *new_r,
				    struct err *e)
{
	int64_t n = 0;

	id_new("msg", id_r);
	if (pg_exec(pg, &put,
		    PG_ARGS(P((const char *)id_r), P(m->dedupe_key), P(m->kind), P(m->user_id), P(m->order_id), P(m->ref_id),
			    P(m->detail), P(m->amount), P(m->lang)),
		    &n, e))
		return e->code;
	*new_r = n == 1;
	return OK;
}

static const struct pg_stmt one = {
	.name = "message",
	.sql = "SELECT " MESSAGE_COLUMNS " FROM notify.message m WHERE m.id = $1",
	MESSAGE_ROW,
};
static const struct pg_stmt page = {
	.name = "messages",
	.sql = "SELECT " MESSAGE_COLUMNS " FROM notify.message m WHERE ($1 = '' OR m.user_id = $1)"
	       " AND ($2 = '' OR m.order_id = $2) AND ($3 = '' OR m.state = $3) AND ($4 = '' OR m.kind = $4)"
	       " AND ($5 = '' OR m.id < $5) ORDER BY m.id DESC LIMIT $6::integer",
	MESSAGE_ROW,
};

enum err_code notify_db_message(struct pg *pg, struct arena *a, const char *id, struct message_row **row_r, bool *found_r,
				struct err *e)
{
	return pg_row(pg, &one, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code notify_db_messages(struct pg *pg, struct arena *a, const struct message_filter *f, int32_t limit,
				 struct message_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page,
		       PG_ARGS(P(f->user_id), P(f->order_id), P(f->state), P(f->kind), P(f->before), P(limit)), a, rows_r,
		       n_r, e);
}

static const struct pg_col delivery_cols[] = {
	PG_COL(delivery_row, attempt), PG_COL(delivery_row, smtp_code), PG_COL(delivery_row, outcome),
	PG_COL(delivery_row, detail),  PG_COL(delivery_row, took_ms),   PG_COL(delivery_row, tried_at),
};
static const struct pg_stmt deliveries = {
	.name = "deliveries",
	.sql = "SELECT attempt, coalesce(smtp_code, 0) AS smtp_code, outcome, detail, took_ms, " DB_MS("tried_at")
	       " AS tried_at FROM notify.delivery WHERE message_id = $1 ORDER BY attempt DESC LIMIT 100",
	.col = delivery_cols,
	.ncol = DB_NUM(delivery_cols),
	.row_size = sizeof(struct delivery_row),
};

enum err_code notify_db_deliveries(struct pg *pg, struct arena *a, const char *message_id, struct delivery_row **rows_r,
				   size_t *n_r, struct err *e)
{
	return pg_rows(pg, &deliveries, PG_ARGS(P(message_id)), a, rows_r, n_r, e);
}

static const struct pg_col count_cols[] = { PG_COL(count_row, n) };
static const struct pg_stmt resent = {
	.name = "message_resent",
	.sql = "SELECT count(*) AS n FROM notify.message WHERE dedupe_key >= $1 || '-r' AND dedupe_key < $1 || '-s'",
	.col = count_cols,
	.ncol = DB_NUM(count_cols),
	.row_size = sizeof(struct count_row),
};

enum err_code notify_db_message_resent(struct pg *pg, struct arena *a, const char *key, int64_t *n_r, struct err *e)
{
	struct count_row *row = NULL;

	if (pg_one(pg, &resent, PG_ARGS(P(key)), a, &row, e))
		return e->code;
	*n_r = row->n;
	return OK;
}

const struct pg_stmt *const notify_db_message_stmts[] = { &put, &one, &page, &deliveries, &resent, NULL };
