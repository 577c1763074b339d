#include "common/rpc_client.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/pb_guard.h"
#include "common/rpc_codec.h"
#include "common/rpc_peer.h"
#include "common/rpc_resolve.h"
#include "common/timeutil.h"

enum {
	TIMEOUT_MAX_MS = 10000,
	ATTEMPTS = 3,
	AGE_ROUNDS = 12,	/* an address that so many resolutions did not name has gone, … */
	AGE_MAX_MS = 60000,	/* … or after this time */
	RECONNECT_MIN_MS = 50,
	RECONNECT_MAX_MS = 1000,
	PROBE_MS = 1000,
	PATIENCE_MS = 3000,	/* after the last peer was lost: how long calls wait for one, … */
	PATIENCE_LEAST_MS = 100, /* … and after that */
	SEND_MS = 1000,		/* a message that no connection takes for so long is not sent at all */
	METHODS_MAX = 64,
	CLOSE_WAIT_S = 1,
#ifdef SOUK_SANITIZED
	STACK = 2 << 20,
#else
	STACK = 256 << 10, /* getaddrinfo needs some */
#endif
};

struct ctx { /* an nng context with its aio; belongs to one call at a time */
	struct ctx *next;
	nng_ctx ctx;
	nng_aio *aio;
};

struct peer {
	struct rpc_peer_state state;
	struct rpc_client *client;
	char url[RPC_URL_MAX];
	int64_t last_seen; /* by the resolver thread only, as is fixed */
	bool fixed;	   /* a literal address of the configuration never ages out */
	nng_socket sock;
	nng_dialer dialer;
	pthread_mutex_t lock;
	struct ctx *free;
};

struct method_metrics {
	char name[96];
	struct metric *seconds;
	struct metric *codes[E_CODE_MAX_];
};

struct rpc_client {
	char self[32], callee[32];
	char prefix[80]; /* "inventory.v1.Inventory/" */
	const struct rpc_keys *keys;
	int resolve_ms;
	rpc_lookup_fn *lookup;
	void *lookup_arg;
	struct rpc_target targets[RPC_URLS_MAX];
	size_t n_targets;

	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards changed, stop, down_since, methods */
	pthread_cond_t changed;
	bool stop;
	int64_t down_since; /* monotonic ms when the last connection was lost; 0 while there is one */

	/* Only grows, only by the resolver thread; a peer is published by n_peers. */
	struct peer *peers[RPC_PEERS_MAX];
	struct rpc_peer_state *states[RPC_PEERS_MAX];
	atomic_size_t n_peers;

	struct method_metrics methods[METHODS_MAX];
	size_t n_methods;
	struct metric *ejections;
};

/* ---- peers ---- */

static void pipe_changed(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct peer *p = arg;
	struct rpc_client *cl = p->client;
	size_t i, n = atomic_load(&cl->n_peers);
	bool up = false;

	(void)pipe;
	/* nng tells of a removal for every pipe it told ADD_PRE of, but not always for ADD_POST. */
	if (ev == NNG_PIPE_EV_ADD_PRE)
		atomic_fetch_add(&p->state.pipes, 1);
	else
		atomic_fetch_sub(&p->state.pipes, 1);
	/* A new process at the address: what was learnt of the old one no longer holds. */
	if (ev == NNG_PIPE_EV_ADD_PRE)
		rpc_peer_ok(&p->state, false, mono_ms());
	for (i = 0; i < n; i++)
		up = up || atomic_load(&cl->states[i]->pipes) > 0;
	pthread_mutex_lock(&cl->lock);
	if (up || ev == NNG_PIPE_EV_ADD_PRE)
		cl->down_since = 0;
	else if (!cl->down_since)
		cl->down_since = mono_ms();
	pthread_cond_broadcast(&cl->changed);
	pthread_mutex_unlock(&cl->lock);
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

/* A peer whose address has gone and that nobody uses: its socket serves the next new address. */
static struct peer *peer_reuse(struct rpc_client *cl)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++)
		if (atomic_load(&cl->states[i]->gone) && !atomic_load(&cl->states[i]->outstanding) &&
		    !atomic_load(&cl->states[i]->pipes))
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
	atomic_store(&p->state.timeouts, 0);
	atomic_store(&p->state.pause_ms, 0);
	atomic_store(&p->state.ejected_until, 0);
	atomic_store(&p->state.draining_until, 0);
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
		nng_dialer_close(p->dialer); /* the socket stays for a later address */
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

