#include "common/rpc_client_internal.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/close_within.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/rpc_codec.h"
#include "common/rpc_peer.h"
#include "common/rpc_resolve.h"
#include "common/timeutil.h"

enum {
	DIAL_ROUNDS = 12,	/* who has no connection for the time of so many resolutions is dialled anew */
	AGE_ROUNDS = 12,	/* an address that so many resolutions did not name has gone, … */
	AGE_MAX_MS = 60000,	/* … or after this time */
	RECONNECT_MIN_MS = 50,
	RECONNECT_MAX_MS = 1000,
	CLOSE_WAIT_MS = 1000,
#ifdef SOUK_SANITIZED
	STACK = 2 << 20,
#else
	STACK = 256 << 10, /* getaddrinfo needs some */
#endif
};

/* ---- peers ---- */

/* Wakes who waits for a connection, and notes since when there is none; fresh: one is just being made. */
static void peers_changed(struct rpc_client *cl, bool fresh)
{
	size_t i, n = atomic_load(&cl->n_peers);
	bool up = fresh;

	for (i = 0; i < n; i++)
		up = up || (!atomic_load(&cl->states[i]->gone) && atomic_load(&cl->states[i]->pipes) > 0);
	pthread_mutex_lock(&cl->lock);
	if (up)
		cl->down_since = 0;
	else if (!cl->down_since)
		cl->down_since = mono_ms();
	pthread_cond_broadcast(&cl->changed);
	pthread_mutex_unlock(&cl->lock);
}

static void pipe_changed(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct peer *p = arg;

	(void)pipe;
	/* nng tells of a removal for every pipe it told ADD_PRE of, but not always for ADD_POST. */
	if (ev == NNG_PIPE_EV_ADD_PRE)
		atomic_fetch_add(&p->state.pipes, 1);
	else
		atomic_fetch_sub(&p->state.pipes, 1);
	/* A new process at the address: what was learnt of the old one no longer holds. */
	if (ev == NNG_PIPE_EV_ADD_PRE)
		rpc_peer_new(&p->state);
	peers_changed(p->client, ev == NNG_PIPE_EV_ADD_PRE);
}

static int dial(struct peer *p)
{
	int rv = nng_dialer_create(&p->dialer, p->sock, p->url);

	if (rv)
		return rv;
	rv = nng_dialer_set_size(p->dialer, NNG_OPT_RECVMAXSZ, RPC_MESSAGE_MAX);
	if (!rv)
		rv = nng_dialer_set_ms(p->dialer, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
	if (!rv)
		rv = nng_dialer_set_ms(p->dialer, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
	if (!rv && !strncmp(p->url, "tcp", 3))
		rv = nng_dialer_set_bool(p->dialer, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		rv = nng_dialer_start(p->dialer, NNG_FLAG_NONBLOCK);
	if (rv)
		nng_dialer_close(p->dialer);
	p->dialling = !rv;
	return rv;
}

static struct peer *peer_new(struct rpc_client *cl)
{
	struct peer *p = calloc(1, sizeof(*p));
	int rv;

	if (!p)
		abort();
	p->client = cl;
	pthread_mutex_init(&p->lock, NULL);
	rv = nng_req0_open(&p->sock);
	if (!rv)
		rv = nng_socket_set_ms(p->sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (!rv)
		rv = nng_pipe_notify(p->sock, NNG_PIPE_EV_ADD_PRE, pipe_changed, p);
	if (!rv)
		rv = nng_pipe_notify(p->sock, NNG_PIPE_EV_REM_POST, pipe_changed, p);
	if (rv) {
		log_msg(LVL_ERROR, "no socket for a peer", LF_S("callee", cl->callee), LF_S("error", nng_strerror(rv)));
		free(p);
		return NULL;
	}
	return p;
}

/* A peer whose address has gone and that was left alone: its socket serves the next new address. */
static struct peer *peer_reuse(struct rpc_client *cl)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++)
		if (atomic_load(&cl->states[i]->gone) && !cl->peers[i]->dialling &&
		    !atomic_load(&cl->states[i]->outstanding) && !atomic_load(&cl->states[i]->pipes))
			return cl->peers[i];
	return NULL;
}

static void peer_add(struct rpc_client *cl, const char *url, bool fixed, int64_t now)
{
	size_t n = atomic_load(&cl->n_peers);
	struct peer *old = peer_reuse(cl), *p = old;
	int rv;

	if (!p && (n == RPC_PEERS_MAX || !(p = peer_new(cl))))
		return;
	snprintf(p->url, sizeof(p->url), "%s", url);
	p->fixed = fixed;
	p->last_seen = now;
	rpc_peer_new(&p->state);
	if (!old) {
		cl->peers[n] = p;
		cl->states[n] = &p->state;
		atomic_store(&cl->n_peers, n + 1);
	}
	rv = dial(p);
	if (rv)
		log_msg(LVL_WARNING, "peer cannot be dialled", LF_S("callee", cl->callee), LF_S("url", url),
			LF_S("error", nng_strerror(rv)));
	atomic_store(&p->state.gone, rv != 0);
}

static struct peer *peer_find(struct rpc_client *cl, const char *url)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++)
		if (!atomic_load(&cl->states[i]->gone) && !strcmp(cl->peers[i]->url, url))
			return cl->peers[i];
	return NULL;
}

