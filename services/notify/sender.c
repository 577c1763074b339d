#include "services/notify/sender.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/lease.h"
#include "common/log.h"
#include "common/timeutil.h"

struct sender {
	struct senders *of;
	pthread_t thread;
	bool started;
	char lease[160];
	void *state;
	struct arena *arena;
};

struct senders {
	struct sender_job job;
	struct notify_svc *svc;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop; /* under lock */
	int n;
	struct sender *sender;
};

int64_t sender_backoff_ms(int32_t attempts, int64_t base_ms, int64_t max_ms)
{
	int64_t ms = base_ms;
	uint8_t r;

	for (int32_t i = 1; i < attempts && ms < max_ms; i++)
		ms *= 2;
	if (ms > max_ms)
		ms = max_ms;
	random_bytes(&r, 1);
	return ms + ms / 5 * r / 255;
}

/* False: stop. */
static bool rest(struct senders *s, int64_t ms)
{
	struct timespec ts;
	int64_t until = mono_ms() + ms;
	bool stop;

	ts = (struct timespec){ .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	pthread_mutex_lock(&s->lock);
	while (!s->stop && mono_ms() < until)
		pthread_cond_timedwait(&s->wake, &s->lock, &ts);
	stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return !stop;
}

static void *run(void *arg)
{
	struct sender *t = arg;
	struct senders *s = t->of;
	int did = 1;

	while (rest(s, did > 0 ? 0 : did < 0 ? 2 * (int64_t)s->job.poll_ms : s->job.poll_ms)) {
		did = s->job.work(s->svc, t->state, t->arena, t->lease);
		arena_reset(t->arena);
	}
	return NULL;
}

static enum err_code start_one(struct senders *s, int i, struct err *e)
{
	struct sender *t = &s->sender[i];

	t->of = s;
	snprintf(t->lease, sizeof(t->lease), "%s/%s%d", lease_owner(), s->job.name, i);
	t->arena = arena_new(s->job.name, s->job.arena_limit);
	if (s->job.open)
		t->state = s->job.open(s->svc, i, e);
	if (e->code)
		return e->code;
	t->started = !pthread_create(&t->thread, NULL, run, t);
	return t->started ? OK : err_set(e, E_INTERNAL, "common.internal", "no thread for %s", s->job.name);
}

enum err_code senders_start(const struct sender_job *job, struct notify_svc *svc, struct senders **s_r, struct err *e)
{
	struct senders *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s)
		s->sender = calloc((size_t)job->threads, sizeof(*s->sender));
	if (!s || !s->sender) {
		free(s);
		return err_set(e, E_INTERNAL, "common.internal", "no memory for %s", job->name);
	}
	s->job = *job;
	s->svc = svc;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	for (int i = 0; i < job->threads; i++) {
		s->n++;
		if (start_one(s, i, e)) {
			senders_stop(s);
			return e->code;
		}
	}
	*s_r = s;
	return OK;
}

void senders_stop(struct senders *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < s->n; i++) {
		struct sender *t = &s->sender[i];

		if (t->started)
			pthread_join(t->thread, NULL);
		if (t->state)
			s->job.close(t->state);
		arena_free(t->arena);
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s->sender);
	free(s);
}
