/* Links sent by mail, the counters of failed guesses, and events: small tables of their own. */
#include "services/identity/identity_db.h"

static const struct pg_stmt add = {
	.name = "link_add",
	.sql = "INSERT INTO identity.link (id, user_id, kind, expires_at, token_hash)"
	       " VALUES ($1, $2, $3, now() + $4::bigint * interval '1 second', $5::bytea)",
};

enum err_code identity_db_link_add(struct pg *pg, const char *id, const char *user_id, const char *kind, int64_t life_s,
				   const uint8_t *token_hash, struct err *e)
{
	struct pg_bytes hash = { token_hash, token_hash ? SHA256_LEN : 0 };

	return pg_exec(pg, &add, PG_ARGS(P(id), P(user_id), P(kind), P(life_s), P(hash)), NULL, e);
}

static const struct pg_stmt add_email = {
	.name = "link_add_email",
	.sql = "INSERT INTO identity.link (id, user_id, kind, expires_at, email, email_index)"
	       " VALUES ($1, $2, 'change_email', now() + $3::bigint * interval '1 second', $4::bytea, $5::bytea)",
};
static const struct pg_stmt keep_old = {
	.name = "link_keep_old",
	.sql = "UPDATE identity.link SET old_email = $2::bytea WHERE id = $1",
};

enum err_code identity_db_link_add_email(struct pg *pg, const char *id, const char *user_id, int64_t life_s,
					 const struct link_email *l, struct err *e)
{
	return pg_exec(pg, &add_email, PG_ARGS(P(id), P(user_id), P(life_s), P(l->email), P(l->email_index)), NULL, e);
}

enum err_code identity_db_link_keep_old(struct pg *pg, const char *id, struct pg_bytes old_email, struct err *e)
{
	return pg_exec(pg, &keep_old, PG_ARGS(P(id), P(old_email)), NULL, e);
}

#define LINK_COLUMNS                                                                               \
	"id, user_id, kind, email, email_index, old_email, " DB_MS("expires_at") " AS expires_at, used_at IS NULL AND expires_at > now() AS open" \
	" FROM identity.link"
static const struct pg_col link_cols[] = {
	PG_COL(link_row, id),	       PG_COL(link_row, user_id),    PG_COL(link_row, kind),
	PG_COL(link_row, email),       PG_COL(link_row, email_index), PG_COL(link_row, old_email),
	PG_COL(link_row, expires_at),  PG_COL(link_row, open),
};
#define LINK_ROW .col = link_cols, .ncol = ARRAY_LEN(link_cols), .row_size = sizeof(struct link_row)
static const struct pg_stmt get = {
	.name = "link_get",
	.sql = "SELECT " LINK_COLUMNS " WHERE id = $1",
	LINK_ROW,
};
static const struct pg_stmt find = {
	.name = "link_find",
	.sql = "SELECT " LINK_COLUMNS " WHERE token_hash = $1::bytea",
	LINK_ROW,
};
static const struct pg_stmt made = {
	.name = "link_made",
	.sql = "UPDATE identity.link SET token_hash = $2::bytea WHERE id = $1 AND token_hash IS NULL",
};
static const struct pg_stmt use = {
	.name = "link_use",
	.sql = "UPDATE identity.link SET used_at = now() WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
};
static const struct pg_stmt end = {
	.name = "link_end",
	.sql = "UPDATE identity.link SET used_at = now() WHERE user_id = $1 AND kind = $2 AND used_at IS NULL",
};