/* ---- the resolver thread: names, ages, probes ---- */

static void resolve(struct rpc_client *cl, bool literals)
{
	struct rpc_addr found[RPC_PEERS_MAX];
	int64_t now = mono_ms();
	struct peer *p;
	size_t i;
	int k, n;

	for (i = 0; i < cl->n_targets; i++) {
		if (cl->targets[i].literal != literals)
			continue;
		n = rpc_target_addrs(&cl->targets[i], cl->lookup, cl->lookup_arg, found, RPC_PEERS_MAX);
		for (k = 0; k < n; k++) {
			p = peer_find(cl, found[k].url);
			if (p)
				p->last_seen = now;
			else
				peer_add(cl, found[k].url, literals, now);
		}
	}
}

static void age_out(struct rpc_client *cl, int64_t answered_at)
{
	int64_t age = (int64_t)cl->resolve_ms * AGE_ROUNDS;
	size_t i, n = atomic_load(&cl->n_peers);

	if (age > AGE_MAX_MS)
		age = AGE_MAX_MS;
	for (i = 0; i < n; i++) {
		struct peer *p = cl->peers[i];

		if (p->fixed || atomic_load(&p->state.gone) || answered_at - p->last_seen < age)
			continue;
		log_msg(LVL_INFO, "peer gone", LF_S("callee", cl->callee), LF_S("url", p->url));
		atomic_store(&p->state.gone, true);
		peers_changed(cl, false);
	}
}

/* Who has gone gets no new calls, but what it works on may still be answered. Its socket stays for a later address. */
static void leave_gone(struct rpc_client *cl)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++) {
		struct peer *p = cl->peers[i];

		if (p->dialling && atomic_load(&p->state.gone) && !atomic_load(&p->state.outstanding)) {
			p->dialling = false;
			nng_dialer_close(p->dialer);
		}
	}
}

/*
 * nng 1.5.2 stops dialling for good when it has no memory for a connection that was just made. Who has had none for long
 * gets a dialler of its own; a peer that is merely down loses nothing by it.
 */
static void redial(struct rpc_client *cl)
{
	size_t i, n = atomic_load(&cl->n_peers);
	int64_t now = mono_ms();

	for (i = 0; i < n; i++) {
		struct peer *p = cl->peers[i];

		if (atomic_load(&p->state.gone) || atomic_load(&p->state.pipes) > 0) {
			p->alone_since = 0;
		} else if (!p->alone_since) {
			p->alone_since = now;
		} else if (now - p->alone_since > (int64_t)cl->resolve_ms * DIAL_ROUNDS) {
			p->alone_since = now;
			nng_dialer_close(p->dialer);
			if (dial(p))
				log_msg(LVL_WARNING, "peer cannot be dialled", LF_S("callee", cl->callee), LF_S("url", p->url));
		}
	}
}

/* When the names were last answered; ages count from there, so that a broken DNS takes nobody away. */
static int64_t last_answer(const struct rpc_client *cl)
{
	size_t i, n = atomic_load(&cl->n_peers);
	int64_t latest = 0;

	for (i = 0; i < n; i++)
		if (!cl->peers[i]->fixed && cl->peers[i]->last_seen > latest)
			latest = cl->peers[i]->last_seen;
	return latest;
}

static void probe_ejected(struct rpc_client *cl, struct arena *a)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++)
		if (rpc_peer_probe_due(cl->states[i], mono_ms()))
			rpc_client_probe(cl, cl->peers[i], a);
	arena_reset(a);
}

static void until_ms(struct timespec *ts, int64_t mono)
{
	ts->tv_sec = mono / 1000;
	ts->tv_nsec = mono % 1000 * 1000000;
}

/* Sleeps until the next resolution; wakes each quarter second while a peer is ejected. False when stopping. */
static bool pause_until(struct rpc_client *cl, int64_t until)
{
	struct timespec ts;
	int64_t wake = until;
	size_t i, n = atomic_load(&cl->n_peers);
	bool go_on;
	int rc = 0;

	for (i = 0; i < n; i++)
		if (atomic_load(&cl->states[i]->ejected_until) && wake > mono_ms() + 250)
			wake = mono_ms() + 250;
	until_ms(&ts, wake);
	pthread_mutex_lock(&cl->lock);
	while (!cl->stop && !rc)
		rc = pthread_cond_timedwait(&cl->changed, &cl->lock, &ts);
	go_on = !cl->stop;
	pthread_mutex_unlock(&cl->lock);
	return go_on;
}

