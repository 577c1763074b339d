/* Periodic work: orphaned reservations go back on the shelf. */
#include "common/lease.h"
#include "common/timeutil.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"
#include "services/inventory/stock_event.h"

struct expire_tx {
	struct arena *arena;
	const char *key;
	int32_t grace_s;
};

static enum err_code expire_tx(struct pg *pg, void *arg, struct err *e)
{
	struct expire_tx *t = arg;
	struct finish_row *rows = NULL;
	size_t n = 0;
	bool yes = false;

	if (inventory_db_still_expired(pg, t->arena, t->key, t->grace_s, &yes, e))
		return e->code;
	if (!yes)
		return OK;
	if (inventory_db_finish(pg, t->arena, t->key, "released", NULL, "expired", "system", "", &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (stock_event_put(pg, rows[i].moved, rows[i].variant_id, rows[i].vendor_id, rows[i].state_after,
				    rows[i].seq_after, e))
			return e->code;
	return OK;
}

/*
 * Checkout ends its reservations itself, after the payment is surely dead. This is for those whose checkout was never
 * stored (it died between our commit and its own), so it waits a grace beyond the reservation's time.
 */
static enum err_code expire(void *arg, struct arena *a, struct err *e)
{
	struct inventory_svc *svc = arg;
	const struct pg_actor who = { "system", "" };
	struct key_row *keys = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	code = inventory_db_expired(pg, a, svc->conf->expiry_grace_s, 200, &keys, &n, e);
	pg_return(pg);
	for (size_t i = 0; !code && i < n; i++) {
		struct expire_tx t = { a, keys[i].key, svc->conf->expiry_grace_s };

		code = pg_tx(svc->pool, mono_ms() + 5000, &who, expire_tx, &t, e);
	}
	return code;
}

const struct timer_job inventory_jobs[] = {
	{ "expire_reservations", 2000, true, expire },
	{ 0 },
};
