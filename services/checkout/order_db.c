#include "services/checkout/order_db.h"

#define T(v, n) pg_p_text_array(a, v, n)
#define N(v, n) pg_p_i64_array(a, v, n)

/* An order with all its parts: one statement, so that the parts may refer to each other in any order. */
static const struct pg_stmt write_all = {
	.name = "order_write",
	.sql = "WITH v AS (INSERT INTO checkout.vendor_order (id, order_id, vendor_id, vendor_name, currency,"
	       " subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_added_minor, total_minor, commission_minor)"
	       " SELECT x.id, $1, x.vendor, x.name, $6, x.sub, x.disc, x.ship, x.tax, x.added, x.total, x.comm"
	       " FROM unnest($19::text[], $20::text[], $21::text[], $22::bigint[], $23::bigint[], $24::bigint[],"
	       " $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[])"
	       " AS x (id, vendor, name, sub, disc, ship, tax, added, total, comm)"
	       " RETURNING id, vendor_id, total_minor, commission_minor),"
	       " l AS (INSERT INTO checkout.order_line (order_id, variant_id, vendor_order_id, position, product_id, sku,"
	       " title, variant_title, image_key, qty, unit_minor, subtotal_minor, discount_minor, tax_minor,"
	       " tax_added_minor, tax_bp, total_minor, commission_bp, commission_minor)"
	       " SELECT $1, x.variant, x.vo, x.pos, x.product, x.sku, x.title, x.vtitle, x.image, x.qty, x.unit, x.sub,"
	       " x.disc, x.tax, x.added, x.bp, x.total, x.cbp, x.comm"
	       " FROM unnest($29::text[], $30::text[], $31::text[], $32::text[], $33::text[], $34::text[], $35::text[],"
	       " $36::bigint[], $37::bigint[], $38::bigint[], $39::bigint[], $40::bigint[], $41::bigint[], $42::bigint[],"
	       " $43::bigint[], $44::bigint[], $45::bigint[]) WITH ORDINALITY"
	       " AS x (variant, vo, product, sku, title, vtitle, image, qty, unit, sub, disc, tax, added, bp, total, cbp,"
	       " comm, pos)),"
	       " b AS (INSERT INTO checkout.ledger (vendor_id, vendor_order_id, kind, currency, amount_minor, reference)"
	       " SELECT v.vendor_id, v.id, k.kind, $6,"
	       " CASE k.kind WHEN 'sale' THEN v.total_minor ELSE -v.commission_minor END, $1"
	       " FROM v CROSS JOIN (VALUES ('sale'), ('commission')) AS k (kind))"
	       " INSERT INTO checkout.orders (id, number, checkout_id, payment_intent_id, reservation_key, user_id, currency,"
	       " locale, shipping_name, subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_added_minor,"
	       " total_minor, item_count, email_index, discounts, person, payment_status) VALUES ($1,"
	       " checkout.next_order_number(), $2, $3, $4, $5, $6, $7, $8, $9::bigint, $10::bigint, $11::bigint,"
	       " $12::bigint, $13::bigint, $14::bigint, $15::int, $16::bytea, $17::bytea, $18::bytea,"
	       " CASE WHEN $14::bigint = 0 THEN 'free' ELSE 'paid' END)",
};

enum err_code order_db_write(struct pg *pg, struct arena *a, const struct order_new *o, const struct vendor_new *v,
			     const struct line_new *l, struct err *e)
{
	return pg_later(pg, &write_all,
		       PG_ARGS(P(o->id), P(o->checkout_id), P(o->pi_id), P(o->reservation_key), P(o->user_id),
			       P(o->currency), P(o->locale), P(o->shipping_name), P(o->subtotal), P(o->discount),
			       P(o->shipping), P(o->tax), P(o->tax_added), P(o->total), P(o->item_count),
			       P(o->email_index), P(o->discounts), P(o->person), T(v->id, v->n), T(v->vendor_id, v->n),
			       T(v->name, v->n), N(v->subtotal, v->n), N(v->discount, v->n), N(v->shipping, v->n),
			       N(v->tax, v->n), N(v->tax_added, v->n), N(v->total, v->n), N(v->commission, v->n),
			       T(l->variant_id, l->n), T(l->vendor_order_id, l->n), T(l->product_id, l->n),
			       T(l->sku, l->n), T(l->title, l->n), T(l->variant_title, l->n), T(l->image_key, l->n),
			       N(l->qty, l->n), N(l->unit, l->n), N(l->subtotal, l->n), N(l->discount, l->n),
			       N(l->tax, l->n), N(l->tax_added, l->n), N(l->tax_bp, l->n), N(l->total, l->n),
			       N(l->commission_bp, l->n), N(l->commission, l->n)),
		       e);
}

static const struct pg_stmt payment_put = {
	.name = "payment_put",
	.sql = "INSERT INTO checkout.payment (id, checkout_id, pi_id, currency, captured_minor)"
	       " VALUES ($1, $2, $3, $4, $5::bigint) ON CONFLICT (pi_id) DO NOTHING",
};

enum err_code order_db_payment_put(struct pg *pg, const char *id, const char *checkout_id, const char *pi_id,
				   const char *currency, int64_t captured, struct err *e)
{
	return pg_later(pg, &payment_put, PG_ARGS(P(id), P(checkout_id), P(pi_id), P(currency), P(captured)), e);
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

static const struct pg_col owed_cols[] = { PG_COL(owed_row, id), PG_COL(owed_row, amount_minor),
					 PG_COL(owed_row, age_ms) };
static const struct pg_stmt owed = {
	.name = "refund_owed",
	.sql = "SELECT r.id, r.amount_minor, (extract(epoch FROM now() - r.created_at) * 1000)::bigint AS age_ms"
	       " FROM checkout.refund r JOIN checkout.payment p ON p.id = r.payment_id"
	       " WHERE p.pi_id = $1 AND r.order_id IS NULL AND r.state <> 'failed' ORDER BY r.id DESC LIMIT 1",
	.col = owed_cols, .ncol = 3, .row_size = sizeof(struct owed_row),
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

const struct pg_stmt *const order_db_stmts[] = { &write_all, &payment_put, &owe,		&owed,	       &owed_done, NULL };
