/*
 * Access tokens: compact JWS, EdDSA (Ed25519, RFC 8037) and nothing else, typ at+jwt (RFC 9068), after RFC 8725.
 *
 * A key table is immutable once made and may be read by many threads; replace it as a whole.
 */
#ifndef SOUK_JWS_H
#define SOUK_JWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/id.h"

#define JWS_TOKEN_MAX 8192
#define JWS_KEYS_MAX  16
#define JWS_KID_MAX   64
#define JWS_SKEW_S    60
#define JWS_ROLES_MAX 8
#define JWS_PERMS_MAX 32

struct jws_claims {
	char iss[64];
	char aud[16];		/* shop, vendor, admin */
	char sub[2 * ID_LEN];	/* user id */
	char sid[2 * ID_LEN];	/* session id */
	char jti[2 * ID_LEN];
	char vendor_id[2 * ID_LEN]; /* "" when none */
	int64_t ver;		/* the user's token version */
	int64_t iat, exp, nbf;	/* seconds; nbf 0: none */
	char roles[JWS_ROLES_MAX][32];
	size_t n_roles;
	char perms[JWS_PERMS_MAX][40];
	size_t n_perms;
};

struct jws_keys;
void jws_keys_free(struct jws_keys *k); /* wipes; NULL is fine */
size_t jws_keys_count(const struct jws_keys *k);

/*
 * All signing-<kid>.pem of the folder, private parts included (identity). The one that signs is the newest by kid
 * (kids begin with their date) that is at least one hour old by its file time, or else the oldest.
 */
MUST_CHECK enum err_code jws_keys_load(const char *dir, struct jws_keys **k_r, struct err *e);
/* A table with one fresh random key, for tests and keys_init. */
MUST_CHECK enum err_code jws_keys_generate(const char *kid, struct jws_keys **k_r, struct err *e);
/* One key from its raw 32-byte seed, for vectors. */
MUST_CHECK enum err_code jws_keys_from_seed(const char *kid, const uint8_t seed[32], struct jws_keys **k_r,
					    struct err *e);
/* Makes a new dir/signing-<kid>.pem with mode 0600. */
MUST_CHECK enum err_code jws_key_create(const char *dir, char kid_r[JWS_KID_MAX], struct err *e);
/* jws_key_create unless the folder has a signing key. */
MUST_CHECK enum err_code jws_key_ensure(const char *dir, struct err *e);

/* {"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":…,"x":…}]}: the public parts. */
void jws_jwks(const struct jws_keys *k, struct buf *out);
/*
 * Public keys from such a document (the gateway asks identity for it). Keys of another type are skipped; a malformed
 * or weak (small-order) Ed25519 key or a repeated kid makes the whole document invalid.
 */
MUST_CHECK enum err_code jws_keys_parse(const char *jwks, size_t n, struct jws_keys **k_r, struct err *e);

/* Signs with the current key. token_r is filled with the compact form. */
MUST_CHECK enum err_code jws_sign(const struct jws_keys *k, const struct jws_claims *claims, struct buf *token_r,
				  struct err *e);

struct jws_expect {
	const char *iss;	  /* must be equal */
	const char *const *auds; /* NULL-ended: aud must be one of them */
	int64_t now_s;		  /* wall clock */
	int64_t skew_s;		  /* 0 to 60 */
};
/*
 * Checks shape and size, header (only alg, kid, typ; alg EdDSA; typ at+jwt; kid of the table), signature, then the
 * payload: iss, aud, exp, nbf, iat, sub. E_UNAUTH common.token_expired when only the time is over, else
 * common.token_invalid. *claims_r is written only on OK. The token is never part of msg.
 */
MUST_CHECK enum err_code jws_verify(const struct jws_keys *k, const char *token, size_t len,
				    const struct jws_expect *expect, struct jws_claims *claims_r, struct err *e);

/* The signature part alone, for vectors: a detached compact JWS of any payload. */
MUST_CHECK enum err_code jws_sign_raw(const struct jws_keys *k, const char *header_json, const void *payload, size_t n,
				      struct buf *token_r, struct err *e);

#endif
