/*
 * Generations of cached answers: a number in Redis per word ("product:prd_…", "products"). Whoever fills a cache reads the
 * numbers first and stores only if they are the same afterwards; counting one up drops every answer made with it.
 */
#ifndef SOUK_CATALOG_GENERATION_H
#define SOUK_CATALOG_GENERATION_H

#include "services/catalog/catalog.h"

/* Counts "gen:<kind>:<key>" up (key NULL: "gen:<kind>") and rings for in-process caches. Without Redis: OK. */
MUST_CHECK enum err_code generation_up(struct catalog_svc *, struct arena *, const char *kind, const char *key,
				       struct err *);

#endif
