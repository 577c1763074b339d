#include "services/checkout/sweeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/rpc_client.h"
#include "common/timeutil.h"
#include "services/checkout/checkout_db.h"
#include "services/checkout/refund_drive.h"
#include "services/checkout/saga_run.h"

#define IDLE_MS	   500
#define CLAIM_MS   20000
#define PAY_MS	   12000 /* less than the lease */
#define BATCH	   4
#define ARENA_MAX  (4u << 20)
#define EVENT_LOOKS 5 /* for a checkout that an event names and nobody knows */

struct sweeper {
	struct checkout_svc *svc;
	pthread_mutex_t mu;
	pthread_cond_t wake;
	unsigned kicks;
	bool stop;
	int n, started;
	pthread_t *threads;
};

/* A call of our own, for work that no request asked for. */
static void call_of(struct checkout_svc *svc, struct arena *a, struct call *c)
{
	call_init_service(c, "checkout", a, CLAIM_MS);
	c->pool = svc->pool;
	c->svc = svc;
	c->method = "sweep";
	log_ctx_set(c->request_id, "", c->traceparent);
}

static enum err_code drive(struct checkout_svc *svc, struct arena *a, const char *id, enum saga_ev ev, bool *unsure_r,
			   struct err *e)
{
	struct call c = { 0 };
	struct saga_run r = { .c = &c, .id = id, .first = { .type = ev }, .pay_timeout_ms = PAY_MS, .patient = true };

	call_of(svc, a, &c);
	r.until_ms = mono_ms() + PAY_MS;
	if (saga_run(&r, e))
		return e->code;
	*unsure_r = r.unsure;
	return OK;
}

static int sweep_checkouts(struct checkout_svc *svc, struct arena *a)
{
	struct id_row *rows = NULL;
	struct err e = { 0 };
	bool unsure;
	size_t n = 0;
	struct pg *pg;

	if (pg_borrow(svc->pool, mono_ms() + 2000, &pg, &e))
		return 0;
	if (checkout_db_due(pg, a, BATCH, CLAIM_MS, &rows, &n, &e))
		n = 0;
	pg_return(pg);
	for (size_t i = 0; i < n; i++) {
		err_clear(&e);
		if (drive(svc, a, rows[i].id, SAGA_WAKE, &unsure, &e))
			log_err(e.code == E_INTERNAL ? LVL_ERROR : LVL_WARNING, "a checkout could not be driven", &e);
	}
	return (int)n;
}

/* ---- the provider's events ---- */

static enum err_code find_checkout(struct checkout_svc *svc, struct arena *a, const struct event_row *ev,
				   const char **id_r, struct err *e)
{
	struct id_row *row = NULL;
	bool found = false;
	struct pg *pg;

	*id_r = NULL;
	if (pg_borrow(svc->pool, mono_ms() + 2000, &pg, e))
		return e->code;
	if (checkout_db_by_pi(pg, a, ev->intent_id, &row, &found, e) == OK)
		*id_r = found ? row->id : id_valid("chk", ev->checkout_id) ? ev->checkout_id : NULL;
	pg_return(pg);
	return e->code;
}

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* later_r > 0: to be looked at again; park_r: nobody can make anything of it. */
static enum err_code handle_event(struct checkout_svc *svc, struct arena *a, const struct event_row *ev, int32_t *later_r,
				  const char **park_r, struct err *e)
{
	const char *id = NULL;
	bool unsure = false;
	struct call c = { 0 };

	if (starts(ev->type, "charge.dispute."))
		return refund_note_dispute(svc, ev->intent_id, e);
	if (starts(ev->type, "refund.") || starts(ev->type, "charge.refund.")) {
		call_of(svc, a, &c);
		return refund_look(&c, ev->object_id, e);
	}
	if (find_checkout(svc, a, ev, &id, e))
		return e->code;
	if (id && drive(svc, a, id, SAGA_SETTLE, &unsure, e) && err_is(e, "checkout.not_found")) {
		err_clear(e);
		id = NULL;
	}
	if (e->code)
		return e->code;
	if (!id && ev->tries >= EVENT_LOOKS)
		*park_r = "unknown";
	else if (!id || unsure)
		*later_r = ev->tries < 6 ? 500 << ev->tries : 30000;
	return OK;
}

