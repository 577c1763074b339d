/* Vendors and categories in schema catalog. */
#ifndef SOUK_CATALOG_DB_VENDOR_H
#define SOUK_CATALOG_DB_VENDOR_H

#include "common/pg.h"

struct vendor_row {
	const char *id, *slug, *name, *description, *country, *status, *status_reason, *owner_user_id;
	int32_t commission_bp;
	bool terms, has_product;
	int64_t created_at, version;
};
/* id_or_slug; found_r false when there is none. */
MUST_CHECK enum err_code catalog_db_vendor(struct pg *, struct arena *, const char *id_or_slug,
					   struct vendor_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_vendor_page(struct pg *, struct arena *, const char *status, const char *after,
						int32_t limit, struct vendor_row **rows_r, size_t *n_r, struct err *);
/* Newest first, in every state; before NULL: from the newest. */
MUST_CHECK enum err_code catalog_db_vendor_mine(struct pg *, struct arena *, const char *owner, const char *before,
						int32_t limit, struct vendor_row **rows_r, size_t *n_r, struct err *);
/* found_r false when the slug is taken. The owner having one already breaks constraint vendor_owner. */
MUST_CHECK enum err_code catalog_db_vendor_add(struct pg *, const struct vendor_row *, bool *found_r, struct err *);
/* NULL keeps; version -1: whatever it is. found_r false: another version. */
MUST_CHECK enum err_code catalog_db_vendor_change(struct pg *, const char *id, const char *name, const char *description,
						  const char *country, int64_t version, bool *found_r, struct err *);
/* From one of the states in `from` ("applied,suspended"); found_r false when it is in another. commission_bp -1 keeps. */
MUST_CHECK enum err_code catalog_db_vendor_decide(struct pg *, const char *id, const char *from, const char *status,
						  const char *reason, int32_t commission_bp, bool *found_r, struct err *);

struct category_row {
	const char *id, *parent_id, *slug, *name, *path; /* path: ids joined by "/" */
	int32_t position, commission_bp; /* commission -1: the vendor's */
	int64_t version;
};
MUST_CHECK enum err_code catalog_db_category(struct pg *, struct arena *, const char *id_or_slug,
					     struct category_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_category_page(struct pg *, struct arena *, const char *parent_id, const char *after,
						  int32_t limit, struct category_row **rows_r, size_t *n_r, struct err *);
/* The categories of product $1, for catalog_db_product_whole. */
extern const struct pg_stmt catalog_db_categories_stmt;
/* found_r false when the slug is taken, or there are `most` already (0: any number); depth over 8 breaks constraint category_depth. */
MUST_CHECK enum err_code catalog_db_category_add(struct pg *, const struct category_row *, int32_t most, bool *found_r,
						 struct err *);
MUST_CHECK enum err_code catalog_db_category_change(struct pg *, const char *id, const char *name, const char *slug,
						    int32_t position, int32_t commission_bp, int64_t version,
						    bool *found_r, struct err *);
/* found_r false: another version, or still in use (children or products). */
MUST_CHECK enum err_code catalog_db_category_del(struct pg *, const char *id, int64_t version, bool *found_r,
						 struct err *);

extern const struct pg_stmt *const catalog_db_vendor_stmts[];

#endif
