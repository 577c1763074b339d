/*
 * Form bodies and query strings (application/x-www-form-urlencoded) with nested names such as
 * metadata[checkout_id]. Names are kept flat, as written after percent-decoding: the provider's
 * nesting is at most two deep and a flat list keeps the idempotency fingerprint simple. Bounded:
 * pairs, bytes, nesting; control bytes and broken escapes are refused.
 */
#ifndef SANDBOX_FORM_H
#define SANDBOX_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORM_PAIRS_MAX 256
#define FORM_BODY_MAX  65536

struct form_pair {
	const char *name, *value;
};
struct form {
	struct form_pair pair[FORM_PAIRS_MAX];
	size_t n;
	char *store; /* decoded text that the pairs point into */
	size_t used, cap;
};

/* Adds the pairs of s[len]. False with a sentence in *why (static text) when it is not a
 * well-formed form. */
bool form_add(struct form *f, const char *s, size_t len, const char **why);
void form_free(struct form *f);

const char *form_get(const struct form *f, const char *name); /* last one wins; NULL: absent */
/* The text between [ and ] when name is base[key]; NULL otherwise. Writes at most len bytes to key.
 */
bool form_sub(const char *name, const char *base, char *key, size_t len);
/* Whole number from min to max. -1: absent, 0: not such a number, 1: *out is set. */
int form_int(const struct form *f, const char *name, int64_t min, int64_t max, int64_t *out);
/* Hex SHA-256 over label and the pairs sorted by name and value: two forms are the same request
 * when these are. */
void form_fingerprint(const struct form *f, const char *label, char out[65]);
void form_hex(const unsigned char *p, size_t n, char *out); /* out: 2 n + 1 bytes */

#endif
