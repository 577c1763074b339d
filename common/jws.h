/* Access tokens: compact JWS, EdDSA (RFC 8037) only, algorithm pinned by key id. Sources: RFC 7515, 8037, 8725, 9068. */
#ifndef SOUK_JWS_H
#define SOUK_JWS_H

#include "common/arena.h"
#include "common/err.h"

#define JWS_MAX 8192
#define JWS_PERMS_MAX 64

struct jws_claims {
	const char *iss, *sub, *sid, *aud, *vendor_id, *jti; /* vendor_id "" when none */
	int64_t iat, exp; /* seconds */
	int64_t ver;	  /* the user's token version */
	const char *roles[JWS_PERMS_MAX], *perms[JWS_PERMS_MAX];
	size_t n_roles, n_perms;
};

struct jws_keys; /* public (and for identity private) keys by kid */
/* signing-*.pem of the folder; the one with the largest number signs. kid = base64url(SHA-256(public key))[0..15]. */
MUST_CHECK enum err_code jws_keys_load(const char *dir, struct jws_keys **k_r, struct err *e);
MUST_CHECK enum err_code jws_keys_parse_jwks(const char *json, struct jws_keys **k_r, struct err *e);
void jws_keys_free(struct jws_keys *k);
char *jws_keys_jwks(const struct jws_keys *k, struct arena *a); /* public keys as a JWK Set */

MUST_CHECK enum err_code jws_sign(const struct jws_keys *k, const struct jws_claims *c, struct arena *a, char **token_r,
				  struct err *e);
/*
 * Signature first, then typ at+jwt, iss, one of auds (comma list), exp, nbf, iat with at most 60 s of skew. Anything wrong:
 * E_UNAUTH "auth.token_invalid" (or "auth.token_expired"); an unknown kid: "auth.token_key_unknown". Texts in the arena.
 */
MUST_CHECK enum err_code jws_verify(const struct jws_keys *k, const char *token, size_t len, const char *iss,
				    const char *auds, int64_t now_s, struct arena *a, struct jws_claims *c_r,
				    struct err *e);

#endif
