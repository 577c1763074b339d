/* The life of a request, from the guard to the log line. */
#include <stdio.h>
#include <string.h>

#include "common/id.h"
#include "common/log.h"
#include "common/timeutil.h"
#include "common/trace_export.h"
#include "gateway/gateway.h"
#include "gateway/json_pb.h"

enum { DRAIN_BYTES = 256 * 1024, DRAIN_MS = 1000, OUT_KEEP = 64 * 1024 };

struct rpc_client *gw_client(const struct gateway *gw, const char *service)
{
	for (size_t i = 0; gw->services[i].name; i++)
		if (!strcmp(gw->services[i].name, service))
			return gw->client[i];
	return NULL;
}

/* ---- the beginning ---- */

static void identify(struct exchange *x)
{
	const char *id = x->req->h[H_X_REQUEST_ID];

	if (id && x->req->count[H_X_REQUEST_ID] == 1 && id_request_ok(id))
		snprintf(x->request_id, sizeof x->request_id, "%s", id);
	else
		id_new("req", x->request_id);
	trace_child(x->req->h[H_TRACEPARENT], x->traceparent);
}

static void locate(struct exchange *x)
{
	struct gw_worker *w = x->w;

	client_address(x->gw->proxies, x->req->remote_addr, x->req->h[H_X_FORWARDED_FOR], x->addr);
	if (strcmp(w->peer, x->addr)) {
		snprintf(w->peer, sizeof w->peer, "%s", x->addr);
		client_bucket(x->addr, w->peer_bucket);
	}
	x->bucket = w->peer_bucket;
}

static void begin(struct exchange *x, struct gw_worker *w, struct http_req *r, struct http_conn *c)
{
	x->gw = w->gw;
	x->w = w;
	x->req = r;
	x->conn = c;
	x->start_us = mono_us();
	x->match.route = NULL;
	x->token = NULL;
	x->limit.policy = NULL;
	x->body_read = x->close = x->replayed = x->preflight = x->varies_language = x->origin_ok = false;
	x->status = 200;
	x->content_type = "application/json";
	x->cache_control = "private, no-store";
	x->location = x->allow = x->cookie = x->csp = NULL;
	x->etag[0] = '\0';
	x->retry_after_s = 0;
	x->note = NOTE_NONE;
	/* The details of an error are large; only what says that there are none is cleared. */
	memset(&x->call, 0, offsetof(struct call, err));
	memset((char *)&x->call + offsetof(struct call, err) + sizeof x->call.err, 0,
	       sizeof x->call - offsetof(struct call, err) - sizeof x->call.err);
	err_clear(&x->call.err);
	arena_reset(w->arena);
	x->call.arena = w->arena;
	x->call.caller = "gateway";
	x->call.who = (struct principal){ .kind = WHO_ANONYMOUS, .user_id = "", .session_id = "", .audience = "",
					  .vendor_id = "", .service = "" };
	identify(x);
	locate(x);
	x->call.request_id = x->request_id;
	x->call.traceparent = x->traceparent;
	log_ctx_set(x->request_id, "", x->traceparent);
	x->origin_ok = origin_allowed(x->gw->origins, r->h[H_ORIGIN]);
}

/* ---- the end ---- */

static void count(struct exchange *x, int64_t us)
{
	const struct compiled_route *c = x->match.route;
	struct route_metrics *m = &x->gw->metrics[c ? c->index : router_count(x->gw->router)];

	metric_observe(m->seconds, (double)us / 1e6);
	metric_add(m->by_class[x->status / 100 % 6], 1);
	switch (x->note) {
	case NOTE_LOCAL:
		metric_add(x->gw->cache_local, 1);
		break;
	case NOTE_SHARED:
	case NOTE_JOINED:
		metric_add(x->gw->cache_shared, 1);
		break;
	case NOTE_MISS:
		metric_add(x->gw->cache_miss, 1);
		break;
	case NOTE_NONE:
		break;
	}
}

