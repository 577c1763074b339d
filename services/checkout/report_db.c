#include "services/checkout/report_db.h"

#define SPAN                                                                                              \
	" WHERE ($1::text IS NULL OR vendor_id = $1) AND day BETWEEN $2::text::date AND $3::text::date"  \
	" AND ($4::text IS NULL OR currency = $4)"
#define SPAN_ARGS(s) P((s)->vendor_id), P((s)->from), P((s)->to), P((s)->currency), P((s)->limit)

static const struct pg_col sales_cols[] = {
	PG_COL(sales_row, day),	     PG_COL(sales_row, currency), PG_COL(sales_row, orders),   PG_COL(sales_row, units),
	PG_COL(sales_row, subtotal), PG_COL(sales_row, discount), PG_COL(sales_row, shipping), PG_COL(sales_row, tax),
	PG_COL(sales_row, total),    PG_COL(sales_row, commission), PG_COL(sales_row, refunded),
};
static const struct pg_stmt sales = {
	.name = "report_sales",
	.sql = "SELECT day::text AS day, currency, sum(orders)::bigint AS orders, sum(units)::bigint AS units,"
	       " sum(subtotal_minor)::bigint AS subtotal, sum(discount_minor)::bigint AS discount,"
	       " sum(shipping_minor)::bigint AS shipping, sum(tax_minor)::bigint AS tax, sum(total_minor)::bigint AS total,"
	       " sum(commission_minor)::bigint AS commission, sum(refunded_minor)::bigint AS refunded"
	       " FROM checkout.sales_day s" SPAN
	       " GROUP BY s.day, s.currency ORDER BY s.day DESC, s.currency LIMIT $5::integer",
	.col = sales_cols, .ncol = ARRAY_LEN(sales_cols), .row_size = sizeof(struct sales_row),
};
static const struct pg_col product_cols[] = {
	PG_COL(product_sales_row, product_id), PG_COL(product_sales_row, vendor_id), PG_COL(product_sales_row, title),
	PG_COL(product_sales_row, units),      PG_COL(product_sales_row, sales),
};
static const struct pg_stmt products = {
	.name = "report_products",
	.sql = "SELECT product_id, max(vendor_id) AS vendor_id, max(title) AS title, sum(units)::bigint AS units,"
	       " sum(sales_minor)::bigint AS sales FROM checkout.product_day" SPAN
	       " GROUP BY product_id ORDER BY sales DESC, product_id LIMIT $5::integer",
	.col = product_cols, .ncol = ARRAY_LEN(product_cols), .row_size = sizeof(struct product_sales_row),
};
static const struct pg_col vendor_cols[] = {
	PG_COL(vendor_sales_row, vendor_id), PG_COL(vendor_sales_row, vendor_name), PG_COL(vendor_sales_row, orders),
	PG_COL(vendor_sales_row, units),     PG_COL(vendor_sales_row, total),	    PG_COL(vendor_sales_row, commission),
	PG_COL(vendor_sales_row, refunded),
};
static const struct pg_stmt vendors = {
	.name = "report_vendors",
	.sql = "SELECT vendor_id, max(vendor_name) AS vendor_name, sum(orders)::bigint AS orders, sum(units)::bigint AS units,"
	       " sum(total_minor)::bigint AS total, sum(commission_minor)::bigint AS commission,"
	       " sum(refunded_minor)::bigint AS refunded FROM checkout.sales_day" SPAN
	       " GROUP BY vendor_id ORDER BY total DESC, vendor_id LIMIT $5::integer",
	.col = vendor_cols, .ncol = ARRAY_LEN(vendor_cols), .row_size = sizeof(struct vendor_sales_row),
};
struct more_row {
	bool more;
};
static const struct pg_col more_cols[] = { PG_COL(more_row, more) };
static const struct pg_stmt refresh = {
	.name = "report_refresh",
	.sql = "SELECT checkout.report_refresh(5000) AS more",
	.col = more_cols, .ncol = 1, .row_size = sizeof(struct more_row),
};
const struct pg_stmt *const report_db_stmts[] = { &sales, &products, &vendors, &refresh, NULL };

enum err_code report_db_sales(struct pg *pg, struct arena *a, const struct report_span *s, struct sales_row **rows_r,
			      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &sales, PG_ARGS(SPAN_ARGS(s)), a, rows_r, n_r, e);
}

enum err_code report_db_products(struct pg *pg, struct arena *a, const struct report_span *s,
				 struct product_sales_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &products, PG_ARGS(SPAN_ARGS(s)), a, rows_r, n_r, e);
}

enum err_code report_db_vendors(struct pg *pg, struct arena *a, const struct report_span *s,
				struct vendor_sales_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &vendors, PG_ARGS(SPAN_ARGS(s)), a, rows_r, n_r, e);
}

enum err_code report_db_refresh(struct pg *pg, struct arena *a, bool *more_r, struct err *e)
{
	struct more_row *row;
	bool found = false;

	if (pg_row(pg, &refresh, PG_NONE, a, &row, &found, e))
		return e->code;
	*more_r = found && row->more;
	return OK;
}
