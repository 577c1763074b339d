#include "services/catalog/generation.h"

#define GENERATION_LIFE_MS (24LL * 3600 * 1000) /* longer than any cached answer */

enum err_code generation_up(struct catalog_svc *svc, struct arena *a, const char *kind, const char *key, struct err *e)
{
	const char *word = key ? arena_printf(a, "%s:%s", kind, key) : kind;
	int64_t n = 0;

	if (svc->conf->d.redis_url[0] &&
	    cache_incr(svc->cache, arena_printf(a, "gen:%s", word), GENERATION_LIFE_MS, &n, e))
		return e->code;
	if (svc->bell)
		doorbell_ring(svc->bell, "cache", word);
	return OK;
}
