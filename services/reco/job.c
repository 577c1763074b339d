/* Periodic work of collecting: features counted behind the watermark, months made ahead and dropped, the copy kept fresh. */
#include "services/reco/job.h"

#include "common/log.h"
#include "common/timeutil.h"
#include "services/reco/reco_db_collect.h"

#define COUNT_ROWS 20000 /* of one transaction */
#define RUN_MS 1000
#define DAY_MS 86400000LL

static const struct pg_actor nobody = { "system", "" };

struct count_tx {
	struct arena *a;
	struct counted_row *row;
};

static enum err_code count_tx(struct pg *pg, void *arg, struct err *e)
{
	struct count_tx *t = arg;

	return reco_db_count(pg, t->a, COUNT_ROWS, &t->row, e);
}

enum err_code job_count(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	int64_t until = mono_ms() + RUN_MS;
	struct count_tx t = { .a = a };

	do {
		if (pg_tx(svc->pool, mono_ms() + 15000, &nobody, count_tx, &t, e))
			return e->code;
	} while (t.row->more && mono_ms() < until);
	return OK;
}

struct months_tx {
	struct reco_svc *svc;
	struct arena *a;
	int32_t dropped;
};

static enum err_code ahead_tx(struct pg *pg, void *arg, struct err *e)
{
	struct months_tx *t = arg;
	int64_t now = wall_ms();

	return reco_db_partitions(pg, t->a, now - 31 * DAY_MS, now + 92 * DAY_MS, e);
}

static enum err_code drop_tx(struct pg *pg, void *arg, struct err *e)
{
	struct months_tx *t = arg;

	return reco_db_partitions_drop(pg, t->a, t->svc->conf->keep_months, &t->dropped, e);
}

/* Making comes first and alone: that it works counts more than that old months go. */
enum err_code job_months(void *arg, struct arena *a, struct err *e)
{
	struct months_tx t = { arg, a, 0 };

	if (pg_tx(t.svc->pool, mono_ms() + 15000, &nobody, ahead_tx, &t, e) ||
	    pg_tx(t.svc->pool, mono_ms() + 15000, &nobody, drop_tx, &t, e))
		return e->code;
	if (t.dropped)
		log_msg(LVL_INFO, "old months dropped", LF_I("partitions", t.dropped));
	return OK;
}

static enum err_code sweep_tx(struct pg *pg, void *arg, struct err *e)
{
	return reco_db_sweep(pg, arg, e);
}

enum err_code job_sweep(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	int64_t until = mono_ms() + RUN_MS, n = 0;

	(void)a;
	do {
		if (pg_tx(svc->pool, mono_ms() + 15000, &nobody, sweep_tx, &n, e))
			return e->code;
	} while (n > 0 && mono_ms() < until);
	return OK;
}
