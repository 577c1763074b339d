/* A text with the words of a query marked. */
#ifndef SOUK_SEARCH_HIGHLIGHT_H
#define SOUK_SEARCH_HIGHLIGHT_H

#include "services/search/query.h"

/*
 * HTML: everything escaped, matches between <em> and </em>; at most about max bytes of the text, starting near the first
 * match. NULL when nothing matches.
 */
char *highlight(struct arena *a, const struct query *q, const char *text, size_t max);

#endif
