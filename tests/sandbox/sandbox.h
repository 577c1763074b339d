/*
 * The state of one sandbox. Everything in it is guarded by lock unless the member says otherwise;
 * handlers run with the lock held, answer from memory and never block. Lock order: sandbox.lock,
 * then a webhook worker's lock.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "config.h"
#include "faults.h"
#include "heap.h"
#include "reply.h"
#include "table.h"
#include "text.h"

#include <pthread.h>

struct journal;
struct webhooks;

struct stats {
	int64_t requests[OP_COUNT_], by_class[6]; /* by operation; by first digit of the status */
	int64_t replayed, in_use, mismatched;	  /* idempotency */
	int64_t fired;				  /* faults */
	int64_t closed;				  /* connections cut on purpose */
	int64_t keys_pruned, events_pruned;
};

struct sandbox {
	struct config conf; /* constant after start */
	char base_url[300]; /* constant after start */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* schedule changed, or stopping; on the monotonic clock */
	bool stop;
	struct rng rng;
	struct table intents, charges, refunds, disputes, events, keys;
	struct faults faults;
	struct heap schedule;
	pthread_t scheduler;
	struct journal *journal;   /* NULL: memory only */
	struct webhooks *webhooks; /* has locks of its own */
	struct stats stats;
};

/* Loads the journal, starts scheduler and webhook senders. False with a sentence in why. */
bool sandbox_start(struct sandbox *sb, const struct config *conf, char *why, size_t why_len);
void sandbox_begin_stop(
	struct sandbox *sb);		  /* wakes every sleeper; call before stopping the server */
void sandbox_release(struct sandbox *sb); /* joins the threads and frees everything */

void sandbox_lock(struct sandbox *sb);
void sandbox_unlock(
	struct sandbox *sb); /* what was journalled since the lock is written in one piece first */

/* A fresh id that no object of the table has. */
void sandbox_id(struct sandbox *sb, const struct table *t, const char *prefix, size_t n, char *out);

/* Base of links when no request says by which name it was reached. */
const char *sandbox_base(const struct sandbox *sb);

/* Waits without the lock; returns early and false when the sandbox stops. Not with the lock held.
 */
bool sandbox_sleep(struct sandbox *sb, int64_t ms);

/* Calls fn(sb, id) with the lock held after delay_ms. A timer that does not fit in memory is
 * dropped. */
typedef void schedule_fn(struct sandbox *sb, const char *id);
void sandbox_after(struct sandbox *sb, int64_t delay_ms, schedule_fn *fn, const char *id);

/* Forgets every object, key, event, fault and queued webhook. Ids go on from where they were. */
void sandbox_reset(struct sandbox *sb);

#endif
