/* What a client sends, into the message of the route's method. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "common/pb_guard.h"
#include "common/timeutil.h"
#include "gateway/gateway.h"
#include "gateway/json_pb.h"

enum { PARAMS_MAX = 64, BODY_DEFAULT = 64 * 1024, HEADER_FIELD_MAX = 512, TOKEN_MAX = 128 };

/* ---- path and query ---- */

static enum err_code set_decoded(struct exchange *x, ProtobufCMessage *m, const char *name, const char *raw, size_t n,
				 bool query)
{
	char *value = arena_alloc(x->call.arena, n + 1);
	size_t len;

	if (!http_percent_decode(raw, n, value, &len, query)) {
		err_detail(&x->call.err, name, NULL, "holds a broken percent escape");
		return err_set(&x->call.err, E_INVALID, "common.invalid_input", "parameter %s", name);
	}
	return jpb_set_text(x->call.arena, m, name, value, len, &x->call.err);
}

static bool chooses_service(const struct exchange *x, size_t i)
{
	return x->match.route->row->service[0] == '*' && x->match.name_len[i] == 7 &&
	       !memcmp(x->match.name[i], "service", 7);
}

static enum err_code fill_path(struct exchange *x, ProtobufCMessage *m)
{
	for (size_t i = 0; i < x->match.n_var; i++) {
		const char *name = arena_strndup(x->call.arena, x->match.name[i], x->match.name_len[i]);

		if (chooses_service(x, i))
			continue;
		if (set_decoded(x, m, name, x->match.var[i].s, x->match.var[i].n, false)) {
			/* A path that cannot name anything names nothing. */
			err_clear(&x->call.err);
			return err_set(&x->call.err, E_NOT_FOUND, "common.not_found", "path variable %s", name);
		}
	}
	return OK;
}

static enum err_code fill_query(struct exchange *x, ProtobufCMessage *m)
{
	const char *q = x->req->query;
	size_t params = 0;
	bool failed = false;

	while (q && *q) {
		size_t n = strcspn(q, "&"), k = strcspn(q, "=&"), len;
		char name[64];

		if (++params > PARAMS_MAX || k >= sizeof name) {
			err_detail(&x->call.err, "query", NULL, "holds too many or too long parameters");
			return err_set(&x->call.err, E_INVALID, "common.invalid_input", "query");
		}
		if (n) {
			if (!http_percent_decode(q, k, name, &len, true) || strlen(name) != len)
				snprintf(name, sizeof name, "?");
			failed |= set_decoded(x, m, name, q + k + (k < n), n - k - (k < n), true) != OK;
		}
		q += n + (q[n] == '&');
	}
	return failed ? x->call.err.code : OK;
}

enum err_code gw_fill_target(struct exchange *x, ProtobufCMessage **m_r)
{
	ProtobufCMessage *m = jpb_new(x->call.arena, x->match.route->row->in);
	enum err_code rc = fill_path(x, m);

	if (!rc)
		rc = fill_query(x, m);
	*m_r = m;
	return rc;
}

/* ---- headers ---- */

static void header_field(struct exchange *x, ProtobufCMessage *m, const char *name, const char *value)
{
	if (value && *value && jpb_field(m, name) && strlen(value) <= HEADER_FIELD_MAX &&
	    utf8_valid(value, strlen(value)))
		jpb_put_str(m, name, arena_strdup(x->call.arena, value));
}

void gw_fill_headers(struct exchange *x, ProtobufCMessage *m, bool public_only)
{
	char text[HEADER_FIELD_MAX];

	if (jpb_field(m, "hdr_accept_language")) {
		best_language(x->req->h[H_ACCEPT_LANGUAGE], text);
		header_field(x, m, "hdr_accept_language", text);
		x->varies_language = true;
	}
	if (public_only)
		return;
	header_field(x, m, "hdr_cart_token", x->req->h[H_X_CART_TOKEN]);
	header_field(x, m, "hdr_order_token", x->req->h[H_X_ORDER_TOKEN]);
	header_field(x, m, "hdr_client_ip", x->addr);
	header_field(x, m, "hdr_user_agent", x->req->h[H_USER_AGENT]);
	if (jpb_field(m, "hdr_refresh_token") &&
	    cookie_get(x->req->h[H_COOKIE], x->gw->cookie.name, text, sizeof text))
		header_field(x, m, "hdr_refresh_token", text);
}

