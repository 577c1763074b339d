#include "sandbox.h"
#include "events.h"
#include "idempotency.h"
#include "intents.h"
#include "journal.h"
#include "refunds.h"
#include "webhooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct timer {
	schedule_fn *fn;
	char id[64];
};

void sandbox_lock(struct sandbox *sb)
{
	pthread_mutex_lock(&sb->lock);
}

void sandbox_unlock(struct sandbox *sb)
{
	journal_flush(sb);
	pthread_mutex_unlock(&sb->lock);
}

void sandbox_id(struct sandbox *sb, const struct table *t, const char *prefix, size_t n, char *out)
{
	do
		rng_id(&sb->rng, prefix, n, out);
	while (table_find(t, out));
}

const char *sandbox_base(const struct sandbox *sb)
{
	return *sb->conf.public_url ? sb->conf.public_url : sb->base_url;
}

/* ---- time ---- */

static struct timespec at_ms(int64_t ms)
{
	return (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
}

bool sandbox_sleep(struct sandbox *sb, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	struct timespec ts = at_ms(until);
	bool stop;

	if (ms <= 0)
		return true;
	pthread_mutex_lock(&sb->lock);
	while (!sb->stop && clock_mono_ms() < until)
		pthread_cond_timedwait(&sb->wake, &sb->lock, &ts);
	stop = sb->stop;
	pthread_mutex_unlock(&sb->lock);
	return !stop;
}

void sandbox_after(struct sandbox *sb, int64_t delay_ms, schedule_fn *fn, const char *id)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	t->fn = fn;
	snprintf(t->id, sizeof(t->id), "%s", id);
	if (!heap_push(&sb->schedule, clock_mono_ms() + delay_ms, t))
		free(t);
	pthread_cond_broadcast(&sb->wake);
}

static void *run_schedule(void *arg)
{
	struct sandbox *sb = arg;

	pthread_mutex_lock(&sb->lock);
	while (!sb->stop) {
		const struct heap_item *top = heap_top(&sb->schedule);
		int64_t now = clock_mono_ms();
		struct timespec ts = at_ms(top ? top->due_ms : now + 60000);

		if (top && top->due_ms <= now) {
			struct timer *t = heap_pop(&sb->schedule);

			t->fn(sb, t->id);
			free(t);
			journal_flush(sb);
		} else {
			pthread_cond_timedwait(&sb->wake, &sb->lock, &ts);
		}
	}
	pthread_mutex_unlock(&sb->lock);
	return NULL;
}

/* ---- life ---- */

static void forget(struct sandbox *sb)
{
	table_release(&sb->intents, intent_free);
	table_release(&sb->charges, charge_free);
	table_release(&sb->refunds, refund_free);
	table_release(&sb->disputes, dispute_free);
	table_release(&sb->events, event_free);
	table_release(&sb->keys, idem_free);
	heap_release(&sb->schedule, free);
}

void sandbox_reset(struct sandbox *sb)
{
	webhooks_clear(sb);
	forget(sb);
	memset(&sb->faults, 0, sizeof(sb->faults));
	memset(&sb->stats, 0, sizeof(sb->stats));
	journal_truncate(sb);
}

bool sandbox_start(struct sandbox *sb, const struct config *conf, char *why, size_t why_len)
{
	pthread_condattr_t attr;
	bool ok = true;

	memset(sb, 0, sizeof(*sb));
	sb->conf = *conf;
	pthread_mutex_init(&sb->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sb->wake, &attr);
	pthread_condattr_destroy(&attr);
	rng_seed(&sb->rng, conf->seed);
	snprintf(why, why_len, "threads or memory are short");
	if (!webhooks_start(sb))
		return false;
	sandbox_lock(sb);
	if (*conf->state_file)
		ok = journal_open(sb, conf->state_file, why, why_len);
	sandbox_unlock(sb);
	return ok && !pthread_create(&sb->scheduler, NULL, run_schedule, sb);
}

void sandbox_begin_stop(struct sandbox *sb)
{
	sandbox_lock(sb);
	sb->stop = true;
	pthread_cond_broadcast(&sb->wake);
	sandbox_unlock(sb);
	webhooks_begin_stop(sb);
}

void sandbox_release(struct sandbox *sb)
{
	sandbox_begin_stop(sb);
	if (sb->scheduler)
		pthread_join(sb->scheduler, NULL);
	webhooks_release(sb);
	journal_close(sb);
	forget(sb);
	pthread_cond_destroy(&sb->wake);
	pthread_mutex_destroy(&sb->lock);
}
