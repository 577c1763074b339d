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
 */
MUST_CHECK enum err_code outbox_put(struct pg *, const char *agg_type, const char *agg_id, int64_t agg_version,
				    const char *type, const ProtobufCMessage *payload, struct err *);

/* The traceparent written to outbox rows comes from the thread's log context (log_ctx_set). */

struct outbox_event {
	const char *epoch_xid_pos; /* opaque cursor text "epoch/xid/pos" */
	int64_t epoch, xid, pos;
	const char *event_id, *agg_type, *agg_id, *type, *traceparent;
	int64_t agg_version, occurred_at; /* ms */
	struct pg_bytes payload;
};

/* Rows after the cursor that no running transaction can still precede, oldest first. topics NULL = all types. */
MUST_CHECK enum err_code outbox_fetch(struct pg *, int64_t epoch, int64_t xid, int64_t pos, const char *const *topics,
				      size_t n_topics, int32_t limit, struct arena *, struct outbox_event **rows_r,
				      size_t *n_r, struct err *);

/* Raises the epoch when the cluster is another one than recorded (restore); run at start. */
MUST_CHECK enum err_code outbox_check_epoch(struct pg *, struct err *);

#endif
