/*
 * Argon2id (RFC 9106) and its PHC strings "$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>". The parameters travel with the
 * hash, so they may be raised: a login with the right password then stores a new one.
 */
#ifndef SOUK_IDENTITY_PASSWORD_HASH_H
#define SOUK_IDENTITY_PASSWORD_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define PHC_LEN 160

struct argon2_cost {
	uint32_t memory_kib, passes, lanes;
};

/* A fresh salt. E_INTERNAL when memory is not to be had. */
MUST_CHECK enum err_code password_hash(const struct argon2_cost *, const char *password, char phc[PHC_LEN],
				       struct err *);
/* *match_r tells; a string that is no PHC of ours is E_INTERNAL. */
MUST_CHECK enum err_code password_verify(const char *phc, const char *password, bool *match_r, struct err *);
/* The stored hash is cheaper than cost asks for. */
bool password_weaker(const char *phc, const struct argon2_cost *cost);

struct argon2_bytes {
	const void *data;
	size_t len;
};
/* The function itself, for the vectors of the RFC: secret and ad may be empty. out_len bytes into out. */
bool password_argon2id(const struct argon2_cost *, struct argon2_bytes password, struct argon2_bytes salt,
		       struct argon2_bytes secret, struct argon2_bytes ad, uint8_t *out, size_t out_len);

#endif
