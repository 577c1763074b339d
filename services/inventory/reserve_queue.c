#include "services/inventory/reserve_queue.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/inventory/stock_event.h"

#define LANES 257

enum waiter_state { WAITING, TAKEN, LEAD, DONE };

/*
 * One waiting request; lives on the stack of the thread that waits. In a lane it is guarded by the queue's lock, then it is the
 * leader's until `turn` is posted. It waits on a semaphore of its own: a batch woken through one lock would queue up at that lock,
 * which cost more than the statement.
 */
struct waiter {
	const struct reserve_ask *ask;
	struct waiter *next;
	sem_t turn;
	_Atomic enum waiter_state state;
	enum err_code code;
	struct err err; /* set with code */
	struct reserve_result result;
};

/* The variant whose statement is running, and who waits behind it. */
struct lane {
	struct lane *next;
	const char *variant_id; /* the first leader's; replaced when leadership passes on */
	struct waiter *head, **tail;
};

struct reserve_queue {
	pthread_mutex_t lock;
	struct lane *lanes[LANES];
	int combine_max;
	struct metric *batches, *requests;
};

struct reserve_queue *reserve_queue_new(int combine_max)
{
	struct reserve_queue *q = calloc(1, sizeof(*q));

	if (!q)
		abort(); /* at start, like any arena */
	pthread_mutex_init(&q->lock, NULL);
	q->combine_max = combine_max;
	q->batches = metric_counter("souk_reserve_batches_total", "Reservation statements of single variants", NULL);
	q->requests = metric_counter("souk_reserve_requests_total", "Reservation requests in those statements", NULL);
	return q;
}

void reserve_queue_free(struct reserve_queue *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	free(q);
}

enum err_code reserve_outcome_parse(const char *word, enum reserve_outcome *r, struct err *e)
{
	static const char *const words[] = { "ok", "known", "short", "capped", "unknown" };

	for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i], word) == 0)
			return *r = (enum reserve_outcome)i, OK;
	return err_set(e, E_INTERNAL, "common.internal", "reservation outcome '%s'", word ? word : "(null)");
}

static unsigned lane_slot(const char *variant_id)
{
	unsigned h = 5381;

	while (*variant_id)
		h = h * 33 + (unsigned char)*variant_id++;
	return h % LANES;
}

static struct lane *lane_find(struct reserve_queue *q, const char *variant_id)
{
	for (struct lane *l = q->lanes[lane_slot(variant_id)]; l; l = l->next)
		if (strcmp(l->variant_id, variant_id) == 0)
			return l;
	return NULL;
}

static void lane_unlink(struct reserve_queue *q, struct lane *gone)
{
	for (struct lane **p = &q->lanes[lane_slot(gone->variant_id)]; *p; p = &(*p)->next)
		if (*p == gone) {
			*p = gone->next;
			return;
		}
}

/* ---- the statement ---- */

struct batch {
	const char *variant_id;
	const struct reserve_ask *ask;
	size_t n;
	int64_t cap;
	struct arena *arena;
	struct reserve_answer *rows;
	size_t n_rows;
};

static enum err_code batch_tx(struct pg *pg, void *arg, struct err *e)
{
	struct batch *b = arg;

	if (inventory_db_reserve_batch(pg, b->arena, b->variant_id, b->ask, b->n, b->cap, &b->rows, &b->n_rows, e))
		return e->code;
	if (b->n_rows != b->n)
		return err_set(e, E_INTERNAL, "common.internal", "%zu answers for %zu reservations", b->n_rows, b->n);
	return stock_event_put(pg, b->rows[0].moved, b->variant_id, b->rows[0].vendor_id, b->rows[0].state_after,
			       b->rows[0].seq_after, e);
}

static enum err_code batch_run(struct inventory_svc *svc, struct call *c, const char *variant_id,
			       struct waiter *const *who, size_t n)
{
	struct reserve_ask *ask = arena_alloc(c->arena, n * sizeof(*ask));
	struct batch b = { .variant_id = variant_id, .ask = ask, .n = n, .cap = svc->conf->owner_unit_cap,
			   .arena = c->arena };

	for (size_t i = 0; i < n; i++)
		ask[i] = *who[i]->ask;
	if (call_tx(c, CALL_TX_PLAIN, batch_tx, &b))
		return c->err.code;
	for (size_t i = 0; i < n; i++) {
		if (reserve_outcome_parse(b.rows[i].outcome, &who[i]->result.outcome, &c->err))
			return c->err.code;
		who[i]->result.available = b.rows[i].available;
		who[i]->result.expires_at = b.rows[i].expires_at;
	}
	metric_add(svc->queue->batches, 1);
	metric_add(svc->queue->requests, (int64_t)n);
	return OK;
}

static void wake(struct waiter *w, enum waiter_state state)
{
	atomic_store(&w->state, state);
	(void)sem_post(&w->turn); /* the last touch: its thread may be gone already */
}

