#include "services/notify/notify_db.h"

static const struct pg_col preference_cols[] = {
	PG_COL(preference_row, order_mail),
	PG_COL(preference_row, marketing_mail),
	PG_COL(preference_row, cart_reminder),
};
static const struct pg_stmt preference = {
	.name = "preference",
	.sql = "SELECT order_mail, marketing_mail, cart_reminder FROM notify.preference WHERE user_id = $1",
	.col = preference_cols,
	.ncol = DB_NUM(preference_cols),
	.row_size = sizeof(struct preference_row),
};
static const struct pg_stmt preference_put = {
	.name = "preference_put",
	.sql = "INSERT INTO notify.preference (user_id, order_mail, marketing_mail, cart_reminder)"
	       " VALUES ($1, $2::boolean, $3::boolean, $4::boolean) ON CONFLICT (user_id) DO UPDATE SET"
	       " order_mail = excluded.order_mail, marketing_mail = excluded.marketing_mail,"
	       " cart_reminder = excluded.cart_reminder, updated_at = now()",
};

enum err_code notify_db_preference(struct pg *pg, struct arena *a, const char *user_id, struct preference_row **row_r,
				   struct err *e)
{
	bool found = false;

	if (pg_row(pg, &preference, PG_ARGS(P(user_id)), a, row_r, &found, e))
		return e->code;
	if (!found) {
		*row_r = arena_alloc(a, sizeof(**row_r));
		(*row_r)->order_mail = true;
	}
	return OK;
}

enum err_code notify_db_preference_put(struct pg *pg, const char *user_id, const struct preference_row *p, struct err *e)
{
	return pg_exec(pg, &preference_put,
		       PG_ARGS(P(user_id), P(p->order_mail), P(p->marketing_mail), P(p->cart_reminder)), NULL, e);
}

static const struct pg_stmt vendor_put = {
	.name = "vendor_put",
	.sql = "INSERT INTO notify.vendor AS v (id, owner_user_id, name, status) VALUES ($1, $2, $3, $4)"
	       " ON CONFLICT (id) DO UPDATE SET owner_user_id = coalesce(excluded.owner_user_id, v.owner_user_id),"
	       " name = coalesce(excluded.name, v.name), status = coalesce(excluded.status, v.status)",
};
static const struct pg_col vendor_cols[] = { PG_COL(vendor_row, owner_user_id), PG_COL(vendor_row, name) };
static const struct pg_stmt vendor = {
	.name = "vendor",
	.sql = "SELECT owner_user_id, name FROM notify.vendor WHERE id = $1",
	.col = vendor_cols,
	.ncol = DB_NUM(vendor_cols),
	.row_size = sizeof(struct vendor_row),
};

enum err_code notify_db_vendor_put(struct pg *pg, const char *id, const char *owner_user_id, const char *name,
				   const char *status, struct err *e)
{
	return pg_exec(pg, &vendor_put, PG_ARGS(P(id), P(owner_user_id), P(name), P(status)), NULL, e);
}

enum err_code notify_db_vendor(struct pg *pg, struct arena *a, const char *id, struct vendor_row **row_r, bool *found_r,
			       struct err *e)
{
	return pg_row(pg, &vendor, PG_ARGS(P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt erase_preference = {
	.name = "erase_preference",
	.sql = "DELETE FROM notify.preference WHERE user_id = $1",
};
static const struct pg_stmt erase_waiting = {
	.name = "erase_waiting",
	.sql = "UPDATE notify.message SET state = 'suppressed', reason = 'erased', ended_at = now(), lease = ''"
	       " WHERE user_id = $1 AND state IN ('queued', 'sending')",
};
static const struct pg_stmt erase_name = {
	.name = "erase_name",
	.sql = "UPDATE notify.message SET user_id = NULL WHERE user_id = $1",
};
static const struct pg_stmt erase_vendor = {
	.name = "erase_vendor",
	.sql = "UPDATE notify.vendor SET owner_user_id = NULL WHERE owner_user_id = $1",
};

enum err_code notify_db_erase_user(struct pg *pg, const char *user_id, struct err *e)
{
	static const struct pg_stmt *const steps[] = { &erase_preference, &erase_waiting, &erase_name, &erase_vendor };

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (pg_exec(pg, steps[i], PG_ARGS(P(user_id)), NULL, e))
			return e->code;
	return OK;
}

const struct pg_stmt *const notify_db_person_stmts[] = {
	&preference,	   &preference_put, &vendor_put,   &vendor, &erase_preference,
	&erase_waiting, &erase_name,     &erase_vendor, NULL,
};
