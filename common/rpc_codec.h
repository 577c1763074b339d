/*
 * The envelope on the wire: packing, unpacking, and the MAC that proves who sent it. Used by rpc.c and rpc_client.c;
 * no transport, no sockets.
 */
#ifndef SOUK_RPC_CODEC_H
#define SOUK_RPC_CODEC_H

#include "common/arena.h"
#include "common.pb-c.h"
#include "common/pg.h"
#include "common/rpc.h"

enum {
	RPC_MESSAGE_MAX = 1 << 20,		 /* nng closes the pipe on a larger one, and counts its own header */
	RPC_PAYLOAD_MAX = RPC_MESSAGE_MAX - 4096,
	RPC_REQUEST_DEFAULT = 256 << 10,	 /* max_request of a method that says 0 */
	RPC_MAC_LEN = 32,
	RPC_AGE_MAX_MS = 60000,
	RPC_ENVELOPE_VERSION = 1,
	RPC_REQUEST_ID_MAX = 64,
};

/* A payload either as a message still to be packed or as packed bytes. */
struct rpc_body {
	const ProtobufCMessage *msg;
	struct pg_bytes raw; /* when msg is NULL */
};

/* One more user; each ends with rpc_keys_free. */
const struct rpc_keys *rpc_keys_ref(const struct rpc_keys *);
/* The key of a pair, or NULL. */
const uint8_t *rpc_keys_find(const struct rpc_keys *, const char *caller, const char *callee);

/*
 * Packs env with body as its payload, stamps issued_at and mac. env->caller and env->callee name the pair.
 * E_TOO_LARGE "common.too_large" past RPC_PAYLOAD_MAX, E_INTERNAL "keys.missing" without a key for the pair.
 */
MUST_CHECK enum err_code rpc_request_pack(struct arena *, const struct rpc_keys *, Common__V1__Request *env,
					  struct rpc_body body, struct pg_bytes *bytes_r, struct err *);

/* Unpacks and proves: shape, version, callee is self, MAC, age. Everything in *env_r lives in the arena. */
MUST_CHECK enum err_code rpc_request_unpack(struct arena *, const struct rpc_keys *, const char *self,
					    const void *bytes, size_t len, Common__V1__Request **env_r, struct err *);

/* The bytes a MAC is computed over: every field but the MAC, the payload by its SHA-256. For tests too. */
struct pg_bytes rpc_mac_input(struct arena *, const Common__V1__Request *, const uint8_t payload_sha[32]);

/* A reply with body (msg NULL and raw empty: none). E_TOO_LARGE when it does not fit. */
MUST_CHECK enum err_code rpc_reply_pack(struct arena *, Common__V1__Reply *env, struct rpc_body body,
					struct pg_bytes *bytes_r, struct err *);

/* A reply that carries e. Always fits: overlong messages and details are cut. */
struct pg_bytes rpc_reply_error(struct arena *, const struct err *e, bool draining, bool replayed);

/* The code, slug, message and details of an error reply into e; texts stay in the arena of the reply. */
void rpc_reply_to_err(const Common__V1__Reply *, struct err *e);

#endif
