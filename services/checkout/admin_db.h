/* Statements behind returns, the vendors' ledger, and the tables that administrators keep. */
#ifndef SOUK_CHECKOUT_ADMIN_DB_H
#define SOUK_CHECKOUT_ADMIN_DB_H

#include "common/pg.h"

/* ---- returns ---- */
struct return_row {
	const char *id, *order_id, *vendor_order_id, *vendor_id, *status, *reason, *note, *refund_id;
	const char *variants, *qtys; /* comma lists */
	int64_t version, created_at, updated_at, created_us;
};
MUST_CHECK enum err_code return_db_insert(struct pg *, const char *id, const char *order_id, const char *vendor_order_id,
					  const char *vendor_id, const char *reason, struct err *);
/* Counts the units as asked back; too many: E_RULE pg.constraint "order_line_returned". */
MUST_CHECK enum err_code return_db_line(struct pg *, const char *return_id, const char *order_id, const char *variant_id,
					int32_t qty, struct err *);
MUST_CHECK enum err_code return_db_get(struct pg *, struct arena *, const char *vendor_id, const char *id, bool lock,
				       struct return_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code return_db_page(struct pg *, struct arena *, const char *vendor_id, const char *status,
					int64_t before_us, const char *before_id, int32_t limit,
					struct return_row **rows_r, size_t *n_r, struct err *);
/* Newest first. */
MUST_CHECK enum err_code return_db_of_order(struct pg *, struct arena *, const char *order_id, struct return_row **rows_r,
					    size_t *n_r, struct err *);
/* From one status to another; done_r false when it was not in from. */
MUST_CHECK enum err_code return_db_move(struct pg *, const char *id, const char *from, const char *to, const char *note,
					const char *refund_id, bool *done_r, struct err *);
MUST_CHECK enum err_code return_db_uncount(struct pg *, const char *id, struct err *);

/* ---- what vendors are owed ---- */
struct balance_row {
	const char *currency;
	int64_t owed;
};
struct ledger_row {
	int64_t id, amount, booked_at;
	const char *kind, *currency, *vendor_order_id, *reference;
};
MUST_CHECK enum err_code ledger_db_balance(struct pg *, struct arena *, const char *vendor_id,
					   struct balance_row **rows_r, size_t *n_r, struct err *);
/* Newest first, below before (INT64_MAX: all). */
MUST_CHECK enum err_code ledger_db_page(struct pg *, struct arena *, const char *vendor_id, int64_t before,
					int32_t limit, struct ledger_row **rows_r, size_t *n_r, struct err *);
/* done_r false: less is owed. The same reference twice: E_CONFLICT pg.constraint. */
MUST_CHECK enum err_code ledger_db_payout(struct pg *, struct arena *, const char *vendor_id, const char *currency,
					  int64_t amount, const char *reference, struct ledger_row **row_r, bool *done_r,
					  struct err *);

/* ---- promotions ---- */
struct promotion_row {
	const char *id, *code, *title, *kind, *currency, *vendor_id, *products, *categories;
	int64_t amount, min, max_uses, uses, version, starts_at, ends_at; /* -1 or 0: none */
	int32_t percent_bp, buy_qty, get_qty, per_buyer, priority;
	bool combinable, active;
};
MUST_CHECK enum err_code promotion_db_insert(struct pg *, struct arena *, const struct promotion_row *,
					     const char *const *products, size_t n_products,
					     const char *const *categories, size_t n_categories, struct err *);
MUST_CHECK enum err_code promotion_db_get(struct pg *, struct arena *, const char *id, struct promotion_row **row_r,
					  bool *found_r, struct err *);
MUST_CHECK enum err_code promotion_db_page(struct pg *, struct arena *, const char *before, int32_t limit,
					   struct promotion_row **rows_r, size_t *n_r, struct err *);
/* Title, limits, times, priority, combinable, active; version >= 0 must be the present one. */
MUST_CHECK enum err_code promotion_db_update(struct pg *, const struct promotion_row *, int64_t version, bool *done_r,
					     struct err *);

/* ---- tax ---- */
struct tax_rate_row {
	const char *id, *country, *region, *tax_class, *name;
	int32_t rate_bp;
	bool included;
	int64_t version;
};
MUST_CHECK enum err_code tax_db_insert(struct pg *, const struct tax_rate_row *, struct err *);
MUST_CHECK enum err_code tax_db_get(struct pg *, struct arena *, const char *id, struct tax_rate_row **row_r,
				    bool *found_r, struct err *);
MUST_CHECK enum err_code tax_db_page(struct pg *, struct arena *, const char *country, const char *after, int32_t limit,
				     struct tax_rate_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code tax_db_update(struct pg *, const struct tax_rate_row *, bool *done_r, struct err *);
MUST_CHECK enum err_code tax_db_delete(struct pg *, const char *id, bool *done_r, struct err *);

/* ---- shipping ---- */
struct method_row {
	const char *id, *zone, *name, *countries; /* comma list */
	int32_t max_weight_g, min_days, max_days, priority;
	bool active;
	int64_t version;
};
struct method_price_row {
	const char *method_id, *currency;
	int64_t price, per_kg, free_from; /* -1: never free */
};
MUST_CHECK enum err_code method_db_put(struct pg *, struct arena *, const struct method_row *,
				       const char *const *countries, size_t n, bool *done_r, struct err *);
MUST_CHECK enum err_code method_db_prices_clear(struct pg *, const char *id, struct err *);
MUST_CHECK enum err_code method_db_price_put(struct pg *, const struct method_price_row *, struct err *);
MUST_CHECK enum err_code method_db_get(struct pg *, struct arena *, const char *id, struct method_row **row_r,
				       bool *found_r, struct err *);
MUST_CHECK enum err_code method_db_page(struct pg *, struct arena *, const char *after, int32_t limit,
					struct method_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code method_db_prices(struct pg *, struct arena *, const char *const *ids, size_t n,
					  struct method_price_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code method_db_delete(struct pg *, const char *id, bool *done_r, struct err *);

extern const struct pg_stmt *const return_db_stmts[];
extern const struct pg_stmt *const promotion_db_stmts[];
extern const struct pg_stmt *const shipping_db_stmts[];

#endif
