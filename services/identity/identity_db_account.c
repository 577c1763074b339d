#include "services/identity/identity_db.h"

#include <string.h>

#define ACCOUNT_COLUMNS                                                                            \
	"a.id, a.locale, a.status, a.email, a.name, a.phone, k.sealed AS person_key, a.email_verified," \
	" EXISTS (SELECT 1 FROM identity.totp t WHERE t.user_id = a.id AND t.active) AS mfa,"       \
	" a.token_version, a.version, " DB_MS("a.created_at") " AS created_at, "                  \
	DB_MS("a.updated_at") " AS updated_at FROM identity.account a"                            \
	" LEFT JOIN identity.person_key k ON k.user_id = a.id"

static const struct pg_col account_cols[] = {
	PG_COL(account_row, id),	     PG_COL(account_row, locale),  PG_COL(account_row, status),
	PG_COL(account_row, email),	     PG_COL(account_row, name),	   PG_COL(account_row, phone),
	PG_COL(account_row, person_key),     PG_COL(account_row, email_verified), PG_COL(account_row, mfa),
	PG_COL(account_row, token_version), PG_COL(account_row, version), PG_COL(account_row, created_at),
	PG_COL(account_row, updated_at),
};
#define ACCOUNT_ROW .col = account_cols, .ncol = ARRAY_LEN(account_cols), .row_size = sizeof(struct account_row)

static const struct pg_stmt add = {
	.name = "account_add",
	.sql = "INSERT INTO identity.account (id, email, email_index, name, phone, phone_index, locale)"
	       " VALUES ($1, $2::bytea, $3::bytea, $4::bytea, $5::bytea, $6::bytea, $7)"
	       " ON CONFLICT ON CONSTRAINT account_email_taken DO NOTHING",
};
static const struct pg_stmt add_key = {
	.name = "person_key_add",
	.sql = "INSERT INTO identity.person_key (user_id, sealed) VALUES ($1, $2::bytea)",
};

enum err_code identity_db_account_add(struct pg *pg, const struct account_new *n, bool *added_r,
				      struct err *e)
{
	int64_t rows;

	if (pg_exec(pg, &add,
		    PG_ARGS(P(n->id), P(n->email), P(n->email_index), P(n->name), P(n->phone), P(n->phone_index),
			    P(n->locale)),
		    &rows, e))
		return e->code;
	*added_r = rows == 1;
	if (rows == 1 && (pg_exec(pg, &add_key, PG_ARGS(P(n->id), P(n->person_key)), NULL, e) ||
			  (n->phc && identity_db_password_put(pg, n->id, n->phc, e))))
		return e->code;
	return OK;
}

static const struct pg_stmt get = {
	.name = "account_get",
	.sql = "SELECT " ACCOUNT_COLUMNS " WHERE a.id = $1",
	ACCOUNT_ROW,
};
static const struct pg_stmt lock = {
	.name = "account_lock",
	.sql = "SELECT " ACCOUNT_COLUMNS " WHERE a.id = $1 FOR UPDATE OF a",
	ACCOUNT_ROW,
};

enum err_code identity_db_account_get(struct pg *pg, struct arena *a, const char *id, struct account_row **row_r,
				      bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code identity_db_account_lock(struct pg *pg, struct arena *a, const char *id, struct account_row **row_r,
				       bool *found_r, struct err *e)
{
	return pg_row(pg, &lock, PG_ARGS(P(id)), a, row_r, found_r, e);
}

struct id_row {
	const char *id;
	bool email_verified;
};
static const struct pg_col id_cols[] = { PG_COL(id_row, id), PG_COL(id_row, email_verified) };
static const struct pg_stmt by_email = {
	.name = "account_id",
	.sql = "SELECT id, email_verified FROM identity.account WHERE email_index = $1::bytea AND status = 'active'",
	.col = id_cols,
	.ncol = ARRAY_LEN(id_cols),
	.row_size = sizeof(struct id_row),
};

enum err_code identity_db_account_id(struct pg *pg, struct arena *a, struct pg_bytes email_index, const char **id_r,
				     bool *verified_r, struct err *e)
{
	struct id_row *row;
	bool found = false;

	if (pg_row(pg, &by_email, PG_ARGS(P(email_index)), a, &row, &found, e))
		return e->code;
	*id_r = found ? row->id : NULL;
	*verified_r = found && row->email_verified;
	return OK;
}

static const struct pg_stmt page = {
	.name = "account_page",
	.sql = "SELECT " ACCOUNT_COLUMNS " WHERE a.id > $1 AND ($2::bytea IS NULL OR a.email_index = $2::bytea)"
	       " AND ($3::bytea IS NULL OR a.phone_index = $3::bytea) AND ($4::text IS NULL OR a.status = $4)"
	       " AND ($5::text IS NULL OR EXISTS (SELECT 1 FROM identity.user_role r WHERE r.user_id = a.id AND r.role = $5))"
	       " ORDER BY a.id LIMIT $6::integer",
	ACCOUNT_ROW,
};

enum err_code identity_db_account_page(struct pg *pg, struct arena *a, const struct account_filter *f,
				       struct account_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page,
		       PG_ARGS(P(f->after), P(f->email_index), P(f->phone_index), P(f->status), P(f->role), P(f->limit)),
		       a, rows_r, n_r, e);
}

