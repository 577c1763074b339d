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
	bool facets, attr_facets; /* candidates carry what is counted beside them; the attributes too */
	bool near; /* for facets: those that miss one filter are wanted, too; SORT_RELEVANCE only */
};
/* A filter that a candidate misses. */
enum miss {
	MISS_CATEGORY = 1,
	MISS_VENDOR = 2,
	MISS_BRAND = 4,
	MISS_PRICE = 8,
	MISS_STOCK = 16,
	MISS_RATING = 32,
};
struct found {
	struct candidate *v;
	size_t n;
	size_t n_strict; /* the first of v: have all words */
	bool capped;  /* there are more than these */
	bool relaxed; /* nothing has all words */
	struct candidate *near; /* what misses one filter and no more, where the filters asked for it */
	size_t n_near;
};

/* What an engine finds at a stage; at most CANDIDATES_MAX. */
typedef enum err_code engine_stage_fn(void *arg, int stage, struct candidate **rows_r, size_t *n_r, struct err *);
/* Puts rows to v and n of found, each once: stages overlap, and slices of an index that changes meanwhile. */
void engine_add(struct arena *, struct found *, const struct candidate *rows, size_t n);
/* Candidates of all stages that were needed, each once. wanted: enough results to go no further. */
MUST_CHECK enum err_code engine_stages(struct arena *, const struct query *, const struct filters *, size_t wanted,
				       engine_stage_fn *, void *arg, struct found *found_r, struct err *);
/* docs: products of the index. */
MUST_CHECK enum err_code engine_pg_find(struct pg *, struct arena *, const struct query *, const struct filters *,
					int64_t docs, size_t wanted, struct found *found_r, struct err *);
/* How many products a stage finds when words stand together by chance. */
double engine_pg_expected(const struct query *, int stage, int64_t docs);

struct facet_row {
	const char *facet, *value, *label;
	int64_t n;
};
#endif
