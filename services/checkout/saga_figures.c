#include "services/checkout/saga_figures.h"

#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/checkout/checkout_db.h"

struct figure {
	int64_t n, oldest_ms;
};

static void tell(enum saga_st st, const struct figure *f)
{
	char labels[64];

	(void)metric_labels(labels, sizeof(labels), "state", saga_state_name(st), NULL);
	metric_set(metric_gauge("souk_checkout_sagas", "Unfinished checkouts by state.", labels), (int32_t)f->n);
	metric_set(metric_gauge("souk_checkout_saga_oldest_seconds", "Age of the oldest unfinished checkout by state.",
				labels),
		   (int32_t)(f->oldest_ms / 1000));
}

enum err_code saga_figures(void *arg, struct arena *a, struct err *e)
{
	struct checkout_svc *svc = arg;
	struct figure by_state[SAGA_ST_MAX_] = { 0 };
	struct unfinished_row *rows = NULL;
	enum saga_st st;
	size_t n = 0;
	struct pg *pg;

	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	if (checkout_db_unfinished(pg, a, &rows, &n, e))
		n = 0;
	pg_return(pg);
	if (e->code)
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (saga_state_parse(rows[i].state, &st))
			by_state[st] = (struct figure){ rows[i].n, rows[i].oldest_ms };
	/* Also those that nobody is in: what was told last time is over. */
	for (int i = 0; i < SAGA_ST_MAX_; i++)
		if (!saga_terminal((enum saga_st)i))
			tell((enum saga_st)i, &by_state[i]);
	return OK;
}
