/*
 * Recommendations beside the matches: like the first match, or what sells where nothing matches; of no person, so that the
 * answer may be kept for everybody. Reco gets SEARCH_RECO_MS; when it is late or away the answer goes without, and for
 * two seconds nobody waits for it again.
 */
#ifndef SOUK_SEARCH_BESIDE_H
#define SOUK_SEARCH_BESIDE_H

#include "services/search/find.h"

struct beside;
struct beside *beside_new(void) RETURNS_NONNULL;
void beside_free(struct beside *b); /* NULL is fine */

/* Fills out->recommendations of a first page. False: they are missing, for the moment. No connection may be held. */
bool beside_fill(struct search *s, Search__V1__SearchReply *out);

#endif
