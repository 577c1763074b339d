#include "services/checkout/order_db.h"

static const struct pg_stmt insert = {
	.name = "order_insert",
	.sql = "INSERT INTO checkout.orders (id, number, checkout_id, payment_intent_id, reservation_key, user_id, currency,"
	       " locale, shipping_name, subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_added_minor,"
	       " total_minor, item_count, email_index, discounts, person, payment_status) VALUES ($1,"
	       " checkout.next_order_number(), $2, $3, $4, $5, $6, $7, $8, $9::bigint, $10::bigint, $11::bigint, $12::bigint,"
	       " $13::bigint, $14::bigint, $15::int, $16::bytea, $17::bytea, $18::bytea,"
	       " CASE WHEN $14::bigint = 0 THEN 'free' ELSE 'paid' END)",
};

enum err_code order_db_insert(struct pg *pg, const struct order_new *o, struct err *e)
{
	return pg_exec(pg, &insert,
		       PG_ARGS(P(o->id), P(o->checkout_id), P(o->pi_id), P(o->reservation_key), P(o->user_id),
			       P(o->currency), P(o->locale), P(o->shipping_name), P(o->subtotal), P(o->discount),
			       P(o->shipping), P(o->tax), P(o->tax_added), P(o->total), P(o->item_count),
			       P(o->email_index), P(o->discounts), P(o->person)),
		       NULL, e);
}

static const struct pg_stmt insert_vendors = {
	.name = "order_insert_vendors",
	.sql = "INSERT INTO checkout.vendor_order (id, order_id, vendor_id, vendor_name, currency, subtotal_minor,"
	       " discount_minor, shipping_minor, tax_minor, tax_added_minor, total_minor, commission_minor)"
	       " SELECT x.id, $1, x.vendor, x.name, $2, x.sub, x.disc, x.ship, x.tax, x.added, x.total, x.comm"
	       " FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],"
	       " $10::bigint[], $11::bigint[], $12::bigint[]) AS x (id, vendor, name, sub, disc, ship, tax, added, total, comm)",
};

#define T(v) pg_p_text_array(a, v, n)
#define N(v) pg_p_i64_array(a, v, n)

enum err_code order_db_insert_vendors(struct pg *pg, struct arena *a, const char *order_id, const char *currency,
				      const struct vendor_new *v, struct err *e)
{
	const size_t n = v->n;

	return pg_exec(pg, &insert_vendors,
		       PG_ARGS(P(order_id), P(currency), T(v->id), T(v->vendor_id), T(v->name), N(v->subtotal),
			       N(v->discount), N(v->shipping), N(v->tax), N(v->tax_added), N(v->total),
			       N(v->commission)),
		       NULL, e);
}

static const struct pg_stmt insert_lines = {
	.name = "order_insert_lines",
	.sql = "INSERT INTO checkout.order_line (order_id, variant_id, vendor_order_id, position, product_id, sku, title,"
	       " variant_title, image_key, qty, unit_minor, subtotal_minor, discount_minor, tax_minor, tax_added_minor,"
	       " tax_bp, total_minor, commission_bp, commission_minor)"
	       " SELECT $1, x.variant, x.vo, x.pos, x.product, x.sku, x.title, x.vtitle, x.image, x.qty, x.unit, x.sub,"
	       " x.disc, x.tax, x.added, x.bp, x.total, x.cbp, x.comm"
	       " FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],"
	       " $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],"
	       " $16::bigint[], $17::bigint[], $18::bigint[]) WITH ORDINALITY"
	       " AS x (variant, vo, product, sku, title, vtitle, image, qty, unit, sub, disc, tax, added, bp, total, cbp,"
	       " comm, pos)",
};

enum err_code order_db_insert_lines(struct pg *pg, struct arena *a, const char *order_id, const struct line_new *l,
				    struct err *e)
{
	const size_t n = l->n;

	return pg_exec(pg, &insert_lines,
		       PG_ARGS(P(order_id), T(l->variant_id), T(l->vendor_order_id), T(l->product_id), T(l->sku),
			       T(l->title), T(l->variant_title), T(l->image_key), N(l->qty), N(l->unit), N(l->subtotal),
			       N(l->discount), N(l->tax), N(l->tax_added), N(l->tax_bp), N(l->total),
			       N(l->commission_bp), N(l->commission)),
		       NULL, e);
}

