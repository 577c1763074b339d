#include "services/identity/identity_db.h"

static const struct pg_stmt vendor_put = {
	.name = "vendor_put",
	.sql = "INSERT INTO identity.vendor AS v (id, owner_user_id, status, agg_version) VALUES ($1, $2, $3, $4::bigint)"
	       " ON CONFLICT (id) DO UPDATE SET owner_user_id = coalesce(excluded.owner_user_id, v.owner_user_id),"
	       " status = excluded.status, agg_version = excluded.agg_version, updated_at = now()"
	       " WHERE v.agg_version < excluded.agg_version",
};
static const struct pg_stmt vendor_own = {
	.name = "vendor_own",
	.sql = "INSERT INTO identity.vendor_member (vendor_id, user_id, role) SELECT $1, a.id, 'vendor_owner'"
	       " FROM identity.account a WHERE a.id = $2 AND a.status <> 'erased' AND NOT EXISTS"
	       " (SELECT 1 FROM identity.vendor_member m WHERE m.vendor_id = $1) ON CONFLICT DO NOTHING",
};
static const struct pg_stmt vendor_bump = {
	.name = "vendor_bump",
	.sql = "WITH u AS (UPDATE identity.account a SET token_version = a.token_version + 1 FROM identity.vendor_member m"
	       " WHERE m.vendor_id = $1 AND a.id = m.user_id RETURNING a.id, a.token_version)"
	       " INSERT INTO identity.revocation (user_id, min_token_version) SELECT id, token_version FROM u",
};

enum err_code identity_db_vendor_put(struct pg *pg, const char *vendor_id, const char *owner_user_id, const char *status,
				     int64_t agg_version, bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &vendor_put, PG_ARGS(P(vendor_id), P(owner_user_id), P(status), P(agg_version)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_vendor_own(struct pg *pg, const char *vendor_id, const char *owner_user_id, struct err *e)
{
	return pg_exec(pg, &vendor_own, PG_ARGS(P(vendor_id), P(owner_user_id)), NULL, e);
}

enum err_code identity_db_vendor_bump(struct pg *pg, const char *vendor_id, struct err *e)
{
	return pg_exec(pg, &vendor_bump, PG_ARGS(P(vendor_id)), NULL, e);
}

struct count_row {
	int64_t n;
};
static const struct pg_col count_cols[] = { PG_COL(count_row, n) };
#define COUNT_ROW .col = count_cols, .ncol = 1, .row_size = sizeof(struct count_row)
static const struct pg_stmt owned = {
	.name = "vendors_owned",
	.sql = "SELECT count(*) AS n FROM identity.vendor_member m JOIN identity.vendor v ON v.id = m.vendor_id"
	       " WHERE m.user_id = $1 AND m.role = 'vendor_owner' AND v.status IN ('applied', 'approved', 'suspended')"
	       " AND NOT EXISTS (SELECT 1 FROM identity.vendor_member o WHERE o.vendor_id = m.vendor_id"
	       " AND o.role = 'vendor_owner' AND o.user_id <> $1)",
	COUNT_ROW,
};

enum err_code identity_db_vendors_owned(struct pg *pg, struct arena *a, const char *user_id, int64_t *n_r, struct err *e)
{
	struct count_row *row;
	bool found = false;

	if (pg_row(pg, &owned, PG_ARGS(P(user_id)), a, &row, &found, e))
		return e->code;
	*n_r = found ? row->n : 0;
	return OK;
}

#define MEMBER_COLUMNS                                                                             \
	"m.vendor_id, m.user_id, m.role, v.status AS vendor_status, a.email, a.name, k.sealed AS person_key, " \
	DB_MS("m.joined_at") " AS joined_at, m.version FROM identity.vendor_member m"             \
	" JOIN identity.vendor v ON v.id = m.vendor_id JOIN identity.account a ON a.id = m.user_id" \
	" LEFT JOIN identity.person_key k ON k.user_id = a.id"
static const struct pg_col member_cols[] = {
	PG_COL(member_row, vendor_id), PG_COL(member_row, user_id), PG_COL(member_row, role),
	PG_COL(member_row, vendor_status), PG_COL(member_row, email), PG_COL(member_row, name),
	PG_COL(member_row, person_key), PG_COL(member_row, joined_at), PG_COL(member_row, version),
};
#define MEMBER_ROW .col = member_cols, .ncol = ARRAY_LEN(member_cols), .row_size = sizeof(struct member_row)
static const struct pg_stmt memberships = {
	.name = "memberships",
	.sql = "SELECT " MEMBER_COLUMNS " WHERE m.user_id = $1 AND ($2::text IS NULL OR m.vendor_id = $2)"
	       " ORDER BY m.vendor_id LIMIT 50",
	MEMBER_ROW,
};
static const struct pg_stmt page = {
	.name = "member_page",
	.sql = "SELECT " MEMBER_COLUMNS " WHERE m.vendor_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3::integer",
	MEMBER_ROW,
};
static const struct pg_stmt get = {
	.name = "member_get",
	.sql = "SELECT " MEMBER_COLUMNS " WHERE m.vendor_id = $1 AND m.user_id = $2",
	MEMBER_ROW,
};

enum err_code identity_db_memberships(struct pg *pg, struct arena *a, const char *user_id, const char *vendor_id,
				      struct member_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &memberships, PG_ARGS(P(user_id), P(vendor_id)), a, rows_r, n_r, e);
}

enum err_code identity_db_member_page(struct pg *pg, struct arena *a, const char *vendor_id, const char *after,
				      int32_t limit, struct member_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(vendor_id), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code identity_db_member_get(struct pg *pg, struct arena *a, const char *vendor_id, const char *user_id,
				     struct member_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(vendor_id), P(user_id)), a, row_r, found_r, e);
}

