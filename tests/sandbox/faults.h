/*
 * Scripted faults. A fault names an operation (or "webhook"), may be narrowed to one object or
 * event type, and fires from its nth match on, count times, with a probability drawn from its own
 * seed, so that a script replays exactly.
 */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include "reply.h"
#include "text.h"

enum fault_kind {
	FAULT_DELAY, /* delay_ms: wait, before the effect or (after: true) between effect and answer
		      */
	FAULT_CLOSE_BEFORE, /* connection closed, nothing done */
	FAULT_CLOSE_AFTER,  /* done, connection closed without an answer */
	FAULT_STATUS_429,
	FAULT_500_STORED,   /* 500, kept for the key; not done unless processed: true */
	FAULT_500_UNSTORED, /* 500; nothing kept for the key; processed: true does it and keeps the
			       true answer */
	FAULT_CONFLICT_409,
	FAULT_TRUNCATE_BODY, /* done; Content-Length is true, the body is cut after `bytes` (default
				half) */
	FAULT_INVALID_JSON,  /* done; the body does not parse */
	FAULT_WRONG_AMOUNT,  /* done; the answer's amount is off by amount_delta */
	FAULT_SLOW_DRIP,     /* done; the answer trickles, one byte per delay_ms */
	FAULT_HUGE_BODY,     /* done; the answer is padded to `bytes` */
	FAULT_HOOK_FIRST_,
	FAULT_DROP = FAULT_HOOK_FIRST_, /* never sent; with retry_ms: first attempt lost, sent again
					   after that */
	FAULT_DUPLICATE,		/* n copies in all, in parallel */
	FAULT_REORDER, /* held until the next event of the same object was sent, at most hold_ms */
	FAULT_HOOK_DELAY, /* delay_ms */
	FAULT_BAD_SIGNATURE,
	FAULT_OLD_TIMESTAMP, /* by `seconds` */
	FAULT_FUTURE_TIMESTAMP,
	FAULT_TWO_SECRETS, /* signed with the old and the current secret, both v1 */
	FAULT_WRONG_LIVEMODE,
	FAULT_NO_SIGNATURE,
	FAULT_V0_ONLY,	/* only a scheme that must be ignored */
	FAULT_BIT_FLIP, /* one bit of the body changed after signing */
	FAULT_KIND_COUNT_,
};

#define FAULTS_MAX 256

struct fault {
	int id;
	enum fault_kind kind;
	bool webhook, any_op;
	enum op op;
	char object[64];    /* "" any: id of the intent (or whatever the path names; for webhooks of
			       the object) */
	char type[64];	    /* webhooks: event type, a trailing * allowed; "" any */
	int64_t nth, count; /* count 0: for ever */
	double probability;
	struct rng rng;
	int64_t seen, fired;
	int64_t delay_ms, retry_after, amount_delta, bytes, copies, hold_ms, seconds, attempts,
		retry_ms;
	int should_retry;
	bool after, processed, reset;
};

struct faults {
	struct fault item[FAULTS_MAX];
	size_t n;
	int next_id;
};

/* What was drawn for one API call: delays add up, of the other kinds the first one decides. */
struct api_plan {
	int64_t before_ms, after_ms;
	struct fault what; /* valid when hit */
	bool hit;
};
/* What was drawn for one event: webhook faults combine. */
struct hook_plan {
	bool drop, reorder;
	int copies;
	int64_t delay_ms, hold_ms, retry_ms;
	bool bad_signature, no_signature, v0_only, bit_flip, two_secrets, wrong_livemode;
	int64_t skew_s;	  /* added to the timestamp */
	int64_t attempts; /* the first so many attempts are spoilt; -1: all */
};

/* All need the sandbox's lock. */
struct api_plan faults_api(struct faults *f, enum op op, const char *object, int64_t *fired);
struct hook_plan faults_hook(
	struct faults *f, const char *type, const char *object, int64_t *fired);

/* POST, GET and DELETE of /_sandbox/faults. POST takes one fault or {"faults":[…]}, all or none. */
void faults_post(struct faults *f, const struct request *q, struct reply *r);
void faults_get(const struct faults *f, struct reply *r);
void faults_delete(struct faults *f, const struct request *q, struct reply *r);

#endif
