#include "services/reco/canary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "services/reco/deploy.h"

#define SURELY_WORSE (-3.0)
#define WORSE (-1.645)
#define LOOKS 50
#define CANARY_ANSWERS 100000 /* looked at; of more the same part of all visitors */
#define MINUTE_MS 60000
#define DAY_MS 86400000LL
#define TX_MS 15000

static const struct pg_actor nobody = { "system", "" };

double canary_distance(const struct canary_counts *c)
{
	double n = (double)c->shown, m = (double)c->main_shown, p, q, both;

	if (c->shown < CANARY_VISITORS || c->main_shown < CANARY_VISITORS)
		return 0;
	p = (double)c->clicked / n;
	q = (double)c->main_clicked / m;
	both = (double)(c->clicked + c->main_clicked) / (n + m);
	return both > 0 && both < 1 ? (p - q) / sqrt(both * (1 - both) * (1 / n + 1 / m)) : 0;
}

enum canary_verdict canary_judge(const struct canary_counts *c, bool over)
{
	double z = canary_distance(c);

	if (z < (over ? WORSE : SURELY_WORSE))
		return CANARY_WITHDRAWN;
	return over ? CANARY_STAYS : CANARY_GOES_ON;
}

struct look {
	struct reco_svc *svc;
	struct arena *a;
	struct deployed now;
	struct canary_counts counts;
	enum canary_verdict verdict;
	const char *why;
};

/* Not each time the timer comes: counting is work, and each look is another chance to be wrong. */
static bool due(const struct deployment_row *d, int64_t now)
{
	int64_t step = d->until > 0 ? (d->until - d->since) / LOOKS : DAY_MS / LOOKS;

	return (d->until > 0 && now >= d->until) || now - d->looked_at >= (step > MINUTE_MS ? step : MINUTE_MS);
}

static enum err_code verdict_tx(struct pg *pg, void *arg, struct err *e)
{
	struct look *k = arg;
	struct model_row *m = NULL;
	struct deployed now;
	bool found = false;

	if (deploy_now(pg, k->a, true, &now, e))
		return e->code;
	if (!now.main || !now.canary || now.canary->seq != k->now.canary->seq ||
	    strcmp(now.canary->model_id, k->now.canary->model_id) != 0 || now.main->seq != k->now.main->seq)
		return OK; /* somebody was faster; the next look is another one */
	if (reco_db_canary_look(pg, now.canary->model_id, &k->counts, e))
		return e->code;
	if (k->verdict == CANARY_WITHDRAWN)
		return deploy_withdraw(pg, &now, "canary", k->why, e);
	if (k->verdict == CANARY_GOES_ON)
		return OK;
	if (reco_db_model(pg, k->a, now.canary->model_id, true, &m, &found, e))
		return e->code;
	return found ? deploy_main(pg, &now, m, "canary", k->why, e) : OK;
}

static enum err_code count(struct look *k, struct err *e)
{
	const struct deployment_row *d = k->now.canary;
	struct pg *pg;
	enum err_code code;

	if (pg_borrow_read(k->svc->pool, mono_ms() + TX_MS, &pg, e))
		return e->code;
	code = reco_db_canary_counts(pg, k->a, d->since, k->now.main->version, d->version, CANARY_ANSWERS, &k->counts, e);
	pg_return(pg);
	return code;
}

static enum err_code look(struct look *k, struct err *e)
{
	const struct deployment_row *d = k->now.canary;
	const struct model_row file = { .path = d->path, .sha256 = d->sha256 };
	struct err unreadable = { 0 };
	bool over = d->until > 0 && wall_ms() >= d->until;

	if (count(k, e)) {
		if (!over)
			return e->code;
		err_clear(e); /* too much to count, or the replica is away: the gate's word stands, nothing waits for ever */
	}
	k->verdict = canary_judge(&k->counts, over);
	k->why = arena_printf(k->a, "%lld of %lld visitors clicked, of the others %lld of %lld", (long long)k->counts.clicked,
			      (long long)k->counts.shown, (long long)k->counts.main_clicked, (long long)k->counts.main_shown);
	if (deploy_readable(k->svc, k->a, &file, &unreadable)) {
		k->verdict = CANARY_WITHDRAWN;
		k->why = arena_strdup(k->a, unreadable.msg);
	}
	return pg_tx(k->svc->pool, mono_ms() + TX_MS, &nobody, verdict_tx, k, e);
}

enum err_code job_canary(void *arg, struct arena *a, struct err *e)
{
	struct look k = { .svc = arg, .a = a };
	struct pg *pg;
	enum err_code code;

	if (pg_borrow(k.svc->pool, mono_ms() + TX_MS, &pg, e))
		return e->code;
	code = deploy_now(pg, a, false, &k.now, e);
	pg_return(pg);
	if (code || !k.now.canary || !k.now.main || !due(k.now.canary, wall_ms()))
		return code;
	if (look(&k, e))
		return e->code;
	if (k.verdict != CANARY_GOES_ON)
		log_msg(k.verdict == CANARY_WITHDRAWN ? LVL_WARNING : LVL_INFO,
			k.verdict == CANARY_WITHDRAWN ? "the canary is withdrawn" : "the canary becomes the main model",
			LF_S("version", k.now.canary->version), LF_S("why", k.why));
	return OK;
}
