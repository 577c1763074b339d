/*
 * The candidates asked for most, in the process itself for a few seconds, in front of Redis: what is on everybody's page is
 * asked for again at once, and then costs neither a round trip nor reading a text.
 */
#ifndef SOUK_RECO_HOT_H
#define SOUK_RECO_HOT_H

#include "services/reco/kept.h"

enum { HOT_MS = 10000, HOT_SLOTS = 512, HOT_ITEMS = 150, HOT_BYTES = 20000 /* of one list; longer ones are left to Redis */ };

struct hot;
struct hot *hot_new(void);
void hot_free(struct hot *); /* NULL is fine */

/* False: it is not there, or no more. Texts live in the arena. hot NULL: nothing is ever there. */
bool hot_get(struct hot *, struct arena *, const char *key, struct candidates *);
/* For life_ms, at most HOT_MS. Of the few that share its places the one that ends first gives way. */
void hot_put(struct hot *, const char *key, const struct candidates *, int64_t life_ms);

#endif
