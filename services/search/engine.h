/*
 * What finds candidates. An engine gets the query as understood and the filters, and gives products with what ranking
 * needs; it neither ranks nor pages, so that every engine answers alike.
 */
#ifndef SOUK_SEARCH_ENGINE_H
#define SOUK_SEARCH_ENGINE_H

#include "common/pg.h"
#include "services/search/query.h"
#include "services/search/rank.h"

#define CANDIDATES_MAX 1000

enum sort { SORT_RELEVANCE, SORT_PRICE, SORT_PRICE_DOWN, SORT_NEWEST, SORT_RATING, SORT_BEST };

struct filters {
	const char *currency, *category_id; /* category_id NULL: any */
	const char *const *vendor_ids, *const *brands; /* brands in small letters */
	size_t n_vendors, n_brands;
	bool has_price_min, has_price_max, in_stock;
	int64_t price_min, price_max;
	int32_t rating_min; /* 0: any */
	/* each item: values of one attribute, "name:value" divided by U+001F */
	const char *const *attrs;
	size_t n_attrs;
	enum sort sort;
};
struct found {
	struct candidate *v;
	size_t n;
	bool capped;  /* there are more than these */
	bool relaxed; /* nothing has all words */
};

/* What an engine finds at a stage; at most CANDIDATES_MAX. */
typedef enum err_code engine_stage_fn(void *arg, int stage, struct candidate **rows_r, size_t *n_r, struct err *);
/* Candidates of all stages that were needed, each once. wanted: enough results to go no further. */
MUST_CHECK enum err_code engine_stages(struct arena *, const struct query *, const struct filters *, size_t wanted,
				       engine_stage_fn *, void *arg, struct found *found_r, struct err *);
MUST_CHECK enum err_code engine_pg_find(struct pg *, struct arena *, const struct query *, const struct filters *,
					size_t wanted, struct found *found_r, struct err *);

struct facet_row {
	const char *facet, *value, *label;
	int64_t n;
};
/* Counts over what the stage's words match; each facet as if it had no selection of its own. */
MUST_CHECK enum err_code engine_pg_facets(struct pg *, struct arena *, const char *tsquery, const char *lang,
					  const struct filters *, const char *const *attr_names, size_t n_attr_names,
					  struct facet_row **rows_r, size_t *n_r, struct err *);

#endif