/* Never the query: it may hold what nobody should read in a log. */
static void note(struct exchange *x, int64_t us)
{
	static const char *const cache[] = { "", "local", "redis", "joined", "miss" };

	if (!x->gw->conf.access_log)
		return;
	log_access("request", LF_S("method", x->req->method ? x->req->method : ""),
		   LF_S("route", x->match.route ? x->match.route->row->path : ""),
		   LF_S("path", x->req->path && x->match.route ? x->req->path : ""), LF_I("status", x->status),
		   LF_I("duration_us", us), LF_I("bytes", x->w->out.len > GW_HEAD_ROOM ? x->w->out.len - GW_HEAD_ROOM : 0),
		   LF_S("client", x->addr), LF_S("cache", cache[x->note]), LF_S("reason", x->call.err.code ? x->call.err.slug : ""));
}

/* Named after the route: a path may hold anything. */
static void span(const struct exchange *x)
{
	char name[80], code[8];

	snprintf(name, sizeof name, "%s %s", x->match.route ? x->match.route->row->method : "?",
		 x->match.route ? x->match.route->row->path : "");
	snprintf(code, sizeof code, "%d", x->status);
	trace_span(x->traceparent, x->req->h[H_TRACEPARENT], TRACE_SERVER, name,
		   x->call.err.code == E_INTERNAL ? err_code_name(E_INTERNAL) : code, x->start_us);
}

/*
 * A body nobody wanted: small ones are read away so that the answer is not lost in a reset connection; then the
 * connection ends in any case.
 */
static void drain(struct exchange *x)
{
	char buf[4096];
	size_t n = 0;
	int got = sizeof buf;

	http_deadline(x->conn, mono_ms() + DRAIN_MS);
	while (got == (int)sizeof buf && n < DRAIN_BYTES) {
		got = http_body(x->conn, buf, sizeof buf);
		n += sizeof buf;
	}
}

static int finish(struct exchange *x)
{
	bool unread = !x->body_read && (x->req->chunked || (x->req->has_length && x->req->length > 0));
	int64_t us;

	if (x->call.err.code)
		reply_error(x);
	if (unread)
		x->close = true;
	reply_send(x);
	us = mono_us() - x->start_us;
	count(x, us);
	note(x, us);
	span(x);
	if (unread)
		drain(x);
	auth_release(x->gw->auth, x->token);
	/* One large answer per thread would add up to a lot. */
	if (x->w->out.cap > OUT_KEEP)
		buf_free(&x->w->out);
	log_ctx_clear();
	return x->status;
}

/* ---- who may ---- */

static enum err_code authenticate(struct exchange *x)
{
	const struct route *r = x->match.route->row;
	struct err *e = &x->call.err;

	if (r->auth == AUTH_NONE)
		return OK;
	if (!x->req->h[H_AUTHORIZATION]) {
		if (r->auth == AUTH_OPTIONAL)
			return OK;
		return err_set(e, E_UNAUTH, "common.unauthenticated", "no token");
	}
	if (auth_check(x->gw->auth, x->req->h[H_AUTHORIZATION], &x->token, e))
		return e->code;
	x->call.who = x->token->who;
	log_ctx_set(x->request_id, x->token->who.user_id, x->traceparent);
	return OK;
}

static enum err_code authorise(struct exchange *x)
{
	const struct route *r = x->match.route->row;
	const char *want = r->auth == AUTH_VENDOR ? "vendor" : r->auth == AUTH_ADMIN ? "admin" : NULL;
	struct err *e = &x->call.err;

	if (want && strcmp(x->call.who.audience, want))
		return err_set(e, E_DENIED, "gateway.audience", "audience %s", x->call.who.audience);
	if (want && auth_stale(x->gw->auth)) {
		e->retry_after_ms = 2000;
		return err_set(e, E_UNAVAILABLE, "gateway.revocations_stale", "identity has not been heard of lately");
	}
	if (r->perm && !call_has_perm(&x->call, r->perm))
		return err_set(e, E_DENIED, "common.forbidden", "without %s", r->perm);
	return OK;
}

