/* Invitations into a vendor's team. */
#include "services/identity/identity_db.h"

static const struct pg_stmt replace = {
	.name = "invitation_replace",
	.sql = "UPDATE identity.invitation SET status = 'revoked', email = NULL, email_index = NULL WHERE vendor_id = $1"
	       " AND status = 'open' AND (email_index = $2::bytea OR expires_at <= now())",
};
static const struct pg_stmt add = {
	.name = "invitation_add",
	.sql = "INSERT INTO identity.invitation (id, vendor_id, email, email_index, role, invited_by, expires_at)"
	       " SELECT $1, $2, $3::bytea, $4::bytea, $5, $6, now() + $7::bigint * interval '1 second'"
	       " WHERE (SELECT count(*) FROM identity.invitation WHERE vendor_id = $2 AND status = 'open') < $8::integer",
};

enum err_code identity_db_invitation_add(struct pg *pg, const struct invitation_new *n, bool *done_r, struct err *e)
{
	int64_t rows = 0;

	if (pg_exec(pg, &replace, PG_ARGS(P(n->vendor_id), P(n->email_index)), NULL, e) ||
	    pg_exec(pg, &add,
		    PG_ARGS(P(n->id), P(n->vendor_id), P(n->email), P(n->email_index), P(n->role), P(n->invited_by),
			    P(n->life_s), P(n->max)),
		    &rows, e))
		return e->code;
	*done_r = rows == 1;
	return OK;
}

#define COLUMNS                                                                                            \
	"id, vendor_id, role, invited_by, CASE WHEN status = 'open' AND expires_at <= now() THEN 'expired'"    \
	" ELSE status END AS status, email, email_index, " DB_MS("created_at") " AS created_at, "              \
	DB_MS("expires_at") " AS expires_at FROM identity.invitation"
static const struct pg_col cols[] = {
	PG_COL(invitation_row, id),	    PG_COL(invitation_row, vendor_id),	 PG_COL(invitation_row, role),
	PG_COL(invitation_row, invited_by), PG_COL(invitation_row, status),	 PG_COL(invitation_row, email),
	PG_COL(invitation_row, email_index), PG_COL(invitation_row, created_at), PG_COL(invitation_row, expires_at),
};
#define ROW .col = cols, .ncol = ARRAY_LEN(cols), .row_size = sizeof(struct invitation_row)
static const struct pg_stmt get = {
	.name = "invitation_get",
	.sql = "SELECT " COLUMNS " WHERE id = $1",
	ROW,
};
static const struct pg_stmt find = {
	.name = "invitation_find",
	.sql = "SELECT " COLUMNS " WHERE token_hash = $1::bytea",
	ROW,
};
static const struct pg_stmt page = {
	.name = "invitation_page",
	.sql = "SELECT " COLUMNS " WHERE vendor_id = $1 AND id > $2 ORDER BY id LIMIT $3::integer",
	ROW,
};
static const struct pg_stmt made = {
	.name = "invitation_made",
	.sql = "UPDATE identity.invitation SET token_hash = $2::bytea WHERE id = $1 AND token_hash IS NULL",
};
static const struct pg_stmt end = {
	.name = "invitation_end",
	.sql = "UPDATE identity.invitation SET status = $3, email = NULL, email_index = NULL WHERE id = $1 AND vendor_id = $2"
	       " AND status = 'open' AND (expires_at > now() OR $3 = 'revoked')",
};

enum err_code identity_db_invitation_get(struct pg *pg, struct arena *a, const char *id, struct invitation_row **row_r,
					 bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code identity_db_invitation_find(struct pg *pg, struct arena *a, const uint8_t *token_hash,
					  struct invitation_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &find, PG_ARGS(DB_HASH(token_hash)), a, row_r, found_r, e);
}

enum err_code identity_db_invitation_page(struct pg *pg, struct arena *a, const char *vendor_id, const char *after,
					  int32_t limit, struct invitation_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(vendor_id), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code identity_db_invitation_made(struct pg *pg, const char *id, const uint8_t *token_hash, struct err *e)
{
	return pg_exec(pg, &made, PG_ARGS(P(id), DB_HASH(token_hash)), NULL, e);
}

enum err_code identity_db_invitation_end(struct pg *pg, const char *id, const char *vendor_id, const char *status,
					 bool *done_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &end, PG_ARGS(P(id), P(vendor_id), P(status)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

const struct pg_stmt *const identity_db_invitation_stmts[] = { &replace, &add, &get, &find, &page, &made, &end, NULL };
