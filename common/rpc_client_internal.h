/* Shared by rpc_client.c (peers, names, life) and rpc_client_call.c (one call). Nobody else includes it, but a test. */
#ifndef SOUK_RPC_CLIENT_INTERNAL_H
#define SOUK_RPC_CLIENT_INTERNAL_H

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/metrics.h"
#include "common/rpc_client.h"
#include "common/rpc_codec.h"
#include "common/rpc_peer.h"

enum { RPC_CLIENT_METHODS_MAX = 64 };

struct ctx { /* an nng context with its aio; belongs to one call at a time */
	struct ctx *next;
	nng_ctx ctx;
	nng_aio *aio;
};

struct peer {
	struct rpc_peer_state state;
	struct rpc_client *client;
	char url[RPC_URL_MAX];
	int64_t last_seen; /* by the resolver thread only, as is fixed */
	int64_t alone_since; /* likewise: without a connection; 0 = has one */
	bool dialling;	   /* likewise: its dialler is open */
	bool fixed;	   /* a literal address of the configuration never ages out */
	nng_socket sock;
	nng_dialer dialer;
	pthread_mutex_t lock;
	struct ctx *free;
};

struct method_metrics {
	char name[96];
	struct metric *seconds;
	struct metric *codes[E_CODE_MAX_];
};

struct rpc_client {
	char self[32], callee[32];
	char prefix[80]; /* "inventory.v1.Inventory/" */
	const struct rpc_keys *keys;
	int resolve_ms;
	rpc_lookup_fn *lookup;
	void *lookup_arg;
	struct rpc_target targets[RPC_URLS_MAX];
	size_t n_targets;

	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards changed, stop, down_since, methods */
	pthread_cond_t changed;
	bool stop;
	int64_t down_since; /* monotonic ms when the last connection was lost; 0 while there is one */

	/* Only grows, only by the resolver thread; a peer is published by n_peers. */
	struct peer *peers[RPC_PEERS_MAX];
	struct rpc_peer_state *states[RPC_PEERS_MAX];
	atomic_size_t n_peers;

	struct method_metrics methods[RPC_CLIENT_METHODS_MAX];
	size_t n_methods;
	struct metric *ejections;
};

void rpc_client_ctx_free(struct ctx *x);

/* Asks an ejected peer for its health, so that no buyer's request has to try it out. */
void rpc_client_probe(struct rpc_client *cl, struct peer *p, struct arena *a);

#endif
