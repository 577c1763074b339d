/* Single header fields: what they say, and whether we believe it. Pure functions. */
#ifndef SOUK_GATEWAY_HTTP_FIELDS_H
#define SOUK_GATEWAY_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* ---- Idempotency-Key: a quoted string (RFC 8941) or a bare word; 1 to 255 printable ASCII characters ---- */
#define IDEM_KEY_MAX 255
MUST_CHECK enum err_code idem_key_parse(const char *value, char out[IDEM_KEY_MAX + 1], struct err *e);
/* SHA-256 of method, path and canonical body: what the same key must come with again. */
void idem_fingerprint(const char *method, const char *path, const void *body, size_t n, uint8_t out[32]);

/* ---- entity tags ---- */
#define ETAG_MAX 96
/* The opaque part of an If-Match of one tag ("…" or bare). "*" stays; a weak tag cannot match: out is "W/". */
MUST_CHECK enum err_code if_match_parse(const char *value, char out[ETAG_MAX], struct err *e);
/* If-None-Match of the tag (as sent, with quotes, perhaps W/), by weak comparison. */
bool none_match_hit(const char *value, const char *etag);

/* ---- the refresh cookie ---- */
struct cookie_conf {
	const char *name; /* "__Host-souk_rt" */
	bool secure;
	int max_age_s;
};
/* The cookie's value out of a Cookie header; false when absent, repeated or not base64url-like. */
bool cookie_get(const char *header, const char *name, char *out, size_t cap);
/* The value of a Set-Cookie header; value "" clears. */
void cookie_set(const struct cookie_conf *c, const char *value, char *out, size_t cap);

/* ---- origins ---- */
struct origins; /* allow-list: exact, comma separated, "https://shop.example" */
MUST_CHECK enum err_code origins_parse(const char *list, struct origins **o_r, struct err *e);
void origins_free(struct origins *);
bool origin_allowed(const struct origins *, const char *origin); /* NULL and "null" are not */
bool origin_is_own(const char *origin, const char *host);	  /* http(s)://<host> */

/* ---- networks of our proxies ---- */
struct networks;
MUST_CHECK enum err_code networks_parse(const char *list, struct networks **n_r, struct err *e); /* "10.0.0.0/8, ::1" */
void networks_free(struct networks *);
bool networks_has(const struct networks *, const char *addr);
/* The first untrusted address from the right of X-Forwarded-For, if the peer is trusted; else the peer. */
#define ADDR_MAX 48
void client_address(const struct networks *, const char *peer, const char *forwarded, char out[ADDR_MAX]);
/* What counts as one client: an IPv4 address, or the /64 of an IPv6 one. */
void client_bucket(const char *addr, char out[ADDR_MAX]);

/* ---- Accept, Accept-Language ---- */
bool wants_problem(const char *accept); /* application/problem+json is named */
/* The best language range, lower case ("de-at"), "" for none or "*". */
void best_language(const char *header, char out[16]);

#endif
