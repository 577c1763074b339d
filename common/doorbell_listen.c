/*
 * The listening side of the doorbell: one SUB socket per address. nng's callbacks only move messages into a bounded
 * queue; decoding, the count of gaps and the listener's function run on a thread of its own.
 */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.pb-c.h"
#include "common/arena.h"
#include "common/close_within.h"
#include "common/doorbell.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/pb_guard.h"
#include "common/rpc_resolve.h"
#include "common/timeutil.h"

enum {
	SUBS_MAX = 64,
	QUEUE = 256,
	RECV_BUFFER = 256,
	RING_MAX = 96 << 10,
	SILENCE_MS = 3000,
	TICK_MS = 250,
	AGE_ROUNDS = 12,
	AGE_MAX_MS = 60000,
	RECONNECT_MIN_MS = 50,
	RECONNECT_MAX_MS = 1000,
	CLOSE_WAIT_MS = 1000,
#ifdef SOUK_SANITIZED
	STACK = 2 << 20,
#else
	STACK = 256 << 10,
#endif
};

struct sub {
	struct doorbell_listener *listener;
	char url[RPC_URL_MAX];
	nng_socket sock;
	nng_dialer dialer;
	nng_aio *aio;
	bool fixed, gone;  /* by the resolving thread */
	int64_t last_seen; /* by the resolving thread */
	bool lost;	   /* guarded by lock: a connection or a message was */
	/* By the listener's thread: */
	char source[32], instance[40];
	uint64_t seq;
	int64_t heard_at; /* 0: silent, and said so */
};

struct doorbell_listener {
	doorbell_fn *fn;
	void *arg;
	struct rpc_target targets[RPC_URLS_MAX];
	size_t n_targets;
	int resolve_ms;
	bool has_names, stop;
	pthread_t thread, resolver;
	pthread_mutex_t lock; /* guards the queue, stop, lost, n_subs */
	pthread_cond_t more, stopping;
	struct {
		nng_msg *msg;
		struct sub *from;
	} queue[QUEUE];
	size_t head, count;
	struct sub *subs[SUBS_MAX]; /* only grows */
	size_t n_subs;
	struct arena *arena;
	struct metric *gaps;
};

/* ---- nng's side ---- */

static void on_message(void *arg)
{
	struct sub *s = arg;
	struct doorbell_listener *l = s->listener;
	int rv = nng_aio_result(s->aio);
	nng_msg *msg;

	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	msg = rv ? NULL : nng_aio_get_msg(s->aio);
	nng_aio_set_msg(s->aio, NULL);
	pthread_mutex_lock(&l->lock);
	if (!msg || l->count == QUEUE) {
		s->lost = true;
	} else {
		size_t at = (l->head + l->count++) % QUEUE;

		l->queue[at].msg = msg;
		l->queue[at].from = s;
		msg = NULL;
	}
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
	nng_msg_free(msg);
	nng_recv_aio(s->sock, s->aio);
}

static void on_pipe_lost(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct sub *s = arg;

	(void)pipe;
	(void)ev;
	pthread_mutex_lock(&s->listener->lock);
	s->lost = true;
	pthread_cond_signal(&s->listener->more);
	pthread_mutex_unlock(&s->listener->lock);
}

