/* Refunds (never more than was captured) and disputes. */
#ifndef SANDBOX_REFUNDS_H
#define SANDBOX_REFUNDS_H

#include "intents.h"

enum refund_status { REFUND_SUCCEEDED, REFUND_PENDING_, REFUND_FAILED };

struct refund {
	struct row row;
	char id[40], charge[40], intent[40], currency[4], reason[32];
	enum refund_status status;
	int64_t amount, created;
	json_t *metadata;
};
struct dispute {
	struct row row;
	char id[40], charge[40], intent[40], currency[4];
	int64_t amount, created;
};

json_t *refund_json(const struct refund *x);
void refund_create(struct sandbox *sb, const struct request *q, struct reply *r);
void refund_retrieve(struct sandbox *sb, const struct request *q, struct reply *r);
void refund_list(struct sandbox *sb, const struct request *q, struct reply *r);
void refund_fail(struct sandbox *sb, const struct request *q, struct reply *r);	   /* control */
void dispute_create(struct sandbox *sb, const struct request *q, struct reply *r); /* control */
void dispute_open(struct sandbox *sb, struct charge *c);
schedule_fn dispute_later; /* id of the charge */

bool refund_load(struct sandbox *sb, const json_t *o);
bool dispute_load(struct sandbox *sb, const json_t *o);
json_t *dispute_json(const struct dispute *d);
void refund_resume(struct sandbox *sb); /* starts again the timers of pending refunds */
void refund_free(struct row *r);
void dispute_free(struct row *r);

#endif
