/* The inside of a token key table, for jws.c and jws_keys.c alone. */
#ifndef SOUK_JWS_KEYS_H
#define SOUK_JWS_KEYS_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "common/jws.h"

#define ED25519_LEN 32

struct jws_key {
	char kid[JWS_KID_MAX];
	EVP_PKEY *pkey;
	uint8_t x[ED25519_LEN]; /* public part */
	bool secret;		/* pkey can sign */
};

struct jws_keys {
	struct jws_key key[JWS_KEYS_MAX];
	size_t n;
	size_t current; /* signs; only meaningful when that key is secret */
};

const struct jws_key *jws_keys_find(const struct jws_keys *k, const char *kid); /* NULL when unknown */
bool jws_kid_ok(const char *kid);						/* ^[A-Za-z0-9_-]{1,63}$ */
/* No point of order 1, 2, 4 or 8, and y below the field's prime. */
bool jws_point_ok(const uint8_t x[ED25519_LEN]);

/* A JSON object of text with no duplicate keys, nesting at most depth; NULL otherwise. json_decref it. */
json_t *jws_json_object(const char *text, size_t n, int depth);
/* The string member, or NULL when it is missing or of another type. */
const char *jws_json_string(const json_t *object, const char *name);

#endif
