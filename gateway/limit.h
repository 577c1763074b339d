/*
 * Rate limits by GCRA: q requests a minute, all at once or spread. Exact across gateways (one Lua script in Redis) for
 * users and for every unsafe method: no more is given out than the quota, though a reader far from it takes a few at a
 * time, and what a gateway does not use of them within a second is lost. Reads of anonymous addresses are counted here and
 * reconciled every 100 ms.
 * Without Redis each gateway counts for itself, but signing in is closed.
 */
#ifndef SOUK_GATEWAY_LIMIT_H
#define SOUK_GATEWAY_LIMIT_H

#include "common/cache.h"
#include "common/err.h"
#include "gateway/route.h"

struct limit_conf { /* requests a minute; 0: no limit */
	int64_t user, anonymous, auth, suggest, events;
	int64_t guard; /* per address before anything else is looked at */
};

struct limit_answer {
	const char *policy; /* NULL: not limited, no headers */
	int64_t quota, remaining;
	int64_t reset_s, retry_s;
};

struct limiter;
struct limiter *limiter_new(const struct limit_conf *, struct cache *redis); /* starts the reconciling thread */
void limiter_free(struct limiter *);

/* bucket: the client's address (client_bucket). The answer to a refusal has retry_s. */
bool limiter_guard(struct limiter *, const char *bucket, struct limit_answer *a_r);
/*
 * user_id NULL: anonymous. unsafe: the method changes something. E_EXHAUSTED common.rate_limited, or E_UNAVAILABLE
 * gateway.limiter_away for RATE_AUTH without Redis.
 */
MUST_CHECK enum err_code limiter_check(struct limiter *, enum rate_class, const char *user_id, const char *bucket,
				       bool unsafe, struct limit_answer *a_r, struct err *e);

/* The pure rule, for tests: tat is the theoretical arrival time of the next request (all in microseconds). */
struct gcra {
	int64_t interval, window; /* per request; q * interval */
};
struct gcra gcra_of(int64_t per_minute);
bool gcra_take(const struct gcra *g, int64_t now, int64_t *tat); /* advances tat only when there is room */

#endif
