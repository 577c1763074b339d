/* BM25F over the words of a candidate, as its tsvector has them; then what the product is worth besides. */
#ifndef SOUK_SEARCH_RANK_H
#define SOUK_SEARCH_RANK_H

#include "services/search/query.h"

struct candidate {
	const char *product_id, *tsv, *availability;
	int32_t len_a, len_b, len_c, len_d;
	int64_t price; /* in the currency asked for; -1: none */
	int32_t rating_x100, rating_count, sold_30d;
	int64_t published_at;
};

/* A score above 0 for a candidate that has a unit; 0 for one that has none. */
double rank_score(const struct query *q, const struct dict_totals *t, const struct candidate *c);

#endif
