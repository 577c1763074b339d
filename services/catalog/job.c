/* Periodic work: prices follow the edges of their sales, old days leave "best selling", imports are applied. */
#include "common/timeutil.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_edit.h"
#include "services/catalog/generation.h"
#include "services/catalog/import.h"
#include "services/catalog/product_event.h"

struct job_tx {
	struct catalog_svc *svc;
	struct arena *arena;
	struct product_key_row *rows;
	size_t n;
};

static enum err_code run(struct job_tx *t, pg_tx_fn *fn, struct err *e)
{
	const struct pg_actor who = { "system", "" };

	return pg_tx(t->svc->pool, mono_ms() + 10000, &who, fn, t, e);
}

static enum err_code edges_tx(struct pg *pg, void *arg, struct err *e)
{
	struct job_tx *t = arg;

	if (catalog_db_price_edges(pg, t->arena, 200, &t->rows, &t->n, e))
		return e->code;
	for (size_t i = 0; i < t->n; i++)
		if (product_looks_new(pg, t->rows[i].id, t->rows[i].slug, t->rows[i].version, e))
			return e->code;
	return OK;
}

static enum err_code price_edges(void *svc, struct arena *a, struct err *e)
{
	struct job_tx t = { .svc = svc, .arena = a };

	if (run(&t, edges_tx, e))
		return e->code;
	for (size_t i = 0; i < t.n; i++)
		if (generation_up(svc, a, "product", t.rows[i].id, e) ||
		    generation_up(svc, a, "product", t.rows[i].slug, e))
			return e->code;
	return t.n ? generation_up(svc, a, "products", NULL, e) : OK;
}

static enum err_code count_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return catalog_db_sold_count(pg, 5000, e);
}

static enum err_code sold_count(void *svc, struct arena *a, struct err *e)
{
	struct job_tx t = { .svc = svc, .arena = a };

	return run(&t, count_tx, e);
}

static enum err_code decay_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return catalog_db_sold_decay(pg, e);
}

static enum err_code sold_decay(void *svc, struct arena *a, struct err *e)
{
	struct job_tx t = { .svc = svc, .arena = a };

	return run(&t, decay_tx, e);
}

const struct timer_job catalog_jobs[] = {
	{ "price_edges", 5000, true, price_edges },
	{ "sold_count", 5000, true, sold_count },
	{ "sold_decay", 3600000, true, sold_decay },
	{ "imports", 500, true, import_work },
	{ 0 },
};