static void probe(struct rpc_client *cl, struct peer *p, struct arena *a);

static void probe_ejected(struct rpc_client *cl, struct arena *a)
{
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++)
		if (rpc_peer_probe_due(cl->states[i], mono_ms()))
			probe(cl, cl->peers[i], a);
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
		if (mono_ms() >= next) {
			resolve(cl, false);
			age_out(cl, last_answer(cl));
			next = mono_ms() + cl->resolve_ms - cl->resolve_ms / 10 +
			       (int64_t)(rpc_random() % (uint32_t)(cl->resolve_ms / 5 + 1));
		}
		probe_ejected(cl, a);
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

static void ctx_free(struct ctx *x)
{
	nng_ctx_close(x->ctx);
	nng_aio_free(x->aio);
	free(x);
}

static void *close_peers(void *arg)
{
	struct rpc_client *cl = arg;
	size_t i, n = atomic_load(&cl->n_peers);
	struct ctx *x;

	for (i = 0; i < n; i++) {
		while ((x = cl->peers[i]->free)) {
			cl->peers[i]->free = x->next;
			ctx_free(x);
		}
		nng_close(cl->peers[i]->sock);
	}
	return NULL;
}

/* nng 1.5.2 can hang when a socket closes; then the sockets are left to the end of the process. */
static bool close_in_time(struct rpc_client *cl)
{
	struct timespec until;
	pthread_t t;

	if (pthread_create(&t, NULL, close_peers, cl))
		return false;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_S;
	if (!pthread_timedjoin_np(t, NULL, &until))
		return true;
	pthread_detach(t);
	return false;
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
	if (!close_in_time(cl))
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

/* ---- one exchange with one peer ---- */

enum outcome {
	GOT_REPLY,
	NOT_SENT, /* surely not executed */
	LOST,	  /* may have been executed */
};

static struct ctx *ctx_take(struct peer *p)
{
	struct ctx *x;

	pthread_mutex_lock(&p->lock);
	x = p->free;
	if (x)
		p->free = x->next;
	pthread_mutex_unlock(&p->lock);
	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		abort();
	if (nng_ctx_open(&x->ctx, p->sock)) {
		free(x);
		return NULL;
	}
	if (nng_aio_alloc(&x->aio, NULL, NULL)) {
		nng_ctx_close(x->ctx);
		free(x);
		return NULL;
	}
	return x;
}

static void ctx_give(struct peer *p, struct ctx *x)
{
	pthread_mutex_lock(&p->lock);
	x->next = p->free;
	p->free = x;
	pthread_mutex_unlock(&p->lock);
}

/*
 * The receive starts only when the send is over: cancelling a receive while its request is still being sent crashes
 * nng 1.5.2. After a failure the context is closed instead of used again.
 */
static enum outcome talk(struct ctx *x, struct pg_bytes req, int64_t left_ms, nng_msg **msg_r, int *rv_r)
{
	nng_msg *msg;
	int64_t start = mono_ms();
	int64_t send_ms = left_ms < SEND_MS ? left_ms : SEND_MS;

	*rv_r = nng_msg_alloc(&msg, 0);
	if (*rv_r)
		return NOT_SENT;
	*rv_r = nng_msg_append(msg, req.data, req.len);
	if (*rv_r) {
		nng_msg_free(msg);
		return NOT_SENT;
	}
	nng_aio_set_timeout(x->aio, (nng_duration)send_ms);
	nng_aio_set_msg(x->aio, msg);
	nng_ctx_send(x->ctx, x->aio);
	nng_aio_wait(x->aio);
	*rv_r = nng_aio_result(x->aio);
	if (*rv_r) {
		nng_msg_free(nng_aio_get_msg(x->aio));
		nng_aio_set_msg(x->aio, NULL);
		return NOT_SENT;
	}
	left_ms -= mono_ms() - start;
	nng_aio_set_timeout(x->aio, (nng_duration)(left_ms > 1 ? left_ms : 1));
	nng_ctx_recv(x->ctx, x->aio);
	nng_aio_wait(x->aio);
	*rv_r = nng_aio_result(x->aio);
	if (*rv_r)
		return LOST;
	*msg_r = nng_aio_get_msg(x->aio);
	nng_aio_set_msg(x->aio, NULL);
	return GOT_REPLY;
}

static bool unpack_reply(struct arena *a, nng_msg *msg, Common__V1__Reply **reply_r, struct err *e)
{
	ProtobufCMessage *m;

	if (pb_unpack(&common__v1__reply__descriptor, nng_msg_body(msg), nng_msg_len(msg), a, &m, e))
		return false;
	*reply_r = (Common__V1__Reply *)(void *)m;
	return true;
}

static enum outcome exchange(struct rpc_client *cl, struct peer *p, struct arena *a, struct pg_bytes req,
			     int64_t left_ms, Common__V1__Reply **reply_r, struct err *e)
{
	struct ctx *x = ctx_take(p);
	enum outcome oc = NOT_SENT;
	nng_msg *msg = NULL;
	int64_t now;
	int rv = NNG_ENOMEM;

	if (x) {
		oc = talk(x, req, left_ms, &msg, &rv);
		if (oc == GOT_REPLY)
			ctx_give(p, x);
		else
			ctx_free(x);
	}
	now = mono_ms();
	if (oc == GOT_REPLY) {
		if (!unpack_reply(a, msg, reply_r, e)) {
			err_set(e, E_INTERNAL, "rpc.bad_reply", "reply of %s does not unpack", cl->callee);
			oc = LOST;
		}
		nng_msg_free(msg);
		rpc_peer_ok(&p->state, oc == GOT_REPLY && (*reply_r)->draining, now);
		return oc;
	}
	if (rv == NNG_ETIMEDOUT && rpc_peer_timeout(&p->state, left_ms, now)) {
		metric_add(cl->ejections, 1);
		log_msg(LVL_WARNING, "peer set aside", LF_S("callee", cl->callee), LF_S("url", p->url));
	}
	err_set(e, E_UNAVAILABLE, oc == LOST ? "rpc.outcome_unknown" : "rpc.unreachable", "%s at %s: %s", cl->callee,
		p->url, nng_strerror(rv));
	return oc;
}

/* ---- choosing and waiting ---- */

/* The index of a peer, waiting for a connection when there is none; -1 when patience or time ran out. */
static int pick(struct rpc_client *cl, int avoid, int64_t deadline)
{
	struct timespec ts;
	int64_t until = 0;
	int i, rc = 0;

	i = rpc_peer_pick(cl->states, atomic_load(&cl->n_peers), avoid, mono_ms());
	if (i >= 0)
		return i;
	pthread_mutex_lock(&cl->lock);
	until = cl->down_since + PATIENCE_MS;
	if (until < mono_ms() + PATIENCE_LEAST_MS)
		until = mono_ms() + PATIENCE_LEAST_MS;
	until_ms(&ts, until < deadline ? until : deadline);
	while ((i = rpc_peer_pick(cl->states, atomic_load(&cl->n_peers), avoid, mono_ms())) < 0 && !rc)
		rc = pthread_cond_timedwait(&cl->changed, &cl->lock, &ts);
	pthread_mutex_unlock(&cl->lock);
	return i;
}

/* ---- a call ---- */

struct attempt { /* what stays the same over the attempts of one call */
	struct rpc_client *cl;
	struct call *c;
	const struct rpc_opts *opts;
	Common__V1__Request env;
	Common__V1__Principal who;
	char method[96];
	struct rpc_body body;
	int64_t deadline;
	struct err err;
};

static void fill_who(struct attempt *at)
{
	const struct principal *p = &at->c->who;

	common__v1__principal__init(&at->who);
	at->who.has_kind = 1;
	if (at->opts->as_service) {
		at->who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_SERVICE;
		at->who.service = at->cl->self;
	} else if (p->kind == WHO_SERVICE) {
		/* A service's request is passed on in the name of this process: it can speak for itself only. */
		at->who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_SERVICE;
		at->who.service = at->cl->self;
	} else if (p->kind == WHO_USER) {
		at->who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_USER;
		at->who.user_id = (char *)p->user_id;
		at->who.session_id = (char *)p->session_id;
		at->who.audience = (char *)p->audience;
		at->who.vendor_id = (char *)p->vendor_id;
		at->who.roles = (char **)(uintptr_t)p->roles;
		at->who.n_roles = p->n_roles;
		at->who.perms = (char **)(uintptr_t)p->perms;
		at->who.n_perms = p->n_perms;
	}
}

static void fill_env(struct attempt *at, const char *method)
{
	Common__V1__Request *env = &at->env;
	const struct rpc_opts *o = at->opts;

	common__v1__request__init(env);
	if (strchr(method, '/'))
		snprintf(at->method, sizeof(at->method), "%s", method);
	else
		snprintf(at->method, sizeof(at->method), "%s%s", at->cl->prefix, method);
	env->method = at->method;
	env->request_id = (char *)at->c->request_id;
	env->traceparent = (char *)at->c->traceparent;
	env->caller = at->cl->self;
	env->callee = at->cl->callee;
	env->principal = &at->who;
	if (o->idem_key && *o->idem_key) {
		env->idempotency_key = (char *)o->idem_key;
		env->has_fingerprint = o->fingerprint != NULL;
		env->fingerprint = (ProtobufCBinaryData){ o->fingerprint ? 32 : 0,
							  (uint8_t *)(uintptr_t)o->fingerprint };
	}
}

static bool refused_unseen(const Common__V1__Reply *r)
{
	return r->code == E_UNAVAILABLE && r->slug &&
	       (!strcmp(r->slug, "common.draining") || !strcmp(r->slug, "common.busy"));
}

/* A read that may be repeated leaves half of its time for the other peer, when there is one. */
static int64_t share_of(const struct attempt *at, int64_t left, int round)
{
	return at->opts->retry_read && !round && atomic_load(&at->cl->n_peers) > 1 ? (left + 1) / 2 : left;
}

static enum outcome try_once(struct attempt *at, int i, int64_t left, int round, Common__V1__Reply **reply_r)
{
	struct peer *p = at->cl->peers[i];
	struct pg_bytes req;
	enum outcome oc;

	left = share_of(at, left, round);
	at->env.has_deadline_ms = 1;
	at->env.deadline_ms = (uint32_t)left;
	if (rpc_request_pack(at->c->arena, at->cl->keys, &at->env, at->body, &req, &at->err))
		return GOT_REPLY; /* without a reply: at->err is final */
	atomic_fetch_add(&p->state.outstanding, 1);
	oc = exchange(at->cl, p, at->c->arena, req, left, reply_r, &at->err);
	atomic_fetch_sub(&p->state.outstanding, 1);
	return oc;
}

/*
 * What surely was not executed goes to another peer; what may have been only when that is harmless: a read, or a
 * write that carries its key.
 */
static enum err_code attempts(struct attempt *at, Common__V1__Reply **reply_r)
{
	const bool repeatable = at->opts->retry_read || at->env.idempotency_key;
	bool was_lost = false;
	int round, i = -1;

	for (round = 0; round < ATTEMPTS; round++) {
		Common__V1__Reply *reply = NULL;
		int64_t left = at->deadline - mono_ms();
		enum outcome oc;

		if (left <= 0)
			return round ? at->err.code
				     : err_set(&at->err, E_UNAVAILABLE, "common.deadline", "no time left to call %s",
					       at->cl->callee);
		i = pick(at->cl, i, at->deadline);
		if (i < 0)
			return was_lost ? at->err.code
					: err_set(&at->err, E_UNAVAILABLE, "rpc.unreachable", "no connection to %s",
						  at->cl->callee);
		left = at->deadline - mono_ms();
		oc = try_once(at, i, left > 1 ? left : 1, round, &reply);
		if (oc == GOT_REPLY && reply && was_lost && reply->slug && !strcmp(reply->slug, "idem.in_flight"))
			return err_set(&at->err, E_UNAVAILABLE, "rpc.outcome_unknown", "%s still works on it",
				       at->cl->callee);
		if (oc == GOT_REPLY) {
			*reply_r = reply;
			if (!reply || !refused_unseen(reply) || round + 1 == ATTEMPTS)
				return reply ? OK : at->err.code;
			continue;
		}
		if (oc == LOST && (was_lost || !repeatable))
			return at->err.code;
		was_lost = was_lost || oc == LOST;
		*reply_r = NULL;
	}
	return *reply_r ? OK : at->err.code;
}

static struct method_metrics *metrics_of(struct rpc_client *cl, const char *method)
{
	const char *slash = strrchr(method, '/');
	struct method_metrics *m = NULL;
	char labels[160];
	size_t i;

	slash = slash ? slash + 1 : method;
	pthread_mutex_lock(&cl->lock);
	for (i = 0; i < cl->n_methods && !m; i++)
		if (!strcmp(cl->methods[i].name, slash))
			m = &cl->methods[i];
	if (!m && cl->n_methods < METHODS_MAX) {
		m = &cl->methods[cl->n_methods];
		snprintf(m->name, sizeof(m->name), "%s", slash);
		metric_labels(labels, sizeof(labels), "callee", cl->callee, "method", slash, NULL);
		m->seconds = metric_histogram("souk_rpc_client_seconds", "Time of calls to other daemons, retries included",
					      labels);
		cl->n_methods++;
	}
	pthread_mutex_unlock(&cl->lock);
	return m;
}

static void measure(struct rpc_client *cl, const char *method, enum err_code code, int64_t us)
{
	struct method_metrics *m = metrics_of(cl, method);
	struct metric *counter;
	char labels[192];

	if (!m)
		return;
	metric_observe(m->seconds, (double)us / 1e6);
	counter = __atomic_load_n(&m->codes[code], __ATOMIC_RELAXED);
	if (!counter) {
		metric_labels(labels, sizeof(labels), "callee", cl->callee, "method", m->name, "code",
			      err_code_name(code), NULL);
		counter = metric_counter("souk_rpc_client_requests_total", "Calls to other daemons, by outcome", labels);
		__atomic_store_n(&m->codes[code], counter, __ATOMIC_RELAXED);
	}
	metric_add(counter, 1);
}

/* The reply of a call, or the call's error. *reply_r is set when there is a payload: OK and E_PENDING. */
static enum err_code do_call(struct rpc_client *cl, struct call *c, const char *method, struct rpc_body body,
			     const struct rpc_opts *opts, Common__V1__Reply **reply_r)
{
	static const struct rpc_opts none;
	struct attempt at = { .cl = cl, .c = c, .opts = opts ? opts : &none, .body = body };
	int64_t start = mono_us(), max;
	Common__V1__Reply *reply = NULL;
	enum err_code rc;

	if (pg_in_tx()) {
		err_clear(&c->err);
		return err_set(&c->err, E_INTERNAL, "common.internal", "call of %s/%s inside a transaction", cl->callee,
			       method);
	}
	max = at.opts->timeout_ms > 0 && at.opts->timeout_ms < TIMEOUT_MAX_MS ? at.opts->timeout_ms : TIMEOUT_MAX_MS;
	at.deadline = start / 1000 + max < c->deadline_ms ? start / 1000 + max : c->deadline_ms;
	fill_who(&at);
	fill_env(&at, method);
	rc = attempts(&at, &reply);
	if (rc) {
		err_copy(&c->err, &at.err);
	} else if (reply->has_code && reply->code) {
		rpc_reply_to_err(reply, &c->err);
		rc = c->err.code;
	}
	measure(cl, at.method, rc, mono_us() - start);
	*reply_r = reply;
	return rc;
}

enum err_code rpc_call_raw(struct rpc_client *cl, struct call *c, const char *method, struct pg_bytes in,
			   struct pg_bytes *out_r, bool *replayed_r, const struct rpc_opts *opts)
{
	Common__V1__Reply *reply = NULL;
	enum err_code rc = do_call(cl, c, method, (struct rpc_body){ .raw = in }, opts, &reply);

	if (replayed_r)
		*replayed_r = reply && reply->replayed;
	if (!rc || (rc == E_PENDING && reply))
		*out_r = (struct pg_bytes){ reply->payload.data, reply->has_payload ? reply->payload.len : 0 };
	return rc;
}

enum err_code rpc_call(struct rpc_client *cl, struct call *c, const char *method, const ProtobufCMessage *in,
		       const ProtobufCMessageDescriptor *out_desc, void *out_r, const struct rpc_opts *opts)
{
	Common__V1__Reply *reply = NULL;
	ProtobufCMessage *out;
	struct err e = { 0 };
	enum err_code rc = do_call(cl, c, method, (struct rpc_body){ .msg = in }, opts, &reply);

	if (rc && !(rc == E_PENDING && reply))
		return rc;
	if (pb_unpack(out_desc, reply->payload.data, reply->has_payload ? reply->payload.len : 0, c->arena, &out, &e)) {
		err_clear(&c->err);
		return err_set(&c->err, E_INTERNAL, "rpc.bad_reply", "%s/%s: %s", cl->callee, method, e.msg);
	}
	memcpy(out_r, &out, sizeof(out));
	return rc;
}

/* ---- calls that this process makes for itself ---- */

void call_init_service(struct call *c, const char *self, struct arena *a, int64_t timeout_ms)
{
	char id[ID_LEN];

	memset(c, 0, sizeof(*c));
	id_new("req", id);
	c->arena = a;
	c->request_id = arena_strdup(a, id);
	c->deadline_ms = mono_ms() + timeout_ms;
	c->caller = arena_strdup(a, self);
	c->who.kind = WHO_SERVICE;
	c->who.service = c->caller;
	c->who.user_id = c->who.session_id = c->who.audience = c->who.vendor_id = "";
}

/* Asks an ejected peer for its health, so that no buyer's request has to try it out. */
static void probe(struct rpc_client *cl, struct peer *p, struct arena *a)
{
	static const struct rpc_opts opts = { .as_service = true };
	struct attempt at = { .cl = cl, .opts = &opts };
	Common__V1__Reply *reply = NULL;
	struct pg_bytes req;
	struct call c;

	call_init_service(&c, cl->self, a, PROBE_MS);
	at.c = &c;
	fill_who(&at);
	fill_env(&at, "common.v1.Node/Health");
	at.env.has_deadline_ms = 1;
	at.env.deadline_ms = PROBE_MS;
	if (rpc_request_pack(a, cl->keys, &at.env, (struct rpc_body){ 0 }, &req, &at.err))
		return;
	(void)exchange(cl, p, a, req, PROBE_MS, &reply, &at.err);
}
