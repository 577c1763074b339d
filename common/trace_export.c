#include "common/trace_export.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/daemon.h"
#include "common/httpc.h"
#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "common/trace.h"

enum { BATCH = 256, EVERY_MS = 1000, SEND_MS = 2000, BODY_MAX = 1 << 20, REPLY_MAX = 64 << 10 };

struct span {
	char traceparent[TRACE_LEN], parent[TRACE_LEN]; /* parent "" for a root */
	char name[80], code[24];
	enum trace_kind kind;
	int64_t start_us, end_us; /* wall clock */
};

static struct {
	_Atomic bool on;
	pthread_mutex_t lock; /* guards first, n, stopping */
	pthread_cond_t wake;
	struct span *ring; /* TRACE_QUEUE */
	size_t first, n;
	bool stopping;
	pthread_t thread;
	char url[300], service[48], instance[ID_LEN];
	struct span batch[BATCH]; /* the thread's own */
	struct httpc *http;
	struct metric *sent, *dropped;
} ex = { .lock = PTHREAD_MUTEX_INITIALIZER };

void trace_span(const char *traceparent, const char *parent, enum trace_kind kind, const char *name, const char *code,
		int64_t start_us)
{
	int64_t now, wall;
	struct span *s;

	if (!atomic_load_explicit(&ex.on, memory_order_acquire) || !trace_ok(traceparent) || !(traceparent[54] & 1))
		return;
	now = mono_us();
	wall = wall_ms() * 1000;
	(void)pthread_mutex_lock(&ex.lock);
	if (ex.n < TRACE_QUEUE) {
		s = &ex.ring[(ex.first + ex.n++) % TRACE_QUEUE];
		memcpy(s->traceparent, traceparent, TRACE_LEN);
		s->parent[0] = '\0';
		if (trace_ok(parent))
			memcpy(s->parent, parent, TRACE_LEN);
		snprintf(s->name, sizeof(s->name), "%s", name);
		snprintf(s->code, sizeof(s->code), "%s", code);
		s->kind = kind;
		s->end_us = wall;
		s->start_us = wall - (now - start_us);
		if (ex.n == BATCH)
			(void)pthread_cond_signal(&ex.wake);
	} else {
		metric_add(ex.dropped, 1);
	}
	(void)pthread_mutex_unlock(&ex.lock);
}

/* ---- the thread that sends ---- */

