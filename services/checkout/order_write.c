#include "services/checkout/order_write.h"

#include <string.h>

#include "common/id.h"
#include "common/outbox.h"
#include "events.pb-c.h"
#include "services/checkout/checkout_db_rules.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_db.h"

struct writing {
	struct pg *pg;
	struct arena *a;
	const struct checkout_svc *svc;
	const struct checkout_row *row;
	Checkout__V1__Frozen *f;
	struct vendor_new v;
	struct line_new l;
	struct err *e;
};

char *order_reservation_key(struct arena *a, const struct checkout_row *row)
{
	return arena_printf(a, "%s.%d%s", row->id, (int)row->attempt, row->rereserved ? "r" : "");
}

/* ---- a guest's key ---- */

char *order_token(struct arena *a, const struct checkout_svc *svc, const char *order_id)
{
	const char *text = arena_printf(a, "order-token:v1:%s", order_id);
	char *out = arena_alloc(a, BASE64URL_LEN(SHA256_LEN));
	uint8_t mac[SHA256_LEN];

	hmac_sha256(svc->index_key.b, KEY_LEN, text, strlen(text), mac);
	(void)base64url_encode(mac, SHA256_LEN, out);
	return out;
}

bool order_token_ok(struct arena *a, const struct checkout_svc *svc, const char *order_id, const char *token)
{
	const char *want = order_token(a, svc, order_id);

	return token && strlen(token) == strlen(want) && ct_equal(token, want, strlen(want));
}

/* ---- parts ---- */

static const char **texts(struct writing *w, size_t n)
{
	return arena_array(w->a, n + 1, sizeof(char *));
}

