/* Telling the engine outside what the index has: changed products in bulk, all of them into a new index that takes over. */
#ifndef SOUK_SEARCH_FEED_H
#define SOUK_SEARCH_FEED_H

#include "services/search/search.h"

/* Timer job, bounded to about half a second; nothing to do with engine `pg`. What the node does not take now waits. */
MUST_CHECK enum err_code feed_run(void *svc, struct arena *, struct err *);

#endif
