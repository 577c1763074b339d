/*
 * Which of several peers gets the next call: the less loaded of two random ones among the best class. Plain state and
 * arithmetic, no sockets. All members may be used from any thread.
 */
#ifndef SOUK_RPC_PEER_H
#define SOUK_RPC_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RPC_PEERS_MAX = 64,
	RPC_EJECT_AFTER = 3,	     /* consecutive time-outs */
	RPC_EJECT_MS = 1000,	     /* the first pause, doubled each time */
	RPC_EJECT_MAX_MS = 30000,
	RPC_EJECTED_TRIALS = 4,	     /* calls at once to an ejected peer when there is no better one */
	RPC_DRAINING_MS = 10000,     /* how long a peer that said `draining` is avoided */
	RPC_REFUSING_MS = 1500,	     /* … and how long one that refuses new work is left alone: it is about to close */
	RPC_TIMEOUT_COUNTS_MS = 100, /* shorter waits say nothing about the peer */
};

struct rpc_peer_state {
	atomic_int outstanding;
	atomic_int pipes;	     /* connections that are up */
	atomic_int timeouts;	     /* consecutive */
	atomic_int pause_ms;
	atomic_llong ejected_until;  /* monotonic ms when a probe is due; 0: not ejected */
	atomic_llong draining_until;
	atomic_llong refusing_until;
	atomic_bool gone;	     /* its address has aged out */
};

/* The index to call now, or -1. avoid: an index tried before, or -1; taken only when there is no other. */
int rpc_peer_pick(struct rpc_peer_state *const *peers, size_t n, int avoid, int64_t now);

void rpc_peer_ok(struct rpc_peer_state *, bool draining, int64_t now);
void rpc_peer_refused(struct rpc_peer_state *, int64_t now); /* it said common.draining */
bool rpc_peer_refusing(const struct rpc_peer_state *, int64_t now);
void rpc_peer_new(struct rpc_peer_state *); /* another process, or another address: nothing is known of it */
/* True when this time-out ejected it. waited_ms: how long the answer was waited for. */
bool rpc_peer_timeout(struct rpc_peer_state *, int64_t waited_ms, int64_t now);
bool rpc_peer_probe_due(const struct rpc_peer_state *, int64_t now);

uint32_t rpc_random(void); /* fast, per thread, for choices and jitter only */

#endif