/* To the one who waits longest, or nobody. Called with the lock held. */
static void hand_on(struct reserve_queue *q, struct lane *lane)
{
	struct waiter *heir = lane->head;

	if (!heir) {
		lane_unlink(q, lane);
		free((char *)lane->variant_id);
		free(lane);
		return;
	}
	lane->head = heir->next;
	if (!lane->head)
		lane->tail = &lane->head;
	wake(heir, LEAD);
}

/* Leads: takes the lane's waiters behind itself, runs them, hands the lane on. */
static void lead(struct inventory_svc *svc, struct call *c, struct lane *lane, struct waiter *self,
		 const char *variant_id)
{
	struct reserve_queue *q = svc->queue;
	struct waiter *who[64];
	size_t n = 1;
	enum err_code code;

	who[0] = self;
	pthread_mutex_lock(&q->lock);
	while (lane->head && n < (size_t)q->combine_max && n < sizeof(who) / sizeof(who[0])) {
		who[n] = lane->head;
		lane->head = who[n]->next;
		atomic_store(&who[n++]->state, TAKEN);
	}
	if (!lane->head)
		lane->tail = &lane->head;
	pthread_mutex_unlock(&q->lock);
	code = batch_run(svc, c, variant_id, who, n);
	pthread_mutex_lock(&q->lock);
	hand_on(q, lane);
	pthread_mutex_unlock(&q->lock);
	for (size_t i = 0; i < n; i++) {
		who[i]->code = code;
		if (code)
			err_copy(&who[i]->err, &c->err);
		if (i > 0)
			wake(who[i], DONE);
	}
}

/* Takes a waiter that nobody leads yet out of its lane. */
static void lane_leave(struct lane *lane, struct waiter *w)
{
	struct waiter **p = &lane->head;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	lane->tail = &lane->head;
	while (*lane->tail)
		lane->tail = &(*lane->tail)->next;
}

/* False when the deadline came first and nobody had taken it. */
static bool wait_turn(struct reserve_queue *q, const struct call *c, struct lane *lane, struct waiter *w)
{
	int64_t left = c->deadline_ms - mono_ms();
	struct timespec until;
	bool alone;

	clock_gettime(CLOCK_MONOTONIC, &until);
	left = (left > 0 ? left : 0) * 1000000 + until.tv_nsec;
	until.tv_sec += left / 1000000000;
	until.tv_nsec = left % 1000000000;
	while (sem_clockwait(&w->turn, CLOCK_MONOTONIC, &until)) {
		if (errno != ETIMEDOUT)
			continue;
		pthread_mutex_lock(&q->lock);
		alone = atomic_load(&w->state) == WAITING;
		if (alone)
			lane_leave(lane, w);
		pthread_mutex_unlock(&q->lock);
		while (!alone && sem_wait(&w->turn))
			; /* the leader's own deadline bounds this */
		return !alone;
	}
	return true;
}

/* Behind those of the same variant; false when there are none, then the lane is the caller's. Called with the lock held. */
static bool line_up(struct reserve_queue *q, const char *variant_id, struct waiter *w, struct lane **lane_r)
{
	unsigned slot = lane_slot(variant_id);
	struct lane *lane = lane_find(q, variant_id);

	*lane_r = lane;
	if (lane) {
		*lane->tail = w;
		lane->tail = &w->next;
		return true;
	}
	lane = calloc(1, sizeof(*lane));
	if (lane && !(lane->variant_id = strdup(variant_id))) {
		free(lane);
		lane = NULL;
	}
	if (lane) {
		lane->tail = &lane->head;
		lane->next = q->lanes[slot];
		q->lanes[slot] = lane;
	}
	*lane_r = lane;
	return false;
}

enum err_code reserve_queue_run(struct inventory_svc *svc, struct call *c, const char *variant_id,
				const struct reserve_ask *ask, struct reserve_result *result_r)
{
	struct reserve_queue *q = svc->queue;
	struct waiter w;
	struct lane *lane;
	bool behind;

	w.ask = ask;
	w.next = NULL;
	w.code = OK;
	atomic_init(&w.state, WAITING);
	err_clear(&w.err);
	(void)sem_init(&w.turn, 0, 0);
	pthread_mutex_lock(&q->lock);
	behind = line_up(q, variant_id, &w, &lane);
	pthread_mutex_unlock(&q->lock);
	if (!lane)
		w.code = err_set(&w.err, E_UNAVAILABLE, "common.unavailable", "no memory for a lane");
	else if (behind && !wait_turn(q, c, lane, &w))
		w.code = err_set(&w.err, E_UNAVAILABLE, "common.deadline", "waited for the variant's turn");
	else if (!behind || atomic_load(&w.state) == LEAD)
		lead(svc, c, lane, &w, variant_id);
	(void)sem_destroy(&w.turn);
	if (w.code) {
		err_copy(&c->err, &w.err);
		return w.code;
	}
	*result_r = w.result;
	return OK;
}
