/* Facets counted over candidates, for an engine that counts none itself. */
#ifndef SOUK_SEARCH_FACET_COUNT_H
#define SOUK_SEARCH_FACET_COUNT_H

#include "services/search/engine.h"

struct facet_counts {
	struct facet_row *rows;
	size_t n, cap;
};
/*
 * Adds the counts of a facet over rows: "brand", "category", "vendor", "availability", "rating", "price" or "attr:name";
 * other names give nothing. Vendors and categories have no label. Ordered as a list shows them.
 */
void facet_count(struct arena *a, const char *facet, const struct candidate *rows, size_t n, struct facet_counts *to);

#endif
