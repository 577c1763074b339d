#include "services/checkout/order_db_read.h"

#include "common/compiler.h"

#define MS(col) "(extract(epoch FROM " col ") * 1000)::bigint"
#define US(col) "(extract(epoch FROM " col ") * 1000000)::bigint"
/* The place of a cursor; the largest number means "from the newest". */
#define BEFORE(at, id)                                                                                                 \
	"($1::bigint = 9223372036854775807 OR (" at ", " id ") < (timestamptz 'epoch'"                                  \
	" + least($1::bigint, 8000000000000000) * interval '1 microsecond', $2))"

#define ORDER_COLUMNS                                                                                                 \
	"o.id, o.number, o.checkout_id, o.payment_intent_id, o.reservation_key, o.user_id, o.currency, o.status,"        \
	" o.payment_status, o.fulfilment_status, o.shipping_name, o.locale, o.subtotal_minor AS subtotal,"              \
	" o.discount_minor AS discount, o.shipping_minor AS shipping, o.tax_minor AS tax, o.tax_added_minor AS tax_added," \
	" o.total_minor AS total, o.refunded_minor AS refunded, o.version, " MS("o.placed_at") " AS placed_at, "        \
	US("o.placed_at") " AS placed_us, o.item_count, o.discounts, o.person"

#define O(f) PG_COL(order_row, f)
static const struct pg_col order_cols[] = {
	O(id),	     O(number),	  O(checkout_id), O(payment_intent_id), O(reservation_key), O(user_id),
	O(currency), O(status),	  O(payment_status), O(fulfilment_status), O(shipping_name), O(locale),
	O(subtotal), O(discount), O(shipping),	  O(tax),	O(tax_added), O(total),
	O(refunded), O(version),  O(placed_at),	  O(placed_us), O(item_count), O(discounts),
	O(person),
};
#define ORDER_ROW .col = order_cols, .ncol = ARRAY_LEN(order_cols), .row_size = sizeof(struct order_row)

static const struct pg_stmt get = {
	.name = "order_get",
	.sql = "SELECT " ORDER_COLUMNS " FROM checkout.orders o WHERE o.id = $1",
	ORDER_ROW,
};
static const struct pg_stmt lock = {
	.name = "order_lock",
	.sql = "SELECT " ORDER_COLUMNS " FROM checkout.orders o WHERE o.id = $1 FOR UPDATE",
	ORDER_ROW,
};

