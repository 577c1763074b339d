#include "services/checkout/totals.h"

#include <string.h>

#include "services/checkout/promo_rules.h"

static enum err_code line_subtotals(struct totals *t, struct err *e)
{
	if (money_make(0, t->currency, &t->subtotal, e))
		return e->code;
	for (size_t i = 0; i < t->n_lines; i++) {
		struct totals_line *l = &t->lines[i];

		l->discount = l->tax = l->tax_added = l->commission = money_zero(&t->subtotal);
		if (money_mul(l->unit, l->qty, &l->subtotal, e) || money_acc(&t->subtotal, l->subtotal, e))
			return e->code;
	}
	return OK;
}

enum err_code totals_goods(struct totals *t, struct arena *a, struct err *e)
{
	bool exclusive = false;
	size_t applied = 0;

	if (line_subtotals(t, e))
		return e->code;
	for (size_t i = 0; i < t->n_promos; i++) {
		if (promo_apply(t, &t->promos[i], applied, &exclusive, a, e))
			return e->code;
		applied += t->promos[i].no == PROMO_APPLIED;
	}
	t->discount = money_zero(&t->subtotal);
	for (size_t i = 0; i < t->n_lines; i++)
		if (money_acc(&t->discount, t->lines[i].discount, e))
			return e->code;
	return OK;
}

enum err_code totals_left(const struct totals *t, struct money *left_r, struct err *e)
{
	return money_sub(t->subtotal, t->discount, left_r, e);
}

int32_t totals_weight(const struct totals *t)
{
	int64_t g = 0;

	for (size_t i = 0; i < t->n_lines && g < INT32_MAX; i++)
		g += (int64_t)t->lines[i].weight_g * t->lines[i].qty;
	return g < INT32_MAX ? (int32_t)g : INT32_MAX;
}

/* The tax on base: contained in it, or to be added. */
static enum err_code tax_on(struct money base, int32_t bp, bool included, struct money *tax_r, struct err *e)
{
	if (included)
		return money_ratio(base, bp, 10000 + (int64_t)bp, tax_r, e);
	return money_percent(base, bp, tax_r, e);
}

/* Lines of one rate are taxed together, so that an invoice's tax is the rate on its base. */
static enum err_code tax_rate_of(struct totals *t, size_t first, struct arena *a, struct err *e)
{
	struct totals_line *f = &t->lines[first];
	int64_t *weights = arena_array(a, t->n_lines, sizeof(*weights));
	struct money *parts = arena_array(a, t->n_lines, sizeof(*parts));
	struct money base = money_zero(&t->subtotal), net, tax;

	for (size_t i = first; i < t->n_lines; i++) {
		if (t->lines[i].tax_bp != f->tax_bp || t->lines[i].tax_included != f->tax_included)
			continue;
		if (money_sub(t->lines[i].subtotal, t->lines[i].discount, &net, e) || money_acc(&base, net, e))
			return e->code;
		weights[i] = money_minor(net);
	}
	if (money_sign(base) == 0)
		return OK;
	if (tax_on(base, f->tax_bp, f->tax_included, &tax, e) || money_split(tax, weights, t->n_lines, parts, e))
		return e->code;
	for (size_t i = first; i < t->n_lines; i++) {
		if (t->lines[i].tax_bp != f->tax_bp || t->lines[i].tax_included != f->tax_included)
			continue;
		t->lines[i].tax = parts[i];
		if (!f->tax_included)
			t->lines[i].tax_added = parts[i];
	}
	return OK;
}

static bool rate_seen(const struct totals *t, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (t->lines[k].tax_bp == t->lines[i].tax_bp && t->lines[k].tax_included == t->lines[i].tax_included)
			return true;
	return false;
}

static enum err_code finish_lines(struct totals *t, struct arena *a, struct err *e)
{
	struct money net;

	for (size_t i = 0; i < t->n_lines; i++)
		if (t->lines[i].tax_bp > 0 && !rate_seen(t, i) && tax_rate_of(t, i, a, e))
			return e->code;
	for (size_t i = 0; i < t->n_lines; i++) {
		struct totals_line *l = &t->lines[i];

		if (money_sub(l->subtotal, l->discount, &net, e) ||
		    money_percent(net, l->commission_bp, &l->commission, e) ||
		    money_add(net, l->tax_added, &l->total, e))
			return e->code;
	}
	return OK;
}

