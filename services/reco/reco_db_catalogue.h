/* The copy of the catalogue and the stock that serving filters on. */
#ifndef SOUK_RECO_DB_CATALOGUE_H
#define SOUK_RECO_DB_CATALOGUE_H

#include "common/pg.h"

/* ---- as events tell it, at once ---- */
struct variant_in {
	const char *variant_id;
	bool active;
};
/* A product's status and variants; older versions change nothing. It becomes dirty: the rest is fetched. */
MUST_CHECK enum err_code reco_db_product_told(struct pg *, struct arena *, const char *product_id, const char *vendor_id,
					      bool published, int64_t version, const struct variant_in *, size_t n,
					      struct err *);
MUST_CHECK enum err_code reco_db_stock_told(struct pg *, struct arena *, const char *variant_id,
					    const char *availability, int64_t seq, struct err *);
/* Whether a vendor's products may be shown; they become dirty. */
MUST_CHECK enum err_code reco_db_vendor_told(struct pg *, const char *vendor_id, bool ok, int64_t version, struct err *);
MUST_CHECK enum err_code reco_db_dirty_add(struct pg *, const char *product_id, struct err *);
MUST_CHECK enum err_code reco_db_dirty_category(struct pg *, const char *category_id, struct err *);

/* ---- as fetched ---- */
struct dirty_row {
	const char *product_id;
	int64_t n;
};
MUST_CHECK enum err_code reco_db_dirty(struct pg *, struct arena *, int32_t limit, struct dirty_row **rows_r,
				       size_t *n_r, struct err *);
MUST_CHECK enum err_code reco_db_dirty_done(struct pg *, struct arena *, const struct dirty_row *, size_t n, struct err *);
MUST_CHECK enum err_code reco_db_dirty_later(struct pg *, struct arena *, const struct dirty_row *, size_t n,
					     struct err *);

struct product_in {
	const char *product_id, *vendor_id, *title, *brand;
	const char *const *categories;
	size_t n_categories;
	const char *prices; /* {"USD":1999,…} */
	int32_t rating_x100, rating_count;
	int64_t published_at, version;
	bool visible;
};
/* What catalog says of a product; where an event has told a later version, only when that version is fetched. */
MUST_CHECK enum err_code reco_db_product_put(struct pg *, struct arena *, const struct product_in *, struct err *);
/* Asked for and not there any more. */
MUST_CHECK enum err_code reco_db_product_gone(struct pg *, struct arena *, const char *const *ids, size_t n, struct err *);
/* Variants of a product with what inventory says of them now; what an event has told of one stays. */
struct stock_in {
	const char *variant_id, *product_id, *availability;
};
MUST_CHECK enum err_code reco_db_stock_put(struct pg *, struct arena *, const struct stock_in *, size_t n, struct err *);
MUST_CHECK enum err_code reco_db_category_put(struct pg *, const char *id, const char *slug, struct err *);

/* ---- the first filling ---- */
struct filling_row {
	const char *after;
	bool filled;
};
MUST_CHECK enum err_code reco_db_filling(struct pg *, struct arena *, struct filling_row **row_r, struct err *);
MUST_CHECK enum err_code reco_db_filling_set(struct pg *, const char *after, bool filled, struct err *);

extern const struct pg_stmt *const reco_db_catalogue_stmts[];

#endif
