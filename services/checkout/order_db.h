/* Statements that write an order's rows, payments and saga refunds. Amounts are minor units. */
#ifndef SOUK_CHECKOUT_ORDER_DB_H
#define SOUK_CHECKOUT_ORDER_DB_H

#include "common/pg.h"

struct order_new {
	const char *id, *checkout_id, *pi_id /* NULL: free */, *reservation_key, *user_id, *currency, *locale, *shipping_name;
	int64_t subtotal, discount, shipping, tax, tax_added, total;
	int32_t item_count;
	struct pg_bytes email_index, discounts, person;
};
/* Columns of the parts; every array has n entries. */
struct vendor_new {
	const char **id, **vendor_id, **name;
	int64_t *subtotal, *discount, *shipping, *tax, *tax_added, *total, *commission;
	size_t n;
};
struct line_new {
	const char **variant_id, **vendor_order_id, **product_id, **sku, **title, **variant_title, **image_key;
	int64_t *qty, *unit, *subtotal, *discount, *tax, *tax_added, *tax_bp, *total, *commission_bp, *commission;
	size_t n;
};
/* The order with all its parts and their entries in the ledger; the payment must be there already. */
MUST_CHECK enum err_code order_db_write(struct pg *, struct arena *, const struct order_new *, const struct vendor_new *,
					const struct line_new *, struct err *);

/* Once per intent. */
MUST_CHECK enum err_code order_db_payment_put(struct pg *, const char *id, const char *checkout_id, const char *pi_id,
					      const char *currency, int64_t captured, struct err *);
/* A refund of all that is left of the checkout's payment, outside any order; once. */
MUST_CHECK enum err_code order_db_owe(struct pg *, const char *id, const char *checkout_id, const char *pi_id,
				      const char *reason, struct err *);
struct owed_row {
	const char *id;
	int64_t amount_minor, age_ms;
};
MUST_CHECK enum err_code order_db_owed(struct pg *, struct arena *, const char *pi_id, struct owed_row **row_r,
				       bool *found_r, struct err *);
MUST_CHECK enum err_code order_db_owed_done(struct pg *, const char *pi_id, const char *provider_id, struct err *);

extern const struct pg_stmt *const order_db_stmts[];

#endif
