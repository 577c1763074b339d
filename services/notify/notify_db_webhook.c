#include "services/notify/notify_db.h"

#define WEBHOOK_COLUMNS                                                                            \
	"w.id, w.url, w.events, w.description, w.disabled_reason, w.secret, w.active, " DB_MS("w.created_at")          \
	" AS created_at, " DB_MS("w.updated_at") " AS updated_at, w.version"
static const struct pg_col webhook_cols[] = {
	PG_COL(webhook_row, id),	  PG_COL(webhook_row, url),	     PG_COL(webhook_row, events),
	PG_COL(webhook_row, description), PG_COL(webhook_row, disabled_reason), PG_COL(webhook_row, secret),
	PG_COL(webhook_row, active),	  PG_COL(webhook_row, created_at),   PG_COL(webhook_row, updated_at),
	PG_COL(webhook_row, version),
};
#define WEBHOOK_ROW .col = webhook_cols, .ncol = DB_NUM(webhook_cols), .row_size = sizeof(struct webhook_row)

static const struct pg_stmt add = {
	.name = "webhook_add",
	.sql = "INSERT INTO notify.webhook (id, url, events, description, secret) VALUES ($1, $2, $3, $4, $5::bytea)",
};
static const struct pg_stmt one = {
	.name = "webhook",
	.sql = "SELECT " WEBHOOK_COLUMNS " FROM notify.webhook w WHERE w.id = $1",
	WEBHOOK_ROW,
};
static const struct pg_stmt page = {
	.name = "webhooks",
	.sql = "SELECT " WEBHOOK_COLUMNS " FROM notify.webhook w WHERE $1 = '' OR w.id < $1 ORDER BY w.id DESC"
	       " LIMIT $2::integer",
	WEBHOOK_ROW,
};
static const struct pg_stmt active = {
	.name = "webhooks_active",
	.sql = "SELECT " WEBHOOK_COLUMNS " FROM notify.webhook w WHERE w.active ORDER BY w.id LIMIT 500",
	WEBHOOK_ROW,
};
static const struct pg_stmt set = {
	.name = "webhook_set",
	.sql = "UPDATE notify.webhook SET url = $2, events = $3, description = $4, active = $5::boolean,"
	       " disabled_reason = CASE WHEN $5::boolean THEN NULL ELSE disabled_reason END, updated_at = now(),"
	       " version = version + 1 WHERE id = $1 AND ($6::bigint < 0 OR version = $6::bigint)",
};
static const struct pg_stmt secret_set = {
	.name = "webhook_secret",
	.sql = "UPDATE notify.webhook SET secret = $2::bytea, updated_at = now(), version = version + 1 WHERE id = $1",
};
static const struct pg_stmt drop = {
	.name = "webhook_delete",
	.sql = "DELETE FROM notify.webhook WHERE id = $1",
};
static const struct pg_stmt disable = {
	.name = "webhook_disable",
	.sql = "UPDATE notify.webhook w SET active = false, disabled_reason = 'too many failures', updated_at = now(),"
	       " version = w.version + 1 WHERE w.id = $1 AND w.active AND $2::integer <= (SELECT count(*) FROM (SELECT"
	       " d.state FROM notify.webhook_delivery d WHERE d.webhook_id = $1 AND d.ended_at IS NOT NULL"
	       " ORDER BY d.ended_at DESC LIMIT $2::integer) x WHERE x.state = 'failed')",
};

enum err_code notify_db_webhook_add(struct pg *pg, const struct webhook_row *w, struct err *e)
{
	return pg_exec(pg, &add, PG_ARGS(P(w->id), P(w->url), P(w->events), P(w->description), P(w->secret)), NULL, e);
}

enum err_code notify_db_webhook(struct pg *pg, struct arena *a, const char *id, struct webhook_row **row_r, bool *found_r,
				struct err *e)
{
	return pg_row(pg, &one, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code notify_db_webhooks(struct pg *pg, struct arena *a, const char *before, int32_t limit,
				 struct webhook_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(before), P(limit)), a, rows_r, n_r, e);
}

enum err_code notify_db_webhooks_active(struct pg *pg, struct arena *a, struct webhook_row **rows_r, size_t *n_r,
					struct err *e)
{
	return pg_rows(pg, &active, PG_NONE, a, rows_r, n_r, e);
}

static enum err_code touched(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, bool *done_r,
			     struct err *e)
{
	int64_t rows = 0;

	if (pg_exec(pg, st, p, n, &rows, e))
		return e->code;
	*done_r = rows == 1;
	return OK;
}

enum err_code notify_db_webhook_set(struct pg *pg, const struct webhook_row *w, int64_t expected, bool *done_r,
				    struct err *e)
{
	return touched(pg, &set, PG_ARGS(P(w->id), P(w->url), P(w->events), P(w->description), P(w->active), P(expected)),
		       done_r, e);
}

enum err_code notify_db_webhook_secret(struct pg *pg, const char *id, struct pg_bytes secret, bool *done_r, struct err *e)
{
	return touched(pg, &secret_set, PG_ARGS(P(id), P(secret)), done_r, e);
}

enum err_code notify_db_webhook_delete(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	return touched(pg, &drop, PG_ARGS(P(id)), done_r, e);
}

enum err_code notify_db_webhook_disable(struct pg *pg, const char *id, int32_t failures, struct err *e)
{
	return pg_exec(pg, &disable, PG_ARGS(P(id), P(failures)), NULL, e);
}

const struct pg_stmt *const notify_db_webhook_stmts[] = {
	&add, &one, &page, &active, &set, &secret_set, &drop, &disable, NULL,
};
