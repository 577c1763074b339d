/* Statements behind the reports: sums by day that a job keeps true. */
#ifndef SOUK_CHECKOUT_REPORT_DB_H
#define SOUK_CHECKOUT_REPORT_DB_H

#include "common/pg.h"

struct report_span {
	const char *vendor_id;	/* NULL: all of them together */
	const char *from, *to;	/* days, "2026-01-31", both included */
	const char *currency;	/* NULL: each */
	int32_t limit;
};
struct sales_row {
	const char *day, *currency;
	int64_t orders, units, subtotal, discount, shipping, tax, total, commission, refunded;
};
struct product_sales_row {
	const char *product_id, *vendor_id, *title;
	int64_t units, sales;
};
struct vendor_sales_row {
	const char *vendor_id, *vendor_name;
	int64_t orders, units, total, commission, refunded;
};
/* By day, newest first. orders counts parts of orders, one a vendor. */
MUST_CHECK enum err_code report_db_sales(struct pg *, struct arena *, const struct report_span *, struct sales_row **rows_r,
					 size_t *n_r, struct err *);
/* Best first; currency is given. */
MUST_CHECK enum err_code report_db_products(struct pg *, struct arena *, const struct report_span *,
					    struct product_sales_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code report_db_vendors(struct pg *, struct arena *, const struct report_span *,
					   struct vendor_sales_row **rows_r, size_t *n_r, struct err *);
/* One step of keeping the sums true; *more_r when another is due at once. */
MUST_CHECK enum err_code report_db_refresh(struct pg *, struct arena *, bool *more_r, struct err *);

extern const struct pg_stmt *const report_db_stmts[];

#endif
