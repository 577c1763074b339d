/* One call: which peer, how often, and what a failure means. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/id.h"
#include "common/log.h"
#include "common/pb_guard.h"
#include "common/rpc_client_internal.h"
#include "common/timeutil.h"

enum {
	TIMEOUT_MAX_MS = 10000,
	ATTEMPTS = 3,
	PROBE_MS = 1000,
	PATIENCE_MS = 3000,	 /* after the last peer was lost: how long calls wait for one, … */
	PATIENCE_LEAST_MS = 100, /* … and after that */
	SEND_MS = 1000,		 /* a message that no connection takes for so long is not sent at all */
};

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
			rpc_client_ctx_free(x);
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

static void until_ms(struct timespec *ts, int64_t mono)
{
	ts->tv_sec = mono / 1000;
	ts->tv_nsec = mono % 1000 * 1000000;
}

/* Called with the lock held: until when a connection is worth waiting for. */
static int64_t patience(const struct rpc_client *cl, int64_t now)
{
	int64_t until = cl->down_since + PATIENCE_MS;
	size_t i, n = atomic_load(&cl->n_peers);

	for (i = 0; i < n; i++)
		if (rpc_peer_refusing(cl->states[i], now))
			until = now + PATIENCE_MS; /* it is being restarted */
	return until > now + PATIENCE_LEAST_MS ? until : now + PATIENCE_LEAST_MS;
}

/* The index of a peer, waiting for a connection when there is none; -1 when patience or time ran out. */
static int pick(struct rpc_client *cl, int avoid, int64_t deadline)
{
	struct timespec ts;
	int64_t until;
	int i, rc = 0;

	i = rpc_peer_pick(cl->states, atomic_load(&cl->n_peers), avoid, mono_ms());
	if (i >= 0)
		return i;
	pthread_mutex_lock(&cl->lock);
	until = patience(cl, mono_ms());
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
	bool lost; /* the answer of one was: it may have been executed */
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

static bool untrusted(const Common__V1__Reply *r)
{
	return r->code == E_DENIED && r->slug && !strcmp(r->slug, "rpc.untrusted");
}

static bool refused_unseen(const Common__V1__Reply *r)
{
	return untrusted(r) || (r->code == E_UNAVAILABLE && r->slug &&
				(!strcmp(r->slug, "common.draining") || !strcmp(r->slug, "common.busy")));
}

/*
 * Nobody took it. An attempt before that one may have been executed; and a peer that does not believe us (its key, its
 * clock) is no refusal of what the client asked for.
 */
static enum err_code turned_away(struct attempt *at, const Common__V1__Reply *r, struct err *e)
{
	if (at->lost)
		return err_set(e, E_UNAVAILABLE, "rpc.outcome_unknown", "an answer of %s was lost, then %s", at->cl->callee,
			       r->slug);
	if (untrusted(r))
		return err_set(e, E_UNAVAILABLE, "rpc.unreachable", "%s does not trust this process: keys or clocks differ",
			       at->cl->callee);
	rpc_reply_to_err(r, e);
	return e->code;
}

/* A read that may be repeated leaves half of its time for another peer, when one is connected. */
static int64_t share_of(const struct attempt *at, int64_t left, int round)
{
	size_t i, n = atomic_load(&at->cl->n_peers), usable = 0;

	if (!at->opts->retry_read || round)
		return left;
	for (i = 0; i < n; i++)
		usable += !atomic_load(&at->cl->states[i]->gone) && atomic_load(&at->cl->states[i]->pipes) > 0;
	return usable > 1 ? (left + 1) / 2 : left;
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
			return at->lost ? at->err.code
					: err_set(&at->err, E_UNAVAILABLE, "rpc.unreachable", "no connection to %s",
						  at->cl->callee);
		left = at->deadline - mono_ms();
		oc = try_once(at, i, left > 1 ? left : 1, round, &reply);
		if (oc == GOT_REPLY && reply && at->lost && reply->slug && !strcmp(reply->slug, "idem.in_flight"))
			return err_set(&at->err, E_UNAVAILABLE, "rpc.outcome_unknown", "%s still works on it",
				       at->cl->callee);
		if (oc == GOT_REPLY) {
			*reply_r = reply;
			if (!reply || !refused_unseen(reply) || round + 1 == ATTEMPTS)
				return reply ? OK : at->err.code;
			if (!strcmp(reply->slug, "common.draining"))
				rpc_peer_refused(at->cl->states[i], mono_ms());
			continue;
		}
		if (oc == LOST && (at->lost || !repeatable))
			return at->err.code;
		if (at->lost) /* nobody took it this time, but somebody may have executed it before */
			err_set(&at->err, E_UNAVAILABLE, "rpc.outcome_unknown", "an answer of %s was lost", at->cl->callee);
		at->lost = at->lost || oc == LOST;
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
	if (!m && cl->n_methods < RPC_CLIENT_METHODS_MAX) {
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
	counter = __atomic_load_n(&m->codes[code], __ATOMIC_ACQUIRE);
	if (!counter) {
		metric_labels(labels, sizeof(labels), "callee", cl->callee, "method", m->name, "code",
			      err_code_name(code), NULL);
		counter = metric_counter("souk_rpc_client_requests_total", "Calls to other daemons, by outcome", labels);
		__atomic_store_n(&m->codes[code], counter, __ATOMIC_RELEASE);
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
	} else if (refused_unseen(reply)) {
		rc = turned_away(&at, reply, &c->err);
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

void rpc_client_probe(struct rpc_client *cl, struct peer *p, struct arena *a)
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
