/* One thread that runs what is due. */
#include "common/timer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/audit.h"
#include "common/crypto.h"
#include "common/idem.h"
#include "common/inbox_db.h"
#include "common/lease.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/outbox.h"
#include "common/timeutil.h"

/* ---- the jobs of the mechanisms; svc is the pool ---- */
typedef enum err_code chunk_fn(struct pg *, struct arena *, int64_t *done_r, struct err *);

/* A chunk at a time, each a transaction of its own, until one was not full; at most 20 so that others get their turn. */
static enum err_code in_chunks(struct pg_pool *pool, struct arena *a, chunk_fn *fn, int64_t full, struct err *e)
{
	for (int i = 0; i < 20; i++) {
		struct pg *pg = NULL;
		int64_t done = 0;
		enum err_code code;

		if (pg_borrow(pool, mono_ms() + 5000, &pg, e))
			return e->code;
		code = fn(pg, a, &done, e);
		pg_return(pg);
		if (code || done < full)
			return code;
	}
	return OK;
}

static enum err_code seal_chunk(struct pg *pg, struct arena *a, int64_t *done_r, struct err *e)
{
	return audit_seal(pg, 2000, a, done_r, e);
}

static enum err_code outbox_chunk(struct pg *pg, struct arena *a, int64_t *done_r, struct err *e)
{
	(void)a;
	return outbox_prune(pg, done_r, e);
}

static enum err_code inbox_chunk(struct pg *pg, struct arena *a, int64_t *done_r, struct err *e)
{
	(void)a;
	return inbox_db_prune(pg, done_r, e);
}

static enum err_code idem_chunk(struct pg *pg, struct arena *a, int64_t *done_r, struct err *e)
{
	(void)a;
	return idem_sweep(pg, done_r, e);
}

static enum err_code job_seal(void *svc, struct arena *a, struct err *e)
{
	return in_chunks(svc, a, seal_chunk, 2000, e);
}

static enum err_code job_outbox(void *svc, struct arena *a, struct err *e)
{
	return in_chunks(svc, a, outbox_chunk, 1000, e);
}

static enum err_code job_inbox(void *svc, struct arena *a, struct err *e)
{
	return in_chunks(svc, a, inbox_chunk, 1000, e);
}

static enum err_code job_idem(void *svc, struct arena *a, struct err *e)
{
	return in_chunks(svc, a, idem_chunk, 2000, e);
}

/* Every replica tells, so that the figure does not depend on who holds a lease. */
static enum err_code job_behind(void *svc, struct arena *a, struct err *e)
{
	struct outbox_behind b = { 0 };
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(svc, mono_ms() + 5000, &pg, e))
		return e->code;
	code = outbox_behind(pg, a, &b, e);
	pg_return(pg);
	if (code)
		return code;
	metric_set(metric_gauge("souk_outbox_pending_rows", "Events that the slowest consumer has still to apply.", NULL),
		   (double)b.rows);
	metric_set(metric_gauge("souk_outbox_oldest_seconds", "Age of the first of these events.", NULL),
		   (double)(b.oldest_ms / 1000));
	return OK;
}

static const struct timer_job mechanism_jobs[] = {
	{ "souk.audit_seal", 1000, true, job_seal },
	{ "souk.outbox_prune", 60000, true, job_outbox },
	{ "souk.inbox_prune", 60000, true, job_inbox },
	{ "souk.idem_sweep", 60000, true, job_idem },
	{ "souk.outbox_behind", 5000, false, job_behind },
	{ 0 },
};

/* ---- the thread ---- */
struct slot {
	const struct timer_job *job;
	void *svc;
	int64_t due;
	int64_t lease_until; /* ours, by our clock and a little early */
	bool kicked;
	struct metric *seconds, *failures;
};
struct timers {
	pthread_mutex_t mu;
	pthread_cond_t cv;
	pthread_t thread;
	bool stop;
	struct pg_pool *pool;
	struct slot *slots;
	size_t n;
};

static int64_t jittered(int64_t every)
{
	uint16_t r;

	random_bytes(&r, sizeof(r));
	return every - every / 10 + every / 5 * r / UINT16_MAX;
}

/* A lease lasts for some runs, so that a frequent job does not write its lease each time. */
static enum err_code take_lease(struct timers *t, struct slot *s, bool *mine_r, struct err *e)
{
	int64_t seconds = s->job->every_ms * 3 / 1000 + 10;
	struct pg *pg = NULL;
	enum err_code code;

