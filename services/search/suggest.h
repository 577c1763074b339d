/*
 * GET /api/search/suggest: answered from memory. A thread makes the index anew when the catalogue's copy or the query
 * log changed, two seconds after the last time, and later where making it takes long (a twentieth of the time at most).
 */
#ifndef SOUK_SEARCH_SUGGEST_H
#define SOUK_SEARCH_SUGGEST_H

#include "services/search/search.h"

struct suggest;
struct suggest *suggest_new(void) RETURNS_NONNULL;
void suggest_free(struct suggest *s); /* after suggest_stop; NULL is fine */

MUST_CHECK enum err_code suggest_start(struct search_svc *svc, struct err *);
void suggest_stop(struct search_svc *svc);

/* Makes the index of svc->suggest now. */
MUST_CHECK enum err_code suggest_load(struct search_svc *svc, struct err *);

#endif
