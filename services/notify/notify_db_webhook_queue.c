#include "services/notify/notify_db.h"

#include "common/id.h"

#define HOOK_COLUMNS                                                                               \
	"d.id, d.webhook_id, d.event_id, d.type, d.payload, d.state, d.detail, d.attempts,"         \
	" coalesce(d.http_status, 0) AS http_status, " DB_MS("d.created_at") " AS created_at, "     \
	DB_MS("d.next_at") " AS next_at, " DB_MS("d.ended_at") " AS ended_at,"                      \
	" extract(epoch FROM now() - d.created_at)::bigint AS age_s"
static const struct pg_col hook_cols[] = {
	PG_COL(hook_delivery_row, id),	       PG_COL(hook_delivery_row, webhook_id), PG_COL(hook_delivery_row, event_id),
	PG_COL(hook_delivery_row, type),       PG_COL(hook_delivery_row, payload),    PG_COL(hook_delivery_row, state),
	PG_COL(hook_delivery_row, detail),     PG_COL(hook_delivery_row, attempts),   PG_COL(hook_delivery_row, http_status),
	PG_COL(hook_delivery_row, created_at), PG_COL(hook_delivery_row, next_at),    PG_COL(hook_delivery_row, ended_at),
	PG_COL(hook_delivery_row, age_s),
};
#define HOOK_ROW .col = hook_cols, .ncol = DB_NUM(hook_cols), .row_size = sizeof(struct hook_delivery_row)

static const struct pg_stmt put = {
	.name = "hook_put",
	.sql = "INSERT INTO notify.webhook_delivery (id, webhook_id, event_id, type, payload) VALUES ($1, $2, $3, $4, $5)"
	       " ON CONFLICT (webhook_id, event_id) DO NOTHING",
};
static const struct pg_stmt one = {
	.name = "hook",
	.sql = "SELECT " HOOK_COLUMNS " FROM notify.webhook_delivery d WHERE d.webhook_id = $1 AND d.id = $2",
	HOOK_ROW,
};
static const struct pg_stmt page = {
	.name = "hooks",
	.sql = "SELECT " HOOK_COLUMNS " FROM notify.webhook_delivery d WHERE d.webhook_id = $1 AND ($2 = '' OR d.state = $2)"
	       " AND ($3 = '' OR d.id < $3) ORDER BY d.id DESC LIMIT $4::integer",
	HOOK_ROW,
};
static const struct pg_stmt again = {
	.name = "hook_again",
	.sql = "UPDATE notify.webhook_delivery SET state = 'queued', next_at = now(), ended_at = NULL, lease = '',"
	       " created_at = now() WHERE id = $1 AND state IN ('sent', 'failed')",
};
static const struct pg_stmt claim = {
	.name = "hook_claim",
	.sql = "UPDATE notify.webhook_delivery d SET state = 'sending', attempts = d.attempts + 1, lease = $1,"
	       " next_at = now() + make_interval(secs => $2::integer) FROM (SELECT q.id FROM notify.webhook_delivery q"
	       " WHERE q.state IN ('queued', 'sending') AND q.next_at <= now() ORDER BY q.next_at LIMIT $3::integer"
	       " FOR UPDATE SKIP LOCKED) x WHERE d.id = x.id RETURNING " HOOK_COLUMNS,
	HOOK_ROW,
};
static const struct pg_stmt end = {
	.name = "hook_end",
	.sql = "UPDATE notify.webhook_delivery SET state = $3, http_status = nullif($4::integer, 0), detail = $5, lease = '',"
	       " next_at = now() + $6::bigint * interval '1 millisecond',"
	       " ended_at = CASE WHEN $3 = 'queued' THEN NULL ELSE now() END"
	       " WHERE id = $1 AND lease = $2 AND state = 'sending'",
};

enum err_code notify_db_hook_put(struct pg *pg, const char *webhook_id, const char *event_id, const char *type,
				 const char *payload, struct err *e)
{
	char id[ID_LEN];

	id_new("whd", id);
	return pg_exec(pg, &put, PG_ARGS(P((const char *)id), P(webhook_id), P(event_id), P(type), P(payload)), NULL, e);
}

enum err_code notify_db_hook(struct pg *pg, struct arena *a, const char *webhook_id, const char *id,
			     struct hook_delivery_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &one, PG_ARGS(P(webhook_id), P(id)), a, row_r, found_r, e);
}

enum err_code notify_db_hooks(struct pg *pg, struct arena *a, const char *webhook_id, const char *state,
			      const char *before, int32_t limit, struct hook_delivery_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(webhook_id), P(state), P(before), P(limit)), a, rows_r, n_r, e);
}

enum err_code notify_db_hook_again(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &again, PG_ARGS(P(id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code notify_db_hook_claim(struct pg *pg, struct arena *a, const char *lease, int32_t lease_s, int32_t limit,
				   struct hook_delivery_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &claim, PG_ARGS(P(lease), P(lease_s), P(limit)), a, rows_r, n_r, e);
}

enum err_code notify_db_hook_end(struct pg *pg, const char *id, const char *lease, const char *state, int32_t http_status,
				 const char *detail, int64_t next_ms, bool *held_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &end, PG_ARGS(P(id), P(lease), P(state), P(http_status), P(detail), P(next_ms)), &n, e))
		return e->code;
	*held_r = n == 1;
	return OK;
}

const struct pg_stmt *const notify_db_webhook_queue_stmts[] = { &put, &one, &page, &again, &claim, &end, NULL };
