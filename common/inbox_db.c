#include "common/inbox_db.h"

#include <stdio.h>

#include "common/id.h"
#include "common/lease.h"
#include "common/pg_mechanisms.h"

/* ---- cursor and lease ---- */
static const struct pg_col cursor_cols[] = { PG_COL(outbox_cursor, epoch), PG_COL(outbox_cursor, xid),
					     PG_COL(outbox_cursor, pos) };
static const struct pg_stmt lease_stmt = {
	.name = "inbox_lease",
	.sql = "INSERT INTO ${schema}.inbox_cursor AS c (source, owner, lease_until)"
	       " VALUES ($1, $2, now() + make_interval(secs => $3::int))"
	       " ON CONFLICT (source) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until"
	       " WHERE c.lease_until < now() OR c.owner = excluded.owner"
	       " RETURNING epoch, xid::text::bigint AS xid, pos",
	.col = cursor_cols, .ncol = 3, .row_size = sizeof(struct outbox_cursor),
};
static const struct pg_stmt release_stmt = {
	.name = "inbox_release",
	.sql = "UPDATE ${schema}.inbox_cursor SET owner = '', lease_until = '-infinity' WHERE source = $1 AND owner = $2",
};
static const struct pg_stmt hold_stmt = {
	.name = "inbox_hold",
	.sql = "SELECT epoch, xid::text::bigint AS xid, pos FROM ${schema}.inbox_cursor"
	       " WHERE source = $1 AND owner = $2 FOR UPDATE",
	.col = cursor_cols, .ncol = 3, .row_size = sizeof(struct outbox_cursor),
};
static const struct pg_stmt move_stmt = {
	.name = "inbox_move",
	.sql = "UPDATE ${schema}.inbox_cursor SET epoch = $6::bigint, xid = $7::text::xid8, pos = $8::bigint, behind = 0,"
	       " applied_at = coalesce(to_timestamp(nullif($9::bigint, 0) / 1000.0), applied_at)"
	       " WHERE source = $1 AND owner = $2 AND epoch = $3::bigint AND xid = $4::text::xid8 AND pos = $5::bigint",
};
static const struct pg_stmt behind_stmt = {
	.name = "inbox_behind",
	.sql = "UPDATE ${schema}.inbox_cursor SET behind = $3::bigint WHERE source = $1 AND owner = $2",
};

