#include "services/identity/identity_db.h"

static const struct pg_stmt add = {
	.name = "api_key_add",
	.sql = "INSERT INTO identity.api_key (id, user_id, name, secret_hash, perms, expires_at)"
	       " SELECT $1, $2, $3, $4::bytea, $5::text[], CASE WHEN $6::bigint > 0 THEN to_timestamp($6::bigint / 1000.0) END"
	       " WHERE (SELECT count(*) FROM identity.api_key WHERE user_id = $2 AND revoked_at IS NULL) < $7::integer",
};

enum err_code identity_db_api_key_add(struct pg *pg, struct arena *a, const char *id, const char *user_id, const char *name,
				      const uint8_t *secret_hash, const char *const *perms, size_t n_perms,
				      int64_t expires_at, int32_t max, bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &add,
		    PG_ARGS(P(id), P(user_id), P(name), DB_HASH(secret_hash), pg_p_text_array(a, perms, n_perms),
			    P(expires_at), P(max)),
		    &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

#define KEY_COLUMNS                                                                                \
	"k.id, k.user_id, k.name, array_to_string(k.perms, ' ') AS perms, a.status, k.secret_hash, "       \
	DB_MS("k.created_at") " AS created_at, " DB_MS("k.expires_at") " AS expires_at, "         \
	DB_MS("k.revoked_at") " AS revoked_at, " DB_MS("k.last_used_at") " AS last_used_at, a.token_version," \
	" k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AS usable FROM identity.api_key k" \
	" JOIN identity.account a ON a.id = k.user_id"
static const struct pg_col key_cols[] = {
	PG_COL(api_key_row, id),	  PG_COL(api_key_row, user_id),	   PG_COL(api_key_row, name),
	PG_COL(api_key_row, perms),	  PG_COL(api_key_row, status),	   PG_COL(api_key_row, secret_hash),
	PG_COL(api_key_row, created_at),  PG_COL(api_key_row, expires_at), PG_COL(api_key_row, revoked_at),
	PG_COL(api_key_row, last_used_at), PG_COL(api_key_row, token_version), PG_COL(api_key_row, usable),
};
#define KEY_ROW .col = key_cols, .ncol = ARRAY_LEN(key_cols), .row_size = sizeof(struct api_key_row)
static const struct pg_stmt get = {
	.name = "api_key_get",
	.sql = "SELECT " KEY_COLUMNS " WHERE k.id = $1",
	KEY_ROW,
};
static const struct pg_stmt page = {
	.name = "api_key_page",
	.sql = "SELECT " KEY_COLUMNS " WHERE k.id > $1 ORDER BY k.id LIMIT $2::integer",
	KEY_ROW,
};

enum err_code identity_db_api_key_get(struct pg *pg, struct arena *a, const char *id, struct api_key_row **row_r,
				      bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code identity_db_api_key_page(struct pg *pg, struct arena *a, const char *after, int32_t limit,
				       struct api_key_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(after), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt revoke = {
	.name = "api_key_revoke",
	.sql = "WITH r AS (UPDATE identity.api_key SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id, user_id)"
	       " INSERT INTO identity.revocation (session_id, user_id) SELECT id, user_id FROM r",
};
static const struct pg_stmt revoke_all = {
	.name = "api_key_revoke_all",
	.sql = "WITH r AS (UPDATE identity.api_key SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL"
	       " RETURNING id, user_id) INSERT INTO identity.revocation (session_id, user_id) SELECT id, user_id FROM r",
};
static const struct pg_stmt used = {
	.name = "api_key_used",
	.sql = "UPDATE identity.api_key SET last_used_at = now()"
	       " WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')",
};

enum err_code identity_db_api_key_revoke(struct pg *pg, const char *id, bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &revoke, PG_ARGS(P(id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_api_key_revoke_all(struct pg *pg, const char *user_id, struct err *e)
{
	return pg_exec(pg, &revoke_all, PG_ARGS(P(user_id)), NULL, e);
}

enum err_code identity_db_api_key_used(struct pg *pg, const char *id, struct err *e)
{
	return pg_exec(pg, &used, PG_ARGS(P(id)), NULL, e);
}

const struct pg_stmt *const identity_db_api_key_stmts[] = { &add, &get, &page, &revoke, &revoke_all, &used, NULL };
