#include "services/checkout/order_view.h"

#include <string.h>

#include "common/check.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_write.h"

enum err_code order_load_in(struct pg *pg, struct arena *a, const char *id, struct order_parts *r, struct err *e)
{
	*r = (struct order_parts){ 0 };
	if (!id || strlen(id) > 40)
		return err_set(e, E_NOT_FOUND, "order.not_found", "no id");
	if (order_db_whole(pg, a, id, r, e))
		return e->code;
	return r->order ? OK : err_set(e, E_NOT_FOUND, "order.not_found", "%s", id);
}

enum err_code order_load(struct call *c, const char *id, struct order_parts *r)
{
	enum err_code code;
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	code = order_load_in(pg, c->arena, id, r, &c->err);
	pg_return(pg);
	return code;
}

bool order_is_mine(struct call *c, const struct order_row *o, const char *token)
{
	if (o->user_id)
		return c->who.kind == WHO_USER && strcmp(c->who.user_id, o->user_id) == 0;
	return order_token_ok(c->arena, c->svc, o->id, token);
}

enum err_code order_load_mine(struct call *c, const char *id, const char *token, struct order_parts *r)
{
	if (order_load(c, id, r))
		return c->err.code;
	if (!order_is_mine(c, r->order, token))
		return err_set(&c->err, E_NOT_FOUND, "order.not_found", "%s is somebody else's", id);
	return OK;
}

enum err_code order_person(struct call *c, const char *order_id, struct pg_bytes sealed, Checkout__V1__Person **p_r)
{
	return checkout_open_person(c, "checkout.orders.person", order_id, sealed, p_r);
}

Checkout__V1__Line *order_line_of(struct arena *a, const struct oline_row *x, const char *currency)
{
	Checkout__V1__Line *l = arena_alloc(a, sizeof(*l));

	checkout__v1__line__init(l);
	l->variant_id = (char *)x->variant_id;
	l->product_id = (char *)x->product_id;
	l->vendor_id = (char *)x->vendor_id;
	l->vendor_name = (char *)x->vendor_name;
	l->sku = (char *)x->sku;
	l->title = (char *)x->title;
	l->variant_title = *x->variant_title ? (char *)x->variant_title : NULL;
	l->image_key = *x->image_key ? (char *)x->image_key : NULL;
	l->has_qty = l->has_tax_bp = l->has_tax_included = l->has_returned_qty = true;
	l->qty = x->qty;
	l->tax_bp = x->tax_bp;
	l->tax_included = x->tax > 0 && x->tax_added == 0;
	l->returned_qty = x->returned_qty;
	l->unit_price = frozen_money(a, x->unit, currency);
	l->subtotal = frozen_money(a, x->subtotal, currency);
	l->discount = frozen_money(a, x->discount, currency);
	l->tax = frozen_money(a, x->tax, currency);
	l->total = frozen_money(a, x->total, currency);
	return l;
}

Checkout__V1__Totals *order_totals(struct arena *a, const struct order_row *o)
{
	Checkout__V1__Totals *t = arena_alloc(a, sizeof(*t));

	checkout__v1__totals__init(t);
	t->subtotal = frozen_money(a, o->subtotal, o->currency);
	t->discount = frozen_money(a, o->discount, o->currency);
	t->shipping = frozen_money(a, o->shipping, o->currency);
	t->tax = frozen_money(a, o->tax, o->currency);
	t->tax_added = frozen_money(a, o->tax_added, o->currency);
	t->total = frozen_money(a, o->total, o->currency);
	return t;
}

static Checkout__V1__VendorPart *vendor_part(struct arena *a, const struct order_parts *p, const struct vorder_row *v)
{
	Checkout__V1__VendorPart *x = arena_alloc(a, sizeof(*x));

	checkout__v1__vendor_part__init(x);
	x->id = (char *)v->id;
	x->vendor_id = (char *)v->vendor_id;
	x->vendor_name = (char *)v->vendor_name;
	x->status = (char *)v->status;
	x->total = frozen_money(a, v->total, v->currency);
	x->carrier = (char *)v->carrier;
	x->tracking = (char *)v->tracking;
	x->has_shipped_at = v->shipped_at > 0;
	x->shipped_at = v->shipped_at;
	x->has_delivered_at = v->delivered_at > 0;
	x->delivered_at = v->delivered_at;
	x->lines = arena_array(a, p->n_lines + 1, sizeof(*x->lines));
	for (size_t i = 0; i < p->n_lines; i++)
		if (strcmp(p->lines[i].vendor_order_id, v->id) == 0)
			x->lines[x->n_lines++] = order_line_of(a, &p->lines[i], v->currency);
	return x;
}

enum err_code order_fill(struct call *c, const struct order_parts *p, Checkout__V1__Order *out)
{
	const struct order_row *o = p->order;
	Checkout__V1__Person *person = NULL;
	ProtobufCAllocator al = arena_pb(c->arena);
	Checkout__V1__Frozen *f = checkout__v1__frozen__unpack(&al, o->discounts.len, o->discounts.data);

	if (order_person(c, o->id, o->person, &person))
		return c->err.code;
	out->id = (char *)o->id;
	out->number = (char *)o->number;
	out->checkout_id = (char *)o->checkout_id;
	out->status = (char *)o->status;
	out->payment_status = (char *)o->payment_status;
	out->fulfilment_status = (char *)o->fulfilment_status;
	out->currency = (char *)o->currency;
	out->totals = order_totals(c->arena, o);
	out->refunded = frozen_money(c->arena, o->refunded, o->currency);
	if (f) {
		out->discounts = f->discounts;
		out->n_discounts = f->n_discounts;
	}
	out->vendor_orders = arena_array(c->arena, p->n_vendors + 1, sizeof(*out->vendor_orders));
	for (size_t i = 0; i < p->n_vendors; i++)
		out->vendor_orders[out->n_vendor_orders++] = vendor_part(c->arena, p, &p->vendors[i]);
	out->shipping_name = (char *)o->shipping_name;
	out->address = person->address;
	out->email = person->email;
	out->has_placed_at = out->has_version = true;
	out->placed_at = o->placed_at;
	out->version = o->version;
	out->hdr_etag = checkout_tag(c->arena, o->id, o->version);
	return OK;
}