/* ---- events ---- */
struct id_row {
	const char *event_id;
};
static const struct pg_col id_cols[] = { PG_COL(id_row, event_id) };
static const struct pg_stmt fresh_stmt = {
	.name = "inbox_fresh",
	.sql = "INSERT INTO ${schema}.inbox (source, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
	       " RETURNING event_id",
	.col = id_cols, .ncol = 1, .row_size = sizeof(struct id_row),
};
/* The usual case: none of a batch waits behind another one of its aggregate. */
static const struct pg_stmt fresh_free_stmt = {
	.name = "inbox_fresh_free",
	.sql = "INSERT INTO ${schema}.inbox (source, event_id) SELECT $1, u.id"
	       " FROM unnest($2::text[], $3::text[], $4::text[]) AS u (id, agg_type, agg_id) WHERE NOT EXISTS ("
	       "  SELECT 1 FROM ${schema}.dead_letter d WHERE d.source = $1 AND d.agg_type = u.agg_type"
	       "  AND d.agg_id = u.agg_id)"
	       " ON CONFLICT DO NOTHING RETURNING event_id",
	.col = id_cols, .ncol = 1, .row_size = sizeof(struct id_row),
};
static const struct pg_col key_cols[] = { PG_COL(inbox_key, agg_type), PG_COL(inbox_key, agg_id) };
static const struct pg_stmt blocked_stmt = {
	.name = "inbox_blocked",
	.sql = "SELECT DISTINCT agg_type, agg_id FROM ${schema}.dead_letter WHERE source = $1 LIMIT 100000",
	.col = key_cols, .ncol = 2, .row_size = sizeof(struct inbox_key),
};
static const struct pg_stmt waits_stmt = {
	.name = "inbox_waits",
	.sql = "SELECT agg_type, agg_id FROM ${schema}.dead_letter WHERE source = $1 AND agg_type = $2 AND agg_id = $3 LIMIT 1",
	.col = key_cols, .ncol = 2, .row_size = sizeof(struct inbox_key),
};
static const struct pg_stmt wait_stmt = {
	.name = "inbox_wait",
	.sql = "INSERT INTO ${schema}.dead_letter (id, source, event_id, type, agg_type, agg_id, agg_version, payload,"
	       " traceparent, occurred_at, state, attempts, next_attempt_at, error)"
	       " VALUES ($1, $2, $3, $4, $5, $6, $7::bigint, $8::bytea, $9, to_timestamp($10::bigint / 1000.0), $11,"
	       " CASE WHEN $11 = 'parked' THEN 0 ELSE 1 END, now() + make_interval(secs => $12::bigint / 1000.0), $13)"
	       " ON CONFLICT (source, event_id) DO NOTHING",
};
static const struct pg_col waiting_cols[] = {
	PG_COL(inbox_waiting, id),	    PG_COL(inbox_waiting, event_id),	PG_COL(inbox_waiting, type),
	PG_COL(inbox_waiting, agg_type),    PG_COL(inbox_waiting, agg_id),	PG_COL(inbox_waiting, traceparent),
	PG_COL(inbox_waiting, agg_version), PG_COL(inbox_waiting, occurred_at), PG_COL(inbox_waiting, attempts),
	PG_COL(inbox_waiting, payload),
};
static const struct pg_stmt due_stmt = {
	.name = "inbox_due",
	.sql = "SELECT id, event_id, type, agg_type, agg_id, coalesce(traceparent, '') AS traceparent, agg_version,"
	       " (extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_at, attempts, payload"
	       " FROM ${schema}.dead_letter WHERE source = $1 AND state = 'retrying' AND next_attempt_at <= now()"
	       " ORDER BY next_attempt_at, ord LIMIT 50",
	.col = waiting_cols, .ncol = 10, .row_size = sizeof(struct inbox_waiting),
};
static const struct pg_stmt failed_stmt = {
	.name = "inbox_failed",
	.sql = "UPDATE ${schema}.dead_letter SET attempts = attempts + 1, error = $4, failed_at = now(),"
	       " state = CASE WHEN $2::bool THEN 'dead' ELSE 'retrying' END,"
	       " next_attempt_at = CASE WHEN $2::bool THEN NULL ELSE now() + make_interval(secs => $3::bigint / 1000.0) END"
	       " WHERE id = $1",
};
static const struct pg_stmt gone_stmt = {
	.name = "inbox_gone", .sql = "DELETE FROM ${schema}.dead_letter WHERE id = $1",
};
static const struct pg_stmt next_stmt = {
	.name = "inbox_next",
	.sql = "UPDATE ${schema}.dead_letter SET state = 'retrying', next_attempt_at = now() WHERE id = ("
	       " SELECT id FROM ${schema}.dead_letter WHERE source = $1 AND agg_type = $2 AND agg_id = $3"
	       " ORDER BY ord LIMIT 1) AND state = 'parked'",
};
static const struct pg_col count_cols[] = { PG_COL(inbox_counts, dead), PG_COL(inbox_counts, waiting) };
static const struct pg_stmt counts_stmt = {
	.name = "inbox_counts",
	.sql = "SELECT count(*) FILTER (WHERE state = 'dead') AS dead, count(*) FILTER (WHERE state <> 'dead') AS waiting"
	       " FROM ${schema}.dead_letter WHERE source = $1",
	.col = count_cols, .ncol = 2, .row_size = sizeof(struct inbox_counts),
};
static const struct pg_stmt prune_stmt = {
	.name = "inbox_prune",
	.sql = "DELETE FROM ${schema}.inbox WHERE (source, event_id) IN (SELECT source, event_id FROM ${schema}.inbox"
	       " WHERE handled_at < now() - interval '8 days' ORDER BY handled_at LIMIT 1000)",
};
const struct pg_stmt *const inbox_stmts[] = {
	&lease_stmt, &release_stmt, &hold_stmt,	  &move_stmt, &behind_stmt, &fresh_stmt,  &fresh_free_stmt, &blocked_stmt,
	&waits_stmt, &wait_stmt, &due_stmt,   &failed_stmt,  &gone_stmt,	  &next_stmt, &counts_stmt, &prune_stmt, NULL,
};

enum err_code inbox_db_lease(struct pg *pg, const char *source, int lease_s, struct arena *a, bool *mine_r,
			     struct outbox_cursor *at_r, struct err *e)
{
	struct outbox_cursor *row = NULL;
	bool found = false;

	if (pg_row(pg, &lease_stmt, PG_ARGS(P(source), P(lease_owner()), P((int32_t)lease_s)), a, &row, &found, e))
		return e->code;
	*mine_r = found;
	if (found)
		*at_r = *row;
	return OK;
}

enum err_code inbox_db_release(struct pg *pg, const char *source, struct err *e)
{
	return pg_exec(pg, &release_stmt, PG_ARGS(P(source), P(lease_owner())), NULL, e);
}

enum err_code inbox_db_hold(struct pg *pg, const char *source, struct arena *a, bool *mine_r, struct err *e)
{
	struct outbox_cursor *row = NULL;

	return pg_row(pg, &hold_stmt, PG_ARGS(P(source), P(lease_owner())), a, &row, mine_r, e);
}

static void xid_text(char out[24], int64_t xid)
{
	(void)snprintf(out, 24, "%lld", (long long)xid);
}