static const struct pg_stmt update = {
	.name = "account_update",
	.sql = "UPDATE identity.account SET name = $2::bytea, phone = $3::bytea, phone_index = $4::bytea, locale = $5,"
	       " version = version + 1, updated_at = now() WHERE id = $1 AND version = $6::bigint",
};

enum err_code identity_db_account_update(struct pg *pg, const char *id, const struct account_change *ch, bool *done_r,
					 struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &update,
		    PG_ARGS(P(id), P(ch->name), P(ch->phone), P(ch->phone_index), P(ch->locale), P(ch->version)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

static const struct pg_stmt verified = {
	.name = "account_verified",
	.sql = "UPDATE identity.account SET email_verified = true, version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND NOT email_verified AND status <> 'erased'",
};

enum err_code identity_db_account_verified(struct pg *pg, const char *id, struct err *e)
{
	return pg_exec(pg, &verified, PG_ARGS(P(id)), NULL, e);
}

static const struct pg_stmt new_email = {
	.name = "account_email",
	.sql = "UPDATE identity.account SET email = $2::bytea, email_index = $3::bytea, email_verified = true,"
	       " version = version + 1, updated_at = now() WHERE id = $1 AND status = 'active'",
};

enum err_code identity_db_account_email(struct pg *pg, const char *id, const struct link_email *l, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &new_email, PG_ARGS(P(id), P(l->email), P(l->email_index)), &n, e)) {
		if (e->code == E_CONFLICT && strcmp(pg_constraint(pg), "account_email_taken") == 0)
			return err_set(e, E_CONFLICT, "identity.email_taken", "%s", id);
		return e->code;
	}
	return n == 1 ? OK : err_set(e, E_GONE, "identity.link_invalid", "account is not active");
}

static const struct pg_stmt set_status = {
	.name = "account_status",
	.sql = "UPDATE identity.account SET status = $2, status_reason = $3, version = version + 1, updated_at = now()"
	       " WHERE id = $1 AND status <> 'erased'",
};

enum err_code identity_db_account_status(struct pg *pg, const char *id, const char *status, const char *reason,
					 struct err *e)
{
	return pg_exec(pg, &set_status, PG_ARGS(P(id), P(status), P(reason)), NULL, e);
}

static const struct pg_stmt bump = {
	.name = "account_bump",
	.sql = "WITH u AS (UPDATE identity.account SET token_version = token_version + 1 WHERE id = $1"
	       " RETURNING id, token_version) INSERT INTO identity.revocation (user_id, min_token_version)"
	       " SELECT id, token_version FROM u",
};

enum err_code identity_db_account_bump(struct pg *pg, const char *id, struct err *e)
{
	return pg_exec(pg, &bump, PG_ARGS(P(id)), NULL, e);
}

static const struct pg_stmt erase = {
	.name = "account_erase",
	.sql = "UPDATE identity.account SET email = NULL, email_index = NULL, email_verified = false, name = NULL, phone = NULL,"
	       " phone_index = NULL, locale = 'en', status = 'erased', status_reason = NULL, version = version + 1,"
	       " updated_at = now() WHERE id = $1",
};
static const struct pg_stmt erase_key = {
	.name = "person_key_delete",
	.sql = "DELETE FROM identity.person_key WHERE user_id = $1",
};
static const struct pg_stmt erase_password = {
	.name = "password_delete",
	.sql = "DELETE FROM identity.password WHERE user_id = $1",
};
static const struct pg_stmt erase_addresses = {
	.name = "address_delete_all",
	.sql = "DELETE FROM identity.address WHERE user_id = $1",
};
/* Replies that were kept for a repeated request hold what the person sent. */
static const struct pg_stmt erase_replies = {
	.name = "idempotency_delete_all",
	.sql = "DELETE FROM identity.idempotency WHERE scope = 'user:' || $1",
};
static const struct pg_stmt erase_invitations = {
	.name = "invitation_delete_all",
	.sql = "DELETE FROM identity.invitation i USING identity.account a WHERE a.id = $1 AND i.email_index = a.email_index",
};
static const struct pg_stmt erase_consents = {
	.name = "consent_delete_all",
	.sql = "DELETE FROM identity.consent WHERE user_id = $1",
};
static const struct pg_stmt erase_links = {
	.name = "link_delete_all",
	.sql = "DELETE FROM identity.link WHERE user_id = $1",
};

