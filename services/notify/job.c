/* Periodic work: old mails and keys go; how much waits is a metric. */
#include "common/idem.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"

static enum err_code forget(void *arg, struct arena *a, struct err *e)
{
	struct notify_svc *svc = arg;
	int64_t removed = 0;
	enum err_code code;
	struct pg *pg;

	(void)a;
	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	code = notify_db_forget(pg, svc->conf->keep_days, 1000, e);
	if (!code)
		code = idem_sweep(pg, &removed, e);
	pg_return(pg);
	return code;
}

static enum err_code measure(void *arg, struct arena *a, struct err *e)
{
	struct notify_svc *svc = arg;
	struct waiting_row *w = NULL;
	enum err_code code;
	struct pg *pg;

	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	code = notify_db_waiting(pg, a, &w, e);
	pg_return(pg);
	if (code)
		return code;
	metric_set(metric_gauge("souk_notify_mails_waiting", "Mails queued or being sent.", NULL), (double)w->waiting);
	metric_set(metric_gauge("souk_notify_oldest_mail_seconds", "Age of the oldest mail that waits.", NULL),
		   (double)w->oldest_s);
	return OK;
}

const struct timer_job notify_jobs[] = {
	{ "forget", 600000, true, forget },
	{ "measure", 10000, false, measure },
	{ 0 },
};
