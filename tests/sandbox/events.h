/* Events: what happened, listed for those who missed the webhook and handed to the senders. */
#ifndef SANDBOX_EVENTS_H
#define SANDBOX_EVENTS_H

#include "sandbox.h"

/* Shared between the log and the deliveries that carry it; constant after creation. */
struct event {
	struct row row;
	char id[40], type[64], object[64];
	int64_t created;
	char *body;
	size_t len;
	_Atomic int refs;
};

/* Takes object. Records the event, journals it and queues its webhook. Lock held; q NULL: nobody
 * asked for it. */
void event_emit(struct sandbox *sb, const char *type, json_t *object, const struct request *q);
void event_unref(struct event *e);
void event_free(struct row *r); /* for the table */

void event_list(struct sandbox *sb, const struct request *q, struct reply *r);
void event_retrieve(struct sandbox *sb, const struct request *q, struct reply *r);
/* Control: POST /_sandbox/events {"type","object"} emits any event; …/{id}/deliver {"times"} sends
 * it again, in parallel. */
void event_inject(struct sandbox *sb, const struct request *q, struct reply *r);
void event_deliver(struct sandbox *sb, const struct request *q, struct reply *r);

bool event_load(struct sandbox *sb, const json_t *o, bool delivered);
void event_mark_delivered(struct sandbox *sb, const char *id); /* takes the lock */

#endif
