/* What an invoice says: the order as it was sold, tax by rate, what came back. */
#include <string.h>

#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"
#include "services/checkout/refund_db.h"
#include "services/checkout/totals.h"

RPC_HANDLER(get_invoice, Checkout__V1__OrderRequest, Checkout__V1__Invoice)

const struct rpc_method checkout_invoice_methods[] = {
	{ "GetInvoice", get_invoice_, RPC_READ, 0 },
	{ 0 },
};

struct rate {
	int32_t bp;
	bool included;
	int64_t base, tax; /* base without tax */
};

static void count(struct rate *rates, size_t *n, int32_t bp, bool included, int64_t base, int64_t tax)
{
	for (size_t i = 0; i < *n; i++) {
		if (rates[i].bp == bp && rates[i].included == included) {
			rates[i].base += base;
			rates[i].tax += tax;
			return;
		}
	}
	rates[(*n)++] = (struct rate){ bp, included, base, tax };
}

static void add_taxes(struct call *c, const struct order_parts *p, const Checkout__V1__Frozen *f, Checkout__V1__Invoice *out)
{
	struct rate *rates = arena_array(c->arena, p->n_lines + 2, sizeof(*rates));
	int64_t ship_tax = f ? frozen_minor(f->shipping_tax) : 0;
	size_t n = 0;

	for (size_t i = 0; i < p->n_lines; i++) {
		const struct oline_row *l = &p->lines[i];
		bool included = l->tax > 0 && l->tax_added == 0;

		if (l->tax_bp > 0)
			count(rates, &n, l->tax_bp, included, l->subtotal - l->discount - (included ? l->tax : 0), l->tax);
	}
	if (f && f->shipping_tax_bp > 0 && ship_tax > 0)
		count(rates, &n, f->shipping_tax_bp, f->shipping_tax_included,
		      p->order->shipping - (f->shipping_tax_included ? ship_tax : 0), ship_tax);
	out->taxes = arena_array(c->arena, n + 1, sizeof(*out->taxes));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__TaxLine *t = arena_alloc(c->arena, sizeof(*t));

		checkout__v1__tax_line__init(t);
		t->has_rate_bp = t->has_included = true;
		t->rate_bp = rates[i].bp;
		t->included = rates[i].included;
		t->net = frozen_money(c->arena, rates[i].base, p->order->currency);
		t->tax = frozen_money(c->arena, rates[i].tax, p->order->currency);
		out->taxes[out->n_taxes++] = t;
	}
}

static enum err_code add_refunds(struct call *c, const struct order_row *o, Checkout__V1__Invoice *out)
{
	struct refund_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	if (refund_db_page(pg, c->arena, o->id, "", 100, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->refunds = arena_array(c->arena, n + 1, sizeof(*out->refunds));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__Refund *r = arena_alloc(c->arena, sizeof(*r));

		if (strcmp(rows[i].state, "succeeded") != 0)
			continue;
		checkout__v1__refund__init(r);
		r->id = (char *)rows[i].id;
		r->amount = frozen_money(c->arena, rows[i].amount, rows[i].currency);
		r->status = (char *)rows[i].state;
		r->has_created_at = true;
		r->created_at = rows[i].created_at;
		out->refunds[out->n_refunds++] = r;
	}
	return OK;
}

static enum err_code get_invoice(struct call *c, const Checkout__V1__OrderRequest *in, Checkout__V1__Invoice *out)
{
	ProtobufCAllocator al = arena_pb(c->arena);
	Checkout__V1__Person *person = NULL;
	Checkout__V1__Frozen *f;
	struct order_parts p;
	const struct order_row *o;

	if (order_load_mine(c, in->order_id, in->hdr_order_token, &p) ||
	    order_person(c, p.order->id, p.order->person, &person) || add_refunds(c, p.order, out))
		return c->err.code;
	o = p.order;
	f = checkout__v1__frozen__unpack(&al, o->discounts.len, o->discounts.data);
	out->number = arena_printf(c->arena, "INV-%s", o->number);
	out->order_number = (char *)o->number;
	out->has_issued_at = true;
	out->issued_at = o->placed_at;
	out->bill_to = person->address;
	out->currency = (char *)o->currency;
	out->lines = arena_array(c->arena, p.n_lines + 1, sizeof(*out->lines));
	for (size_t i = 0; i < p.n_lines; i++)
		out->lines[out->n_lines++] = order_line_of(c->arena, &p.lines[i], o->currency);
	if (f) {
		out->discounts = f->discounts;
		out->n_discounts = f->n_discounts;
	}
	out->totals = order_totals(c->arena, o);
	out->paid = frozen_money(c->arena, o->total, o->currency);
	out->refunded = frozen_money(c->arena, o->refunded, o->currency);
	add_taxes(c, &p, f, out);
	return OK;
}
