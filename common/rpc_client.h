/*
 * Calls to another daemon: one REQ socket per resolved address, the less loaded of two random peers, ejection
 * after repeated time-outs, retries only where they are safe.
 */
#ifndef SOUK_RPC_CLIENT_H
#define SOUK_RPC_CLIENT_H

#include "common/rpc.h"
#include "common/rpc_resolve.h"

struct rpc_client;
/* url: "tcp://host:port", a name with several A records, or a comma list; callee: "inventory". Starts its resolver. */
MUST_CHECK enum err_code rpc_client_open(const char *self, const char *callee, const char *url, int resolve_ms,
					 const struct rpc_keys *keys, struct rpc_client **c_r, struct err *);
void rpc_client_close(struct rpc_client *);

/*
 * As rpc_client_open with another way to look names up (common/rpc_resolve.h), for tests and other discoveries.
 */
MUST_CHECK enum err_code rpc_client_open_with(const char *self, const char *callee, const char *url, int resolve_ms,
					      const struct rpc_keys *keys, rpc_lookup_fn *lookup, void *lookup_arg,
					      struct rpc_client **c_r, struct err *);

struct rpc_opts {
	const char *idem_key;	  /* NULL: none */
	const void *fingerprint;  /* 32 bytes with a key */
	int64_t timeout_ms;	  /* 0: what the call's deadline leaves, at most 10 s */
	bool as_service;	  /* act as service:<self> instead of forwarding the principal */
	bool retry_read;	  /* a read: once more on another peer */
};

/*
 * method is "Reserve" of the callee's own service (callee "inventory": "inventory.v1.Inventory/Reserve"), or a full
 * name: "common.v1.Node/FetchEvents".
 * out_r is the address of a message pointer (`Inventory__V1__ReserveReply *out; … &out`), unpacked into c->arena by
 * out_desc. The peer's error (code, slug, message, details) becomes c->err.
 * A lost reply of a write is E_UNAVAILABLE with slug "rpc.outcome_unknown": it may have happened. "rpc.unreachable",
 * "common.draining" and "common.busy" are sure not to have happened. E_PENDING fills *out_r as well.
 * Refuses (E_INTERNAL) while this thread has a transaction open.
 */
MUST_CHECK enum err_code rpc_call(struct rpc_client *, struct call *c, const char *method, const ProtobufCMessage *in,
				  const ProtobufCMessageDescriptor *out_desc, void *out_r, const struct rpc_opts *);

/* For threads without a request (timers, pullers): a call acting as service:<self> with a fresh request id. */
void call_init_service(struct call *c, const char *self, struct arena *, int64_t timeout_ms);

/* RAW variant for the gateway: packed request in, packed reply payload out; sets *replayed_r. */
MUST_CHECK enum err_code rpc_call_raw(struct rpc_client *, struct call *c, const char *method, struct pg_bytes in,
				      struct pg_bytes *out_r, bool *replayed_r, const struct rpc_opts *);
bool rpc_client_up(struct rpc_client *); /* at least one peer answered lately or is untried */

#endif
