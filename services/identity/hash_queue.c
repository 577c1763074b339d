#include "services/identity/hash_queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "common/metrics.h"

#define RETRY_AFTER_MS 1000

struct waiter {
	struct waiter *next;
	pthread_cond_t wake;
	bool granted;
};

struct hash_queue {
	pthread_mutex_t lock;
	int permits, queue; /* free permits; free places in line */
	struct waiter *head, **tail;
	struct metric *refused, *waiting;
};

struct hash_queue *hash_queue_new(int permits, int queue)
{
	struct hash_queue *q = calloc(1, sizeof(*q));

	if (!q)
		abort();
	(void)pthread_mutex_init(&q->lock, NULL);
	q->permits = permits;
	q->queue = queue;
	q->tail = &q->head;
	q->refused = metric_counter("souk_identity_hash_refused_total", "password hashes refused by a full queue", NULL);
	q->waiting = metric_gauge("souk_identity_hash_waiting", "callers waiting for a password hash", NULL);
	return q;
}

void hash_queue_free(struct hash_queue *q)
{
	if (!q)
		return;
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

static enum err_code busy(struct hash_queue *q, struct err *e, const char *why)
{
	metric_add(q->refused, 1);
	e->retry_after_ms = RETRY_AFTER_MS;
	return err_set(e, E_UNAVAILABLE, "identity.busy", "password hashing: %s", why);
}

static void unlink_waiter(struct hash_queue *q, struct waiter *w)
{
	struct waiter **at = &q->head;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (q->tail == &w->next)
		q->tail = at;
	q->queue++; /* the place is free at once, however long the waiter takes to wake */
	metric_add(q->waiting, -1);
}

/* Waits in line; the lock is held on entry and on return. */
static bool wait_turn(struct hash_queue *q, int64_t deadline_ms)
{
	struct timespec until = { .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000 };
	struct waiter w = { 0 };
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w.wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	*q->tail = &w;
	q->tail = &w.next;
	q->queue--;
	metric_add(q->waiting, 1);
	while (!w.granted && pthread_cond_timedwait(&w.wake, &q->lock, &until) == 0)
		;
	if (!w.granted)
		unlink_waiter(q, &w);
	(void)pthread_cond_destroy(&w.wake);
	return w.granted;
}

enum err_code hash_queue_enter(struct hash_queue *q, int64_t deadline_ms, struct err *e)
{
	enum { TAKEN, FULL, LATE } how = TAKEN;

	(void)pthread_mutex_lock(&q->lock);
	if (q->permits > 0)
		q->permits--;
	else if (q->queue <= 0)
		how = FULL;
	else if (!wait_turn(q, deadline_ms))
		how = LATE;
	(void)pthread_mutex_unlock(&q->lock);
	return how == TAKEN ? OK : busy(q, e, how == FULL ? "queue full" : "deadline");
}

/* A permit goes straight to the first in line. */
void hash_queue_leave(struct hash_queue *q)
{
	struct waiter *w;

	(void)pthread_mutex_lock(&q->lock);
	w = q->head;
	if (w) {
		unlink_waiter(q, w);
		w->granted = true;
		(void)pthread_cond_signal(&w->wake);
	} else {
		q->permits++;
	}
	(void)pthread_mutex_unlock(&q->lock);
}

int hash_queue_default_permits(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set) / 2;
	return n > 0 ? n : 1;
}
