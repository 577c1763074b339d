/* What the engine outside is to be told, in schema search: changed products, documents, where its index stands. */
#ifndef SOUK_SEARCH_DB_FEED_H
#define SOUK_SEARCH_DB_FEED_H

#include "common/pg.h"

/*
 * In the transaction of change seq: these products are to be told. A gap since the change noted last (another engine was
 * in use) and rebuilt mean that all are.
 */
MUST_CHECK enum err_code search_db_feed_note(struct pg *, struct arena *, int64_t seq, bool rebuilt, const char *const *ids,
					     size_t n, struct err *);

struct feed_state {
	bool ready; /* there is something to copy */
	int64_t seq, noted_seq;
	const char *index_name, *build, *build_index, *build_after;
};
MUST_CHECK enum err_code search_db_feed_state(struct pg *, struct arena *, struct feed_state **row_r, struct err *);
MUST_CHECK enum err_code search_db_feed_want(struct pg *, struct err *);
MUST_CHECK enum err_code search_db_feed_start(struct pg *, const char *index, struct err *);
MUST_CHECK enum err_code search_db_feed_step(struct pg *, const char *index, const char *after, struct err *);
/* The index that was built is searched from now on. */
MUST_CHECK enum err_code search_db_feed_built(struct pg *, const char *index, struct err *);

/* A document as of change seq; both come from one snapshot. gone: it is not in the index. JSON texts are on one line. */
struct feed_doc {
	const char *product_id;
	int64_t n, seq;
	bool gone;
	const char *tsv, *brand, *brand_small, *vendor_id, *availability, *categories, *attrs, *prices;
	int32_t len_a, len_b, len_c, len_d, rating_x100, rating_count, sold_30d;
	int64_t published_at;
};
/* Behind a product, for a build. */
MUST_CHECK enum err_code search_db_feed_page(struct pg *, struct arena *, const char *lang, const char *after, int32_t limit,
					     struct feed_doc **rows_r, size_t *n_r, struct err *);
/* Those that changed and are due. */
MUST_CHECK enum err_code search_db_feed_due(struct pg *, struct arena *, const char *lang, int32_t limit,
					    struct feed_doc **rows_r, size_t *n_r, struct err *);
/* Told, unless they changed meanwhile. */
MUST_CHECK enum err_code search_db_feed_done(struct pg *, struct arena *, const char *const *ids, const int64_t *times,
					     size_t n, struct err *);
/* To be tried again, later each time. */
MUST_CHECK enum err_code search_db_feed_later(struct pg *, struct arena *, const char *const *ids, size_t n, struct err *);

struct label_row {
	const char *id, *name;
};
/* Names of categories and vendors. */
MUST_CHECK enum err_code search_db_labels(struct pg *, struct arena *, const char *const *ids, size_t n,
					  struct label_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const search_db_feed_stmts[];

#endif