enum err_code identity_db_link_get(struct pg *pg, struct arena *a, const char *id, struct link_row **row_r, bool *found_r,
				   struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code identity_db_link_made(struct pg *pg, const char *id, const uint8_t *token_hash, struct err *e)
{
	return pg_exec(pg, &made, PG_ARGS(P(id), DB_HASH(token_hash)), NULL, e);
}

enum err_code identity_db_link_find(struct pg *pg, struct arena *a, const uint8_t *token_hash, struct link_row **row_r,
				    bool *found_r, struct err *e)
{
	return pg_row(pg, &find, PG_ARGS(DB_HASH(token_hash)), a, row_r, found_r, e);
}

enum err_code identity_db_link_use(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &use, PG_ARGS(P(id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_link_end(struct pg *pg, const char *user_id, const char *kind, struct err *e)
{
	return pg_exec(pg, &end, PG_ARGS(P(user_id), P(kind)), NULL, e);
}

const struct pg_stmt *const identity_db_link_stmts[] = { &add, &add_email, &keep_old, &get, &find, &made, &use, &end, NULL };

/* ---- back-off: the formula of backoff_rules.c in SQL; a test holds them together ---- */
struct number_row {
	int64_t n;
};
static const struct pg_col number_cols[] = { PG_COL(number_row, n) };
#define NUMBER_ROW .col = number_cols, .ncol = 1, .row_size = sizeof(struct number_row)

static const struct pg_stmt wait_ms = {
	.name = "backoff_wait",
	.sql = "SELECT ceil(greatest(coalesce(max(extract(epoch FROM next_at - now())), 0), 0) * 1000)::bigint AS n"
	       " FROM identity.backoff WHERE key = ANY ($1::text[])",
	NUMBER_ROW,
};
static const struct pg_stmt fail = {
	.name = "backoff_fail",
	.sql = "INSERT INTO identity.backoff AS b (key, failures, next_at) VALUES ($1, 1, now())"
	       " ON CONFLICT (key) DO UPDATE SET"
	       " failures = CASE WHEN b.updated_at < now() - $5::integer * interval '1 second' THEN 1"
	       " ELSE least(b.failures + 1, 1000000) END,"
	       " next_at = now() + CASE WHEN b.updated_at < now() - $5::integer * interval '1 second'"
	       " OR b.failures < $2::integer THEN interval '0'"
	       " ELSE least($4::bigint, $3::bigint * power(2, least(b.failures - $2::integer, 40))::bigint)"
	       " * interval '1 millisecond' END, updated_at = now()",
};
static const struct pg_stmt clear = {
	.name = "backoff_clear",
	.sql = "DELETE FROM identity.backoff WHERE key = ANY ($1::text[])",
};

enum err_code identity_db_backoff_wait(struct pg *pg, struct arena *a, const char *const *keys, size_t n, int64_t *wait_ms_r,
				       struct err *e)
{
	struct number_row *row;
	bool found = false;

	if (pg_row(pg, &wait_ms, PG_ARGS(pg_p_text_array(a, keys, n)), a, &row, &found, e))
		return e->code;
	*wait_ms_r = found ? row->n : 0;
	return OK;
}

enum err_code identity_db_backoff_fail(struct pg *pg, const char *key, const struct backoff_rule *r, struct err *e)
{
	return pg_exec(pg, &fail, PG_ARGS(P(key), P(r->free), P(r->base_ms), P(r->cap_ms), P(r->forget_s)), NULL, e);
}

enum err_code identity_db_backoff_clear(struct pg *pg, struct arena *a, const char *const *keys, size_t n, struct err *e)
{
	return pg_exec(pg, &clear, PG_ARGS(pg_p_text_array(a, keys, n)), NULL, e);
}

/* ---- events ---- */
static const struct pg_stmt next_seq = {
	.name = "event_seq",
	.sql = "SELECT nextval('identity.event_seq') AS n",
	NUMBER_ROW,
};

enum err_code identity_db_event(struct pg *pg, struct arena *a, const char *user_id, const char *type,
				const ProtobufCMessage *msg, struct err *e)
{
	struct number_row *row;
	bool found = false;

	if (pg_row(pg, &next_seq, PG_NONE, a, &row, &found, e))
		return e->code;
	return outbox_put(pg, "user", user_id, found ? row->n : 0, type, msg, e);
}

const struct pg_stmt *const identity_db_event_stmts[] = { &wait_ms, &fail, &clear, &next_seq, NULL };