static void attribute(struct buf *b, const char *key, const char *value)
{
	buf_fmt(b, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
	buf_json_str(b, value);
	buf_str(b, "}}");
}

static void put_span(struct buf *b, const struct span *s)
{
	buf_fmt(b, "{\"traceId\":\"%.32s\",\"spanId\":\"%.16s\",", s->traceparent + 3, s->traceparent + 36);
	if (*s->parent)
		buf_fmt(b, "\"parentSpanId\":\"%.16s\",", s->parent + 36);
	buf_str(b, "\"name\":");
	buf_json_str(b, s->name);
	buf_fmt(b, ",\"kind\":%d,\"startTimeUnixNano\":\"%lld000\",\"endTimeUnixNano\":\"%lld000\",\"attributes\":[",
		(int)s->kind, (long long)s->start_us, (long long)s->end_us);
	attribute(b, "souk.code", s->code);
	buf_fmt(b, "],\"status\":{\"code\":%d}}", strcmp(s->code, err_code_name(E_INTERNAL)) == 0 ? 2 : 0);
}

static void body_of(struct buf *b, size_t n)
{
	buf_reset(b);
	buf_str(b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	attribute(b, "service.name", ex.service);
	buf_char(b, ',');
	attribute(b, "service.version", daemon_version());
	buf_char(b, ',');
	attribute(b, "service.instance.id", ex.instance);
	buf_str(b, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"souk\"},\"spans\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		put_span(b, &ex.batch[i]);
	}
	buf_str(b, "]}]}]}");
}

/* Once: a trace is a convenience, and what comes meanwhile wants to be sent too. */
static void post(struct buf *b, struct arena *a, size_t n)
{
	static const char *const headers[] = { "Content-Type: application/json", NULL };
	struct httpc_request rq = { .method = "POST", .url = ex.url, .headers = headers, .timeout_ms = SEND_MS,
				    .max_reply = REPLY_MAX };
	struct httpc_reply reply = { 0 };
	struct err e = { 0 };

	body_of(b, n);
	rq.body = (struct pg_bytes){ .data = b->data, .len = b->len };
	if (!buf_over(b) && httpc_do(ex.http, &rq, a, &reply, &e) == OK && reply.status / 100 == 2)
		metric_add(ex.sent, (int64_t)n);
	else
		metric_add(ex.dropped, (int64_t)n);
	arena_reset(a);
}

/* Waits for a batch or a second, whichever is first; how many there are, 0 only at the end. */
static size_t take(void)
{
	int64_t until = mono_ms() + EVERY_MS;
	struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	size_t n;

	(void)pthread_mutex_lock(&ex.lock);
	for (;;) {
		if (ex.n >= BATCH || ex.stopping)
			break;
		if (pthread_cond_timedwait(&ex.wake, &ex.lock, &at)) {
			if (ex.n)
				break;
			until = mono_ms() + EVERY_MS;
			at = (struct timespec){ .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
		}
	}
	for (n = 0; n < BATCH && ex.n; n++, ex.n--) {
		ex.batch[n] = ex.ring[ex.first];
		ex.first = (ex.first + 1) % TRACE_QUEUE;
	}
	(void)pthread_mutex_unlock(&ex.lock);
	return n;
}

static void *work(void *arg)
{
	struct arena *a = arena_new("trace", 256 << 10);
	int64_t give_up = 0;
	struct buf b;
	size_t n;

	(void)arg;
	buf_init(&b, BODY_MAX);
	while ((n = take()) > 0) {
		(void)pthread_mutex_lock(&ex.lock);
		if (ex.stopping && !give_up)
			give_up = mono_ms() + SEND_MS;
		(void)pthread_mutex_unlock(&ex.lock);
		if (give_up && mono_ms() >= give_up)
			metric_add(ex.dropped, (int64_t)n);
		else
			post(&b, a, n);
	}
	buf_free(&b);
	arena_free(a);
	return NULL;
}

/* ---- start and stop ---- */

static void init_wake(void)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&ex.wake, &attr);
	(void)pthread_condattr_destroy(&attr);
}

enum err_code trace_export_start(const char *url, const char *service, struct err *e)
{
	const struct httpc_conf conf = { .max_handles = 1, .queue = 1, .breaker_failures = 3, .breaker_open_ms = 5000 };
	int n;

	if (!url || !*url || atomic_load(&ex.on))
		return OK;
	n = snprintf(ex.url, sizeof(ex.url), "%s/v1/traces", url);
	if (n < 0 || (size_t)n >= sizeof(ex.url) || (strncmp(url, "http://", 7) && strncmp(url, "https://", 8)))
		return err_set(e, E_INVALID, "conf.invalid", "OTLP_URL: http://host:port or https://host:port");
	if (httpc_open(&conf, &ex.http, e))
		return e->code;
	snprintf(ex.service, sizeof(ex.service), "souk-%s", service);
	id_new("run", ex.instance);
	ex.sent = metric_counter("souk_trace_spans_sent_total", "Spans the collector took", NULL);
	ex.dropped = metric_counter("souk_trace_spans_dropped_total", "Spans lost: queue full, or not taken", NULL);
	ex.first = ex.n = 0;
	ex.stopping = false;
	init_wake();
	ex.ring = calloc(TRACE_QUEUE, sizeof(*ex.ring));
	if (!ex.ring || pthread_create(&ex.thread, NULL, work, NULL)) {
		free(ex.ring);
		httpc_close(ex.http);
		return err_set(e, E_INTERNAL, "common.internal", "no memory or thread for traces");
	}
	atomic_store_explicit(&ex.on, true, memory_order_release);
	log_msg(LVL_INFO, "traces are sent", LF_S("url", ex.url));
	return OK;
}

void trace_export_stop(void)
{
	if (!atomic_exchange(&ex.on, false))
		return;
	(void)pthread_mutex_lock(&ex.lock);
	ex.stopping = true;
	(void)pthread_cond_signal(&ex.wake);
	(void)pthread_mutex_unlock(&ex.lock);
	(void)pthread_join(ex.thread, NULL);
	httpc_close(ex.http);
	(void)pthread_mutex_lock(&ex.lock);
	free(ex.ring);
	ex.ring = NULL;
	ex.n = TRACE_QUEUE; /* a span whose caller had seen `on` finds no place */
	(void)pthread_mutex_unlock(&ex.lock);
	(void)pthread_cond_destroy(&ex.wake);
}
