/* What is refused before routing. docs/gateway.md lists what only a strict proxy in front can see. */
#include <string.h>
#include <strings.h>

#include "gateway/http_req.h"

static const struct {
	const char *name;
	enum http_known id;
} known[] = {
	{ "Host", H_HOST },
	{ "Content-Length", H_CONTENT_LENGTH },
	{ "Transfer-Encoding", H_TRANSFER_ENCODING },
	{ "Content-Type", H_CONTENT_TYPE },
	{ "Content-Encoding", H_CONTENT_ENCODING },
	{ "Expect", H_EXPECT },
	{ "Connection", H_CONNECTION },
	{ "Authorization", H_AUTHORIZATION },
	{ "Cookie", H_COOKIE },
	{ "Origin", H_ORIGIN },
	{ "Accept", H_ACCEPT },
	{ "Accept-Language", H_ACCEPT_LANGUAGE },
	{ "User-Agent", H_USER_AGENT },
	{ "If-Match", H_IF_MATCH },
	{ "If-None-Match", H_IF_NONE_MATCH },
	{ "Idempotency-Key", H_IDEMPOTENCY_KEY },
	{ "X-Request-Id", H_X_REQUEST_ID },
	{ "traceparent", H_TRACEPARENT },
	{ "X-Forwarded-For", H_X_FORWARDED_FOR },
	{ "X-Requested-With", H_X_REQUESTED_WITH },
	{ "X-Cart-Token", H_X_CART_TOKEN },
	{ "X-Order-Token", H_X_ORDER_TOKEN },
	{ "Access-Control-Request-Method", H_ACR_METHOD },
	{ "Sec-Fetch-Site", H_SEC_FETCH_SITE },
};

void http_req_clear(struct http_req *r)
{
	r->n_all = 0;
	memset(r->h, 0, sizeof r->h);
	memset(r->count, 0, sizeof r->count);
	r->method = r->path = r->query = r->version = NULL;
	r->has_length = r->chunked = r->keep_alive = false;
	r->length = 0;
}

bool http_req_add(struct http_req *r, const char *name, const char *value)
{
	size_t n = strlen(name);

	if (r->n_all >= sizeof r->all / sizeof r->all[0])
		return false;
	r->all[r->n_all++] = (struct http_header){ name, value };
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if ((known[i].name[0] ^ name[0]) & ~0x20 || strncasecmp(known[i].name, name, n + 1))
			continue;
		if (!r->count[known[i].id]++)
			r->h[known[i].id] = value;
		break;
	}
	return true;
}

const char *http_header_get(const struct http_req *r, const char *name)
{
	for (size_t i = 0; i < r->n_all; i++)
		if (!strcasecmp(r->all[i].name, name))
			return r->all[i].value;
	return NULL;
}

static enum err_code refuse(struct err *e, const char *what)
{
	return err_set(e, E_INVALID, "http.bad_request", "framing: %s", what);
}

static bool is_token_char(unsigned char c)
{
	return c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_percent_decode(const char *s, size_t n, char *out, size_t *len_r, bool plus_is_space)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%') {
			if (n - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
				return false;
			c = (char)(hex(s[i + 1]) << 4 | hex(s[i + 2]));
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		out[k++] = c;
	}
	out[k] = '\0';
	*len_r = k;
	return true;
}

/* Escapes must be whole and must not hide what changes the meaning of a path or ends a string. */
static const char *escapes(const char *s, bool in_path)
{
	for (; *s; s++) {
		int hi, lo, c;

		if (*s != '%')
			continue;
		hi = hex(s[1]);
		lo = hi < 0 ? -1 : hex(s[2]);
		if (lo < 0)
			return "broken percent escape";
		c = hi << 4 | lo;
		if (c < 0x20 || c == 0x7f)
			return "escaped control character";
		if (in_path && (c == '/' || c == '\\' || c == '.' || c == '%'))
			return "escaped separator";
	}
	return NULL;
}

static const char *path_shape(const char *p)
{
	if (*p != '/')
		return "target is not a path";
	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>')
			return "character that a target cannot hold";
		if (c != '/')
			continue;
		if (p[1] == '/')
			return "empty segment";
		if (p[1] == '.' && (!p[2] || p[2] == '/' || (p[2] == '.' && (!p[3] || p[3] == '/'))))
			return "dot segment";
	}
	return NULL;
}

static const char *query_shape(const char *q)
{
	for (; *q; q++)
		if ((unsigned char)*q <= 0x20 || (unsigned char)*q >= 0x7f || *q == '#')
			return "character that a target cannot hold";
	return NULL;
}

