/* Reading orders: rows of the buyer's order, of vendor orders and of lines. Times are ms, amounts minor units. */
#ifndef SOUK_CHECKOUT_ORDER_DB_READ_H
#define SOUK_CHECKOUT_ORDER_DB_READ_H

#include "common/pg.h"

struct order_row {
	const char *id, *number, *checkout_id, *payment_intent_id, *reservation_key, *user_id, *currency, *status,
		*payment_status, *fulfilment_status, *shipping_name, *locale;
	int64_t subtotal, discount, shipping, tax, tax_added, total, refunded, version, placed_at, placed_us;
	int32_t item_count;
	struct pg_bytes discounts, person;
};
MUST_CHECK enum err_code order_db_get(struct pg *, struct arena *, const char *id, struct order_row **row_r,
				      bool *found_r, struct err *);
/* The same with the row locked until the transaction ends. */
MUST_CHECK enum err_code order_db_lock(struct pg *, struct arena *, const char *id, struct order_row **row_r,
				       bool *found_r, struct err *);

struct order_page {
	const char *user_id, *status, *number; /* NULL: any */
	struct pg_bytes email_index;	       /* data NULL: any */
	int64_t before_us;		       /* INT64_MAX: from the newest */
	const char *before_id;
	int32_t limit;
};
MUST_CHECK enum err_code order_db_page(struct pg *, struct arena *, const struct order_page *, struct order_row **rows_r,
				       size_t *n_r, struct err *);

struct vorder_row {
	const char *id, *order_id, *order_number, *vendor_id, *vendor_name, *currency, *status, *carrier, *tracking,
		*shipping_name;
	int64_t subtotal, discount, shipping, tax, tax_added, total, commission, version, placed_at, placed_us,
		shipped_at, delivered_at;
	struct pg_bytes person; /* of the order */
};
MUST_CHECK enum err_code vorder_db_of_order(struct pg *, struct arena *, const char *order_id,
					    struct vorder_row **rows_r, size_t *n_r, struct err *);
/* Only the vendor's own. */
MUST_CHECK enum err_code vorder_db_get(struct pg *, struct arena *, const char *vendor_id, const char *id,
				       struct vorder_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code vorder_db_page(struct pg *, struct arena *, const char *vendor_id, const char *status,
					int64_t before_us, const char *before_id, int32_t limit,
					struct vorder_row **rows_r, size_t *n_r, struct err *);

struct oline_row {
	const char *variant_id, *vendor_order_id, *vendor_id, *vendor_name, *product_id, *sku, *title, *variant_title,
		*image_key;
	int64_t unit, subtotal, discount, tax, tax_added, total, commission;
	int32_t qty, tax_bp, returned_qty, refunded_qty;
};
/* By order, or by vendor order when vendor_order_id is not NULL. */
MUST_CHECK enum err_code oline_db_of(struct pg *, struct arena *, const char *order_id, const char *vendor_order_id,
				     struct oline_row **rows_r, size_t *n_r, struct err *);

struct order_parts {
	struct order_row *order; /* NULL: there is none */
	struct vorder_row *vendors;
	struct oline_row *lines;
	size_t n_vendors, n_lines;
};
/* An order with its parts in one round trip. */
MUST_CHECK enum err_code order_db_whole(struct pg *, struct arena *, const char *id, struct order_parts *parts_r,
					struct err *);

extern const struct pg_stmt *const order_db_read_stmts[];

#endif
