/*
 * What a daemon serves: tables of methods, checked against the service block of its proto, and the dispatch of one
 * request. No transport here: tests call rpc_dispatch with packed bytes.
 */
#ifndef SOUK_RPC_H
#define SOUK_RPC_H

#include <protobuf-c/protobuf-c.h>

#include "common/call.h"
#include "common.pb-c.h"

/* fn gets a reply initialised and allocated in the arena. */
typedef enum err_code rpc_fn(struct call *, const ProtobufCMessage *in, ProtobufCMessage *out);

enum rpc_flags {
	RPC_READ = 1,	  /* may be retried on another peer within the deadline */
	RPC_WRITE = 2,
	RPC_KEYED = 4,	  /* honours idempotency keys */
	RPC_KEY_NEEDED = 8, /* refuses a call without one (idem.key_required) */
	RPC_INTERNAL = 16, /* no gateway route: only daemons call it */
};
struct rpc_method {
	const char *name;
	rpc_fn *fn;
	unsigned flags;
	size_t max_request; /* 0 = 256 KiB; at most 1 MiB - 4 KiB */
};

/*
 * Declares the typed handler `static enum err_code name(struct call *, const In *, Out *)` and the shim name##_ for
 * the table, without function pointer casts.
 */
#define RPC_HANDLER(name, In, Out)                                                                 \
	static enum err_code name(struct call *c, const In *in, Out *out);                         \
	static enum err_code name##_(struct call *c, const ProtobufCMessage *in,                   \
				     ProtobufCMessage *out)                                        \
	{                                                                                          \
		return name(c, (const In *)(const void *)in, (Out *)(void *)out);                  \
	}

struct rpc_service { /* one proto service and who serves it */
	const ProtobufCServiceDescriptor *desc;
	const struct rpc_method *const *tables; /* NULL-ended */
};

struct rpc_bound; /* the checked slots of a list of services */

/* Every rpc of every service is served exactly once; missing, duplicate or unknown names are errors. */
MUST_CHECK enum err_code rpc_bind(const struct rpc_service *services /* ends with {0} */, struct rpc_bound **b_r,
				  struct err *);
void rpc_bound_free(struct rpc_bound *);

/* Settings of one process's trust and identity, shared by server and client. */
struct rpc_keys; /* pair keys read from SOUK_KEYS_DIR: pair-<caller>-<callee>.key */
MUST_CHECK enum err_code rpc_keys_load(const char *dir, const char *self, struct rpc_keys **k_r, struct err *);
void rpc_keys_free(struct rpc_keys *);
/* By hand, for tests and tools: an empty ring, and a key added to it. Names are lower case letters, digits and _. */
struct rpc_keys *rpc_keys_new(const char *self) RETURNS_NONNULL;
void rpc_keys_add(struct rpc_keys *, const char *caller, const char *callee, const uint8_t key[32]);

/*
 * Decodes one packed common.v1.Request, checks MAC, age, size and shape, unpacks the payload into the arena, runs the
 * method with its idempotency key, and packs a common.v1.Reply into the arena. Never fails: what is wrong becomes
 * an error reply. One line per request is logged here, and its time and code measured. A handler that returns
 * E_PENDING has its reply carried along (202 with what is known so far).
 */
struct rpc_env {
	const char *self;
	const struct rpc_bound *bound;
	const struct rpc_keys *keys;
	struct pg_pool *pool; /* may be NULL in tests without keys */
	void *svc;
	bool draining;
};
struct pg_bytes rpc_dispatch(const struct rpc_env *, struct arena *, const void *bytes, size_t len);

/* The answer to a request that is not even looked at: common.draining, common.busy. Nothing was executed. */
struct pg_bytes rpc_refuse(struct arena *, bool draining, const char *slug, int retry_after_ms);

/* Methods of the Node service, served by every daemon (common/rpc_node.c); their c->svc is the struct rpc_env. */
extern const struct rpc_method rpc_node_methods[];

#endif
