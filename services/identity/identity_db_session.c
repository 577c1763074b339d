#include "services/identity/identity_db.h"

#include "services/identity/refresh_rules.h"

/* A session is over at the earlier of both ends; expires_at never passes absolute_at (CHECK). */
#define LIVE "s.revoked_at IS NULL AND s.expires_at > now()"

static const struct pg_stmt add = {
	.name = "session_add",
	.sql = "INSERT INTO identity.session (id, user_id, audience, vendor_id, token_hash, user_agent, ip, expires_at,"
	       " absolute_at) VALUES ($1, $2, $3, $4, $5::bytea, $6::bytea, $7::bytea,"
	       " now() + $8::bigint * interval '1 millisecond', now() + $9::bigint * interval '1 millisecond')",
};

enum err_code identity_db_session_add(struct pg *pg, const struct session_new *n, struct err *e)
{
	return pg_exec(pg, &add,
		       PG_ARGS(P(n->id), P(n->user_id), P(n->audience), P(n->vendor_id), DB_HASH(n->token_hash),
			       P(n->user_agent), P(n->ip), P((int64_t)REFRESH_SLIDING_MS), P((int64_t)REFRESH_ABSOLUTE_MS)),
		       NULL, e);
}

static const struct pg_stmt trim = {
	.name = "session_trim",
	.sql = "WITH r AS (UPDATE identity.session s SET revoked_at = now(), revoked_why = 'too many sessions'"
	       " WHERE s.id IN (SELECT s.id FROM identity.session s WHERE s.user_id = $1 AND " LIVE
	       " ORDER BY s.last_used_at DESC, s.id DESC OFFSET $2::integer) RETURNING s.id, s.user_id)"
	       " INSERT INTO identity.revocation (session_id, user_id) SELECT id, user_id FROM r",
};

enum err_code identity_db_session_trim(struct pg *pg, const char *user_id, int32_t keep, struct err *e)
{
	return pg_exec(pg, &trim, PG_ARGS(P(user_id), P(keep)), NULL, e);
}

static const struct pg_col session_cols[] = {
	PG_COL(session_row, id),	 PG_COL(session_row, user_id),	   PG_COL(session_row, audience),
	PG_COL(session_row, vendor_id),	 PG_COL(session_row, status),	   PG_COL(session_row, token_hash),
	PG_COL(session_row, prev_hash),	 PG_COL(session_row, revoked),	   PG_COL(session_row, generation),
	PG_COL(session_row, rotated_at), PG_COL(session_row, created_at),  PG_COL(session_row, expires_at),
	PG_COL(session_row, absolute_at), PG_COL(session_row, now),	   PG_COL(session_row, token_version),
};
static const struct pg_stmt get = {
	.name = "session_get",
	.sql = "SELECT s.id, s.user_id, s.audience, s.vendor_id, a.status, s.token_hash, s.prev_hash,"
	       " s.revoked_at IS NOT NULL AS revoked, s.generation, " DB_MS("s.rotated_at") " AS rotated_at, "
	       DB_MS("s.created_at") " AS created_at, " DB_MS("s.expires_at") " AS expires_at, "
	       DB_MS("s.absolute_at") " AS absolute_at, " DB_MS("now()") " AS now, a.token_version"
	       " FROM identity.session s JOIN identity.account a ON a.id = s.user_id WHERE s.id = $1",
	.col = session_cols,
	.ncol = ARRAY_LEN(session_cols),
	.row_size = sizeof(struct session_row),
};

