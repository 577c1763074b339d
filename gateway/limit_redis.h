/*
 * Takes from GCRA buckets in Redis. Requests that come at the same time share a round trip: whoever finds nobody under
 * way carries the others' questions too, so that a limit per request does not cost a round trip per request.
 */
#ifndef SOUK_GATEWAY_LIMIT_REDIS_H
#define SOUK_GATEWAY_LIMIT_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cache.h"

struct bucket_take {
	uint64_t key;
	int64_t interval, window; /* microseconds; see limit.h */
	uint32_t n;
	bool force; /* take even past the limit (it happened already) */
	/* the answer */
	bool allowed;
	int64_t ahead, retry; /* of the theoretical arrival time; until one would be allowed */
};

struct bucket_store;
struct bucket_store *bucket_store_new(struct cache *redis); /* ends the process without memory */
void bucket_store_free(struct bucket_store *);

#define BUCKET_BATCH 64
/* Several at once, at most BUCKET_BATCH; false when Redis did not answer. */
bool bucket_take_all(struct bucket_store *, struct bucket_take *list, size_t n);
/* One, together with those of other threads. */
bool bucket_take_one(struct bucket_store *, struct bucket_take *t);

#endif
