#include "services/identity/identity_db.h"

static const struct pg_col totp_cols[] = {
	PG_COL(totp_row, secret),    PG_COL(totp_row, person_key), PG_COL(totp_row, active),
	PG_COL(totp_row, last_step), PG_COL(totp_row, now_s),
};
static const struct pg_stmt totp_get = {
	.name = "totp_get",
	.sql = "SELECT t.secret, k.sealed AS person_key, t.active, t.last_step,"
	       " extract(epoch FROM now())::bigint AS now_s FROM identity.totp t"
	       " JOIN identity.person_key k ON k.user_id = t.user_id WHERE t.user_id = $1",
	.col = totp_cols,
	.ncol = ARRAY_LEN(totp_cols),
	.row_size = sizeof(struct totp_row),
};
static const struct pg_stmt totp_put = {
	.name = "totp_put",
	.sql = "INSERT INTO identity.totp AS t (user_id, secret) VALUES ($1, $2::bytea) ON CONFLICT (user_id) DO UPDATE"
	       " SET secret = excluded.secret, last_step = 0, created_at = now() WHERE NOT t.active",
};
static const struct pg_stmt totp_use = {
	.name = "totp_use",
	.sql = "UPDATE identity.totp SET last_step = $2::bigint WHERE user_id = $1 AND last_step < $2::bigint AND active",
};
static const struct pg_stmt totp_activate = {
	.name = "totp_activate",
	.sql = "UPDATE identity.totp SET last_step = $2::bigint, active = true, activated_at = now()"
	       " WHERE user_id = $1 AND last_step < $2::bigint AND NOT active",
};
static const struct pg_stmt totp_remove = {
	.name = "totp_remove",
	.sql = "DELETE FROM identity.totp WHERE user_id = $1",
};

enum err_code identity_db_totp_get(struct pg *pg, struct arena *a, const char *user_id, struct totp_row **row_r,
				   bool *found_r, struct err *e)
{
	return pg_row(pg, &totp_get, PG_ARGS(P(user_id)), a, row_r, found_r, e);
}

static enum err_code done_one(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n_p, bool *done_r,
			      struct err *e)
{
	int64_t n;

	if (pg_exec(pg, st, p, n_p, &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_totp_put(struct pg *pg, const char *user_id, struct pg_bytes secret, bool *done_r, struct err *e)
{
	return done_one(pg, &totp_put, PG_ARGS(P(user_id), P(secret)), done_r, e);
}

enum err_code identity_db_totp_use(struct pg *pg, const char *user_id, int64_t step, bool activate, bool *done_r,
				   struct err *e)
{
	return done_one(pg, activate ? &totp_activate : &totp_use, PG_ARGS(P(user_id), P(step)), done_r, e);
}

enum err_code identity_db_totp_remove(struct pg *pg, const char *user_id, struct err *e)
{
	return pg_exec(pg, &totp_remove, PG_ARGS(P(user_id)), NULL, e);
}

static const struct pg_stmt recovery_put = {
	.name = "recovery_put",
	.sql = "INSERT INTO identity.recovery_code (user_id, code_hash) VALUES ($1, $2::bytea) ON CONFLICT DO NOTHING",
};
static const struct pg_stmt recovery_clear = {
	.name = "recovery_clear",
	.sql = "DELETE FROM identity.recovery_code WHERE user_id = $1",
};
static const struct pg_stmt recovery_use = {
	.name = "recovery_use",
	.sql = "UPDATE identity.recovery_code SET used_at = now() WHERE user_id = $1 AND code_hash = $2::bytea AND used_at IS NULL",
};

enum err_code identity_db_recovery_put(struct pg *pg, const char *user_id, const uint8_t *hash, struct err *e)
{
	return pg_exec(pg, &recovery_put, PG_ARGS(P(user_id), DB_HASH(hash)), NULL, e);
}

enum err_code identity_db_recovery_clear(struct pg *pg, const char *user_id, struct err *e)
{
	return pg_exec(pg, &recovery_clear, PG_ARGS(P(user_id)), NULL, e);
}

enum err_code identity_db_recovery_use(struct pg *pg, const char *user_id, const uint8_t *hash, bool *done_r, struct err *e)
{
	return done_one(pg, &recovery_use, PG_ARGS(P(user_id), DB_HASH(hash)), done_r, e);
}

static const struct pg_stmt challenge_add = {
	.name = "challenge_add",
	.sql = "INSERT INTO identity.mfa_challenge (token_hash, user_id, audience, vendor_id, token_version, expires_at)"
	       " VALUES ($1::bytea, $2, $3, $4, $5::bigint, now() + interval '5 minutes')",
};
static const struct pg_col challenge_cols[] = {
	PG_COL(challenge_row, user_id), PG_COL(challenge_row, audience),      PG_COL(challenge_row, vendor_id),
	PG_COL(challenge_row, status),	PG_COL(challenge_row, token_version),
};
static const struct pg_stmt challenge_get = {
	.name = "challenge_get",
	.sql = "SELECT c.user_id, c.audience, c.vendor_id, a.status, a.token_version FROM identity.mfa_challenge c"
	       " JOIN identity.account a ON a.id = c.user_id AND a.token_version = c.token_version"
	       " WHERE c.token_hash = $1::bytea AND c.used_at IS NULL AND c.expires_at > now()",
	.col = challenge_cols,
	.ncol = ARRAY_LEN(challenge_cols),
	.row_size = sizeof(struct challenge_row),
};
static const struct pg_stmt challenge_use = {
	.name = "challenge_use",
	.sql = "UPDATE identity.mfa_challenge SET used_at = now()"
	       " WHERE token_hash = $1::bytea AND used_at IS NULL AND expires_at > now()",
};

enum err_code identity_db_challenge_add(struct pg *pg, const uint8_t *token_hash, const char *user_id, const char *audience,
					const char *vendor_id, int64_t token_version, struct err *e)
{
	return pg_exec(pg, &challenge_add,
		       PG_ARGS(DB_HASH(token_hash), P(user_id), P(audience), P(vendor_id), P(token_version)), NULL, e);
}

enum err_code identity_db_challenge_get(struct pg *pg, struct arena *a, const uint8_t *token_hash,
					struct challenge_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &challenge_get, PG_ARGS(DB_HASH(token_hash)), a, row_r, found_r, e);
}

enum err_code identity_db_challenge_use(struct pg *pg, const uint8_t *token_hash, bool *done_r, struct err *e)
{
	return done_one(pg, &challenge_use, PG_ARGS(DB_HASH(token_hash)), done_r, e);
}

const struct pg_stmt *const identity_db_mfa_stmts[] = {
	&totp_get,     &totp_put,	&totp_use,	 &totp_activate, &totp_remove,	 &recovery_put,
	&recovery_clear, &recovery_use, &challenge_add, &challenge_get, &challenge_use, NULL,
};