static void *resolver(void *arg)
{
	struct rpc_client *cl = arg;
	struct arena *a = arena_new("rpc_probe", 1 << 20);
	int64_t next = 0;

	do {
		leave_gone(cl); /* a turn after they went: who was just choosing one of them has begun its call */
		if (mono_ms() >= next) {
			resolve(cl, false);
			age_out(cl, last_answer(cl));
			next = mono_ms() + cl->resolve_ms - cl->resolve_ms / 10 +
			       (int64_t)(rpc_random() % (uint32_t)(cl->resolve_ms / 5 + 1));
		}
		probe_ejected(cl, a);
		redial(cl);
	} while (pause_until(cl, next < mono_ms() + 1000 ? next : mono_ms() + 1000));
	arena_free(a);
	return NULL;
}

/* ---- open and close ---- */

static void client_init(struct rpc_client *cl, const char *self, const char *callee)
{
	pthread_condattr_t attr;

	snprintf(cl->self, sizeof(cl->self), "%s", self);
	snprintf(cl->callee, sizeof(cl->callee), "%s", callee);
	snprintf(cl->prefix, sizeof(cl->prefix), "%s.v1.%c%s/", callee, *callee ? *callee - 'a' + 'A' : '?',
		 *callee ? callee + 1 : "");
	pthread_mutex_init(&cl->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cl->changed, &attr);
	pthread_condattr_destroy(&attr);
	cl->down_since = mono_ms();
}

enum err_code rpc_client_open_with(const char *self, const char *callee, const char *url, int resolve_ms,
				   const struct rpc_keys *keys, rpc_lookup_fn *lookup, void *lookup_arg,
				   struct rpc_client **c_r, struct err *e)
{
	struct rpc_client *cl = calloc(1, sizeof(*cl));
	char labels[64];
	pthread_attr_t attr;
	int rc;

	if (!cl)
		abort();
	if (rpc_targets_parse(url, cl->targets, &cl->n_targets, e)) {
		free(cl);
		return e->code;
	}
	client_init(cl, self, callee);
	cl->keys = rpc_keys_ref(keys);
	cl->resolve_ms = resolve_ms > 0 ? resolve_ms : 5000;
	cl->lookup = lookup;
	cl->lookup_arg = lookup_arg;
	metric_labels(labels, sizeof(labels), "callee", callee, NULL);
	cl->ejections = metric_counter("souk_rpc_client_ejections_total", "Peers set aside after time-outs", labels);
	resolve(cl, true);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	rc = pthread_create(&cl->thread, &attr, resolver, cl);
	pthread_attr_destroy(&attr);
	if (rc) {
		rpc_client_close(cl);
		return err_set(e, E_INTERNAL, "common.internal", "resolver thread: %s", strerror(rc));
	}
	cl->running = true;
	*c_r = cl;
	return OK;
}

enum err_code rpc_client_open(const char *self, const char *callee, const char *url, int resolve_ms,
			      const struct rpc_keys *keys, struct rpc_client **c_r, struct err *e)
{
	return rpc_client_open_with(self, callee, url, resolve_ms, keys, rpc_lookup_dns, NULL, c_r, e);
}

void rpc_client_ctx_free(struct ctx *x)
{
	nng_ctx_close(x->ctx);
	nng_aio_free(x->aio);
	free(x);
}

static void close_peers(void *client)
{
	struct rpc_client *cl = client;
	size_t i, n = atomic_load(&cl->n_peers);
	struct ctx *x;

	for (i = 0; i < n; i++) {
		while ((x = cl->peers[i]->free)) {
			cl->peers[i]->free = x->next;
			rpc_client_ctx_free(x);
		}
		nng_close(cl->peers[i]->sock);
	}
}

void rpc_client_close(struct rpc_client *cl)
{
	size_t i;

	if (!cl)
		return;
	if (cl->running) {
		pthread_mutex_lock(&cl->lock);
		cl->stop = true;
		pthread_cond_broadcast(&cl->changed);
		pthread_mutex_unlock(&cl->lock);
		pthread_join(cl->thread, NULL);
	}
	if (!close_within(close_peers, cl, CLOSE_WAIT_MS))
		return;
	for (i = 0; i < atomic_load(&cl->n_peers); i++) {
		pthread_mutex_destroy(&cl->peers[i]->lock);
		free(cl->peers[i]);
	}
	rpc_keys_free((struct rpc_keys *)(uintptr_t)cl->keys);
	pthread_cond_destroy(&cl->changed);
	pthread_mutex_destroy(&cl->lock);
	free(cl);
}

bool rpc_client_up(struct rpc_client *cl)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++) {
		const struct rpc_peer_state *s = cl->states[i];

		if (!atomic_load(&s->gone) && atomic_load(&s->pipes) > 0 && !atomic_load(&s->ejected_until))
			return true;
	}
	return false;
}
