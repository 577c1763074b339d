/* Consents: appended, never changed. */
#include "services/identity/identity_db.h"

static const struct pg_stmt add = {
	.name = "consent_add",
	.sql = "INSERT INTO identity.consent (id, user_id, purpose, granted, version) VALUES ($1, $2, $3, $4::boolean, $5)",
};

enum err_code identity_db_consent_add(struct pg *pg, const char *id, const char *user_id, const char *purpose, bool granted,
				      const char *version, struct err *e)
{
	return pg_exec(pg, &add, PG_ARGS(P(id), P(user_id), P(purpose), P(granted), P(version)), NULL, e);
}

#define COLUMNS "purpose, version, granted, " DB_MS("decided_at") " AS decided_at FROM identity.consent WHERE user_id = $1"
static const struct pg_col cols[] = {
	PG_COL(consent_row, purpose), PG_COL(consent_row, version), PG_COL(consent_row, granted),
	PG_COL(consent_row, decided_at),
};
#define ROW .col = cols, .ncol = ARRAY_LEN(cols), .row_size = sizeof(struct consent_row)
static const struct pg_stmt now = {
	.name = "consents_now",
	.sql = "SELECT DISTINCT ON (purpose) " COLUMNS " ORDER BY purpose, id DESC LIMIT 100",
	ROW,
};
static const struct pg_stmt all_of = {
	.name = "consents_all",
	.sql = "SELECT " COLUMNS " ORDER BY id DESC LIMIT 1000",
	ROW,
};

enum err_code identity_db_consents(struct pg *pg, struct arena *a, const char *user_id, bool all,
				   struct consent_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, all ? &all_of : &now, PG_ARGS(P(user_id)), a, rows_r, n_r, e);
}

const struct pg_stmt *const identity_db_consent_stmts[] = { &add, &now, &all_of, NULL };
