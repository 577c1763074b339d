/* Between the two files of the response cache. */
#ifndef SOUK_GATEWAY_RESPCACHE_INTERNAL_H
#define SOUK_GATEWAY_RESPCACHE_INTERNAL_H

struct respcache;
struct cache *respcache_cache(const struct respcache *); /* Redis; NULL without */

#endif
