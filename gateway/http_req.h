/* One HTTP request as the gateway sees it: no civetweb here. Texts belong to the connection's buffer. */
#ifndef SOUK_GATEWAY_HTTP_REQ_H
#define SOUK_GATEWAY_HTTP_REQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define HTTP_HEADERS_MAX 62 /* civetweb drops the 65th and later without a word, so we stop well before */
#define HTTP_TARGET_MAX 8192

/* The headers that somebody asks for, found while they are copied. */
enum http_known {
	H_HOST, H_CONTENT_LENGTH, H_TRANSFER_ENCODING, H_CONTENT_TYPE, H_CONTENT_ENCODING, H_EXPECT, H_CONNECTION,
	H_AUTHORIZATION, H_COOKIE, H_ORIGIN, H_ACCEPT, H_ACCEPT_LANGUAGE, H_USER_AGENT, H_IF_MATCH, H_IF_NONE_MATCH,
	H_IDEMPOTENCY_KEY, H_X_REQUEST_ID, H_TRACEPARENT, H_X_FORWARDED_FOR, H_X_REQUESTED_WITH, H_X_CART_TOKEN,
	H_X_ORDER_TOKEN, H_ACR_METHOD, H_SEC_FETCH_SITE, H_KNOWN_MAX_
};

struct http_header {
	const char *name, *value;
};

struct http_req {
	const char *method;
	const char *path;  /* raw, as sent, without the query */
	const char *query; /* raw, without '?'; NULL when there is none */
	const char *version; /* "1.1" */
	const char *remote_addr;
	struct http_header all[HTTP_HEADERS_MAX + 2];
	size_t n_all;
	const char *h[H_KNOWN_MAX_]; /* the first of its name; NULL when absent */
	uint8_t count[H_KNOWN_MAX_];
	bool has_length, chunked;
	int64_t length; /* of the body, when has_length */
	bool keep_alive; /* what the client asked for */
};

void http_req_clear(struct http_req *r);
/* Remembers a header; false when there are too many. */
bool http_req_add(struct http_req *r, const char *name, const char *value);
const char *http_header_get(const struct http_req *r, const char *name); /* any header, case-insensitive; NULL */

/*
 * The framing guard: everything about the message's shape that two readers could read differently. Fills length,
 * chunked, keep_alive. Any error means: answer and close the connection, nothing behind it can be trusted.
 * Slugs http.bad_request, http.headers_too_large.
 */
MUST_CHECK enum err_code http_guard(struct http_req *r, struct err *e);

/*
 * civetweb parses in place, so the bytes between its strings still tell how the lines ended: a bare LF, a blank before
 * the colon, a folded line, or headers behind a line it stopped at. head is the request's first byte, cap the
 * size of the buffer from there.
 */
MUST_CHECK enum err_code http_guard_raw(const struct http_req *r, size_t cap, struct err *e);

/* Percent-decodes into out (cap > n). False for a broken escape. */
bool http_percent_decode(const char *s, size_t n, char *out, size_t *len_r, bool plus_is_space);

#endif