static int64_t *numbers(struct writing *w, size_t n)
{
	return arena_array(w->a, n + 1, sizeof(int64_t));
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static void fill_vendors(struct writing *w)
{
	const size_t n = w->f->n_vendors;
	struct vendor_new *v = &w->v;

	*v = (struct vendor_new){ texts(w, n),	 texts(w, n),	texts(w, n),   numbers(w, n), numbers(w, n),
				  numbers(w, n), numbers(w, n), numbers(w, n), numbers(w, n), numbers(w, n), n };
	for (size_t i = 0; i < n; i++) {
		const Checkout__V1__FrozenVendor *x = w->f->vendors[i];
		char id[ID_LEN];

		id_new("vor", id);
		v->id[i] = arena_strdup(w->a, id);
		v->vendor_id[i] = or_empty(x->vendor_id);
		v->name[i] = or_empty(x->vendor_name);
		v->subtotal[i] = frozen_minor(x->subtotal);
		v->discount[i] = frozen_minor(x->discount);
		v->shipping[i] = frozen_minor(x->shipping);
		v->tax[i] = frozen_minor(x->tax);
		v->tax_added[i] = frozen_minor(x->tax_added);
		v->total[i] = frozen_minor(x->total);
		v->commission[i] = frozen_minor(x->commission);
	}
}

static const char *vendor_order_of(const struct writing *w, const char *vendor_id)
{
	for (size_t i = 0; i < w->v.n; i++)
		if (strcmp(w->v.vendor_id[i], or_empty(vendor_id)) == 0)
			return w->v.id[i];
	return ""; /* no such row: the foreign key refuses it */
}

static void fill_line(struct writing *w, struct line_new *l, size_t i)
{
	const Checkout__V1__FrozenLine *x = w->f->lines[i];
	const Checkout__V1__Line *y = x->line;

	l->variant_id[i] = or_empty(y->variant_id);
	l->vendor_order_id[i] = vendor_order_of(w, y->vendor_id);
	l->product_id[i] = or_empty(y->product_id);
	l->sku[i] = or_empty(y->sku);
	l->title[i] = or_empty(y->title);
	l->variant_title[i] = or_empty(y->variant_title);
	l->image_key[i] = or_empty(y->image_key);
	l->qty[i] = y->qty;
	l->unit[i] = frozen_minor(y->unit_price);
	l->subtotal[i] = frozen_minor(y->subtotal);
	l->discount[i] = frozen_minor(y->discount);
	l->tax[i] = frozen_minor(y->tax);
	l->tax_added[i] = frozen_minor(x->tax_added);
	l->tax_bp[i] = y->tax_bp;
	l->total[i] = frozen_minor(y->total);
	l->commission_bp[i] = x->commission_bp;
	l->commission[i] = frozen_minor(x->commission);
}

static enum err_code fill_lines(struct writing *w, int32_t *items_r)
{
	const size_t n = w->f->n_lines;
	w->l = (struct line_new){
		texts(w, n),   texts(w, n),   texts(w, n),   texts(w, n),   texts(w, n),   texts(w, n),
		texts(w, n),   numbers(w, n), numbers(w, n), numbers(w, n), numbers(w, n), numbers(w, n),
		numbers(w, n), numbers(w, n), numbers(w, n), numbers(w, n), numbers(w, n), n,
	};

	*items_r = 0;
	for (size_t i = 0; i < n; i++) {
		if (!w->f->lines[i]->line)
			return err_set(w->e, E_INTERNAL, "common.internal", "frozen line %zu is empty", i);
		fill_line(w, &w->l, i);
		*items_r += (int32_t)w->l.qty[i];
	}
	return OK;
}

/* ---- the person moves from the checkout's row to the order's ---- */

static enum err_code reseal(struct writing *w, struct order_new *o)
{
	struct pg_bytes plain;
	ProtobufCAllocator al = arena_pb(w->a);
	Checkout__V1__Person *p;

	if (!w->row->person.data)
		return OK; /* erased meanwhile */
	if (crypto_open(w->svc->ring, "checkout.checkout.person", w->row->id, w->row->person, w->a, &plain, w->e) ||
	    crypto_seal(w->svc->ring, "checkout.orders.person", w->row->order_id, plain, w->a, &o->person, w->e))
		return w->e->code;
	p = checkout__v1__person__unpack(&al, plain.len, plain.data);
	if (p && p->email && *p->email && !w->row->user_id) {
		uint8_t *index = arena_alloc(w->a, SHA256_LEN);

		crypto_blind_index(&w->svc->index_key, "email", crypto_normal_email(w->a, p->email), index);
		o->email_index = (struct pg_bytes){ index, SHA256_LEN };
	}
	return OK;
}

static enum err_code write_row(struct writing *w, int32_t items)
{
	const Checkout__V1__Totals *t = w->f->totals;
	Checkout__V1__Frozen only = CHECKOUT__V1__FROZEN__INIT;
	struct order_new o = {
		.id = w->row->order_id, .checkout_id = w->row->id, .pi_id = w->row->free ? NULL : w->row->pi_id,
		.reservation_key = order_reservation_key(w->a, w->row), .user_id = w->row->user_id,
		.currency = w->row->currency, .locale = w->row->locale, .shipping_name = or_empty(w->f->shipping_name),
		.subtotal = frozen_minor(t->subtotal), .discount = frozen_minor(t->discount),
		.shipping = frozen_minor(t->shipping), .tax = frozen_minor(t->tax),
		.tax_added = frozen_minor(t->tax_added), .total = frozen_minor(t->total), .item_count = items,
	};

	only.discounts = w->f->discounts;
	only.n_discounts = w->f->n_discounts;
	only.has_shipping_tax_bp = w->f->has_shipping_tax_bp;
	only.shipping_tax_bp = w->f->shipping_tax_bp;
	only.has_shipping_tax_included = w->f->has_shipping_tax_included;
	only.shipping_tax_included = w->f->shipping_tax_included;
	only.shipping_tax = w->f->shipping_tax;
	o.discounts = frozen_pack(w->a, &only.base);
	if (reseal(w, &o))
		return w->e->code;
	return order_db_write(w->pg, w->a, &o, &w->v, &w->l, w->e);
}

/* ---- events ---- */

static enum err_code tell_placed(struct writing *w)
{
	Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;

	m.order_id = (char *)w->row->order_id;
	m.checkout_id = (char *)w->row->id;
	m.user_id = (char *)w->row->user_id;
	m.cart_id = (char *)w->row->cart_id;
	m.total = w->f->totals->total;
	m.locale = (char *)w->row->locale;
	m.lines = arena_array(w->a, w->f->n_lines + 1, sizeof(*m.lines));
	for (size_t i = 0; i < w->f->n_lines; i++) {
		Events__V1__OrderLine *l = arena_alloc(w->a, sizeof(*l));
		const Checkout__V1__Line *x = w->f->lines[i]->line;

		events__v1__order_line__init(l);
		l->variant_id = x->variant_id;
		l->product_id = x->product_id;
		l->vendor_id = x->vendor_id;
		l->has_qty = true;
		l->qty = x->qty;
		l->total = x->total;
		m.lines[m.n_lines++] = l;
	}
	return outbox_put(w->pg, "order", w->row->order_id, 1, "order.placed", &m.base, w->e);
}

static enum err_code tell_vendors(struct writing *w)
{
	for (size_t i = 0; i < w->v.n; i++) {
		Events__V1__VendorOrderChanged m = EVENTS__V1__VENDOR_ORDER_CHANGED__INIT;

		m.vendor_order_id = (char *)w->v.id[i];
		m.order_id = (char *)w->row->order_id;
		m.vendor_id = (char *)w->v.vendor_id[i];
		m.status = (char *)"placed";
		if (outbox_put(w->pg, "vendor_order", w->v.id[i], 1, "vendor_order.placed", &m.base, w->e))
			return w->e->code;
	}
	return OK;
}

static enum err_code put_payment(struct pg *pg, const struct checkout_row *row, int64_t captured, struct err *e)
{
	char id[ID_LEN];

	id_new("pay", id);
	return order_db_payment_put(pg, id, row->id, row->pi_id, row->currency, captured, e);
}

enum err_code order_write(struct pg *pg, struct arena *a, const struct checkout_svc *svc, const struct checkout_row *row,
			  int64_t captured_minor, struct err *e)
{
	struct writing w = { .pg = pg, .a = a, .svc = svc, .row = row, .e = e };
	int32_t items = 0;

	if (frozen_unpack(a, row->frozen, &w.f, e))
		return e->code;
	fill_vendors(&w);
	if (fill_lines(&w, &items) || (!row->free && put_payment(pg, row, captured_minor, e)))
		return e->code;
	/* Every promotion that applied is a discount in the frozen totals. */
	if (w.f->n_discounts && checkout_db_promo_end(pg, row->id, row->attempt, "used", e))
		return e->code;
	if (tell_placed(&w) || tell_vendors(&w))
		return e->code;
	return write_row(&w, items);
}

enum err_code order_owe_refund(struct pg *pg, struct arena *a, const struct checkout_row *row, int64_t captured_minor,
			       const char *why, struct err *e)
{
	char id[ID_LEN];

	(void)a;
	id_new("rfd", id);
	if (put_payment(pg, row, captured_minor, e))
		return e->code;
	return order_db_owe(pg, id, row->id, row->pi_id, why, e);
}

enum err_code order_tell_end(struct pg *pg, const struct checkout_row *row, const char *type, const char *why,
			     int64_t version, struct err *e)
{
	Events__V1__CheckoutEnded m = EVENTS__V1__CHECKOUT_ENDED__INIT;

	m.checkout_id = (char *)row->id;
	m.user_id = (char *)row->user_id;
	m.cart_id = (char *)row->cart_id;
	m.why = (char *)why;
	if (checkout_db_promo_end(pg, row->id, row->attempt, "released", e))
		return e->code;
	return outbox_put(pg, "checkout", row->id, version, type, &m.base, e);
}
