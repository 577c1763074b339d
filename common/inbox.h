/*
 * Consuming other daemons' events: fetch with no transaction open, then effect + inbox row + cursor in one
 * transaction. One active puller per (consumer, source) by lease; what the lease cannot guarantee the compare-and-set of
 * the cursor does.
 *
 * Up to 200 events are one transaction. When one of them fails, the batch is undone and its events are applied one by
 * one: the failing one moves to dead_letter as "retrying" and is tried again with growing pauses; later events of its
 * aggregate wait behind it ("parked"), all others go on. After max_attempts it is "dead" until node_db_replay.
 * E_UNAVAILABLE and E_RETRY are nobody's fault: the batch is tried again, and only an event that meets them five times
 * in a row is treated as failing.
 */
#ifndef SOUK_INBOX_H
#define SOUK_INBOX_H

#include "common/outbox.h"
#include "common.pb-c.h"
#include "common/rpc_client.h"

struct inbox_event {
	const char *source, *event_id, *agg_type, *agg_id, *type, *traceparent;
	int64_t agg_version, occurred_at;
	const ProtobufCMessage *msg; /* unpacked by the handler's descriptor */
};

/*
 * Runs inside the consumer's transaction, perhaps again after a rollback, but its effect happens once per event_id.
 * The arena is reset after the event. Audit rows name "service:<source>" and the event's id as request id. svc is the
 * daemon's state. Must not call other daemons: a transaction is open.
 */
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
		struct rpc_client *rpc; /* unused when name is the consumer: its own outbox is read through its pool */
		const char *bell_url; /* doorbell to listen to, may be a comma list; NULL or "": polling only */
	} *sources;
	int poll_ms; /* 1000; the heartbeat bound */
	int lease_s; /* 10 */
	int resolve_ms;	  /* of the doorbell; 0: 5000 */
	int retry_ms;	  /* first back-off of a failed event, doubled each time up to 5 min; 0: 1000 */
	int max_attempts; /* of an event before it is dead; 0: 8 */
	/* Tests: called instead of rpc for every source. */
	enum err_code (*fetch)(void *arg, const char *source, struct call *, const Common__V1__FetchEventsRequest *,
			       Common__V1__FetchEventsReply **out_r);
	void *fetch_arg;
};
MUST_CHECK enum err_code inbox_start(const struct inbox_conf *, struct inbox **in_r, struct err *);
void inbox_stop(struct inbox *); /* finishes the batch under way, releases leases */

#endif