enum err_code order_db_get(struct pg *pg, struct arena *a, const char *id, struct order_row **row_r, bool *found_r,
			   struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code order_db_lock(struct pg *pg, struct arena *a, const char *id, struct order_row **row_r, bool *found_r,
			    struct err *e)
{
	return pg_row(pg, &lock, PG_ARGS(P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt of_user = {
	.name = "orders_of_user",
	.sql = "SELECT " ORDER_COLUMNS " FROM checkout.orders o WHERE o.user_id = $4 AND " BEFORE("o.placed_at", "o.id")
	       " AND ($5::text IS NULL OR o.status = $5) ORDER BY o.placed_at DESC, o.id DESC LIMIT $3::int",
	ORDER_ROW,
};
static const struct pg_stmt page = {
	.name = "orders_page",
	.sql = "SELECT " ORDER_COLUMNS " FROM checkout.orders o WHERE " BEFORE("o.placed_at", "o.id")
	       " AND ($4::text IS NULL OR o.user_id = $4) AND ($5::text IS NULL OR o.status = $5)"
	       " AND ($6::text IS NULL OR o.number = $6) AND ($7::bytea IS NULL OR o.email_index = $7::bytea)"
	       " ORDER BY o.placed_at DESC, o.id DESC LIMIT $3::int",
	ORDER_ROW,
};

enum err_code order_db_page(struct pg *pg, struct arena *a, const struct order_page *p, struct order_row **rows_r,
			    size_t *n_r, struct err *e)
{
	if (p->user_id && !p->number && !p->email_index.data)
		return pg_rows(pg, &of_user, PG_ARGS(P(p->before_us), P(p->before_id), P(p->limit), P(p->user_id),
						     P(p->status)), a, rows_r, n_r, e);
	return pg_rows(pg, &page, PG_ARGS(P(p->before_us), P(p->before_id), P(p->limit), P(p->user_id), P(p->status),
					  P(p->number), P(p->email_index)), a, rows_r, n_r, e);
}

/* ---- vendor orders ---- */

#define VORDER_COLUMNS                                                                                                \
	"v.id, v.order_id, o.number AS order_number, v.vendor_id, v.vendor_name, v.currency, v.status, v.carrier,"       \
	" v.tracking, o.shipping_name, v.subtotal_minor AS subtotal, v.discount_minor AS discount,"                     \
	" v.shipping_minor AS shipping, v.tax_minor AS tax, v.tax_added_minor AS tax_added, v.total_minor AS total,"    \
	" v.commission_minor AS commission, v.version, " MS("v.placed_at") " AS placed_at, " US("v.placed_at")          \
	" AS placed_us, coalesce(" MS("v.shipped_at") ", 0) AS shipped_at,"                                             \
	" coalesce(" MS("v.delivered_at") ", 0) AS delivered_at, o.person"
#define VORDER_FROM " FROM checkout.vendor_order v JOIN checkout.orders o ON o.id = v.order_id"

#define V(f) PG_COL(vorder_row, f)
static const struct pg_col vorder_cols[] = {
	V(id),	    V(order_id), V(order_number), V(vendor_id), V(vendor_name), V(currency), V(status),	  V(carrier),
	V(tracking), V(shipping_name), V(subtotal), V(discount), V(shipping),	V(tax),	     V(tax_added), V(total),
	V(commission), V(version), V(placed_at),  V(placed_us), V(shipped_at),	V(delivered_at), V(person),
};
#define VORDER_ROW .col = vorder_cols, .ncol = ARRAY_LEN(vorder_cols), .row_size = sizeof(struct vorder_row)

static const struct pg_stmt vof_order = {
	.name = "vorders_of_order",
	.sql = "SELECT " VORDER_COLUMNS VORDER_FROM " WHERE v.order_id = $1 ORDER BY v.id LIMIT 500",
	VORDER_ROW,
};
static const struct pg_stmt vget = {
	.name = "vorder_get",
	.sql = "SELECT " VORDER_COLUMNS VORDER_FROM " WHERE v.vendor_id = $1 AND v.id = $2",
	VORDER_ROW,
};
static const struct pg_stmt vpage = {
	.name = "vorder_page",
	.sql = "SELECT " VORDER_COLUMNS VORDER_FROM " WHERE v.vendor_id = $4 AND " BEFORE("v.placed_at", "v.id")
	       " AND ($5::text IS NULL OR v.status = $5) ORDER BY v.placed_at DESC, v.id DESC LIMIT $3::int",
	VORDER_ROW,
};

enum err_code vorder_db_of_order(struct pg *pg, struct arena *a, const char *order_id, struct vorder_row **rows_r,
				 size_t *n_r, struct err *e)
{
	return pg_rows(pg, &vof_order, PG_ARGS(P(order_id)), a, rows_r, n_r, e);
}

enum err_code vorder_db_get(struct pg *pg, struct arena *a, const char *vendor_id, const char *id,
			    struct vorder_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &vget, PG_ARGS(P(vendor_id), P(id)), a, row_r, found_r, e);
}

enum err_code vorder_db_page(struct pg *pg, struct arena *a, const char *vendor_id, const char *status,
			     int64_t before_us, const char *before_id, int32_t limit, struct vorder_row **rows_r,
			     size_t *n_r, struct err *e)
{
	return pg_rows(pg, &vpage, PG_ARGS(P(before_us), P(before_id), P(limit), P(vendor_id), P(status)), a, rows_r,
		       n_r, e);
}

/* ---- lines ---- */

#define L(f) PG_COL(oline_row, f)
static const struct pg_col line_cols[] = {
	L(variant_id), L(vendor_order_id), L(vendor_id), L(vendor_name), L(product_id), L(sku), L(title),
	L(variant_title), L(image_key),	   L(unit),	 L(subtotal),	 L(discount),	L(tax), L(tax_added),
	L(total),      L(commission),	   L(qty),	 L(tax_bp),	 L(returned_qty), L(refunded_qty),
};
#define LINE_SQL                                                                                                      \
	"SELECT l.variant_id, l.vendor_order_id, v.vendor_id, v.vendor_name, l.product_id, l.sku, l.title,"              \
	" l.variant_title, l.image_key, l.unit_minor AS unit, l.subtotal_minor AS subtotal, l.discount_minor AS discount," \
	" l.tax_minor AS tax, l.tax_added_minor AS tax_added, l.total_minor AS total, l.commission_minor AS commission," \
	" l.qty, l.tax_bp, l.returned_qty, l.refunded_qty FROM checkout.order_line l"                                   \
	" JOIN checkout.vendor_order v ON v.id = l.vendor_order_id"
#define LINE_ROW .col = line_cols, .ncol = ARRAY_LEN(line_cols), .row_size = sizeof(struct oline_row)

static const struct pg_stmt lines_of_order = {
	.name = "lines_of_order",
	.sql = LINE_SQL " WHERE l.order_id = $1 ORDER BY l.position LIMIT 500",
	LINE_ROW,
};
static const struct pg_stmt lines_of_vendor_order = {
	.name = "lines_of_vendor_order",
	.sql = LINE_SQL " WHERE l.vendor_order_id = $1 ORDER BY l.position LIMIT 500",
	LINE_ROW,
};

enum err_code oline_db_of(struct pg *pg, struct arena *a, const char *order_id, const char *vendor_order_id,
			  struct oline_row **rows_r, size_t *n_r, struct err *e)
{
	if (vendor_order_id)
		return pg_rows(pg, &lines_of_vendor_order, PG_ARGS(P(vendor_order_id)), a, rows_r, n_r, e);
	return pg_rows(pg, &lines_of_order, PG_ARGS(P(order_id)), a, rows_r, n_r, e);
}

enum err_code order_db_whole(struct pg *pg, struct arena *a, const char *id, struct order_parts *parts_r, struct err *e)
{
	const struct pg_param key[] = { P(id) };
	struct order_parts w = { 0 };
	size_t n = 0;
	const struct pg_read reads[] = {
		{ &get, key, 1, &w.order, &n },
		{ &vof_order, key, 1, &w.vendors, &w.n_vendors },
		{ &lines_of_order, key, 1, &w.lines, &w.n_lines },
	};

	if (pg_reads(pg, reads, ARRAY_LEN(reads), a, e))
		return e->code;
	*parts_r = w;
	if (n == 0)
		parts_r->order = NULL;
	return OK;
}

const struct pg_stmt *const order_db_read_stmts[] = { &get,  &lock,  &of_user,	   &page,		   &vof_order,
						   &vget, &vpage, &lines_of_order, &lines_of_vendor_order, NULL };
