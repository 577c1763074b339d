#include "services/notify/notify_db.h"

#include "services/notify/notify_db_columns.h"

static const struct pg_stmt claim = {
	.name = "message_claim",
	.sql = "UPDATE notify.message m SET state = 'sending', attempts = m.attempts + 1, lease = $1,"
	       " next_at = now() + make_interval(secs => $2::integer) FROM (SELECT id FROM notify.message"
	       " WHERE state IN ('queued', 'sending') AND next_at <= now() ORDER BY next_at LIMIT $3::integer"
	       " FOR UPDATE SKIP LOCKED) d WHERE m.id = d.id RETURNING " MESSAGE_COLUMNS,
	MESSAGE_ROW,
};
static const struct pg_stmt end = {
	.name = "message_end",
	.sql = "UPDATE notify.message SET state = $3, reason = $4, lease = '',"
	       " next_at = now() + $5::bigint * interval '1 millisecond',"
	       " ended_at = CASE WHEN $3 = 'queued' THEN NULL ELSE now() END"
	       " WHERE id = $1 AND lease = $2 AND state = 'sending'",
};
static const struct pg_stmt delivery_put = {
	.name = "delivery_put",
	.sql = "INSERT INTO notify.delivery (message_id, attempt, outcome, smtp_code, detail, took_ms)"
	       " VALUES ($1, $2::integer, $3, nullif($4::integer, 0), $5, $6::bigint) ON CONFLICT DO NOTHING",
};

enum err_code notify_db_claim(struct pg *pg, struct arena *a, const char *lease, int32_t lease_s, int32_t limit,
			      struct message_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &claim, PG_ARGS(P(lease), P(lease_s), P(limit)), a, rows_r, n_r, e);
}

enum err_code notify_db_message_end(struct pg *pg, const char *id, const char *lease, const char *state,
				    const char *reason, int64_t next_ms, bool *held_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &end, PG_ARGS(P(id), P(lease), P(state), P(reason), P(next_ms)), &n, e))
		return e->code;
	*held_r = n == 1;
	return OK;
}

enum err_code notify_db_delivery_put(struct pg *pg, const char *id, int32_t attempt, const char *outcome,
				     int32_t smtp_code, const char *detail, int64_t took_ms, struct err *e)
{
	return pg_later(pg, &delivery_put, PG_ARGS(P(id), P(attempt), P(outcome), P(smtp_code), P(detail), P(took_ms)), e);
}

static const struct pg_stmt forget_mails = {
	.name = "forget_mails",
	.sql = "DELETE FROM notify.message WHERE id IN (SELECT id FROM notify.message WHERE ended_at < now() -"
	       " make_interval(days => $1::integer) ORDER BY ended_at LIMIT $2::integer FOR UPDATE SKIP LOCKED)",
};
static const struct pg_stmt forget_hooks = {
	.name = "forget_hooks",
	.sql = "DELETE FROM notify.webhook_delivery WHERE id IN (SELECT id FROM notify.webhook_delivery WHERE ended_at <"
	       " now() - make_interval(days => $1::integer) ORDER BY ended_at LIMIT $2::integer FOR UPDATE SKIP LOCKED)",
};

enum err_code notify_db_forget(struct pg *pg, int32_t days, int32_t limit, struct err *e)
{
	if (pg_exec(pg, &forget_mails, PG_ARGS(P(days), P(limit)), NULL, e))
		return e->code;
	return pg_exec(pg, &forget_hooks, PG_ARGS(P(days), P(limit)), NULL, e);
}

static const struct pg_col waiting_cols[] = { PG_COL(waiting_row, waiting), PG_COL(waiting_row, oldest_s) };
static const struct pg_stmt waiting = {
	.name = "messages_waiting",
	.sql = "SELECT count(*) AS waiting, coalesce(max(extract(epoch FROM now() - created_at)), 0)::bigint AS oldest_s"
	       " FROM notify.message WHERE state IN ('queued', 'sending')",
	.col = waiting_cols,
	.ncol = DB_NUM(waiting_cols),
	.row_size = sizeof(struct waiting_row),
};

enum err_code notify_db_waiting(struct pg *pg, struct arena *a, struct waiting_row **row_r, struct err *e)
{
	return pg_one(pg, &waiting, PG_NONE, a, row_r, e);
}

const struct pg_stmt *const notify_db_queue_stmts[] = {
	&claim, &end, &delivery_put, &forget_mails, &forget_hooks, &waiting, NULL,
};
