/* BM25F over the words of a candidate; then what the product is worth besides. */
#ifndef SOUK_SEARCH_RANK_H
#define SOUK_SEARCH_RANK_H

#include "services/search/query.h"

struct candidate {
	const char *product_id, *availability;
	const char *card; /* its words (card.h); NULL or empty: tsv has them, a tsvector's text */
	const char *tsv;
	int32_t len_a, len_b, len_c, len_d;
	int64_t price; /* in the currency asked for; -1: none */
	int32_t rating_x100, rating_count, sold_30d;
	/* For facets, where the engine counts none itself and they were asked for; lists divided by U+001F. */
	const char *brand, *vendor_id, *categories, *attrs;
	int32_t missed; /* enum miss; 0: it passes all filters */
	bool has_all;	/* words; only told of those that miss a filter */
};

/* A query made ready to score many candidates; totals and the query must outlive it. */
struct ranker;
struct ranker *rank_start(struct arena *a, const struct query *q, const struct dict_totals *t) RETURNS_NONNULL;
/* Does it have every unit of the query? */
bool rank_has_all(const struct ranker *r, const struct candidate *c);
/* A score above 0 for a candidate that has a unit; 0 for one that has none. */
double rank_score(const struct ranker *r, const struct candidate *c);

#endif
