/* The statements of schema cart, one function each. Prices are minor units of the cart's currency. */
#ifndef SOUK_CART_DB_H
#define SOUK_CART_DB_H

#include "common/pg.h"

struct cart_row {
	const char *id, *user_id, *currency, *state, *merged_into; /* user_id NULL: a guest's; currency NULL: empty */
	int64_t version, updated_at;
};
struct line_row {
	const char *id, *variant_id;
	int32_t qty;
	int64_t seen_minor, added_at;
};
struct coupon_row {
	const char *code;
};

MUST_CHECK enum err_code cart_db_by_user(struct pg *, struct arena *, const char *user_id, struct cart_row **row_r,
					 bool *found_r, struct err *);
/* Also finds merged and expired ones: their state says so. */
MUST_CHECK enum err_code cart_db_by_token(struct pg *, struct arena *, struct pg_bytes token_hash,
					  struct cart_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code cart_db_by_id(struct pg *, struct arena *, const char *id, struct cart_row **row_r,
				       bool *found_r, struct err *);
/* user_id or token_hash; currency may be NULL. Of two that make a user's first cart at once, both get the same one. */
MUST_CHECK enum err_code cart_db_make(struct pg *, struct arena *, const char *id, const char *user_id,
				      struct pg_bytes token_hash, const char *currency, struct cart_row **row_r,
				      struct err *);
/*
 * Locks the open cart and counts its version up, when it is `version` (-1: whatever it is). found_r false otherwise.
 */
MUST_CHECK enum err_code cart_db_touch(struct pg *, struct arena *, const char *id, int64_t version,
				       struct cart_row **row_r, bool *found_r, struct err *);
/* Locks the open cart; found_r false when it is not open any more. */
MUST_CHECK enum err_code cart_db_lock(struct pg *, struct arena *, const char *id, struct cart_row **row_r, bool *found_r,
				      struct err *);
/* What pg_later does: no answer is waited for. So do the others of this block and those marked (later). */
MUST_CHECK enum err_code cart_db_currency(struct pg *, const char *id, const char *currency, struct err *);
/* Lines were bought: counts the version up, and without lines the currency is free again. */
MUST_CHECK enum err_code cart_db_taken(struct pg *, const char *id, struct err *);
/* No lines left: the currency is free again. */
MUST_CHECK enum err_code cart_db_free_currency(struct pg *, const char *id, struct err *);

MUST_CHECK enum err_code cart_db_lines(struct pg *, struct arena *, const char *cart_id, struct line_row **rows_r,
				       size_t *n_r, struct err *);
/* (later) */
MUST_CHECK enum err_code cart_db_line_put(struct pg *, const char *id, const char *cart_id, const char *variant_id,
					  int32_t qty, int64_t seen_minor, struct err *);
MUST_CHECK enum err_code cart_db_line_set(struct pg *, const char *cart_id, const char *line_id, int32_t qty,
					  int64_t seen_minor, bool *found_r, struct err *);
MUST_CHECK enum err_code cart_db_line_del(struct pg *, const char *cart_id, const char *line_id, bool *found_r,
					  struct err *);
/* Takes qty units of the variant out; the line goes when nothing is left. */
MUST_CHECK enum err_code cart_db_line_take(struct pg *, const char *cart_id, const char *variant_id, int32_t qty,
					   struct err *);
MUST_CHECK enum err_code cart_db_lines_clear(struct pg *, const char *cart_id, struct err *);

MUST_CHECK enum err_code cart_db_coupons(struct pg *, struct arena *, const char *cart_id, struct coupon_row **rows_r,
					 size_t *n_r, struct err *);
/* Lines and codes of a cart in one round trip. */
MUST_CHECK enum err_code cart_db_content(struct pg *, struct arena *, const char *cart_id, struct line_row **lines_r,
					 size_t *n_lines_r, struct coupon_row **coupons_r, size_t *n_coupons_r,
					 struct err *);
MUST_CHECK enum err_code cart_db_coupon_put(struct pg *, const char *cart_id, const char *code, struct err *);
MUST_CHECK enum err_code cart_db_coupon_del(struct pg *, const char *cart_id, const char *code, bool *found_r,
					    struct err *);
/* (later) */
MUST_CHECK enum err_code cart_db_coupons_clear(struct pg *, const char *cart_id, struct err *);
MUST_CHECK enum err_code cart_db_coupons_copy(struct pg *, const char *from, const char *to, struct err *);

MUST_CHECK enum err_code cart_db_close_merged(struct pg *, const char *id, const char *into, struct err *);
MUST_CHECK enum err_code cart_db_erase_user(struct pg *, const char *user_id, struct err *);

/* ---- periodic work ---- */
MUST_CHECK enum err_code cart_db_expire_guests(struct pg *, int32_t days, int32_t limit, int64_t *n_r, struct err *);
MUST_CHECK enum err_code cart_db_expire_users(struct pg *, int32_t days, int32_t limit, int64_t *n_r, struct err *);
/* Users' carts with lines, idle for that long and not yet told of; marks them. */
struct abandoned_row {
	const char *id, *user_id;
	int64_t version;
};
MUST_CHECK enum err_code cart_db_mark_abandoned(struct pg *, struct arena *, int32_t idle_min, int32_t limit,
						struct abandoned_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const cart_db_stmts[];

#endif
