/* Signed deliveries of events, by a pool of senders that keep their connections. */
#ifndef SANDBOX_WEBHOOKS_H
#define SANDBOX_WEBHOOKS_H

#include "events.h"

struct webhook_stats {
	int64_t queued, sent, ok, failed, retried, given_up, dropped, duplicated, reordered,
		overflowed;
};

bool webhooks_start(struct sandbox *sb); /* nothing to start without SANDBOX_WEBHOOK_URL */
void webhooks_begin_stop(struct sandbox *sb);
void webhooks_release(struct sandbox *sb);

/* One or more deliveries of e as the plan says; keeps references of its own. Sandbox lock held. */
void webhooks_queue(struct sandbox *sb, struct event *e, const struct hook_plan *plan);
void webhooks_clear(struct sandbox *sb); /* forgets what waits, not what is being sent */
void webhooks_stats(struct sandbox *sb, struct webhook_stats *s);

/* "t=…,v1=…" over t.body; out holds at least 512 bytes. */
void webhook_sign(const char *scheme, const char *secret, int64_t t, const char *body, size_t len,
	char out[80]);

#endif