static const struct pg_stmt add = {
	.name = "member_add",
	.sql = "INSERT INTO identity.vendor_member (vendor_id, user_id, role) SELECT $1, $2, $3"
	       " WHERE (SELECT count(*) FROM identity.vendor_member WHERE vendor_id = $1) < $4::integer ON CONFLICT DO NOTHING",
};
static const struct pg_stmt lock = {
	.name = "member_lock",
	.sql = "SELECT 1::bigint AS n FROM identity.vendor WHERE id = $1 FOR UPDATE",
	COUNT_ROW,
};
/* A statement of its own: it must see what was committed while the lock was awaited. */
static const struct pg_stmt owners = {
	.name = "member_owners",
	.sql = "SELECT count(*) AS n FROM identity.vendor_member WHERE vendor_id = $1 AND role = 'vendor_owner'",
	COUNT_ROW,
};
static const struct pg_stmt set_role = {
	.name = "member_role",
	.sql = "UPDATE identity.vendor_member SET role = $3, version = version + 1 WHERE vendor_id = $1 AND user_id = $2",
};
static const struct pg_stmt del = {
	.name = "member_remove",
	.sql = "DELETE FROM identity.vendor_member WHERE ($1::text IS NULL OR vendor_id = $1) AND user_id = $2",
};

enum err_code identity_db_member_add(struct pg *pg, const char *vendor_id, const char *user_id, const char *role,
				     int32_t max, bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &add, PG_ARGS(P(vendor_id), P(user_id), P(role), P(max)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_member_lock(struct pg *pg, struct arena *a, const char *vendor_id, int64_t *owners_r,
				      struct err *e)
{
	struct count_row *row;
	bool found = false;

	if (pg_row(pg, &lock, PG_ARGS(P(vendor_id)), a, &row, &found, e) ||
	    pg_row(pg, &owners, PG_ARGS(P(vendor_id)), a, &row, &found, e))
		return e->code;
	*owners_r = found ? row->n : 0;
	return OK;
}

enum err_code identity_db_member_role(struct pg *pg, const char *vendor_id, const char *user_id, const char *role,
				      struct err *e)
{
	return pg_exec(pg, &set_role, PG_ARGS(P(vendor_id), P(user_id), P(role)), NULL, e);
}

enum err_code identity_db_member_remove(struct pg *pg, const char *vendor_id, const char *user_id, struct err *e)
{
	return pg_exec(pg, &del, PG_ARGS(P(vendor_id), P(user_id)), NULL, e);
}

const struct pg_stmt *const identity_db_member_stmts[] = {
	&vendor_put, &vendor_own, &vendor_bump, &owned, &memberships, &page, &get, &add, &lock, &owners, &set_role, &del, NULL,
};