static bool is_unsafe(const struct exchange *x)
{
	return strcmp(x->match.route->row->method, "GET") != 0;
}

static enum err_code limit(struct exchange *x)
{
	return limiter_check(x->gw->limiter, x->match.route->row->rate, x->token ? x->token->who.user_id : NULL, x->bucket,
			     is_unsafe(x), &x->limit, &x->call.err);
}

/* ---- where to ---- */

static enum err_code no_method(struct exchange *x)
{
	struct buf allow;

	buf_init(&allow, 128);
	router_allow(x->gw->router, x->req->path, &allow);
	x->allow = arena_strdup(x->call.arena, buf_cstr(&allow));
	buf_free(&allow);
	if (strcmp(x->req->method, "OPTIONS"))
		return err_set(&x->call.err, E_INVALID, "http.method_not_allowed", "%s", x->req->method);
	x->preflight = x->req->h[H_ORIGIN] && x->req->h[H_ACR_METHOD];
	x->status = 204;
	x->cache_control = "no-store";
	reply_begin(x);
	return OK;
}

/* Reads and deletes have no body: one that comes anyway would be an argument between two parsers. */
static enum err_code check_body_place(struct exchange *x)
{
	if (x->match.route->row->method[0] == 'P' || (!x->req->chunked && !x->req->length))
		return OK;
	x->close = true;
	return err_set(&x->call.err, E_INVALID, "http.bad_request", "%s with a body", x->req->method);
}

static enum err_code serve(struct exchange *x)
{
	const struct route *r;

	switch (router_find(x->gw->router, x->req->method, x->req->path, &x->match)) {
	case ROUTE_NO_PATH:
		return err_set(&x->call.err, E_NOT_FOUND, "http.no_route", "no route");
	case ROUTE_NO_METHOD:
		return no_method(x);
	case ROUTE_FOUND:
		break;
	}
	r = x->match.route->row;
	if (r->status)
		x->status = r->status;
	if (check_body_place(x) || authenticate(x) || authorise(x) || limit(x))
		return x->call.err.code;
	if (!strcmp(r->service, "gateway"))
		return serve_platform(x);
	if (r->flags & ROUTE_STREAM_IMPORT)
		return serve_import(x);
	if (r->cache != CACHE_NONE && x->gw->conf.cache)
		return serve_cached(x);
	return serve_call(x);
}

int gw_handle(void *worker, struct http_req *r, struct http_conn *c)
{
	struct gw_worker *w = worker;
	struct limit_answer guard;
	struct exchange x;

	begin(&x, w, r, c);
	if (http_guard(r, &x.call.err)) {
		x.close = true;
		return finish(&x);
	}
	if (!limiter_guard(w->gw->limiter, x.bucket, &guard)) {
		x.call.err.retry_after_ms = (int)(guard.retry_s ? guard.retry_s : 1) * 1000;
		err_set(&x.call.err, E_EXHAUSTED, "common.rate_limited", "address guard");
		x.close = true;
		return finish(&x);
	}
	(void)serve(&x);
	return finish(&x);
}

void gw_http_error(void *worker, int status, const char *remote_addr, struct http_conn *c)
{
	static struct http_req empty;
	struct http_req r;
	struct exchange x;

	/* What civetweb read of the message cannot be trusted, so nothing of it is used. */
	memcpy(&r, &empty, sizeof r);
	r.remote_addr = remote_addr;
	begin(&x, worker, &r, c);
	x.close = true;
	x.body_read = true;
	if (status == 204) { /* OPTIONS *: what the server as a whole can do */
		x.allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
		x.status = status;
		x.cache_control = "no-store";
		reply_begin(&x);
		(void)finish(&x);
		return;
	}
	err_set(&x.call.err, status == 413 ? E_TOO_LARGE : E_INVALID,
		status == 413 ? "http.body_too_large" :
		status == 431 ? "http.headers_too_large" :
		status == 408 ? "http.timeout" :
		status == 505 ? "http.version" : "http.bad_request", "refused by the HTTP library with %d", status);
	(void)finish(&x);
}