enum err_code identity_db_session_get(struct pg *pg, struct arena *a, const char *id, struct session_row **row_r,
				      bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt rotate = {
	.name = "session_rotate",
	.sql = "UPDATE identity.session s SET prev_hash = s.token_hash, token_hash = $3::bytea, generation = s.generation + 1,"
	       " rotated_at = now(), last_used_at = now(), audience = $4, vendor_id = $5,"
	       " expires_at = least(now() + $6::bigint * interval '1 millisecond', s.absolute_at)"
	       " WHERE s.id = $1 AND s.token_hash = $2::bytea AND " LIVE,
};

enum err_code identity_db_session_rotate(struct pg *pg, const char *id, const uint8_t *token_hash,
					 const uint8_t *successor_hash, const char *audience, const char *vendor_id,
					 bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &rotate,
		    PG_ARGS(P(id), DB_HASH(token_hash), DB_HASH(successor_hash), P(audience), P(vendor_id),
			    P((int64_t)REFRESH_SLIDING_MS)),
		    &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

static const struct pg_stmt revoke = {
	.name = "session_revoke",
	.sql = "WITH r AS (UPDATE identity.session s SET revoked_at = now(), revoked_why = $3 WHERE s.id = $1"
	       " AND ($2::text IS NULL OR s.user_id = $2) AND " LIVE " RETURNING s.id, s.user_id)"
	       " INSERT INTO identity.revocation (session_id, user_id) SELECT id, user_id FROM r",
};
static const struct pg_stmt revoke_all = {
	.name = "session_revoke_all",
	.sql = "WITH r AS (UPDATE identity.session s SET revoked_at = now(), revoked_why = $3 WHERE s.user_id = $1"
	       " AND ($2::text IS NULL OR s.id <> $2) AND " LIVE " RETURNING s.id, s.user_id)"
	       " INSERT INTO identity.revocation (session_id, user_id) SELECT id, user_id FROM r",
};

enum err_code identity_db_session_revoke(struct pg *pg, const char *id, const char *user_id, const char *why, bool *done_r,
					 struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &revoke, PG_ARGS(P(id), P(user_id), P(why)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_session_revoke_all(struct pg *pg, const char *user_id, const char *except_id, const char *why,
					     int64_t *n_r, struct err *e)
{
	return pg_exec(pg, &revoke_all, PG_ARGS(P(user_id), P(except_id), P(why)), n_r, e);
}

static const struct pg_col list_cols[] = {
	PG_COL(session_list_row, id),	      PG_COL(session_list_row, audience), PG_COL(session_list_row, vendor_id),
	PG_COL(session_list_row, user_agent), PG_COL(session_list_row, ip),	  PG_COL(session_list_row, created_at),
	PG_COL(session_list_row, last_used_at), PG_COL(session_list_row, expires_at),
};
static const struct pg_stmt page = {
	.name = "session_page",
	.sql = "SELECT s.id, s.audience, s.vendor_id, s.user_agent, s.ip, " DB_MS("s.created_at") " AS created_at, "
	       DB_MS("s.last_used_at") " AS last_used_at, " DB_MS("s.expires_at") " AS expires_at"
	       " FROM identity.session s WHERE s.user_id = $1 AND " LIVE " AND s.id > $2 ORDER BY s.id LIMIT $3::integer",
	.col = list_cols,
	.ncol = ARRAY_LEN(list_cols),
	.row_size = sizeof(struct session_list_row),
};

enum err_code identity_db_session_page(struct pg *pg, struct arena *a, const char *user_id, const char *after,
				       int32_t limit, struct session_list_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(user_id), P(after), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt forget = {
	.name = "session_forget",
	.sql = "UPDATE identity.session SET user_agent = NULL, ip = NULL WHERE user_id = $1",
};

enum err_code identity_db_session_forget(struct pg *pg, const char *user_id, struct err *e)
{
	return pg_exec(pg, &forget, PG_ARGS(P(user_id)), NULL, e);
}

/*
 * A transaction that is still running may commit a row with a smaller xid than one already seen. So the cursor only moves
 * up to the horizon (the oldest xid still running, minus one), while rows beyond it are delivered at once and again
 * next time: late ones are never lost, urgent ones never wait, and learning one twice does no harm.
 */
static const struct pg_col revocation_cols[] = {
	PG_COL(revocation_row, session_id), PG_COL(revocation_row, user_id), PG_COL(revocation_row, min_token_version),
	PG_COL(revocation_row, revoked_at), PG_COL(revocation_row, xid),	PG_COL(revocation_row, horizon),
};
static const struct pg_stmt revocations = {
	.name = "revocations",
	.sql = "WITH h AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS horizon)"
	       " SELECT r.session_id, r.user_id, r.min_token_version, " DB_MS("r.revoked_at") " AS revoked_at,"
	       " r.xid::text::bigint AS xid, h.horizon FROM h LEFT JOIN LATERAL (SELECT * FROM identity.revocation v"
	       " WHERE v.xid > (CASE WHEN $1::bigint > h.horizon THEN 0 ELSE $1::bigint END)::text::xid8"
	       " ORDER BY v.xid FETCH FIRST ($2::integer) ROWS WITH TIES) r ON true ORDER BY r.xid, r.pos LIMIT 100000",
	.col = revocation_cols,
	.ncol = ARRAY_LEN(revocation_cols),
	.row_size = sizeof(struct revocation_row),
};

enum err_code identity_db_revocations(struct pg *pg, struct arena *a, int64_t after, int32_t limit,
				      struct revocation_row **rows_r, size_t *n_r, int64_t *horizon_r, struct err *e)
{
	struct revocation_row *rows;
	size_t n;

	if (pg_rows(pg, &revocations, PG_ARGS(P(after), P(limit)), a, &rows, &n, e))
		return e->code;
	if (n == 0)
		return err_set(e, E_INTERNAL, "common.internal", "no horizon");
	*horizon_r = rows[0].horizon;
	*rows_r = rows;
	*n_r = rows[0].xid == 0 ? 0 : n; /* the outer join's empty row */
	return OK;
}

static const struct pg_stmt revocation_add = {
	.name = "revocation_add",
	.sql = "INSERT INTO identity.revocation (session_id, user_id) VALUES ($1, $2)",
};

enum err_code identity_db_revocation_add(struct pg *pg, const char *session_id, const char *user_id, struct err *e)
{
	return pg_exec(pg, &revocation_add, PG_ARGS(P(session_id), P(user_id)), NULL, e);
}

/* An access token lives 15 minutes: a revocation older than an hour stops nothing. */
static const struct pg_stmt sweeps[] = {
	{ .name = "sweep_revocations",
	  .sql = "DELETE FROM identity.revocation WHERE pos IN (SELECT pos FROM identity.revocation"
		 " WHERE revoked_at < now() - interval '1 hour' ORDER BY revoked_at LIMIT 1000)" },
	{ .name = "sweep_sessions",
	  .sql = "DELETE FROM identity.session WHERE id IN (SELECT id FROM identity.session"
		 " WHERE absolute_at < now() - interval '7 days' ORDER BY absolute_at LIMIT 1000)" },
	{ .name = "sweep_challenges",
	  .sql = "DELETE FROM identity.mfa_challenge WHERE token_hash IN (SELECT token_hash FROM identity.mfa_challenge"
		 " WHERE expires_at < now() - interval '1 hour' ORDER BY expires_at LIMIT 1000)" },
	{ .name = "sweep_links",
	  .sql = "DELETE FROM identity.link WHERE id IN (SELECT id FROM identity.link"
		 " WHERE expires_at < now() - interval '30 days' ORDER BY expires_at LIMIT 1000)" },
	{ .name = "sweep_invitations",
	  .sql = "DELETE FROM identity.invitation WHERE id IN (SELECT id FROM identity.invitation"
		 " WHERE expires_at < now() - interval '30 days' ORDER BY expires_at LIMIT 1000)" },
	{ .name = "sweep_backoff",
	  .sql = "DELETE FROM identity.backoff WHERE key IN (SELECT key FROM identity.backoff"
		 " WHERE updated_at < now() - interval '2 days' ORDER BY updated_at LIMIT 1000)" },
};

enum err_code identity_db_sweep(struct pg *pg, int64_t *removed_r, struct err *e)
{
	int64_t total = 0;

	for (size_t i = 0; i < ARRAY_LEN(sweeps); i++) {
		int64_t n;

		if (pg_exec(pg, &sweeps[i], PG_NONE, &n, e))
			return e->code;
		total += n;
	}
	*removed_r = total;
	return OK;
}

const struct pg_stmt *const identity_db_session_stmts[] = {
	&add,	 &get,		&rotate,	 &revoke,	  &revoke_all, &page,	    &forget,
	&revocations, &revocation_add, &sweeps[0], &sweeps[1], &sweeps[2], &sweeps[3], &sweeps[4],
	&sweeps[5], &trim, NULL,
};