/* A token that cannot be one is said to be wrong; left out, it would make a stranger of the caller. */
static enum err_code check_token(struct exchange *x, ProtobufCMessage *m, const char *field, const char *header,
				 const char *value)
{
	size_t n = value && jpb_field(m, field) ? strlen(value) : 0;
	bool bad = n > TOKEN_MAX;

	for (size_t i = 0; i < n && !bad; i++)
		bad = value[i] <= 0x20 || value[i] >= 0x7f;
	if (!bad)
		return OK;
	err_detail(&x->call.err, header, NULL, "is no token");
	return err_set(&x->call.err, E_INVALID, "common.invalid_input", "%s of %zu bytes", header, n);
}

static enum err_code fill_if_match(struct exchange *x, ProtobufCMessage *m)
{
	const char *value = x->req->h[H_IF_MATCH];
	char etag[ETAG_MAX];

	if (!value) {
		if (!(x->match.route->row->flags & ROUTE_IF_MATCH))
			return OK;
		err_detail(&x->call.err, "If-Match", NULL, "is required: send the ETag you read");
		return err_set(&x->call.err, E_PRECOND_REQ, "common.precondition_required", "no If-Match");
	}
	if (!jpb_field(m, "hdr_if_match"))
		return OK;
	if (if_match_parse(value, etag, &x->call.err))
		return x->call.err.code;
	jpb_put_str(m, "hdr_if_match", arena_strdup(x->call.arena, etag));
	return OK;
}

/* A browser sends the cookie by itself, so the page that makes it do so must prove where it comes from. */
static enum err_code check_cookie_origin(struct exchange *x)
{
	const char *origin = x->req->h[H_ORIGIN];
	char text[HEADER_FIELD_MAX];

	if (!(x->match.route->row->flags & ROUTE_COOKIE) ||
	    !cookie_get(x->req->h[H_COOKIE], x->gw->cookie.name, text, sizeof text))
		return OK;
	if (origin ? x->origin_ok || origin_is_own(origin, x->req->h[H_HOST]) : x->req->h[H_X_REQUESTED_WITH] != NULL)
		return OK;
	return err_set(&x->call.err, E_DENIED, "gateway.origin", "refresh cookie from origin %s",
		       origin ? "not allowed" : "unknown");
}

/* ---- body ---- */

static enum err_code too_large(struct exchange *x, size_t max)
{
	x->close = true;
	err_detail(&x->call.err, "body", NULL, "must not be longer than %zu bytes", max);
	return err_set(&x->call.err, E_TOO_LARGE, "http.body_too_large", "body over %zu", max);
}

static enum err_code expectation(struct exchange *x)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = x->req->h[H_EXPECT];

	if (!expect)
		return OK;
	if (strcasecmp(expect, "100-continue"))
		return err_set(&x->call.err, E_INVALID, "http.expectation", "another expectation");
	http_send(x->conn, go_on, sizeof go_on - 1);
	return OK;
}

enum err_code gw_read_body(struct exchange *x, size_t max, struct pg_bytes *body_r)
{
	size_t cap = x->req->chunked ? max : (size_t)x->req->length;
	int64_t end = mono_ms() + x->gw->conf.body_ms;
	char *text;
	int n;

	*body_r = (struct pg_bytes){ "", 0 };
	if (!x->req->chunked && (!x->req->has_length || !x->req->length)) {
		x->body_read = true;
		return OK;
	}
	if (!x->req->chunked && (uint64_t)x->req->length > max)
		return too_large(x, max);
	if (expectation(x))
		return x->call.err.code;
	text = arena_alloc(x->call.arena, cap + 2);
	http_deadline(x->conn, end);
	n = http_body(x->conn, text, x->req->chunked ? cap + 1 : cap);
	http_deadline(x->conn, 0);
	if (n >= 0 && (size_t)n > max)
		return too_large(x, max);
	if (n < 0 || (!x->req->chunked && n != x->req->length)) {
		x->close = true;
		return err_set(&x->call.err, E_INVALID, mono_ms() >= end ? "http.timeout" : "http.bad_request",
			       "body broke off after %d bytes", n);
	}
	x->body_read = true;
	*body_r = (struct pg_bytes){ text, (size_t)n };
	return OK;
}

