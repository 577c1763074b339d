#include "common/doorbell.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.pb-c.h"
#include "common/arena.h"
#include "common/close_within.h"
#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"

enum {
	COALESCE_MS = 10,
	HEARTBEAT_MS = 1000,
	TOPICS_MAX = 64,
	CHANGED_MAX = 512,
	TEXT_MAX = 120,
	SEND_BUFFER = 128, /* messages kept per slow subscriber before it loses some */
	CLOSE_WAIT_MS = 1000,
#ifdef SOUK_SANITIZED
	STACK = 1 << 20,
#else
	STACK = 128 << 10,
#endif
};

struct doorbell {
	char source[32], instance[ID_LEN];
	char url[NNG_MAXADDRLEN + 8];
	nng_socket sock;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t rung;
	bool stop, overflow;
	char *topics[TOPICS_MAX], *changed[CHANGED_MAX];
	size_t n_topics, n_changed;
	struct arena *texts; /* of topics and changed */
	uint64_t seq;
	struct metric *sent;
};

/* ---- collecting ---- */

/* Adds a text once; false when there is no room. */
static bool collect(struct doorbell *b, char **list, size_t *n, size_t max, const char *text)
{
	size_t i;

	if (!text || !*text)
		return true;
	for (i = 0; i < *n; i++)
		if (!strcmp(list[i], text))
			return true;
	if (*n == max || strlen(text) > TEXT_MAX)
		return false;
	list[(*n)++] = arena_strdup(b->texts, text);
	return true;
}

void doorbell_ring(struct doorbell *b, const char *topic, const char *changed_id)
{
	bool first;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	first = !b->n_topics && !b->n_changed && !b->overflow;
	if (!collect(b, b->topics, &b->n_topics, TOPICS_MAX, topic) ||
	    !collect(b, b->changed, &b->n_changed, CHANGED_MAX, changed_id))
		b->overflow = true;
	if (first)
		pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

/* ---- sending ---- */

/* Takes what was collected into a message. Called with the lock held. */
static nng_msg *take_message(struct doorbell *b)
{
	Common__V1__Ring ring = COMMON__V1__RING__INIT;
	nng_msg *msg = NULL;

	ring.source = b->source;
	ring.instance = b->instance;
	ring.has_seq = ring.has_heartbeat = ring.has_overflow = 1;
	ring.seq = ++b->seq;
	ring.heartbeat = !b->n_topics && !b->n_changed && !b->overflow;
	ring.overflow = b->overflow;
	ring.topics = b->topics;
	ring.n_topics = b->n_topics;
	ring.changed = b->changed;
	ring.n_changed = b->n_changed;
	if (!nng_msg_alloc(&msg, common__v1__ring__get_packed_size(&ring)))
		common__v1__ring__pack(&ring, nng_msg_body(msg));
	b->n_topics = b->n_changed = 0;
	b->overflow = false;
	arena_reset(b->texts);
	return msg;
}

static void until_ms(struct timespec *ts, int64_t mono)
{
	ts->tv_sec = mono / 1000;
	ts->tv_nsec = mono % 1000 * 1000000;
}

static bool pending(const struct doorbell *b)
{
	return b->n_topics || b->n_changed || b->overflow;
}

/* Waits for something to send: a ring no sooner than COALESCE_MS after the last one, or the heartbeat. */
static void wait_due(struct doorbell *b, int64_t last)
{
	struct timespec ts;

	while (!b->stop) {
		int64_t due = last + (pending(b) ? COALESCE_MS : HEARTBEAT_MS);

		if (mono_ms() >= due)
			return;
		until_ms(&ts, due);
		pthread_cond_timedwait(&b->rung, &b->lock, &ts);
	}
}

static void *ring_loop(void *arg)
{
	struct doorbell *b = arg;
	int64_t last = mono_ms() - HEARTBEAT_MS;
	nng_msg *msg;

	pthread_mutex_lock(&b->lock);
	for (;;) {
		wait_due(b, last);
		if (b->stop && !pending(b))
			break;
		msg = take_message(b);
		last = mono_ms();
		pthread_mutex_unlock(&b->lock);
		/* PUB never blocks: a slow subscriber loses messages and sees the gap in seq. */
		if (msg && nng_sendmsg(b->sock, msg, NNG_FLAG_NONBLOCK))
			nng_msg_free(msg);
		metric_add(b->sent, 1);
		pthread_mutex_lock(&b->lock);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* ---- open and close ---- */

static enum err_code listen_on(struct doorbell *b, const char *url, struct err *e)
{
	nng_listener l;
	char *real = NULL;
	int rv;

	rv = nng_pub0_open(&b->sock);
	if (rv)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "doorbell: %s", nng_strerror(rv));
	rv = nng_socket_set_int(b->sock, NNG_OPT_SENDBUF, SEND_BUFFER);
	if (!rv)
		rv = nng_listener_create(&l, b->sock, url);
	if (!rv)
		rv = nng_listener_set_size(l, NNG_OPT_RECVMAXSZ, 4096); /* subscribers send nothing */
	if (!rv && !strncmp(url, "tcp", 3))
		rv = nng_listener_set_bool(l, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		rv = nng_listener_start(l, 0);
	if (rv) {
		nng_close(b->sock);
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "doorbell %s: %s", url, nng_strerror(rv));
	}
	snprintf(b->url, sizeof(b->url), "%s", url);
	if (!nng_listener_get_string(l, NNG_OPT_URL, &real)) {
		snprintf(b->url, sizeof(b->url), "%s", real);
		nng_strfree(real);
	}
	return OK;
}

enum err_code doorbell_open(const char *listen_url, const char *source, struct doorbell **b_r, struct err *e)
{
	struct doorbell *b = calloc(1, sizeof(*b));
	pthread_condattr_t cond_attr;
	pthread_attr_t attr;
	int rc;

	if (!b)
		abort();
	snprintf(b->source, sizeof(b->source), "%s", source);
	id_new("run", b->instance);
	if (listen_on(b, listen_url, e)) {
		free(b);
		return e->code;
	}
	b->sent = metric_counter("souk_doorbell_rings_total", "Doorbell messages sent, heartbeats included", NULL);
	b->texts = arena_new("doorbell", 1 << 20);
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&cond_attr);
	pthread_condattr_setclock(&cond_attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->rung, &cond_attr);
	pthread_condattr_destroy(&cond_attr);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	rc = pthread_create(&b->thread, &attr, ring_loop, b);
	pthread_attr_destroy(&attr);
	if (rc) {
		doorbell_close(b);
		return err_set(e, E_INTERNAL, "common.internal", "doorbell thread: %s", strerror(rc));
	}
	b->running = true;
	*b_r = b;
	return OK;
}

const char *doorbell_url(const struct doorbell *b)
{
	return b->url;
}

static void close_socket(void *bell)
{
	nng_close(((struct doorbell *)bell)->sock);
}

void doorbell_close(struct doorbell *b)
{
	if (!b)
		return;
	if (b->running) {
		pthread_mutex_lock(&b->lock);
		b->stop = true;
		pthread_cond_signal(&b->rung);
		pthread_mutex_unlock(&b->lock);
		pthread_join(b->thread, NULL);
	}
	if (!close_within(close_socket, b, CLOSE_WAIT_MS))
		return;
	arena_free(b->texts);
	pthread_cond_destroy(&b->rung);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
