/* Making the index of suggestions from the tables; page by page, so that no table is held in memory. */
#ifndef SOUK_SEARCH_SUGGEST_LOAD_H
#define SOUK_SEARCH_SUGGEST_LOAD_H

#include "services/search/search.h"
#include "services/search/suggest_index.h"

/* *x_r stays NULL when the searched slot changed meanwhile: what was read may be half of something. */
MUST_CHECK enum err_code suggest_load_index(struct search_svc *svc, struct suggest_index **x_r, struct err *);

#endif