static const struct pg_stmt book_sale = {
	.name = "order_book_sale",
	.sql = "INSERT INTO checkout.ledger (vendor_id, vendor_order_id, kind, currency, amount_minor, reference)"
	       " SELECT v.vendor_id, v.id, k.kind, v.currency,"
	       " CASE k.kind WHEN 'sale' THEN v.total_minor ELSE -v.commission_minor END, v.order_id"
	       " FROM checkout.vendor_order v CROSS JOIN (VALUES ('sale'), ('commission')) AS k (kind)"
	       " WHERE v.order_id = $1",
};

enum err_code order_db_book_sale(struct pg *pg, const char *order_id, struct err *e)
{
	return pg_exec(pg, &book_sale, PG_ARGS(P(order_id)), NULL, e);
}

static const struct pg_stmt payment_put = {
	.name = "payment_put",
	.sql = "INSERT INTO checkout.payment (id, checkout_id, pi_id, currency, captured_minor)"
	       " VALUES ($1, $2, $3, $4, $5::bigint) ON CONFLICT (pi_id) DO NOTHING",
};

enum err_code order_db_payment_put(struct pg *pg, const char *id, const char *checkout_id, const char *pi_id,
				   const char *currency, int64_t captured, struct err *e)
{
	return pg_exec(pg, &payment_put, PG_ARGS(P(id), P(checkout_id), P(pi_id), P(currency), P(captured)), NULL, e);
}

/* Driven by the saga, not by the refund sweeper: next_at stays NULL. */
static const struct pg_stmt owe = {
	.name = "refund_owe",
	.sql = "INSERT INTO checkout.refund (id, payment_id, checkout_id, currency, amount_minor, reason, next_at)"
	       " SELECT $1, p.id, $2, p.currency, p.captured_minor - p.refunding_minor, $4, NULL FROM checkout.payment p"
	       " WHERE p.pi_id = $3 AND p.captured_minor > p.refunding_minor AND NOT EXISTS (SELECT 1"
	       " FROM checkout.refund r WHERE r.payment_id = p.id AND r.order_id IS NULL AND r.state <> 'failed')",
};

enum err_code order_db_owe(struct pg *pg, const char *id, const char *checkout_id, const char *pi_id, const char *reason,
			   struct err *e)
{
	return pg_exec(pg, &owe, PG_ARGS(P(id), P(checkout_id), P(pi_id), P(reason)), NULL, e);
}

static const struct pg_col owed_cols[] = { PG_COL(owed_row, id), PG_COL(owed_row, amount_minor) };
static const struct pg_stmt owed = {
	.name = "refund_owed",
	.sql = "SELECT r.id, r.amount_minor FROM checkout.refund r JOIN checkout.payment p ON p.id = r.payment_id"
	       " WHERE p.pi_id = $1 AND r.order_id IS NULL AND r.state <> 'failed' ORDER BY r.id DESC LIMIT 1",
	.col = owed_cols, .ncol = 2, .row_size = sizeof(struct owed_row),
};

enum err_code order_db_owed(struct pg *pg, struct arena *a, const char *pi_id, struct owed_row **row_r, bool *found_r,
			    struct err *e)
{
	return pg_row(pg, &owed, PG_ARGS(P(pi_id)), a, row_r, found_r, e);
}

static const struct pg_stmt owed_done = {
	.name = "refund_owed_done",
	.sql = "UPDATE checkout.refund r SET state = 'succeeded', provider_id = coalesce($2, r.provider_id),"
	       " version = r.version + 1, updated_at = now() FROM checkout.payment p WHERE p.id = r.payment_id"
	       " AND p.pi_id = $1 AND r.order_id IS NULL AND r.state = 'pending'",
};

enum err_code order_db_owed_done(struct pg *pg, const char *pi_id, const char *provider_id, struct err *e)
{
	return pg_exec(pg, &owed_done, PG_ARGS(P(pi_id), P(provider_id)), NULL, e);
}

const struct pg_stmt *const order_db_stmts[] = { &insert,      &insert_vendors, &insert_lines, &book_sale,
						 &payment_put, &owe,		&owed,	       &owed_done, NULL };