static int sub_dial(struct sub *s)
{
	int rv = nng_dialer_create(&s->dialer, s->sock, s->url);

	if (rv)
		return rv;
	rv = nng_dialer_set_size(s->dialer, NNG_OPT_RECVMAXSZ, RING_MAX);
	if (!rv)
		rv = nng_dialer_set_ms(s->dialer, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
	if (!rv)
		rv = nng_dialer_set_ms(s->dialer, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
	if (!rv && !strncmp(s->url, "tcp", 3))
		rv = nng_dialer_set_bool(s->dialer, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		rv = nng_dialer_start(s->dialer, NNG_FLAG_NONBLOCK);
	if (rv)
		nng_dialer_close(s->dialer);
	return rv;
}

/* Everything is set before the first receive: 1.5.2 crashes when options change under it. */
static struct sub *sub_new(struct doorbell_listener *l)
{
	struct sub *s = calloc(1, sizeof(*s));
	int rv;

	if (!s)
		abort();
	s->listener = l;
	rv = nng_sub0_open(&s->sock);
	if (rv) {
		free(s);
		return NULL;
	}
	rv = nng_socket_set(s->sock, NNG_OPT_SUB_SUBSCRIBE, "", 0);
	if (!rv)
		rv = nng_socket_set_int(s->sock, NNG_OPT_RECVBUF, RECV_BUFFER);
	if (!rv)
		rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST, on_pipe_lost, s);
	if (!rv)
		rv = nng_aio_alloc(&s->aio, on_message, s);
	if (rv) {
		nng_close(s->sock);
		free(s);
		return NULL;
	}
	nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
	nng_recv_aio(s->sock, s->aio);
	return s;
}

/* ---- addresses ---- */

static struct sub *reuse(struct doorbell_listener *l)
{
	size_t i;

	for (i = 0; i < l->n_subs; i++)
		if (l->subs[i]->gone)
			return l->subs[i];
	return NULL;
}

static void add_address(struct doorbell_listener *l, const char *url, bool fixed, int64_t now)
{
	struct sub *old = reuse(l), *s = old;
	int rv;

	if (!s && (l->n_subs == SUBS_MAX || !(s = sub_new(l))))
		return;
	snprintf(s->url, sizeof(s->url), "%s", url);
	s->fixed = fixed;
	s->last_seen = now;
	rv = sub_dial(s);
	s->gone = rv != 0;
	if (rv)
		log_msg(LVL_WARNING, "doorbell cannot be dialled", LF_S("url", url), LF_S("error", nng_strerror(rv)));
	if (old)
		return;
	pthread_mutex_lock(&l->lock);
	l->subs[l->n_subs++] = s;
	pthread_mutex_unlock(&l->lock);
}

static void seen(struct doorbell_listener *l, const char *url, bool fixed, int64_t now)
{
	size_t i;

	for (i = 0; i < l->n_subs; i++)
		if (!l->subs[i]->gone && !strcmp(l->subs[i]->url, url)) {
			l->subs[i]->last_seen = now;
			return;
		}
	add_address(l, url, fixed, now);
}

static bool resolve(struct doorbell_listener *l, bool literals)
{
	struct rpc_addr found[SUBS_MAX];
	int64_t now = mono_ms();
	bool answered = false;
	size_t i;
	int k, n;

	for (i = 0; i < l->n_targets; i++) {
		if (l->targets[i].literal != literals)
			continue;
		n = rpc_target_addrs(&l->targets[i], rpc_lookup_dns, NULL, found, SUBS_MAX);
		answered = answered || n > 0;
		for (k = 0; k < n; k++)
			seen(l, found[k].url, literals, now);
	}
	return answered;
}

static void age_out(struct doorbell_listener *l)
{
	int64_t age = (int64_t)l->resolve_ms * AGE_ROUNDS, now = mono_ms();
	size_t i;

	for (i = 0; i < l->n_subs; i++) {
		struct sub *s = l->subs[i];

		if (s->fixed || s->gone || now - s->last_seen < (age < AGE_MAX_MS ? age : AGE_MAX_MS))
			continue;
		s->gone = true;
		nng_dialer_close(s->dialer);
	}
}

static void until_ms(struct timespec *ts, int64_t mono)
{
	ts->tv_sec = mono / 1000;
	ts->tv_nsec = mono % 1000 * 1000000;
}

/* Only when there are names: getaddrinfo may take long and must not hold back the rings. */
static void *resolve_loop(void *arg)
{
	struct doorbell_listener *l = arg;
	struct timespec ts;
	bool stop = false;

	while (!stop) {
		if (resolve(l, false))
			age_out(l);
		until_ms(&ts, mono_ms() + l->resolve_ms);
		pthread_mutex_lock(&l->lock);
		while (!l->stop && pthread_cond_timedwait(&l->stopping, &l->lock, &ts) == 0)
			;
		stop = l->stop;
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

/* ---- the listener's thread ---- */

static void tell(struct doorbell_listener *l, const struct doorbell_ring *ring)
{
	if (ring->gap)
		metric_add(l->gaps, 1);
	l->fn(ring, l->arg);
}

static void tell_gap(struct doorbell_listener *l, struct sub *s)
{
	tell(l, &(struct doorbell_ring){ .source = s->source, .gap = true });
}

static void deliver(struct doorbell_listener *l, struct sub *s, nng_msg *msg, bool lost)
{
	struct doorbell_ring ring = { 0 };
	struct err e = { 0 };
	ProtobufCMessage *m;
	Common__V1__Ring *r;

	if (pb_unpack(&common__v1__ring__descriptor, nng_msg_body(msg), nng_msg_len(msg), l->arena, &m, &e)) {
		log_err(LVL_WARNING, "a ring that cannot be read", &e);
		return;
	}
	r = (Common__V1__Ring *)(void *)m;
	if (!r->source || !r->instance)
		return;
	ring.gap = lost || r->overflow || strcmp(s->instance, r->instance) != 0 || r->seq != s->seq + 1;
	snprintf(s->source, sizeof(s->source), "%s", r->source);
	snprintf(s->instance, sizeof(s->instance), "%s", r->instance);
	s->seq = r->seq;
	s->heard_at = mono_ms();
	ring.source = s->source;
	ring.heartbeat = r->heartbeat;
	ring.topics = (const char *const *)r->topics;
	ring.n_topics = r->n_topics;
	ring.changed = (const char *const *)r->changed;
	ring.n_changed = r->n_changed;
	tell(l, &ring);
}

/* Connections that were lost, and sources that fell silent without one. */
static void check_silence(struct doorbell_listener *l)
{
	size_t i, n;
	bool lost;

	pthread_mutex_lock(&l->lock);
	n = l->n_subs;
	pthread_mutex_unlock(&l->lock);
	for (i = 0; i < n; i++) {
		struct sub *s = l->subs[i];

		pthread_mutex_lock(&l->lock);
		lost = s->lost;
		s->lost = false;
		pthread_mutex_unlock(&l->lock);
		if (lost || (s->heard_at && mono_ms() - s->heard_at > SILENCE_MS)) {
			s->heard_at = 0;
			tell_gap(l, s);
		}
	}
}

static void *listen_loop(void *arg)
{
	struct doorbell_listener *l = arg;
	int64_t next_check = mono_ms() + TICK_MS;
	struct timespec ts;
	struct sub *from;
	nng_msg *msg;
	bool lost;
	int rc;

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		until_ms(&ts, next_check);
		for (rc = 0; !l->stop && !l->count && !rc;)
			rc = pthread_cond_timedwait(&l->more, &l->lock, &ts);
		if (l->count && !l->stop) {
			msg = l->queue[l->head].msg;
			from = l->queue[l->head].from;
			l->head = (l->head + 1) % QUEUE;
			l->count--;
			lost = from->lost;
			from->lost = false;
			pthread_mutex_unlock(&l->lock);
			deliver(l, from, msg, lost);
			nng_msg_free(msg);
			arena_reset(l->arena);
			pthread_mutex_lock(&l->lock);
		}
		if (mono_ms() >= next_check) {
			pthread_mutex_unlock(&l->lock);
			check_silence(l);
			next_check = mono_ms() + TICK_MS;
			pthread_mutex_lock(&l->lock);
		}
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ---- start and end ---- */

static void init_sync(struct doorbell_listener *l)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->more, &attr);
	pthread_cond_init(&l->stopping, &attr);
	pthread_condattr_destroy(&attr);
}

enum err_code doorbell_listen(const char *urls, int resolve_ms, doorbell_fn *fn, void *arg,
			      struct doorbell_listener **l_r, struct err *e)
{
	struct doorbell_listener *l = calloc(1, sizeof(*l));
	pthread_attr_t attr;
	size_t i;
	int rc;

	if (!l)
		abort();
	if (rpc_targets_parse(urls, l->targets, &l->n_targets, e)) {
		free(l);
		return e->code;
	}
	for (i = 0; i < l->n_targets; i++)
		l->has_names = l->has_names || !l->targets[i].literal;
	l->fn = fn;
	l->arg = arg;
	l->resolve_ms = resolve_ms > 0 ? resolve_ms : 5000;
	l->arena = arena_new("ring", 1 << 20);
	l->gaps = metric_counter("souk_doorbell_gaps_total", "Times that something may have been missed", NULL);
	init_sync(l);
	resolve(l, true);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	rc = pthread_create(&l->thread, &attr, listen_loop, l);
	if (!rc && l->has_names && pthread_create(&l->resolver, &attr, resolve_loop, l)) {
		l->has_names = false;
		log_msg(LVL_ERROR, "no thread to resolve doorbells", LF_S("urls", urls));
	}
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set(e, E_INTERNAL, "common.internal", "doorbell thread: %s", strerror(rc));
	*l_r = l;
	return OK;
}

static void close_subs(void *listener)
{
	struct doorbell_listener *l = listener;
	size_t i;

	for (i = 0; i < l->n_subs; i++) {
		nng_aio_stop(l->subs[i]->aio);
		nng_close(l->subs[i]->sock);
		nng_aio_free(l->subs[i]->aio);
	}
}

void doorbell_unlisten(struct doorbell_listener *l)
{
	size_t i;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->more);
	pthread_cond_broadcast(&l->stopping);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	if (l->has_names)
		pthread_join(l->resolver, NULL);
	if (!close_within(close_subs, l, CLOSE_WAIT_MS))
		return;
	for (; l->count; l->count--, l->head = (l->head + 1) % QUEUE)
		nng_msg_free(l->queue[l->head].msg);
	for (i = 0; i < l->n_subs; i++)
		free(l->subs[i]);
	arena_free(l->arena);
	pthread_cond_destroy(&l->more);
	pthread_cond_destroy(&l->stopping);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
