/* Answers: errors in their two shapes, the head, and one write for all of it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "gateway/gateway.h"

static const struct {
	const char *slug;
	int status;
} own_status[] = {
	{ "http.method_not_allowed", 405 },
	{ "http.timeout", 408 },
	{ "http.media_type", 415 },
	{ "http.expectation", 417 },
	{ "http.headers_too_large", 431 },
	{ "http.version", 505 },
};

int error_status(const struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(own_status); i++)
		if (!strcmp(own_status[i].slug, e->slug))
			return own_status[i].status;
	return err_http_status(e->code);
}

const char *status_text(int status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 302: return "Found";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 410: return "Gone";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 415: return "Unsupported Media Type";
	case 417: return "Expectation Failed";
	case 422: return "Unprocessable Content";
	case 428: return "Precondition Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return status < 400 ? "OK" : "Error";
	}
}

static void add_details(struct buf *b, const struct err *e)
{
	buf_char(b, '[');
	for (size_t i = 0; i < e->n_details; i++) {
		const struct err_detail *d = &e->details[i];

		buf_str(b, i ? ",{\"field\":" : "{\"field\":");
		buf_json_str(b, d->field);
		buf_str(b, ",\"message\":");
		buf_json_str(b, d->message);
		if (d->value[0]) {
			buf_str(b, ",\"value\":");
			buf_json_str(b, d->value);
		}
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

void error_body(struct buf *b, const struct err *e, int status, const char *request_id, bool problem)
{
	const struct err_info *info = err_info(e->slug);
	char now[TIME_TEXT_LEN];

	time_rfc3339(wall_ms(), now);
	if (problem) {
		buf_fmt(b, "{\"type\":\"/api/docs#%s\",\"title\":", info->slug);
		buf_json_str(b, info->message);
		buf_fmt(b, ",\"status\":%d,\"code\":\"%s\",\"reason\":\"%s\",\"details\":", status, info->word,
			info->slug);
		add_details(b, e);
		buf_fmt(b, ",\"request_id\":\"%s\",\"timestamp\":\"%s\"}", request_id, now);
		return;
	}
	buf_fmt(b, "{\"error\":{\"code\":\"%s\",\"reason\":\"%s\",\"message\":", info->word, info->slug);
	buf_json_str(b, info->message);
	buf_str(b, ",\"details\":");
	add_details(b, e);
	buf_fmt(b, ",\"request_id\":\"%s\",\"timestamp\":\"%s\"}}", request_id, now);
}

void reply_begin(struct exchange *x)
{
	static const char room[GW_HEAD_ROOM];

	buf_reset(&x->w->out);
	buf_add(&x->w->out, room, sizeof room);
}

void reply_error(struct exchange *x)
{
	struct err *e = &x->call.err;
	bool problem = wants_problem(x->req->h[H_ACCEPT]);

	x->status = error_status(e);
	x->content_type = problem ? "application/problem+json" : "application/json";
	x->cache_control = "no-store";
	x->etag[0] = '\0';
	x->location = x->cookie = NULL;
	if (e->retry_after_ms > 0)
		x->retry_after_s = (e->retry_after_ms + 999) / 1000;
	else if (x->status == 503 && !x->retry_after_s)
		x->retry_after_s = 1;
	/* What a stale or missing If-Match should have been. */
	for (size_t i = 0; i < e->n_details && (x->status == 412 || x->status == 428); i++)
		if (!strcmp(e->details[i].field, "If-Match") && e->details[i].value[0])
			snprintf(x->etag, sizeof x->etag, "\"%s\"", e->details[i].value);
	if (x->status >= 500 && x->status != 505) /* a client's version is no fault of ours */
		log_err(x->status == 503 ? LVL_WARNING : LVL_ERROR, "request failed", e);
	reply_begin(x);
	error_body(&x->w->out, e, x->status, x->request_id, problem);
}

/* ---- the head ---- */

struct head {
	char text[GW_HEAD_ROOM];
	size_t n;
};

static void add(struct head *h, const char *s, size_t n)
{
	if (h->n + n > sizeof h->text)
		return;
	memcpy(h->text + h->n, s, n);
	h->n += n;
}

static void add_str(struct head *h, const char *s)
{
	add(h, s, strlen(s));
}

/* All or nothing: a value that could end the line or does not fit is left out with its name. */
static void field(struct head *h, const char *name, const char *value)
{
	size_t n = strlen(value), k = strlen(name);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] < 0x20 || (unsigned char)value[i] >= 0x7f)
			return;
	if (h->n + n + k + 4 > sizeof h->text - 64)
		return;
	add(h, name, k);
	add(h, ": ", 2);
	add(h, value, n);
	add(h, "\r\n", 2);
}

