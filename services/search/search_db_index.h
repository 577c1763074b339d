/* The index in schema search: what is to be fetched again, products put and taken out, the rebuild. */
#ifndef SOUK_SEARCH_DB_INDEX_H
#define SOUK_SEARCH_DB_INDEX_H

#include "common/pg.h"
#include "services/search/document.h"

/* ---- products that changed ---- */
/* key: a product's id, or a vendor's for all of its products. */
MUST_CHECK enum err_code search_db_dirty_add(struct pg *, const char *key, struct err *);
/* A product, in some seconds; not later than it would be anyway. */
MUST_CHECK enum err_code search_db_dirty_soon(struct pg *, const char *product_id, int32_t seconds, struct err *);
MUST_CHECK enum err_code search_db_dirty_many(struct pg *, struct arena *, const char *const *keys, size_t n, struct err *);
/* Indexed products of that vendor or category. */
MUST_CHECK enum err_code search_db_dirty_vendor(struct pg *, const char *vendor_id, struct err *);
MUST_CHECK enum err_code search_db_dirty_category(struct pg *, const char *category_id, struct err *);
struct dirty_row {
	const char *product_id;
	int64_t n;
};
MUST_CHECK enum err_code search_db_dirty(struct pg *, struct arena *, int32_t limit, struct dirty_row **rows_r,
					 size_t *n_r, struct err *);
/* Done with them, unless they were said to be dirty again meanwhile. */
MUST_CHECK enum err_code search_db_dirty_done(struct pg *, struct arena *, const struct dirty_row *rows, size_t n,
					      struct err *);
MUST_CHECK enum err_code search_db_dirty_later(struct pg *, struct arena *, const struct dirty_row *rows, size_t n,
					       struct err *);

/* ---- the index ---- */
struct state_row {
	int32_t slot;
	int64_t seq;
	bool filled;
	const char *build, *build_after;
	int64_t build_done, build_total, started_at, finished_at;
};
MUST_CHECK enum err_code search_db_state(struct pg *, struct arena *, struct state_row **row_r, struct err *);
/* The same with seq counted up; holds the row until the transaction ends, so writers come one after another. */
MUST_CHECK enum err_code search_db_state_next(struct pg *, struct arena *, struct state_row **row_r, struct err *);
MUST_CHECK enum err_code search_db_forget(struct pg *, struct arena *, int32_t slot, const char *lang, int64_t seq,
					  const char *const *ids, size_t n, struct err *);
MUST_CHECK enum err_code search_db_put(struct pg *, struct arena *, int32_t slot, const struct document *, struct err *);
/* Counts the words of products just put. */
MUST_CHECK enum err_code search_db_count(struct pg *, struct arena *, int32_t slot, const char *lang, int64_t seq,
					 const char *const *ids, size_t n, struct err *);
MUST_CHECK enum err_code search_db_category_put(struct pg *, const char *id, const char *slug, const char *name,
						struct err *);
MUST_CHECK enum err_code search_db_vendor_put(struct pg *, const char *id, const char *slug, const char *name,
					      struct err *);

/*
 * What a product must have sold to be put into a tier (search_db_query.h) for its sales, by the sales of now. Besides
 * those, each tier has its share of all products by their ids, so that there is one before anything is sold.
 */
MUST_CHECK enum err_code search_db_tiers(struct pg *, struct err *);

/* ---- the rebuild ---- */
MUST_CHECK enum err_code search_db_build_want(struct pg *, struct err *);
/* Empties the other slot and starts. */
MUST_CHECK enum err_code search_db_build_start(struct pg *, struct err *);
MUST_CHECK enum err_code search_db_build_step(struct pg *, const char *after, int64_t done, int64_t total, struct err *);
/* The rebuilt slot is the one that is searched from this commit on. */
MUST_CHECK enum err_code search_db_build_swap(struct pg *, struct err *);
MUST_CHECK enum err_code search_db_clear(struct pg *, struct err *);
MUST_CHECK enum err_code search_db_documents(struct pg *, struct arena *, int64_t *n_r, struct err *);

extern const struct pg_stmt *const search_db_index_stmts[];

#endif
