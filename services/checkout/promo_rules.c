#include "services/checkout/promo_rules.h"

#include <stdlib.h>
#include <string.h>

static bool set(const char *s)
{
	return s && *s;
}

static bool in_list(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; s && i < n; i++)
		if (strcmp(list[i], s) == 0)
			return true;
	return false;
}

static bool eligible(const struct totals_promo *p, const struct totals_line *l)
{
	bool category = p->n_categories == 0;

	if (set(p->vendor_id) && (!l->vendor_id || strcmp(p->vendor_id, l->vendor_id) != 0))
		return false;
	if (p->n_products && !in_list(p->product_ids, p->n_products, l->product_id))
		return false;
	for (size_t i = 0; !category && i < l->n_categories; i++)
		category = in_list(p->category_ids, p->n_categories, l->category_ids[i]);
	return category;
}

/* off, divided over the lines in proportion to what they still cost. */
static enum err_code spread(struct totals *t, struct totals_promo *p, struct money off, const int64_t *weights,
			    struct arena *a, struct err *e)
{
	struct money *parts = arena_array(a, t->n_lines, sizeof(*parts));

	if (money_sign(off) <= 0) {
		p->no = PROMO_NO_MATCH;
		return OK;
	}
	if (money_split(off, weights, t->n_lines, parts, e))
		return e->code;
	for (size_t i = 0; i < t->n_lines; i++)
		if (money_acc(&t->lines[i].discount, parts[i], e))
			return e->code;
	p->amount = off;
	return OK;
}

static enum err_code off_goods(struct totals *t, struct totals_promo *p, struct arena *a, struct err *e)
{
	int64_t *weights = arena_array(a, t->n_lines, sizeof(*weights));
	struct money sum = money_zero(&t->subtotal), off, left;

	for (size_t i = 0; i < t->n_lines; i++) {
		if (!eligible(p, &t->lines[i]))
			continue;
		if (money_sub(t->lines[i].subtotal, t->lines[i].discount, &left, e) || money_acc(&sum, left, e))
			return e->code;
		weights[i] = money_minor(left);
	}
	if (money_sign(sum) <= 0) {
		p->no = PROMO_NO_MATCH;
		return OK;
	}
	if (p->kind == PROMO_PERCENT) {
		if (money_percent(sum, p->percent_bp, &off, e))
			return e->code;
	} else if (money_make(p->amount_minor, t->currency, &off, e) || money_min(off, sum, &off, e)) {
		return e->code;
	}
	return spread(t, p, off, weights, a, e);
}

struct by_price {
	int64_t unit;
	size_t line;
};

static int cheapest_first(const void *x, const void *y)
{
	const struct by_price *a = x, *b = y;

	if (a->unit != b->unit)
		return a->unit < b->unit ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

/* Of every buy + get units the cheapest get are lowered. */
static enum err_code buy_x_get_y(struct totals *t, struct totals_promo *p, struct arena *a, struct err *e)
{
	struct by_price *order = arena_array(a, t->n_lines, sizeof(*order));
	int64_t units = 0, give;
	size_t n = 0;

	p->amount = money_zero(&t->subtotal);
	for (size_t i = 0; i < t->n_lines; i++) {
		if (!eligible(p, &t->lines[i]))
			continue;
		order[n++] = (struct by_price){ money_minor(t->lines[i].unit), i };
		units += t->lines[i].qty;
	}
	qsort(order, n, sizeof(*order), cheapest_first);
	give = units / ((int64_t)p->buy_qty + p->get_qty) * p->get_qty;
	for (size_t i = 0; i < n && give > 0; i++) {
		struct totals_line *l = &t->lines[order[i].line];
		int64_t k = give < l->qty ? give : l->qty;
		struct money off, left;

		give -= k;
		if (money_mul(l->unit, k, &off, e) || money_percent(off, p->percent_bp, &off, e) ||
		    money_sub(l->subtotal, l->discount, &left, e) || money_min(off, left, &off, e) ||
		    money_acc(&l->discount, off, e) || money_acc(&p->amount, off, e))
			return e->code;
	}
	if (money_sign(p->amount) <= 0)
		p->no = PROMO_NO_MATCH;
	return OK;
}

static void check_minimum(const struct totals *t, struct totals_promo *p)
{
	bool bound = p->min_minor > 0 || p->kind == PROMO_FIXED;

	if (bound && (!set(p->currency) || strcmp(p->currency, t->currency) != 0))
		p->no = PROMO_CURRENCY;
	else if (money_minor(t->subtotal) < p->min_minor)
		p->no = PROMO_MINIMUM;
}

enum err_code promo_apply(struct totals *t, struct totals_promo *p, size_t n_applied, bool *exclusive, struct arena *a,
			  struct err *e)
{
	enum err_code code = OK;

	p->no = PROMO_APPLIED;
	p->amount = money_zero(&t->subtotal);
	if (*exclusive || (!p->combinable && n_applied > 0)) {
		p->no = PROMO_NOT_COMBINABLE;
		return OK;
	}
	check_minimum(t, p);
	if (p->no != PROMO_APPLIED)
		return OK;
	switch (p->kind) {
	case PROMO_PERCENT:
	case PROMO_FIXED:
		code = off_goods(t, p, a, e);
		break;
	case PROMO_BUY_X_GET_Y:
		code = buy_x_get_y(t, p, a, e);
		break;
	case PROMO_FREE_SHIPPING: /* its amount is known when shipping is */
		for (size_t i = 0; i < t->n_lines; i++)
			if (!eligible(p, &t->lines[i]))
				p->no = PROMO_NO_MATCH;
		break;
	}
	if (!code && p->no == PROMO_APPLIED && !p->combinable)
		*exclusive = true;
	return code;
}
