/*
 * The durable log of a daemon's events: a row of <schema>.outbox in the transaction of the change it tells of.
 * After the commit the doorbell rings; consumers fetch through the Node service (FetchEvents).
 */
#ifndef SOUK_OUTBOX_H
#define SOUK_OUTBOX_H

#include <protobuf-c/protobuf-c.h>

#include "common/call.h"

/*
 * Appends an event. type is "order.placed"; payload a message of events.proto; agg_version counts up per aggregate.
 * Must run inside pg_tx / call_tx. changed ids reach the doorbell as "<agg_type>:<agg_id>".
 *
 * Two transactions on one aggregate may be delivered in the other order when the later one began to write first, and
 * their rows were fetched apart. Handlers whose effect depends on the order compare agg_version.
 */
MUST_CHECK enum err_code outbox_put(struct pg *, const char *agg_type, const char *agg_id, int64_t agg_version,
				    const char *type, const ProtobufCMessage *payload, struct err *);

/* The traceparent written to outbox rows comes from the thread's log context (log_ctx_set). */

struct outbox_cursor { /* compared in this order; starts at all 0 */
	int64_t epoch, xid, pos;
};
struct outbox_event {
	int64_t epoch, xid, pos;
	const char *event_id, *agg_type, *agg_id, *type, *traceparent;
	int64_t agg_version, occurred_at; /* ms */
	struct pg_bytes payload;
	bool hit;
};

/*
 * Rows after the cursor that no running transaction can still precede, oldest first, at most limit (1 to 200). types
 * NULL = all. *seen_r is how far the log was looked at: at least the last row's cursor, beyond it when rows of other
 * types follow, so that a consumer of rare events does not read the same rows again. more_r: there is more behind it.
 */
MUST_CHECK enum err_code outbox_fetch(struct pg *, struct outbox_cursor after, const char *const *types, size_t n_types,
				      int32_t limit, struct arena *, struct outbox_event **rows_r, size_t *n_r,
				      struct outbox_cursor *seen_r, bool *more_r, struct err *);

/*
 * Remembers that consumer has applied everything up to the cursor, which lets outbox_prune go on. Written at most every
 * 10 s while nothing moves.
 */
MUST_CHECK enum err_code outbox_consumer(struct pg *, const char *consumer, struct outbox_cursor, struct err *);

/*
 * Removes up to 1000 of the oldest rows: older than 7 days and passed by every consumer that was seen within 30 days. A
 * timer's job; a consumer that was away for longer rebuilds from the owner.
 */
MUST_CHECK enum err_code outbox_prune(struct pg *, int64_t *removed_r, struct err *);

/*
 * How far the slowest consumer seen within 30 days is behind: rows after its place (counted up to 10000) and the age of the
 * first of them, ms. 0 and 0 when nobody waits for anything.
 */
struct outbox_behind {
	int64_t rows, oldest_ms;
};
MUST_CHECK enum err_code outbox_behind(struct pg *, struct arena *, struct outbox_behind *behind_r, struct err *);

/* From now on each commit with an event rings: topic = event type, changed id = "<agg_type>:<agg_id>". */
struct doorbell;
void outbox_ring_by(struct pg_pool *, struct doorbell *);

/*
 * Raises the epoch when the cluster is another one than recorded, or its timeline (restore, failover): transaction
 * numbers start anew there. Every new connection of a pool with a schema does this by itself.
 */
MUST_CHECK enum err_code outbox_check_epoch(struct pg *, struct err *);

#endif