static const char *guard_target(const struct http_req *r)
{
	const char *why = path_shape(r->path);

	if (!why)
		why = escapes(r->path, true);
	if (!why && r->query)
		why = query_shape(r->query);
	if (!why && r->query)
		why = escapes(r->query, false);
	return why;
}

static const char *guard_host(const struct http_req *r)
{
	const char *host = r->h[H_HOST];
	bool v11 = !strcmp(r->version, "1.1");

	if (r->count[H_HOST] > 1 || (v11 && !host))
		return "not exactly one Host";
	if (!host)
		return NULL;
	if (!*host || strlen(host) > 255)
		return "empty or overlong Host";
	for (; *host; host++)
		if (!is_token_char((unsigned char)*host) && !strchr(":[]", *host))
			return "character that a Host cannot hold";
	return NULL;
}

static const char *guard_length(struct http_req *r)
{
	const char *cl = r->h[H_CONTENT_LENGTH], *te = r->h[H_TRANSFER_ENCODING];
	size_t n;

	if (cl && te)
		return "Content-Length and Transfer-Encoding";
	if (r->count[H_CONTENT_LENGTH] > 1 || r->count[H_TRANSFER_ENCODING] > 1)
		return "repeated length header";
	if (te && (strcasecmp(te, "chunked") || strcmp(r->version, "1.1")))
		return "Transfer-Encoding other than chunked";
	r->chunked = te != NULL;
	if (!cl)
		return NULL;
	n = strspn(cl, "0123456789");
	if (!n || n > 10 || cl[n])
		return "malformed Content-Length";
	r->has_length = true;
	r->length = 0;
	for (size_t i = 0; i < n; i++)
		r->length = r->length * 10 + (cl[i] - '0');
	return NULL;
}

static const char *guard_names(const struct http_req *r)
{
	static const enum http_known once[] = { H_AUTHORIZATION, H_CONTENT_TYPE, H_CONTENT_ENCODING, H_EXPECT,
						H_IDEMPOTENCY_KEY, H_IF_MATCH, H_ORIGIN, H_X_CART_TOKEN,
						H_X_ORDER_TOKEN };

	for (size_t i = 0; i < r->n_all; i++)
		for (const char *p = r->all[i].name; *p; p++)
			if (!is_token_char((unsigned char)*p))
				return "character that a header name cannot hold";
	for (size_t i = 0; i < ARRAY_LEN(once); i++)
		if (r->count[once[i]] > 1)
			return "repeated header";
	return NULL;
}

static bool asks_keep_alive(const struct http_req *r)
{
	const char *c = r->h[H_CONNECTION];

	return c ? strcasestr(c, "keep-alive") != NULL : !strcmp(r->version, "1.1");
}

enum err_code http_guard(struct http_req *r, struct err *e)
{
	const char *why;

	if (r->n_all > HTTP_HEADERS_MAX)
		return err_set(e, E_INVALID, "http.headers_too_large", "%zu headers", r->n_all);
	if (!r->method || !r->path || !r->version)
		return refuse(e, "no request line");
	why = guard_length(r);
	if (!why)
		why = guard_host(r);
	if (!why)
		why = guard_names(r);
	if (!why)
		why = guard_target(r);
	if (why)
		return refuse(e, why);
	r->keep_alive = asks_keep_alive(r);
	return OK;
}

enum err_code http_guard_raw(const struct http_req *r, size_t cap, struct err *e)
{
	const char *end = r->version + strlen(r->version);
	const char *last = r->method + cap - 8; /* four bytes behind any text are read below */

	if (end > last)
		return err_set(e, E_INVALID, "http.headers_too_large", "request line fills the buffer");
	if (r->path != r->method + strlen(r->method) + 1)
		return refuse(e, "blanks in the request line");
	for (size_t i = 0; i < r->n_all; i++) {
		const char *name = r->all[i].name, *value = r->all[i].value;
		const char *colon = name + strlen(name);

		/* The line before ended in CR LF, which the parser overwrote with two NULs. */
		if (name != end + 2 || end[0] || end[1])
			return refuse(e, "line not ended by CR LF, or folded");
		if (value > colon + 1 && colon[1] == '\0')
			return refuse(e, "blank before the colon");
		end = value + strlen(value);
		if (end > last)
			return err_set(e, E_INVALID, "http.headers_too_large", "headers fill the buffer");
	}
	/* Then the empty line must follow: CR, and the final LF, which became NUL. */
	if (r->n_all && (end[0] || end[1] || end[2] != '\r' || end[3]))
		return refuse(e, "header lines behind a malformed one");
	return OK;
}
