/* Reviews in schema catalog. */
#ifndef SOUK_CATALOG_DB_REVIEW_H
#define SOUK_CATALOG_DB_REVIEW_H

#include "services/catalog/catalog_db_edit.h"

struct review_row {
	const char *id, *product_id, *user_id, *title, *body, *status;
	int32_t rating;
	int64_t created_at;
	bool bought; /* by its author, who was signed in */
};
/* Approved ones of a product, newest first; before: the last id seen or NULL. */
MUST_CHECK enum err_code catalog_db_reviews(struct pg *, struct arena *, const char *product_id, const char *before,
					    int32_t limit, struct review_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code catalog_db_moderation(struct pg *, struct arena *, const char *status, const char *after,
					       int32_t limit, struct review_row **rows_r, size_t *n_r, struct err *);
/* found_r false when that user has reviewed the product already. */
MUST_CHECK enum err_code catalog_db_review_add(struct pg *, const struct review_row *, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_review(struct pg *, struct arena *, const char *id, struct review_row **row_r,
					   bool *found_r, struct err *);
/* Sets the status and keeps the product's sums. */
MUST_CHECK enum err_code catalog_db_review_status(struct pg *, const struct review_row *before, const char *status,
						  struct err *);
/* Takes the user and the words out of that user's reviews, forgets what was bought; rows_r: the reviewed products. */
MUST_CHECK enum err_code catalog_db_reviews_erase(struct pg *, struct arena *, const char *user_id,
						  struct product_key_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const catalog_db_review_stmts[];

#endif