enum err_code inbox_db_move(struct pg *pg, const char *source, struct outbox_cursor from, struct outbox_cursor to,
			    int64_t last_occurred_at, bool *moved_r, struct err *e)
{
	char was[24], is[24];
	int64_t n = 0;

	xid_text(was, from.xid);
	xid_text(is, to.xid);
	if (pg_exec(pg, &move_stmt,
		    PG_ARGS(P(source), P(lease_owner()), P(from.epoch), P((const char *)was), P(from.pos), P(to.epoch),
			    P((const char *)is), P(to.pos), P(last_occurred_at)),
		    &n, e))
		return e->code;
	*moved_r = n > 0;
	return OK;
}

enum err_code inbox_db_behind(struct pg *pg, const char *source, int64_t n, struct err *e)
{
	return pg_exec(pg, &behind_stmt, PG_ARGS(P(source), P(lease_owner()), P(n)), NULL, e);
}

enum err_code inbox_db_fresh(struct pg *pg, const char *source, const char *event_id, struct arena *a, bool *fresh_r,
			     struct err *e)
{
	struct id_row *row = NULL;

	return pg_row(pg, &fresh_stmt, PG_ARGS(P(source), P(event_id)), a, &row, fresh_r, e);
}

enum err_code inbox_db_fresh_free(struct pg *pg, const char *source, const struct inbox_waiting *ev, size_t n,
				  struct arena *a, const char ***fresh_r, size_t *n_r, struct err *e)
{
	const char **id = arena_array(a, n, sizeof(*id)), **type = arena_array(a, n, sizeof(*type)),
		   **agg = arena_array(a, n, sizeof(*agg));
	struct id_row *rows = NULL;
	size_t got = 0;

	for (size_t i = 0; i < n; i++) {
		id[i] = ev[i].event_id;
		type[i] = ev[i].agg_type;
		agg[i] = ev[i].agg_id;
	}
	if (pg_rows(pg, &fresh_free_stmt,
		    PG_ARGS(P(source), pg_p_text_array(a, id, n), pg_p_text_array(a, type, n),
			    pg_p_text_array(a, agg, n)),
		    a, &rows, &got, e))
		return e->code;
	*fresh_r = arena_array(a, got + 1, sizeof(**fresh_r));
	for (size_t i = 0; i < got; i++)
		(*fresh_r)[i] = rows[i].event_id;
	*n_r = got;
	return OK;
}

enum err_code inbox_db_blocked(struct pg *pg, const char *source, struct arena *a, struct inbox_key **rows_r,
			       size_t *n_r, struct err *e)
{
	return pg_rows(pg, &blocked_stmt, PG_ARGS(P(source)), a, rows_r, n_r, e);
}

enum err_code inbox_db_waits(struct pg *pg, const char *source, const struct inbox_waiting *w, struct arena *a, bool *yes_r,
			     struct err *e)
{
	struct inbox_key *row = NULL;

	return pg_row(pg, &waits_stmt, PG_ARGS(P(source), P(w->agg_type), P(w->agg_id)), a, &row, yes_r, e);
}

enum err_code inbox_db_wait(struct pg *pg, const char *source, const struct inbox_waiting *w, const char *state,
			    int64_t pause_ms, const char *error, struct err *e)
{
	char id[ID_LEN];

	id_new("dlq", id);
	return pg_exec(pg, &wait_stmt,
		       PG_ARGS(P((const char *)id), P(source), P(w->event_id), P(w->type), P(w->agg_type), P(w->agg_id),
			       P(w->agg_version), P(w->payload), P(w->traceparent), P(w->occurred_at), P(state),
			       P(pause_ms), P(error)),
		       NULL, e);
}

enum err_code inbox_db_due(struct pg *pg, const char *source, struct arena *a, struct inbox_waiting **rows_r,
			   size_t *n_r, struct err *e)
{
	return pg_rows(pg, &due_stmt, PG_ARGS(P(source)), a, rows_r, n_r, e);
}

enum err_code inbox_db_failed(struct pg *pg, const char *id, bool dead, int64_t pause_ms, const char *error,
			      struct err *e)
{
	return pg_exec(pg, &failed_stmt, PG_ARGS(P(id), P(dead), P(pause_ms), P(error)), NULL, e);
}

enum err_code inbox_db_done(struct pg *pg, const char *source, const struct inbox_waiting *w, struct err *e)
{
	if (pg_exec(pg, &gone_stmt, PG_ARGS(P(w->id)), NULL, e))
		return e->code;
	return pg_exec(pg, &next_stmt, PG_ARGS(P(source), P(w->agg_type), P(w->agg_id)), NULL, e);
}

enum err_code inbox_db_counts(struct pg *pg, const char *source, struct arena *a, struct inbox_counts *counts_r,
			      struct err *e)
{
	struct inbox_counts *row = NULL;

	if (pg_one(pg, &counts_stmt, PG_ARGS(P(source)), a, &row, e))
		return e->code;
	*counts_r = *row;
	return OK;
}

enum err_code inbox_db_prune(struct pg *pg, int64_t *removed_r, struct err *e)
{
	return pg_exec(pg, &prune_stmt, PG_NONE, removed_r, e);
}