	*mine_r = true;
	if (!s->job->leased || mono_ms() + s->job->every_ms < s->lease_until)
		return OK;
	if (pg_borrow(t->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	code = lease_take(pg, s->job->name, (int)seconds, mine_r, e);
	pg_return(pg);
	if (!code)
		s->lease_until = *mine_r ? mono_ms() + seconds * 1000 - 5000 : 0;
	return code;
}

static void run(struct timers *t, struct slot *s, struct arena *a)
{
	struct err e = { 0 };
	int64_t start = mono_us();
	bool mine = false;

	if (take_lease(t, s, &mine, &e) == OK && mine) {
		log_ctx_set(NULL, NULL, NULL);
		if (s->job->fn(s->svc, a, &e) == OK)
			e.code = OK;
		metric_observe(s->seconds, (double)(mono_us() - start) / 1e6);
	}
	arena_reset(a);
	if (e.code) {
		metric_add(s->failures, 1);
		/* A database that is away was logged by the pool. */
		if (!err_is(&e, "pg.unavailable"))
			log_msg(LVL_WARNING, "a periodic job failed", LF_S("job", s->job->name),
				LF_S("code", err_code_name(e.code)), LF_S("slug", e.slug), LF_S("error", e.msg));
	}
}

static struct slot *next_due(struct timers *t, int64_t now, int64_t *wake_r)
{
	struct slot *first = NULL;

	*wake_r = INT64_MAX;
	for (size_t i = 0; i < t->n; i++) {
		struct slot *s = &t->slots[i];
		int64_t due = s->kicked ? 0 : s->due;

		if (due < *wake_r) {
			*wake_r = due;
			first = s;
		}
	}
	return first && *wake_r <= now ? first : NULL;
}

static void *loop(void *arg)
{
	struct timers *t = arg;
	struct arena *a = arena_new("timer", 16 << 20);

	(void)pthread_mutex_lock(&t->mu);
	while (!t->stop) {
		int64_t wake;
		struct slot *s = next_due(t, mono_ms(), &wake);

		if (!s) {
			struct timespec until = { .tv_sec = wake / 1000, .tv_nsec = wake % 1000 * 1000000 };

			(void)pthread_cond_timedwait(&t->cv, &t->mu, &until);
			continue;
		}
		s->kicked = false;
		s->due = mono_ms() + jittered(s->job->every_ms);
		(void)pthread_mutex_unlock(&t->mu);
		run(t, s, a);
		(void)pthread_mutex_lock(&t->mu);
	}
	(void)pthread_mutex_unlock(&t->mu);
	arena_free(a);
	return NULL;
}

static void add_jobs(struct timers *t, const struct timer_job *jobs, void *svc)
{
	char labels[96];

	for (; jobs && jobs->name; jobs++) {
		(void)metric_labels(labels, sizeof(labels), "job", jobs->name, NULL);
		t->slots[t->n++] = (struct slot){
			.job = jobs, .svc = svc, .due = mono_ms() + jittered(jobs->every_ms),
			.seconds = metric_histogram("souk_job_seconds", "Runs of periodic jobs.", labels),
			.failures = metric_counter("souk_job_failures_total", "Runs that ended in an error.", labels),
		};
	}
}

enum err_code timers_start(const struct timer_job *jobs, struct pg_pool *pool, void *svc, struct timers **t_r,
			   struct err *e)
{
	struct timers *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;
	size_t n = ARRAY_LEN(mechanism_jobs);

	for (const struct timer_job *j = jobs; j && j->name; j++)
		n++;
	if (t)
		t->slots = calloc(n, sizeof(*t->slots));
	if (!t || !t->slots) {
		free(t);
		return err_set(e, E_INTERNAL, "common.internal", "no memory");
	}
	t->pool = pool;
	(void)pthread_mutex_init(&t->mu, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&t->cv, &attr);
	(void)pthread_condattr_destroy(&attr);
	add_jobs(t, jobs, svc);
	add_jobs(t, pool ? mechanism_jobs : NULL, pool);
	if (pthread_create(&t->thread, NULL, loop, t) != 0) {
		free(t->slots);
		free(t);
		return err_set(e, E_INTERNAL, "common.internal", "no thread for the timers");
	}
	*t_r = t;
	return OK;
}

void timers_kick(struct timers *t, const char *name)
{
	(void)pthread_mutex_lock(&t->mu);
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->slots[i].job->name, name) == 0)
			t->slots[i].kicked = true;
	(void)pthread_cond_signal(&t->cv);
	(void)pthread_mutex_unlock(&t->mu);
}

static void release(struct timers *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct err e = { 0 };
		struct pg *pg = NULL;

		if (t->slots[i].lease_until == 0 || pg_borrow(t->pool, mono_ms() + 1000, &pg, &e))
			continue;
		if (lease_release(pg, t->slots[i].job->name, &e))
			log_err(LVL_DEBUG, "lease not released", &e);
		pg_return(pg);
	}
}

void timers_stop(struct timers *t)
{
	if (!t)
		return;
	(void)pthread_mutex_lock(&t->mu);
	t->stop = true;
	(void)pthread_cond_signal(&t->cv);
	(void)pthread_mutex_unlock(&t->mu);
	(void)pthread_join(t->thread, NULL);
	release(t);
	(void)pthread_cond_destroy(&t->cv);
	(void)pthread_mutex_destroy(&t->mu);
	free(t->slots);
	free(t);
}
