/* Statements of refunds of orders, units to put back, changes of an order's states. Amounts are minor units. */
#ifndef SOUK_CHECKOUT_REFUND_DB_H
#define SOUK_CHECKOUT_REFUND_DB_H

#include "common/pg.h"

struct refund_row {
	const char *id, *order_id, *checkout_id, *pi_id, *currency, *state, *reason, *provider_id, *user_id;
	int64_t amount, version, created_at, updated_at, age_ms;
	int32_t key_n, tries;
};
MUST_CHECK enum err_code refund_db_get(struct pg *, struct arena *, const char *id, struct refund_row **row_r,
				       bool *found_r, struct err *);
MUST_CHECK enum err_code refund_db_by_provider(struct pg *, struct arena *, const char *provider_id,
					       struct refund_row **row_r, bool *found_r, struct err *);
/* Newest first; before "": from the newest. order_id NULL: of all orders. */
MUST_CHECK enum err_code refund_db_page(struct pg *, struct arena *, const char *order_id, const char *before,
					int32_t limit, struct refund_row **rows_r, size_t *n_r, struct err *);
struct refund_due_row {
	const char *id;
};
MUST_CHECK enum err_code refund_db_due(struct pg *, struct arena *, int32_t limit, struct refund_due_row **rows_r,
				       size_t *n_r, struct err *);

/* Of the order's payment. More than is left: E_RULE pg.constraint "payment_refund_limit". */
MUST_CHECK enum err_code refund_db_insert(struct pg *, const char *id, const char *order_id, int64_t amount,
					  const char *reason, struct err *);
MUST_CHECK enum err_code refund_db_line(struct pg *, const char *refund_id, const char *order_id, const char *variant_id,
					int32_t qty, struct err *);
MUST_CHECK enum err_code refund_db_share(struct pg *, const char *refund_id, const char *vendor_order_id, int64_t amount,
					 int64_t commission, struct err *);
/* The units a refund is for; none when it is for an amount alone. */
struct refund_line_row {
	const char *variant_id, *product_id, *vendor_id;
	int32_t qty;
};
MUST_CHECK enum err_code refund_db_lines(struct pg *, struct arena *, const char *refund_id, const char *order_id,
					 struct refund_line_row **rows_r, size_t *n_r, struct err *);
/* What refunds (failed ones aside) took from each vendor order so far, and what is left of the payment. */
struct share_row {
	const char *vendor_order_id;
	int64_t total, commission, gone, commission_gone, left;
};
MUST_CHECK enum err_code refund_db_shares(struct pg *, struct arena *, const char *order_id, struct share_row **rows_r,
					  size_t *n_r, struct err *);

/*
 * The outcome, by compare-and-set on the version: succeeded books the shares, failed takes back what was counted.
 * pending stores the provider's id and when to ask again. done_r false: somebody else was faster.
 */
MUST_CHECK enum err_code refund_db_succeed(struct pg *, const struct refund_row *, const char *provider_id, bool *done_r,
					   struct err *);
MUST_CHECK enum err_code refund_db_fail(struct pg *, const struct refund_row *, bool *done_r, struct err *);
MUST_CHECK enum err_code refund_db_later(struct pg *, const struct refund_row *, const char *provider_id, int32_t key_n,
					 int32_t tries, int32_t ms, struct err *);
MUST_CHECK enum err_code refund_db_dispute(struct pg *, const char *pi_id, struct err *);

/* ---- units to put back ---- */
struct restock_row {
	const char *operation_id, *reservation_key, *variants, *qtys, *reason;
	int32_t tries;
};
MUST_CHECK enum err_code restock_db_put(struct pg *, struct arena *, const char *operation_id, const char *reservation_key,
					const char *order_id, const char *const *variants, const int64_t *qtys, size_t n,
					const char *reason, struct err *);
MUST_CHECK enum err_code restock_db_due(struct pg *, struct arena *, int32_t limit, struct restock_row **rows_r,
					size_t *n_r, struct err *);
MUST_CHECK enum err_code restock_db_done(struct pg *, const char *operation_id, struct err *);

/* ---- states of an order ---- */
MUST_CHECK enum err_code order_db_cancel(struct pg *, const char *order_id, bool *done_r, struct err *);
MUST_CHECK enum err_code vorder_db_ship(struct pg *, const char *id, const char *carrier, const char *tracking,
					bool *done_r, struct err *);
MUST_CHECK enum err_code vorder_db_deliver(struct pg *, const char *id, bool *done_r, struct err *);
/* Derives the order's fulfilment status and completion from its vendor orders. */
MUST_CHECK enum err_code order_db_follow(struct pg *, const char *order_id, struct err *);

extern const struct pg_stmt *const refund_db_stmts[];

#endif