static struct totals_vendor *vendor_of(struct totals *t, const char *id)
{
	for (size_t i = 0; i < t->n_vendors; i++)
		if (strcmp(t->vendors[i].vendor_id, id) == 0)
			return &t->vendors[i];
	struct totals_vendor *v = &t->vendors[t->n_vendors++];
	struct money zero = money_zero(&t->subtotal);

	*v = (struct totals_vendor){ id, zero, zero, zero, zero, zero, zero, zero, zero };
	return v;
}

static enum err_code gather_vendors(struct totals *t, struct arena *a, struct err *e)
{
	t->vendors = arena_array(a, t->n_lines, sizeof(*t->vendors));
	t->n_vendors = 0;
	for (size_t i = 0; i < t->n_lines; i++) {
		const struct totals_line *l = &t->lines[i];
		struct totals_vendor *v = vendor_of(t, l->vendor_id);

		if (money_acc(&v->subtotal, l->subtotal, e) || money_acc(&v->discount, l->discount, e) ||
		    money_acc(&v->tax, l->tax, e) || money_acc(&v->tax_added, l->tax_added, e) ||
		    money_acc(&v->commission, l->commission, e))
			return e->code;
	}
	return OK;
}

/* By weight; by value when nothing weighs anything. */
static void shipping_weights(struct totals *t, int64_t *weights)
{
	bool any = false;

	for (size_t i = 0; i < t->n_lines; i++) {
		size_t v = (size_t)(vendor_of(t, t->lines[i].vendor_id) - t->vendors);

		weights[v] += (int64_t)t->lines[i].weight_g * t->lines[i].qty;
		any |= weights[v] > 0;
	}
	for (size_t v = 0; !any && v < t->n_vendors; v++)
		weights[v] = money_minor(t->vendors[v].subtotal);
}

static enum err_code share_shipping(struct totals *t, struct arena *a, struct err *e)
{
	int64_t *weights = arena_array(a, t->n_vendors, sizeof(*weights));
	struct money *parts = arena_array(a, t->n_vendors, sizeof(*parts));
	struct money *taxes = arena_array(a, t->n_vendors, sizeof(*taxes));

	if (tax_on(t->shipping, t->shipping_tax_bp, t->shipping_tax_included, &t->shipping_tax, e))
		return e->code;
	shipping_weights(t, weights);
	if (money_split(t->shipping, weights, t->n_vendors, parts, e))
		return e->code;
	for (size_t v = 0; v < t->n_vendors; v++)
		weights[v] = money_minor(parts[v]);
	if (money_split(t->shipping_tax, weights, t->n_vendors, taxes, e))
		return e->code;
	for (size_t v = 0; v < t->n_vendors; v++) {
		struct totals_vendor *x = &t->vendors[v];

		x->shipping = parts[v];
		x->shipping_tax = taxes[v];
		if (money_acc(&x->tax, taxes[v], e) ||
		    (!t->shipping_tax_included && money_acc(&x->tax_added, taxes[v], e)))
			return e->code;
	}
	return OK;
}

static enum err_code sum_up(struct totals *t, struct err *e)
{
	t->tax = t->tax_added = t->total = money_zero(&t->subtotal);
	for (size_t v = 0; v < t->n_vendors; v++) {
		struct totals_vendor *x = &t->vendors[v];

		if (money_sub(x->subtotal, x->discount, &x->total, e) || money_acc(&x->total, x->shipping, e) ||
		    money_acc(&x->total, x->tax_added, e) || money_acc(&t->tax, x->tax, e) ||
		    money_acc(&t->tax_added, x->tax_added, e) || money_acc(&t->total, x->total, e))
			return e->code;
	}
	return OK;
}

enum err_code totals_finish(struct totals *t, struct arena *a, struct err *e)
{
	for (size_t i = 0; i < t->n_promos; i++) {
		struct totals_promo *p = &t->promos[i];

		if (p->kind != PROMO_FREE_SHIPPING || p->no != PROMO_APPLIED)
			continue;
		p->amount = t->shipping;
		t->shipping = money_zero(&t->shipping);
	}
	if (finish_lines(t, a, e) || gather_vendors(t, a, e) || share_shipping(t, a, e))
		return e->code;
	return sum_up(t, e);
}
