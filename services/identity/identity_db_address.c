#include "services/identity/identity_db.h"

#define ADDRESS_COLUMNS                                                                            \
	"d.id, d.country, d.name, d.line1, d.line2, d.city, d.region, d.postal_code, d.phone, d.is_default, d.version" \
	" FROM identity.address d"
static const struct pg_col address_cols[] = {
	PG_COL(address_row, id),     PG_COL(address_row, country), PG_COL(address_row, name),
	PG_COL(address_row, line1),  PG_COL(address_row, line2),   PG_COL(address_row, city),
	PG_COL(address_row, region), PG_COL(address_row, postal_code), PG_COL(address_row, phone),
	PG_COL(address_row, is_default), PG_COL(address_row, version),
};
#define ADDRESS_ROW .col = address_cols, .ncol = ARRAY_LEN(address_cols), .row_size = sizeof(struct address_row)

static const struct pg_stmt add = {
	.name = "address_add",
	.sql = "INSERT INTO identity.address (id, user_id, name, line1, line2, city, region, postal_code, phone, country,"
	       " is_default) SELECT $1, $2, $3::bytea, $4::bytea, $5::bytea, $6::bytea, $7::bytea, $8::bytea, $9::bytea, $10,"
	       " $11::boolean WHERE (SELECT count(*) FROM identity.address WHERE user_id = $2) < $12::integer",
};
static const struct pg_stmt get = {
	.name = "address_get",
	.sql = "SELECT " ADDRESS_COLUMNS " WHERE d.user_id = $1 AND d.id = $2",
	ADDRESS_ROW,
};
static const struct pg_stmt lock = {
	.name = "address_lock",
	.sql = "SELECT " ADDRESS_COLUMNS " WHERE d.user_id = $1 AND d.id = $2 FOR UPDATE",
	ADDRESS_ROW,
};
static const struct pg_stmt update = {
	.name = "address_update",
	.sql = "UPDATE identity.address SET name = $3::bytea, line1 = $4::bytea, line2 = $5::bytea, city = $6::bytea,"
	       " region = $7::bytea, postal_code = $8::bytea, phone = $9::bytea, country = $10, is_default = $11::boolean,"
	       " version = version + 1, updated_at = now() WHERE id = $1 AND user_id = $2",
};
static const struct pg_stmt del = {
	.name = "address_delete",
	.sql = "DELETE FROM identity.address WHERE user_id = $1 AND id = $2",
};
static const struct pg_stmt undefault = {
	.name = "address_undefault",
	.sql = "UPDATE identity.address SET is_default = false, version = version + 1, updated_at = now()"
	       " WHERE user_id = $1 AND is_default AND id <> $2",
};
static const struct pg_stmt page = {
	.name = "address_page",
	.sql = "SELECT " ADDRESS_COLUMNS " WHERE d.user_id = $1 AND d.id > $2 ORDER BY d.id LIMIT $3::integer",
	ADDRESS_ROW,
};

#define ADDRESS_PARAMS(r)                                                                          \
	P((r)->id), P(user_id), P((r)->name), P((r)->line1), P((r)->line2), P((r)->city), P((r)->region), \
		P((r)->postal_code), P((r)->phone), P((r)->country), P((r)->is_default)

enum err_code identity_db_address_add(struct pg *pg, const char *user_id, const struct address_row *r, bool *done_r,
				      int32_t max, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &add, PG_ARGS(ADDRESS_PARAMS(r), P(max)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_address_get(struct pg *pg, struct arena *a, const char *user_id, const char *id,
				      struct address_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(user_id), P(id)), a, row_r, found_r, e);
}

enum err_code identity_db_address_lock(struct pg *pg, struct arena *a, const char *user_id, const char *id,
				       struct address_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &lock, PG_ARGS(P(user_id), P(id)), a, row_r, found_r, e);
}

enum err_code identity_db_address_update(struct pg *pg, const char *user_id, const struct address_row *r, struct err *e)
{
	return pg_exec(pg, &update, PG_ARGS(ADDRESS_PARAMS(r)), NULL, e);
}

enum err_code identity_db_address_delete(struct pg *pg, const char *user_id, const char *id, bool *done_r, struct err *e)
{
	int64_t n;

	if (pg_exec(pg, &del, PG_ARGS(P(user_id), P(id)), &n, e))
		return e->code;
	*done_r = n == 1;
	return OK;
}

enum err_code identity_db_address_undefault(struct pg *pg, const char *user_id, const char *but_id, struct err *e)
{
	return pg_exec(pg, &undefault, PG_ARGS(P(user_id), P(but_id)), NULL, e);
}

enum err_code identity_db_address_page(struct pg *pg, struct arena *a, const char *user_id, const char *after, int32_t limit,
				       struct address_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(user_id), P(after), P(limit)), a, rows_r, n_r, e);
}

const struct pg_stmt *const identity_db_address_stmts[] = { &add, &get, &lock, &update, &del, &undefault, &page, NULL };
