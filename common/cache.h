/* Redis, for what can be rebuilt. A dead Redis answers E_UNAVAILABLE at once (circuit), never blocks past timeout_ms. */
#ifndef SOUK_CACHE_H
#define SOUK_CACHE_H

#include "common/arena.h"
#include "common/pg.h"

struct cache;
/* url "redis://[:password@]host:port[/db]" or "unix:///path"; "" = a cache that is always down. */
MUST_CHECK enum err_code cache_open(const char *url, int connections, int timeout_ms, struct cache **c_r, struct err *);
void cache_close(struct cache *);
bool cache_up(struct cache *);

/* *found_r false when absent. */
MUST_CHECK enum err_code cache_get(struct cache *, const char *key, struct arena *, struct pg_bytes *val_r, bool *found_r,
				   struct err *);
MUST_CHECK enum err_code cache_set(struct cache *, const char *key, struct pg_bytes val, int64_t ttl_ms, struct err *);
MUST_CHECK enum err_code cache_del(struct cache *, const char *const *keys, size_t n, struct err *);
MUST_CHECK enum err_code cache_incr(struct cache *, const char *key, int64_t ttl_ms, int64_t *val_r, struct err *);
/* Several keys at once; vals_r[i].data NULL when absent. */
MUST_CHECK enum err_code cache_mget(struct cache *, const char *const *keys, size_t n, struct arena *,
				    struct pg_bytes *vals_r, struct err *);
/* A Lua script by EVALSHA with fall-back to EVAL; integer results into ints_r (at most n_ints). */
struct cache_script { const char *lua; char sha[41]; };
MUST_CHECK enum err_code cache_eval(struct cache *, struct cache_script *, const char *const *keys, size_t n_keys,
				    const struct pg_bytes *args, size_t n_args, int64_t *ints_r, size_t n_ints, struct err *);

#endif
