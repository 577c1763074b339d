/* Periodic work: idle carts expire, abandoned ones are told of once. */
#include "common/outbox.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "services/cart/cart.h"
#include "services/cart/cart_db.h"

struct job_tx {
	struct cart_svc *svc;
	struct arena *arena;
};

static enum err_code expire_tx(struct pg *pg, void *arg, struct err *e)
{
	struct job_tx *t = arg;
	int64_t n = 0;

	if (cart_db_expire_guests(pg, t->svc->conf->guest_days, 500, &n, e) ||
	    cart_db_expire_users(pg, t->svc->conf->user_days, 500, &n, e))
		return e->code;
	return OK;
}

static enum err_code remind_tx(struct pg *pg, void *arg, struct err *e)
{
	struct job_tx *t = arg;
	struct abandoned_row *rows = NULL;
	size_t n = 0;

	if (cart_db_mark_abandoned(pg, t->arena, t->svc->conf->idle_min, 200, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++) {
		Events__V1__CartAbandoned m = EVENTS__V1__CART_ABANDONED__INIT;

		m.cart_id = (char *)rows[i].id;
		m.user_id = (char *)rows[i].user_id;
		if (outbox_put(pg, "cart", rows[i].id, rows[i].version, "cart.abandoned", &m.base, e))
			return e->code;
	}
	return OK;
}

static enum err_code run(void *svc, struct arena *a, pg_tx_fn *fn, struct err *e)
{
	const struct pg_actor who = { "system", "" };
	struct job_tx t = { svc, a };

	return pg_tx(t.svc->pool, mono_ms() + 5000, &who, fn, &t, e);
}

static enum err_code expire(void *svc, struct arena *a, struct err *e)
{
	return run(svc, a, expire_tx, e);
}

static enum err_code remind(void *svc, struct arena *a, struct err *e)
{
	return run(svc, a, remind_tx, e);
}

const struct timer_job cart_jobs[] = {
	{ "expire_carts", 60000, true, expire },
	{ "remind_carts", 60000, true, remind },
	{ 0 },
};
