/*
 * Consuming other daemons' events: fetch with no transaction open, then effect + inbox row + cursor in one
 * transaction. One active puller per (consumer, source) by lease; a poison event is retried with back-off, then moved
 * to dead_letter and only its aggregate is parked.
 */
#ifndef SOUK_INBOX_H
#define SOUK_INBOX_H

#include "common/outbox.h"
#include "common/rpc_client.h"

struct inbox_event {
	const char *source, *event_id, *agg_type, *agg_id, *type, *traceparent;
	int64_t agg_version, occurred_at;
	const ProtobufCMessage *msg; /* unpacked by the handler's descriptor */
};

/* Runs inside the consumer's transaction; svc is the daemon's state. Must not call other daemons (decisions 10). */
typedef enum err_code inbox_fn(struct pg *, struct arena *, const struct inbox_event *, void *svc, struct err *);

struct inbox_handler {
	const char *source; /* daemon that owns the event: "checkout"; may be the daemon itself */
	const char *type;   /* "order.placed" */
	const ProtobufCMessageDescriptor *desc;
	inbox_fn *fn;
	const char *(*shard)(const ProtobufCMessage *); /* reserved, NULL */
};

struct inbox;
struct inbox_conf {
	const char *consumer;	/* this daemon's name */
	struct pg_pool *pool;
	const struct inbox_handler *handlers; /* ends with {0} */
	void *svc;
	/* one per source, same order as first appearance in handlers; NULL-ended */
	struct inbox_source {
		const char *name;
		struct rpc_client *rpc;
		const char *bell_url; /* doorbell to listen to, may be a comma list */
	} *sources;
	int poll_ms; /* 1000; the heartbeat bound */
	int lease_s; /* 10 */
};
MUST_CHECK enum err_code inbox_start(const struct inbox_conf *, struct inbox **in_r, struct err *);
void inbox_stop(struct inbox *); /* finishes the batch under way, releases leases */

#endif