static bool takes_body(const struct route *r)
{
	return r->method[0] == 'P'; /* POST, PUT, PATCH */
}

static bool is_json(const char *type)
{
	size_t n = type ? strcspn(type, "; ") : 0;

	return n == 16 && !strncasecmp(type, "application/json", 16);
}

static enum err_code fill_body(struct exchange *x, ProtobufCMessage *m, struct pg_bytes *raw_r)
{
	const struct route *r = x->match.route->row;
	size_t max = r->max_body ? r->max_body : BODY_DEFAULT;
	const char *sign = r->raw_header ? http_header_get(x->req, r->raw_header) : NULL;

	if (!(r->flags & ROUTE_RAW) && (x->req->chunked || x->req->length > 0) &&
	    (x->req->h[H_CONTENT_ENCODING] || !is_json(x->req->h[H_CONTENT_TYPE])))
		return err_set(&x->call.err, E_INVALID, "http.media_type", "body that is no JSON");
	if (gw_read_body(x, max, raw_r))
		return x->call.err.code;
	if (r->flags & ROUTE_RAW) {
		jpb_put_bytes(m, "raw_body", raw_r->data, raw_r->len);
		header_field(x, m, "hdr_signature", sign);
		return OK;
	}
	return jpb_read(x->call.arena, raw_r->data, raw_r->len, m, &x->call.err);
}

/* ---- the key ---- */

static enum err_code fill_key(struct exchange *x, struct pg_bytes canonical, struct rpc_opts *opts)
{
	const struct route *r = x->match.route->row;
	const char *value = x->req->h[H_IDEMPOTENCY_KEY];
	char *key = arena_alloc(x->call.arena, IDEM_KEY_MAX + 1);
	uint8_t *print = arena_alloc(x->call.arena, 32);

	if (!strcmp(r->method, "GET") || (r->flags & ROUTE_NO_IDEM) || !strncmp(r->path, "/api/auth/", 10))
		return OK;
	if (!value) {
		if (!(r->flags & ROUTE_IDEM_REQUIRED))
			return OK;
		err_detail(&x->call.err, "Idempotency-Key", NULL, "is required: any new random text, the same on a retry");
		return err_set(&x->call.err, E_INVALID, "idem.key_required", "no Idempotency-Key");
	}
	if (idem_key_parse(value, key, &x->call.err))
		return x->call.err.code;
	if (!x->token && !x->req->h[H_X_CART_TOKEN] && !(r->flags & ROUTE_IDEM_ANON))
		return err_set(&x->call.err, E_INVALID, "idem.key_needs_scope", "anonymous key");
	idem_fingerprint(r->method, x->req->path, canonical.data, canonical.len, print);
	opts->idem_key = key;
	opts->fingerprint = print;
	return OK;
}

enum err_code gw_pack(struct exchange *x, const ProtobufCMessage *m, struct pg_bytes *out_r)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes;

	if (n > (1u << 20) - 4096 || arena_over(x->call.arena))
		return err_set(&x->call.err, E_TOO_LARGE, "common.too_large", "request of %zu bytes", n);
	bytes = arena_alloc(x->call.arena, n + 1);
	*out_r = (struct pg_bytes){ bytes, protobuf_c_message_pack(m, bytes) };
	return OK;
}

enum err_code gw_fill(struct exchange *x, ProtobufCMessage *m, struct rpc_opts *opts)
{
	const struct route *r = x->match.route->row;
	struct pg_bytes canonical = { "", 0 };

	if (check_cookie_origin(x))
		return x->call.err.code;
	if (takes_body(r) && fill_body(x, m, &canonical))
		return x->call.err.code;
	if (jpb_required(m, r->required, &x->call.err))
		return x->call.err.code;
	/* Same meaning, same bytes: key order and white space do not make another request. */
	if (!(r->flags & ROUTE_RAW) && x->req->h[H_IDEMPOTENCY_KEY] && gw_pack(x, m, &canonical))
		return x->call.err.code;
	if (check_token(x, m, "hdr_cart_token", "X-Cart-Token", x->req->h[H_X_CART_TOKEN]) ||
	    check_token(x, m, "hdr_order_token", "X-Order-Token", x->req->h[H_X_ORDER_TOKEN]) ||
	    fill_key(x, canonical, opts) || fill_if_match(x, m))
		return x->call.err.code;
	gw_fill_headers(x, m, false);
	return OK;
}
