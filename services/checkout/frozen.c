#include "services/checkout/frozen.h"

void frozen_add_discount(struct arena *a, Checkout__V1__Frozen *f, const struct totals_promo *p)
{
	Checkout__V1__Discount *d = arena_alloc(a, sizeof(*d));

	checkout__v1__discount__init(d);
	d->promotion_id = (char *)p->id;
	d->code = (char *)p->code;
	d->title = (char *)p->title;
	d->amount = money_to_pb(a, p->amount);
	f->discounts[f->n_discounts++] = d;
}

static Checkout__V1__Line *line_of(struct arena *a, const struct totals_line *x, const Catalog__V1__VariantInfo *v)
{
	Checkout__V1__Line *l = arena_alloc(a, sizeof(*l));

	checkout__v1__line__init(l);
	l->variant_id = (char *)x->variant_id;
	l->product_id = (char *)x->product_id;
	l->vendor_id = (char *)x->vendor_id;
	l->vendor_name = v->vendor_name;
	l->sku = v->sku;
	l->title = v->product_title;
	l->variant_title = v->variant_title;
	l->image_key = v->image_key;
	l->has_qty = true;
	l->qty = x->qty;
	l->unit_price = money_to_pb(a, x->unit);
	l->subtotal = money_to_pb(a, x->subtotal);
	l->discount = money_to_pb(a, x->discount);
	l->tax = money_to_pb(a, x->tax);
	l->has_tax_bp = l->has_tax_included = true;
	l->tax_bp = x->tax_bp;
	l->tax_included = x->tax_included;
	l->total = money_to_pb(a, x->total);
	return l;
}

static void fill_lines(struct arena *a, Checkout__V1__Frozen *f, const struct totals *t,
		       const Catalog__V1__VariantInfo *const *info)
{
	f->lines = arena_array(a, t->n_lines, sizeof(*f->lines));
	for (size_t i = 0; i < t->n_lines; i++) {
		Checkout__V1__FrozenLine *l = arena_alloc(a, sizeof(*l));

		checkout__v1__frozen_line__init(l);
		l->line = line_of(a, &t->lines[i], info[i]);
		l->has_weight_g = l->has_commission_bp = true;
		l->weight_g = t->lines[i].weight_g;
		l->commission_bp = t->lines[i].commission_bp;
		l->commission = money_to_pb(a, t->lines[i].commission);
		l->tax_added = money_to_pb(a, t->lines[i].tax_added);
		f->lines[f->n_lines++] = l;
	}
}

static const char *vendor_name(const struct totals *t, const Catalog__V1__VariantInfo *const *info, const char *id)
{
	for (size_t i = 0; i < t->n_lines; i++)
		if (t->lines[i].vendor_id == id)
			return info[i]->vendor_name;
	return NULL;
}

static void fill_vendors(struct arena *a, Checkout__V1__Frozen *f, const struct totals *t,
			 const Catalog__V1__VariantInfo *const *info)
{
	f->vendors = arena_array(a, t->n_vendors, sizeof(*f->vendors));
	for (size_t i = 0; i < t->n_vendors; i++) {
		const struct totals_vendor *x = &t->vendors[i];
		Checkout__V1__FrozenVendor *v = arena_alloc(a, sizeof(*v));

		checkout__v1__frozen_vendor__init(v);
		v->vendor_id = (char *)x->vendor_id;
		v->vendor_name = (char *)vendor_name(t, info, x->vendor_id);
		v->subtotal = money_to_pb(a, x->subtotal);
		v->discount = money_to_pb(a, x->discount);
		v->shipping = money_to_pb(a, x->shipping);
		v->shipping_tax = money_to_pb(a, x->shipping_tax);
		v->tax = money_to_pb(a, x->tax);
		v->tax_added = money_to_pb(a, x->tax_added);
		v->total = money_to_pb(a, x->total);
		v->commission = money_to_pb(a, x->commission);
		f->vendors[f->n_vendors++] = v;
	}
}

void frozen_fill(struct arena *a, Checkout__V1__Frozen *f, const struct totals *t,
		 const Catalog__V1__VariantInfo *const *info)
{
	Checkout__V1__Totals *s = arena_alloc(a, sizeof(*s));

	fill_lines(a, f, t, info);
	fill_vendors(a, f, t, info);
	checkout__v1__totals__init(s);
	s->subtotal = money_to_pb(a, t->subtotal);
	s->discount = money_to_pb(a, t->discount);
	s->shipping = money_to_pb(a, t->shipping);
	s->tax = money_to_pb(a, t->tax);
	s->tax_added = money_to_pb(a, t->tax_added);
	s->total = money_to_pb(a, t->total);
	f->totals = s;
	f->has_shipping_tax_bp = f->has_shipping_tax_included = true;
	f->shipping_tax_bp = t->shipping_tax_bp;
	f->shipping_tax_included = t->shipping_tax_included;
	f->shipping_tax = money_to_pb(a, t->shipping_tax);
}

struct pg_bytes frozen_pack(struct arena *a, const ProtobufCMessage *m)
{
	struct pg_bytes b = { .len = protobuf_c_message_get_packed_size(m) };
	uint8_t *p = arena_alloc(a, b.len + 1);

	(void)protobuf_c_message_pack(m, p);
	b.data = p;
	return b;
}

enum err_code frozen_unpack(struct arena *a, struct pg_bytes b, Checkout__V1__Frozen **f_r, struct err *e)
{
	ProtobufCAllocator al = arena_pb(a);
	Checkout__V1__Frozen *f = checkout__v1__frozen__unpack(&al, b.len, b.data);

	if (!f || !f->totals)
		return err_set(e, E_INTERNAL, "common.internal", "frozen totals of %zu bytes cannot be read", b.len);
	*f_r = f;
	return OK;
}

int64_t frozen_minor(const Common__V1__Money *m)
{
	struct err ignored = { 0 };
	struct money x;

	return m && !money_from_pb(m, &x, &ignored) ? money_minor(x) : 0;
}

Common__V1__Money *frozen_money(struct arena *a, int64_t minor, const char *currency)
{
	struct err ignored = { 0 };
	struct money x;

	return money_make(minor, currency, &x, &ignored) ? NULL : money_to_pb(a, x);
}
