#include "services/identity/identity_db.h"

static const struct pg_col word_cols[] = { PG_COL(word_row, word) };
#define WORD_ROW .col = word_cols, .ncol = 1, .row_size = sizeof(struct word_row)

static const struct pg_stmt admin_roles = {
	.name = "admin_roles",
	.sql = "SELECT u.role AS word FROM identity.user_role u WHERE u.user_id = $1 ORDER BY u.role LIMIT 50",
	WORD_ROW,
};
static const struct pg_stmt admin_perms = {
	.name = "admin_perms",
	.sql = "SELECT DISTINCT p.permission AS word FROM identity.user_role u"
	       " JOIN identity.role_permission p ON p.role = u.role WHERE u.user_id = $1 ORDER BY p.permission LIMIT 100",
	WORD_ROW,
};
static const struct pg_stmt role_perms = {
	.name = "role_perms",
	.sql = "SELECT permission AS word FROM identity.role_permission WHERE role = $1 ORDER BY permission LIMIT 100",
	WORD_ROW,
};

enum err_code identity_db_admin_roles(struct pg *pg, struct arena *a, const char *user_id, struct word_row **rows_r,
				      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &admin_roles, PG_ARGS(P(user_id)), a, rows_r, n_r, e);
}

enum err_code identity_db_admin_perms(struct pg *pg, struct arena *a, const char *user_id, struct word_row **rows_r,
				      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &admin_perms, PG_ARGS(P(user_id)), a, rows_r, n_r, e);
}

enum err_code identity_db_role_perms(struct pg *pg, struct arena *a, const char *role, struct word_row **rows_r, size_t *n_r,
				     struct err *e)
{
	return pg_rows(pg, &role_perms, PG_ARGS(P(role)), a, rows_r, n_r, e);
}

static const struct pg_col role_cols[] = {
	PG_COL(role_row, name), PG_COL(role_row, side), PG_COL(role_row, description), PG_COL(role_row, perms),
};
static const struct pg_stmt roles = {
	.name = "roles",
	.sql = "SELECT r.name, r.side, r.description, coalesce((SELECT string_agg(p.permission, ' ' ORDER BY p.permission)"
	       " FROM identity.role_permission p WHERE p.role = r.name), '') AS perms FROM identity.role r"
	       " ORDER BY r.side, r.name LIMIT 100",
	.col = role_cols,
	.ncol = ARRAY_LEN(role_cols),
	.row_size = sizeof(struct role_row),
};
static const struct pg_stmt role_side = {
	.name = "role_side",
	.sql = "SELECT side AS word FROM identity.role WHERE name = $1",
	WORD_ROW,
};

enum err_code identity_db_roles(struct pg *pg, struct arena *a, struct role_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &roles, PG_NONE, a, rows_r, n_r, e);
}

enum err_code identity_db_role_side(struct pg *pg, struct arena *a, const char *role, const char **side_r, struct err *e)
{
	struct word_row *row;
	bool found = false;

	if (pg_row(pg, &role_side, PG_ARGS(P(role)), a, &row, &found, e))
		return e->code;
	*side_r = found ? row->word : NULL;
	return OK;
}

static const struct pg_col user_role_cols[] = {
	PG_COL(user_role_row, role), PG_COL(user_role_row, granted_by), PG_COL(user_role_row, granted_at),
};
static const struct pg_stmt user_roles = {
	.name = "user_roles",
	.sql = "SELECT role, granted_by, " DB_MS("granted_at") " AS granted_at FROM identity.user_role WHERE user_id = $1"
	       " ORDER BY role LIMIT 50",
	.col = user_role_cols,
	.ncol = ARRAY_LEN(user_role_cols),
	.row_size = sizeof(struct user_role_row),
};
static const struct pg_stmt user_role_add = {
	.name = "user_role_add",
	.sql = "INSERT INTO identity.user_role (user_id, role, granted_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
};
static const struct pg_stmt user_role_remove = {
	.name = "user_role_remove",
	.sql = "DELETE FROM identity.user_role WHERE user_id = $1 AND ($2::text IS NULL OR role = $2)",
};

enum err_code identity_db_user_roles(struct pg *pg, struct arena *a, const char *user_id, struct user_role_row **rows_r,
				     size_t *n_r, struct err *e)
{
	return pg_rows(pg, &user_roles, PG_ARGS(P(user_id)), a, rows_r, n_r, e);
}

enum err_code identity_db_user_role_add(struct pg *pg, const char *user_id, const char *role, const char *granted_by,
					bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &user_role_add, PG_ARGS(P(user_id), P(role), P(granted_by)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_user_role_remove(struct pg *pg, const char *user_id, const char *role, bool *done_r,
					   struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &user_role_remove, PG_ARGS(P(user_id), P(role)), &n, e))
		return e->code;
	*done_r = n > 0;
	return OK;
}

struct count_row {
	int64_t n;
};
static const struct pg_col count_cols[] = { PG_COL(count_row, n) };
static const struct pg_stmt admin_lock = {
	.name = "administrators_lock",
	.sql = "SELECT pg_advisory_xact_lock(hashtext('identity.administrators'))::text AS word",
	WORD_ROW,
};
static const struct pg_stmt admin_count = {
	.name = "administrators_count",
	.sql = "SELECT count(*) AS n FROM identity.user_role u JOIN identity.account a ON a.id = u.user_id AND a.status = 'active'"
	       " JOIN identity.password p ON p.user_id = a.id WHERE u.role = 'administrator' AND u.user_id <> $1",
	.col = count_cols,
	.ncol = 1,
	.row_size = sizeof(struct count_row),
};

enum err_code identity_db_other_administrators(struct pg *pg, struct arena *a, const char *user_id, int64_t *n_r,
					       struct err *e)
{
	struct word_row *locked;
	struct count_row *row;
	bool found = false;

	if (pg_row(pg, &admin_lock, PG_NONE, a, &locked, &found, e) ||
	    pg_row(pg, &admin_count, PG_ARGS(P(user_id)), a, &row, &found, e))
		return e->code;
	*n_r = found ? row->n : 0;
	return OK;
}

const struct pg_stmt *const identity_db_role_stmts[] = {
	&admin_roles, &admin_perms, &role_perms, &roles, &role_side, &user_roles, &user_role_add, &user_role_remove,
	&admin_lock, &admin_count, NULL,
};
