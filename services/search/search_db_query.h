/* Reading the index in schema search. */
#ifndef SOUK_SEARCH_DB_QUERY_H
#define SOUK_SEARCH_DB_QUERY_H

#include "services/search/engine.h"

/* The index has three: about a sixty-fourth of the products, about an eighth, all; each is part of the next. */
enum tier { TIER_TOP, TIER_GOOD, TIER_ALL };
#define TIER_TOP_SHARE	64
#define TIER_GOOD_SHARE 8

/*
 * Products that match a tsquery and the filters (with near, or miss one): any of the tier, or for a sort other than relevance
 * the first of all.
 */
MUST_CHECK enum err_code search_db_candidates(struct pg *, struct arena *, const char *lang, const char *tsquery,
					      const struct filters *, enum tier, int32_t limit, struct candidate **rows_r,
					      size_t *n_r, struct err *);

struct hit_row {
	const char *product_id, *slug, *title, *description, *brand, *vendor_id, *vendor_name, *availability, *image_key;
	int64_t price, compare_at; /* -1: none */
	int32_t rating_x100, rating_count;
	int64_t published_at;
};
/* In no order. */
MUST_CHECK enum err_code search_db_hits(struct pg *, struct arena *, const char *lang, const char *currency,
					const char *const *ids, size_t n_ids, struct hit_row **rows_r, size_t *n_r,
					struct err *);
/* Those of the products that are in the index and pass the filters, in no order. */
MUST_CHECK enum err_code search_db_shown(struct pg *, struct arena *, const char *lang, const char *const *ids, size_t n_ids,
					 const struct filters *, const char ***ids_r, size_t *n_r, struct err *);
/* A category's or vendor's id by id or slug; NULL when unknown. */
MUST_CHECK enum err_code search_db_category_id(struct pg *, struct arena *, const char *id_or_slug, const char **id_r,
					       struct err *);
MUST_CHECK enum err_code search_db_vendor_id(struct pg *, struct arena *, const char *id_or_slug, const char **id_r,
					     struct err *);

/* ---- the dictionary ---- */
struct word_row {
	const char *word, *lexeme;
	int64_t df, seq;
};
/* Words counted after seq, in the order of seq and word. */
MUST_CHECK enum err_code search_db_words(struct pg *, struct arena *, int32_t slot, const char *lang, int64_t seq,
					 const char *after, int32_t limit, struct word_row **rows_r, size_t *n_r,
					 struct err *);
struct total_row {
	int64_t docs, len_a, len_b, len_c, len_d;
};
MUST_CHECK enum err_code search_db_totals(struct pg *, struct arena *, int32_t slot, const char *lang,
					  struct total_row **row_r, bool *found_r, struct err *);

extern const struct pg_stmt *const search_db_query_stmts[];

#endif