static void finish_event(struct checkout_svc *svc, const struct event_row *ev, int32_t later, const char *park)
{
	struct err e = { 0 };
	struct pg *pg;

	if (park)
		log_msg(LVL_ERROR, "a payment event belongs to no checkout", LF_S("event_id", ev->id),
			LF_S("type", ev->type), LF_S("payment_intent", ev->intent_id));
	if (pg_borrow(svc->pool, mono_ms() + 2000, &pg, &e))
		return; /* claimed for 20 s, then looked at again */
	if (later ? checkout_db_event_later(pg, ev->id, later, &e) : checkout_db_event_done(pg, ev->id, park, &e))
		log_err(LVL_WARNING, "a payment event could not be marked", &e);
	pg_return(pg);
}

static int sweep_events(struct checkout_svc *svc, struct arena *a)
{
	struct event_row *rows = NULL;
	struct err e = { 0 };
	size_t n = 0;
	struct pg *pg;

	if (pg_borrow(svc->pool, mono_ms() + 2000, &pg, &e))
		return 0;
	if (checkout_db_events_settled(pg, &e) || checkout_db_events_due(pg, a, BATCH, &rows, &n, &e))
		n = 0;
	pg_return(pg);
	for (size_t i = 0; i < n; i++) {
		const char *park = NULL;
		int32_t later = 0;

		err_clear(&e);
		if (handle_event(svc, a, &rows[i], &later, &park, &e)) {
			log_err(LVL_WARNING, "a payment event could not be handled", &e);
			later = 5000;
		}
		finish_event(svc, &rows[i], later, park);
	}
	return (int)n;
}

static int sweep_refunds(struct checkout_svc *svc, struct arena *a)
{
	struct call c = { 0 };

	call_of(svc, a, &c);
	return refund_sweep(&c, BATCH, PAY_MS) + restock_sweep(&c, BATCH);
}

static int one_round(struct checkout_svc *svc, struct arena *a)
{
	int n;

	n = sweep_events(svc, a);
	n += sweep_checkouts(svc, a);
	n += sweep_refunds(svc, a);
	log_ctx_clear();
	arena_reset(a);
	return n;
}

int sweeper_round(struct checkout_svc *svc, struct arena *a)
{
	int total = 0, n;

	do {
		n = one_round(svc, a);
		total += n;
	} while (n > 0);
	return total;
}

/* ---- threads ---- */

static void until(struct timespec *t, int ms)
{
	clock_gettime(CLOCK_MONOTONIC, t);
	t->tv_sec += ms / 1000;
	t->tv_nsec += (long)(ms % 1000) * 1000000;
	if (t->tv_nsec >= 1000000000) {
		t->tv_sec++;
		t->tv_nsec -= 1000000000;
	}
}

/* The first thread looks twice a second; the others when they are told. */
static void rest(struct sweeper *s, bool first, unsigned *seen)
{
	struct timespec t;

	until(&t, first ? IDLE_MS : 10 * IDLE_MS);
	while (!s->stop && s->kicks == *seen)
		if (pthread_cond_timedwait(&s->wake, &s->mu, &t))
			break;
	*seen = s->kicks;
}

static void *work(void *arg)
{
	struct sweeper *s = arg;
	struct arena *a = arena_new("sweeper", ARENA_MAX);
	unsigned seen = 0;
	bool first;

	pthread_mutex_lock(&s->mu);
	first = s->n++ == 0;
	while (!s->stop) {
		int n;

		pthread_mutex_unlock(&s->mu);
		n = one_round(s->svc, a);
		if (n >= BATCH)
			sweeper_kick(s);
		pthread_mutex_lock(&s->mu);
		if (n == 0 && !s->stop)
			rest(s, first, &seen);
	}
	pthread_mutex_unlock(&s->mu);
	arena_free(a);
	return NULL;
}

enum err_code sweeper_start(struct checkout_svc *svc, int threads, struct sweeper **s_r, struct err *e)
{
	struct sweeper *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s || !(s->threads = calloc((size_t)threads, sizeof(*s->threads))))
		abort();
	s->svc = svc;
	pthread_mutex_init(&s->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	while (s->started < threads && pthread_create(&s->threads[s->started], NULL, work, s) == 0)
		s->started++;
	if (s->started < threads) {
		sweeper_stop(s);
		return err_set(e, E_INTERNAL, "common.internal", "no threads for the sweeper");
	}
	*s_r = s;
	return OK;
}

void sweeper_kick(struct sweeper *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->mu);
	s->kicks++;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->mu);
}

void sweeper_stop(struct sweeper *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->mu);
	s->stop = true;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->mu);
	for (int i = 0; i < s->started; i++)
		pthread_join(s->threads[i], NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->mu);
	free(s->threads);
	free(s);
}