enum err_code identity_db_account_erase(struct pg *pg, const char *id, struct err *e)
{
	if (pg_exec(pg, &erase_password, PG_ARGS(P(id)), NULL, e) ||
	    pg_exec(pg, &erase_addresses, PG_ARGS(P(id)), NULL, e) || pg_exec(pg, &erase_links, PG_ARGS(P(id)), NULL, e) ||
	    pg_exec(pg, &erase_replies, PG_ARGS(P(id)), NULL, e) ||
	    pg_exec(pg, &erase_invitations, PG_ARGS(P(id)), NULL, e) ||
	    pg_exec(pg, &erase_consents, PG_ARGS(P(id)), NULL, e) ||
	    pg_exec(pg, &erase, PG_ARGS(P(id)), NULL, e) || pg_exec(pg, &erase_key, PG_ARGS(P(id)), NULL, e))
		return e->code;
	return OK;
}

#define LOGIN_COLUMNS                                                                              \
	"a.id, a.status, p.phc, a.email_verified,"                                                \
	" EXISTS (SELECT 1 FROM identity.totp t WHERE t.user_id = a.id AND t.active) AS mfa, a.token_version" \
	" FROM identity.account a LEFT JOIN identity.password p ON p.user_id = a.id"
static const struct pg_col login_cols[] = {
	PG_COL(login_row, id),	PG_COL(login_row, status),	  PG_COL(login_row, phc),
	PG_COL(login_row, email_verified), PG_COL(login_row, mfa), PG_COL(login_row, token_version),
};
#define LOGIN_ROW .col = login_cols, .ncol = ARRAY_LEN(login_cols), .row_size = sizeof(struct login_row)
static const struct pg_stmt login = {
	.name = "login",
	.sql = "SELECT " LOGIN_COLUMNS " WHERE a.email_index = $1::bytea",
	LOGIN_ROW,
};
static const struct pg_stmt login_id = {
	.name = "login_by_id",
	.sql = "SELECT " LOGIN_COLUMNS " WHERE a.id = $1",
	LOGIN_ROW,
};

enum err_code identity_db_login(struct pg *pg, struct arena *a, struct pg_bytes email_index, struct login_row **row_r,
				bool *found_r, struct err *e)
{
	return pg_row(pg, &login, PG_ARGS(P(email_index)), a, row_r, found_r, e);
}

enum err_code identity_db_login_by_id(struct pg *pg, struct arena *a, const char *id, struct login_row **row_r,
				      bool *found_r, struct err *e)
{
	return pg_row(pg, &login_id, PG_ARGS(P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt password_put = {
	.name = "password_put",
	.sql = "INSERT INTO identity.password (user_id, phc) VALUES ($1, $2)"
	       " ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, changed_at = now()",
};
static const struct pg_stmt password_again = {
	.name = "password_rehash",
	.sql = "UPDATE identity.password SET phc = $3 WHERE user_id = $1 AND phc = $2",
};

enum err_code identity_db_password_put(struct pg *pg, const char *user_id, const char *phc, struct err *e)
{
	return pg_exec(pg, &password_put, PG_ARGS(P(user_id), P(phc)), NULL, e);
}

enum err_code identity_db_password_rehash(struct pg *pg, const char *user_id, const char *old_phc, const char *phc,
					  struct err *e)
{
	return pg_exec(pg, &password_again, PG_ARGS(P(user_id), P(old_phc), P(phc)), NULL, e);
}

const struct pg_stmt *const identity_db_account_stmts[] = {
	&add,	  &add_key,  &get,	 &lock,		  &by_email,	    &page,	  &update,	 &verified,
	&set_status, &bump,  &erase,	 &erase_key,	  &erase_password,  &erase_addresses, &erase_links, &erase_replies, &login,
	&login_id, &password_put, &password_again, &new_email, &erase_invitations, &erase_consents, NULL,
};
