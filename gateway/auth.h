/*
 * Access tokens at the gateway: verified once with the keys that identity publishes, remembered by the SHA-256 of the
 * token, and checked against the revocations that identity tells every 2 s. No call to identity per request.
 */
#ifndef SOUK_GATEWAY_AUTH_H
#define SOUK_GATEWAY_AUTH_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/call.h"
#include "common/rpc_client.h"
#include "gateway/lru.h"

struct auth_token { /* immutable; held while the request uses its principal */
	struct lru_item item;
	struct principal who;
	int64_t exp_s, ver, iat_s;
	_Atomic int64_t checked; /* the state of the revocations it was last held against */
};

struct auth_conf {
	const char *issuer;
	int poll_ms, stale_ms; /* 2000, 10000 */
	size_t cache_bytes;
};

struct auth;
/* Starts the thread that fetches keys and revocations from identity. identity may be NULL (tests: auth_set_keys). */
MUST_CHECK enum err_code auth_new(const struct auth_conf *, struct rpc_client *identity, struct auth **a_r,
				  struct err *e);
void auth_free(struct auth *);

/* "Bearer <token>" -> a held token. Any fault of it is E_UNAUTH. */
MUST_CHECK enum err_code auth_check(struct auth *, const char *header, struct auth_token **t_r, struct err *e);
void auth_release(struct auth *, struct auth_token *);

bool auth_ready(const struct auth *);	/* keys have been fetched */
bool auth_stale(const struct auth *);	/* revocations are older than stale_ms: vendor and admin routes are closed */
void auth_hurry(struct auth *);		/* the doorbell rang: ask for revocations now */
/* The JWK Set text for /.well-known/jwks.json; false before the first fetch. */
bool auth_jwks(struct auth *, struct buf *out);

/* By hand, for tests. */
MUST_CHECK enum err_code auth_set_keys(struct auth *, const char *jwks, size_t n, struct err *e);
void auth_revoke(struct auth *, const char *session_id, const char *user_id, int64_t min_version, int64_t at_ms);
void auth_mark_fresh(struct auth *);

#endif