static void number(struct head *h, const char *name, int64_t v)
{
	char t[24];

	snprintf(t, sizeof t, "%lld", (long long)v);
	field(h, name, t);
}

static const char *date(struct gw_worker *w)
{
	int64_t now = wall_ms() / 1000;
	time_t t = (time_t)now;
	struct tm tm;

	if (w->date_s != now && gmtime_r(&t, &tm)) {
		strftime(w->date, sizeof w->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		w->date_s = now;
	}
	return w->date;
}

static void add_limits(struct head *h, const struct limit_answer *a)
{
	char t[120];

	if (!a->policy)
		return;
	snprintf(t, sizeof t, "\"%s\";q=%lld;w=60", a->policy, (long long)a->quota);
	field(h, "RateLimit-Policy", t);
	snprintf(t, sizeof t, "\"%s\";r=%lld;t=%lld", a->policy, (long long)a->remaining, (long long)a->reset_s);
	field(h, "RateLimit", t);
}

static void add_cors(struct head *h, const struct exchange *x)
{
	if (!x->origin_ok)
		return;
	field(h, "Access-Control-Allow-Origin", x->req->h[H_ORIGIN]);
	field(h, "Access-Control-Allow-Credentials", "true");
	if (x->preflight) {
		field(h, "Access-Control-Allow-Methods", x->allow ? x->allow : "GET, HEAD, OPTIONS");
		field(h, "Access-Control-Allow-Headers",
		      "Accept-Language, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
		      "X-Cart-Token, X-Order-Token, X-Request-Id, X-Requested-With, traceparent");
		field(h, "Access-Control-Max-Age", "600");
	} else {
		field(h, "Access-Control-Expose-Headers",
		      "ETag, Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id");
	}
}

static void add_challenge(struct head *h, const struct exchange *x)
{
	if (x->status != 401)
		return;
	field(h, "WWW-Authenticate", x->req->h[H_AUTHORIZATION] ? "Bearer realm=\"souk\", error=\"invalid_token\""
							     : "Bearer realm=\"souk\"");
}

static void make_head(struct head *h, struct exchange *x, size_t len)
{
	char line[64];

	snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", x->status, status_text(x->status));
	h->n = 0;
	add_str(h, line);
	field(h, "Date", date(x->w));
	add(h, x->gw->head, x->gw->head_len);
	if (x->status != 204 && x->status != 304) {
		field(h, "Content-Type", x->content_type);
		number(h, "Content-Length", (int64_t)len);
	}
	field(h, "Content-Security-Policy", x->csp ? x->csp : "default-src 'none'; frame-ancestors 'none'");
	field(h, "X-Request-Id", x->request_id);
	field(h, "Cache-Control", x->cache_control);
	field(h, "Vary", x->varies_language ? "Origin, Authorization, Accept-Language" : "Origin, Authorization");
	if (x->etag[0])
		field(h, "ETag", x->etag);
	if (x->location)
		field(h, "Location", x->location);
	if (x->cookie)
		field(h, "Set-Cookie", x->cookie);
	if (x->allow)
		field(h, "Allow", x->allow);
	if (x->retry_after_s > 0)
		number(h, "Retry-After", x->retry_after_s);
	if (x->replayed)
		field(h, "Idempotent-Replayed", "true");
	add_limits(h, &x->limit);
	add_challenge(h, x);
	add_cors(h, x);
	add_str(h, x->close ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
}

void reply_send(struct exchange *x)
{
	struct buf *out = &x->w->out;
	bool none_match = x->status == 200 && x->etag[0] && x->req->h[H_IF_NONE_MATCH] &&
			  (!strcmp(x->req->method, "GET") || !strcmp(x->req->method, "HEAD")) &&
			  none_match_hit(x->req->h[H_IF_NONE_MATCH], x->etag);
	struct head h;
	size_t len, send;

	if (buf_over(out) || out->len < GW_HEAD_ROOM) {
		err_set(&x->call.err, E_INTERNAL, "common.internal", "the answer does not fit");
		reply_error(x);
	}
	if (none_match)
		x->status = 304;
	len = send = out->len - GW_HEAD_ROOM;
	if (!x->req->keep_alive || http_crowded(x->conn) || atomic_load(&x->gw->draining))
		x->close = true;
	if (x->close)
		http_close(x->conn);
	make_head(&h, x, len);
	if (x->status == 204 || x->status == 304 || (x->req->method && !strcmp(x->req->method, "HEAD")))
		send = 0;
	memcpy(out->data + GW_HEAD_ROOM - h.n, h.text, h.n);
	http_send(x->conn, out->data + GW_HEAD_ROOM - h.n, h.n + send);
}
