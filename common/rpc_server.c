#include "common/rpc_server.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/arena.h"
#include "common/close_within.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/rpc_client.h"
#include "common/rpc_codec.h"
#include "common/timeutil.h"
#include "common/trace_export.h"

#ifdef SOUK_SANITIZED
enum { STACK = 2 << 20 };
#else
enum { STACK = 256 << 10 };
#endif

enum {
	ARENA_LIMIT = 16 << 20,
	SEND_TIMEOUT_MS = 5000,
	RESERVE_SHARE = 8,     /* one spare worker per so many, to refuse while all others are stuck */
	BUSY_WAIT_MS = 250,    /* a spare worker waits so long for a place before it refuses */
	BUSY_RETRY_MS = 1000,
	DRAIN_RETRY_MS = 100,
	LINGER_MS = 50,	       /* replies handed to the kernel may still be on their way */
	JOIN_POLL_MS = 5,
	CLOSE_WAIT_MS = 1000,
	MAX_SERVICES = 8,
};

struct worker {
	struct rpc_server *srv;
	pthread_t thread;
	nng_ctx ctx;
	nng_aio *rx, *tx; /* apart, so that cancelling a receive can never hit a reply */
	struct arena *arena;
	atomic_bool receiving, done;
};

struct rpc_server {
	struct rpc_env env; /* draining is kept in the atomic below */
	struct rpc_service services[MAX_SERVICES + 1];
	struct rpc_bound *bound;
	nng_socket sock;
	nng_listener listener;
	bool open;
	char url[NNG_MAXADDRLEN + 8];
	atomic_bool draining, refusing, stopping;

	/* Places: at most `places` requests run at once; the workers above that number wait briefly or refuse. */
	int places, drain_ms;
	atomic_int running;
	atomic_llong finished, stuck_at; /* requests ever finished; their number when a wait was in vain */
	pthread_mutex_t lock;
	pthread_cond_t freed;
	atomic_int waiting;

	size_t n_workers;
	struct worker *workers;
	struct metric *in_flight, *refused;
};

static enum err_code nng_err(struct err *e, const char *what, int rv)
{
	return err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", what, nng_strerror(rv));
}

/* ---- places ---- */

static bool try_place(struct rpc_server *s)
{
	int n = atomic_load(&s->running);

	while (n < s->places)
		if (atomic_compare_exchange_weak(&s->running, &n, n + 1))
			return true;
	return false;
}

/*
 * Waits briefly for a place. When nothing has finished since the last wait that was in vain, the daemon is stuck (its
 * database, say): then the answer is no at once, so that callers go elsewhere instead of queueing up.
 */
static bool wait_place(struct rpc_server *s)
{
	struct timespec until;
	bool got;
	int rc = 0;

	if (try_place(s))
		return true;
	if (atomic_load(&s->stuck_at) == atomic_load(&s->finished))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += BUSY_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&s->lock);
	atomic_fetch_add(&s->waiting, 1);
	while (!(got = try_place(s)) && !rc)
		rc = pthread_cond_timedwait(&s->freed, &s->lock, &until);
	atomic_fetch_sub(&s->waiting, 1);
	pthread_mutex_unlock(&s->lock);
	if (!got)
		atomic_store(&s->stuck_at, atomic_load(&s->finished));
	return got;
}

