/* From an authenticated request to its answer: route, faults, idempotency, handler, in the
 * provider's order. */
#ifndef SANDBOX_API_H
#define SANDBOX_API_H

#include "sandbox.h"

typedef void api_fn(struct sandbox *sb, const struct request *q, struct reply *r);

struct route {
	const char *method, *path; /* ":id" stands for one segment */
	enum op op;
	api_fn *fn;
	bool browser; /* publishable key or a client secret is enough */
};
/* NULL: none; *other says whether the path exists with another method. Fills q->id. */
const struct route *api_route(const char *method, const char *path, struct request *q, bool *other);
/* Runs the route. Without the lock; may wait as faults demand. */
void api_run(
	struct sandbox *sb, const struct route *route, const struct request *q, struct reply *r);

#endif