static void free_place(struct rpc_server *s)
{
	atomic_fetch_sub(&s->running, 1);
	atomic_fetch_add(&s->finished, 1);
	/* A waiter counts itself before it looks for a place again, so either it sees this one or we see it. */
	if (!atomic_load(&s->waiting))
		return;
	pthread_mutex_lock(&s->lock);
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

/* ---- workers ---- */

static struct pg_bytes serve(struct worker *w, const void *bytes, size_t len)
{
	struct rpc_server *s = w->srv;
	struct rpc_env env = s->env;
	struct pg_bytes reply;

	env.draining = atomic_load(&s->draining);
	if (atomic_load(&s->refusing)) {
		metric_add(s->refused, 1);
		return rpc_refuse(w->arena, true, "common.draining", DRAIN_RETRY_MS);
	}
	if (!wait_place(s)) {
		metric_add(s->refused, 1);
		return rpc_refuse(w->arena, env.draining, "common.busy", BUSY_RETRY_MS);
	}
	metric_add(s->in_flight, 1);
	reply = rpc_dispatch(&env, w->arena, bytes, len);
	metric_add(s->in_flight, -1);
	free_place(s);
	return reply;
}

/*
 * The reply goes into the request's own message when it fits, which saves an allocation. When it does not and there is no
 * memory either, the caller is told to ask for the outcome, which does fit, and does not wait until its deadline.
 */
static bool fill_reply(struct worker *w, nng_msg *msg, struct pg_bytes reply)
{
	struct err e = { 0 };

	nng_msg_clear(msg);
	if (!reply.len)
		return false;
	if (!nng_msg_append(msg, reply.data, reply.len))
		return true;
	err_set(&e, E_UNAVAILABLE, "rpc.outcome_unknown", "no memory for the reply");
	reply = rpc_reply_error(w->arena, &e, atomic_load(&w->srv->draining), false);
	return reply.len && !nng_msg_append(msg, reply.data, reply.len);
}

static void send_reply(struct worker *w, nng_msg *msg, struct pg_bytes reply)
{
	if (!fill_reply(w, msg, reply)) {
		nng_msg_free(msg);
		return;
	}
	nng_aio_set_msg(w->tx, msg);
	nng_ctx_send(w->ctx, w->tx);
	nng_aio_wait(w->tx);
	if (nng_aio_result(w->tx)) {
		/* The caller has gone or does not read; it will count the outcome as unknown. */
		nng_msg_free(nng_aio_get_msg(w->tx));
		nng_aio_set_msg(w->tx, NULL);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rpc_server *s = w->srv;
	nng_msg *msg;
	int rv;

	for (;;) {
		atomic_store(&w->receiving, true);
		if (atomic_load(&s->stopping))
			break;
		nng_ctx_recv(w->ctx, w->rx);
		nng_aio_wait(w->rx);
		atomic_store(&w->receiving, false);
		rv = nng_aio_result(w->rx);
		if (rv == NNG_ECLOSED)
			break;
		if (rv)
			continue; /* cancelled, or a peer that broke the protocol */
		msg = nng_aio_get_msg(w->rx);
		nng_aio_set_msg(w->rx, NULL);
		send_reply(w, msg, serve(w, nng_msg_body(msg), nng_msg_len(msg)));
		arena_reset(w->arena);
	}
	atomic_store(&w->done, true);
	return NULL;
}

static enum err_code start_worker(struct rpc_server *s, struct worker *w, struct err *e)
{
	pthread_attr_t attr;
	int rv;

	w->srv = s;
	rv = nng_ctx_open(&w->ctx, s->sock);
	if (!rv)
		rv = nng_aio_alloc(&w->rx, NULL, NULL);
	if (!rv)
		rv = nng_aio_alloc(&w->tx, NULL, NULL);
	if (rv)
		return nng_err(e, "nng context", rv);
	nng_aio_set_timeout(w->rx, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(w->tx, SEND_TIMEOUT_MS);
	w->arena = arena_new("rpc", ARENA_LIMIT);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	rv = pthread_create(&w->thread, &attr, work, w);
	pthread_attr_destroy(&attr);
	if (rv)
		return err_set(e, E_INTERNAL, "common.internal", "worker thread: %s", strerror(rv));
	s->n_workers++;
	return OK;
}

/* ---- start ---- */

static enum err_code listen_on(struct rpc_server *s, const char *url, struct err *e)
{
	char *real = NULL;
	int rv;

	rv = nng_rep0_open(&s->sock);
	if (rv)
		return nng_err(e, "nng socket", rv);
	s->open = true;
	rv = nng_listener_create(&s->listener, s->sock, url);
	if (rv)
		return nng_err(e, url, rv);
	rv = nng_listener_set_size(s->listener, NNG_OPT_RECVMAXSZ, RPC_MESSAGE_MAX);
	if (!rv && !strncmp(url, "tcp", 3))
		rv = nng_listener_set_bool(s->listener, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		rv = nng_listener_start(s->listener, 0);
	if (rv)
		return nng_err(e, url, rv);
	/* The bound address: with port 0 only nng knows it. */
	snprintf(s->url, sizeof(s->url), "%s", url);
	if (!nng_listener_get_string(s->listener, NNG_OPT_URL, &real)) {
		snprintf(s->url, sizeof(s->url), "%s", real);
		nng_strfree(real);
	}
	return OK;
}

static enum err_code bind_services(struct rpc_server *s, const struct rpc_service *services, struct err *e)
{
	static const struct rpc_method *const node_tables[] = { rpc_node_methods, NULL };
	size_t n = 0;

	for (; services && services[n].desc; n++) {
		if (n == MAX_SERVICES - 1)
			return err_set(e, E_INTERNAL, "common.internal", "more than %d services", MAX_SERVICES - 1);
		s->services[n] = services[n];
	}
	s->services[n].desc = &common__v1__node__descriptor;
	s->services[n].tables = node_tables;
	return rpc_bind(s->services, &s->bound, e);
}

static enum err_code start_workers(struct rpc_server *s, int contexts, struct err *e)
{
	size_t i, n;

	s->places = contexts > 0 ? contexts : 32;
	n = (size_t)(s->places + 1 + s->places / RESERVE_SHARE);
	s->workers = calloc(n, sizeof(*s->workers));
	if (!s->workers)
		abort();
	for (i = 0; i < n; i++)
		if (start_worker(s, &s->workers[i], e))
			return e->code;
	return OK;
}

static void init_sync(struct rpc_server *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->freed, &attr);
	pthread_condattr_destroy(&attr);
}

static void stop_now(struct rpc_server *s);

enum err_code rpc_server_start(const struct daemon_conf *conf, const char *self, const struct rpc_service *services,
			       const struct rpc_keys *keys, struct pg_pool *pool, void *svc, struct rpc_server **s_r,
			       struct err *e)
{
	struct rpc_server *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	init_sync(s);
	s->in_flight = metric_gauge("souk_rpc_server_in_flight", "Requests running", NULL);
	s->refused = metric_counter("souk_rpc_server_refused_total", "Requests refused while draining or stuck", NULL);
	s->env = (struct rpc_env){ .self = self, .keys = keys, .pool = pool, .svc = svc };
	s->drain_ms = conf->drain_ms;
	atomic_store(&s->stuck_at, -1);
	if (bind_services(s, services, e))
		goto failed;
	s->env.bound = s->bound;
	if (trace_export_start(conf->otlp_url, self, e) || listen_on(s, conf->listen, e) ||
	    start_workers(s, conf->contexts, e))
		goto failed;
	log_msg(LVL_INFO, "serving", LF_S("url", s->url), LF_I("contexts", s->places));
	*s_r = s;
	return OK;
failed:
	stop_now(s);
	return e->code;
}

const char *rpc_server_url(const struct rpc_server *s)
{
	return s->url;
}

/* ---- stop ---- */

static bool all_done(const struct rpc_server *s)
{
	size_t i;

	for (i = 0; i < s->n_workers; i++)
		if (!atomic_load(&s->workers[i].done))
			return false;
	return true;
}

/*
 * Ends every worker that waits for a request. One cancel can fall between a worker's check of the stop flag and
 * its receive, so it is repeated until all are gone. Requests under way finish: their aio is another one.
 */
static void join_workers(struct rpc_server *s)
{
	size_t i;

	atomic_store(&s->stopping, true);
	while (!all_done(s)) {
		for (i = 0; i < s->n_workers; i++)
			if (atomic_load(&s->workers[i].receiving) && !atomic_load(&s->workers[i].done))
				nng_aio_cancel(s->workers[i].rx);
		sleep_ms(JOIN_POLL_MS);
	}
	for (i = 0; i < s->n_workers; i++)
		pthread_join(s->workers[i].thread, NULL);
}

static void close_socket(void *server)
{
	nng_close(((struct rpc_server *)server)->sock);
}

static void free_server(struct rpc_server *s)
{
	size_t i;

	for (i = 0; s->workers && i < (size_t)(s->places + 1 + s->places / RESERVE_SHARE); i++) {
		nng_aio_free(s->workers[i].rx);
		nng_aio_free(s->workers[i].tx);
		arena_free(s->workers[i].arena);
	}
	rpc_bound_free(s->bound);
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->lock);
	free(s->workers);
	free(s);
}

static void stop_now(struct rpc_server *s)
{
	join_workers(s);
	if (s->open)
		sleep_ms(s->n_workers ? LINGER_MS : 0);
	if (!s->open || close_within(close_socket, s, CLOSE_WAIT_MS))
		free_server(s);
	trace_export_stop();
}

void rpc_server_stop(struct rpc_server *s)
{
	int64_t quiet_since, refused, last;

	if (!s)
		return;
	atomic_store(&s->draining, true);
	log_msg(LVL_INFO, "draining", LF_I("ms", s->drain_ms), LF_I("running", atomic_load(&s->running)));
	sleep_ms(s->drain_ms);
	atomic_store(&s->refusing, true);
	/* Refuse until nobody has asked for a while and nothing runs. */
	last = metric_value(s->refused);
	quiet_since = mono_ms();
	while (atomic_load(&s->running) || mono_ms() - quiet_since < DRAIN_RETRY_MS) {
		sleep_ms(JOIN_POLL_MS);
		refused = metric_value(s->refused);
		if (refused != last && mono_ms() - quiet_since < 10 * DRAIN_RETRY_MS) {
			last = refused;
			quiet_since = mono_ms();
		}
	}
	stop_now(s);
}

/* ---- --health ---- */

int rpc_health(const struct daemon_conf *conf, const char *self)
{
	struct arena *a = arena_new("health", 1 << 20);
	Common__V1__HealthRequest in = COMMON__V1__HEALTH_REQUEST__INIT;
	Common__V1__HealthReply *out = NULL;
	struct rpc_client *client = NULL;
	struct rpc_keys *keys = NULL;
	struct call c;
	struct err e = { 0 };

	if (rpc_keys_load(conf->keys_dir, self, &keys, &e) ||
	    rpc_client_open(self, self, conf->listen, 60000, keys, &client, &e)) {
		printf("unhealthy: %s\n", e.msg);
	} else {
		call_init_service(&c, self, a, 3000);
		if (rpc_call(client, &c, "common.v1.Node/Health", &in.base, &common__v1__health_reply__descriptor, &out,
			     &(struct rpc_opts){ .as_service = true }))
			printf("unhealthy: %s\n", c.err.msg);
		else
			printf("healthy: %s %s%s\n", out->service, out->version, out->draining ? " draining" : "");
	}
	rpc_client_close(client);
	rpc_keys_free(keys);
	arena_free(a);
	return out ? 0 : 1;
}
