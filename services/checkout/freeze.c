#include "services/checkout/freeze.h"

#include <ctype.h>
#include <string.h>

#include "services/checkout/checkout_db_rules.h"
#include "services/checkout/checkout_remote.h"
#include "services/checkout/frozen.h"

struct work {
	struct call *c;
	const struct freeze_in *in;
	struct freeze *out;
	Cart__V1__CartForCheckoutReply *cart;
	Catalog__V1__VariantsReply *catalog;
	const Catalog__V1__VariantInfo **info; /* per line of totals */
	struct totals t;
	struct tax_row *tax;
	struct ship_row *ship;
	struct promo_row *promo;
	size_t n_tax, n_ship, n_promo;
	const struct ship_row *chosen;
};

const char *freeze_region(struct arena *a, const char *country, const char *region)
{
	char *r = arena_strdup(a, region ? region : "");
	size_t n = strlen(country);

	for (char *p = r; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return n && strncmp(r, country, n) == 0 && r[n] == '-' ? r + n + 1 : r;
}

/* ---- lines ---- */

static void problem(struct work *w, const char *variant_id, const char *code, const char *text)
{
	Checkout__V1__LineProblem *p = arena_alloc(w->c->arena, sizeof(*p));

	checkout__v1__line_problem__init(p);
	p->variant_id = (char *)variant_id;
	p->code = (char *)code;
	p->message = (char *)text;
	w->out->problems[w->out->n_problems++] = p;
	if (w->in->strict)
		err_detail(&w->c->err, arena_printf(w->c->arena, "lines.%s", variant_id), code, "%s", text);
}

static const Catalog__V1__VariantInfo *info_of(const struct work *w, const char *variant_id)
{
	for (size_t i = 0; i < w->catalog->n_data; i++)
		if (w->catalog->data[i]->variant_id && strcmp(w->catalog->data[i]->variant_id, variant_id) == 0)
			return w->catalog->data[i];
	return NULL;
}

static bool sane(const Catalog__V1__VariantInfo *v)
{
	return v->vendor_id && *v->vendor_id && v->product_id && v->commission_bp >= 0 && v->commission_bp <= 10000 &&
	       v->weight_g >= 0;
}

/* Puts one line of the cart into totals, or says why it cannot be bought. */
static enum err_code add_line(struct work *w, const Cart__V1__CheckoutLine *l)
{
	const Catalog__V1__VariantInfo *v = l->variant_id ? info_of(w, l->variant_id) : NULL;
	struct totals_line *x = &w->t.lines[w->t.n_lines];
	struct err ignored = { 0 };

	if (!v || !v->sellable || !sane(v) || l->qty < 1) {
		problem(w, l->variant_id ? l->variant_id : "", "NOT_SELLABLE", "This article cannot be bought now.");
		return OK;
	}
	if (!v->price || money_from_pb(v->price, &x->unit, &ignored) || money_minor(x->unit) < 0 ||
	    strcmp(money_cur(&x->unit), w->out->currency) != 0) {
		problem(w, l->variant_id, "NO_PRICE", "This article has no price in the cart's currency.");
		return OK;
	}
	x->variant_id = l->variant_id;
	x->product_id = v->product_id;
	x->vendor_id = v->vendor_id;
	x->category_ids = (const char *const *)v->category_ids;
	x->n_categories = v->n_category_ids;
	x->qty = l->qty;
	x->weight_g = v->weight_g;
	x->commission_bp = v->commission_bp;
	w->info[w->t.n_lines++] = v;
	return OK;
}

static enum err_code load_lines(struct work *w)
{
	struct call *c = w->c;
	const char **ids;
	size_t n;

	if (checkout_remote_cart(c, w->in->cart_token, w->in->cart_version, &w->cart))
		return c->err.code;
	n = w->cart->n_lines;
	if (!n || !w->cart->cart_id || !w->cart->currency)
		return err_set(&c->err, E_RULE, "cart.empty", "nothing to buy");
	if (n > TOTALS_LINES_MAX)
		return err_set(&c->err, E_RULE, "checkout.too_many_lines", "%zu lines", n);
	ids = arena_array(c->arena, n, sizeof(*ids));
	for (size_t i = 0; i < n; i++)
		ids[i] = w->cart->lines[i]->variant_id ? w->cart->lines[i]->variant_id : "";
	w->out->cart_id = w->cart->cart_id;
	w->out->cart_version = w->cart->version;
	w->out->currency = w->cart->currency;
	w->out->user_id = w->cart->user_id && *w->cart->user_id ? w->cart->user_id : NULL;
	w->out->problems = arena_array(c->arena, n, sizeof(*w->out->problems));
	w->t.lines = arena_array(c->arena, n, sizeof(*w->t.lines));
	w->info = arena_array(c->arena, n, sizeof(*w->info));
	w->t.currency = w->out->currency;
	if (checkout_remote_variants(c, ids, n, w->out->currency, &w->catalog))
		return c->err.code;
	for (size_t i = 0; i < n; i++)
		if (add_line(w, w->cart->lines[i]))
			return c->err.code;
	if (w->out->n_problems && w->in->strict)
		return err_set(&c->err, E_CONFLICT, "checkout.not_sellable", "%zu lines", w->out->n_problems);
	return OK;
}

/* ---- rules ---- */

static enum err_code load_rules(struct work *w)
{
	struct call *c = w->c;
	const struct rules_key key = { .country = w->in->country,
				       .region = freeze_region(c->arena, w->in->country, w->in->region),
				       .currency = w->out->currency, .buyer = w->in->buyer,
				       .codes = (const char *const *)w->cart->coupon_codes,
				       .n_codes = w->cart->n_coupon_codes };
	struct rules r = { 0 };
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	if (checkout_db_rules(pg, c->arena, &key, &r, &c->err) == OK) {
		w->tax = r.tax;
		w->n_tax = r.n_tax;
		w->ship = r.ship;
		w->n_ship = r.n_ship;
		w->promo = r.promo;
		w->n_promo = r.n_promo;
	}
	pg_return(pg);
	return c->err.code;
}

static const struct tax_row *rate_of_class(const struct work *w, const char *tax_class)
{
	const struct tax_row *best = NULL;

	for (size_t i = 0; i < w->n_tax; i++)
		if (strcmp(w->tax[i].tax_class, tax_class) == 0 && (!best || *w->tax[i].region))
			best = &w->tax[i];
	return best;
}

/* The region's rate before the country's; an unknown class pays the standard rate. */
static const struct tax_row *rate_for(const struct work *w, const char *tax_class)
{
	const struct tax_row *r;

	if (!tax_class || !*tax_class)
		tax_class = "standard";
	r = rate_of_class(w, tax_class);
	if (!r && strcmp(tax_class, "zero") != 0)
		r = rate_of_class(w, "standard");
	return r;
}

static void set_taxes(struct work *w)
{
	const struct tax_row *r;

	for (size_t i = 0; i < w->t.n_lines; i++) {
		r = rate_for(w, w->info[i]->tax_class);
		w->t.lines[i].tax_bp = r ? r->rate_bp : 0;
		w->t.lines[i].tax_included = r && r->included;
	}
	r = rate_for(w, "shipping");
	w->t.shipping_tax_bp = r ? r->rate_bp : 0;
	w->t.shipping_tax_included = r && r->included;
}

/* ---- promotions ---- */

static void coupon_problem(struct work *w, const char *code, const char *reason, const char *text)
{
	Checkout__V1__Frozen *f = w->out->frozen;
	Checkout__V1__CouponProblem *p;

	if (!code)
		return; /* nobody asked for it */
	p = arena_alloc(w->c->arena, sizeof(*p));
	checkout__v1__coupon_problem__init(p);
	p->code = (char *)code;
	p->reason = (char *)reason;
	p->message = (char *)text;
	f->coupon_problems[f->n_coupon_problems++] = p;
}

static bool usable(struct work *w, const struct promo_row *r)
{
	if (!r->active || r->late)
		coupon_problem(w, r->code, "ENDED", "This code is no longer valid.");
	else if (r->early)
		coupon_problem(w, r->code, "NOT_STARTED", "This code is not valid yet.");
	else if (r->exhausted)
		coupon_problem(w, r->code, "EXHAUSTED", "This code has been used up.");
	else if (r->used_up)
		coupon_problem(w, r->code, "USED", "You have used this code already.");
	else
		return true;
	return false;
}

static const char *const *split(struct arena *a, const char *list, size_t *n_r)
{
	size_t n = 1;
	const char **v;
	char *text, *item;

	*n_r = 0;
	if (!list || !*list)
		return NULL;
	for (const char *p = list; *p; p++)
		n += *p == ',';
	v = arena_array(a, n, sizeof(*v));
	text = arena_strdup(a, list);
	while ((item = strsep(&text, ",")))
		v[(*n_r)++] = item;
	return v;
}

static enum promo_kind kind_of(const char *word)
{
	if (strcmp(word, "percent") == 0)
		return PROMO_PERCENT;
	if (strcmp(word, "fixed") == 0)
		return PROMO_FIXED;
	return strcmp(word, "free_shipping") == 0 ? PROMO_FREE_SHIPPING : PROMO_BUY_X_GET_Y;
}

static void set_promos(struct work *w)
{
	struct arena *a = w->c->arena;

	w->t.promos = arena_array(a, w->n_promo + 1, sizeof(*w->t.promos));
	for (size_t i = 0; i < w->n_promo; i++) {
		const struct promo_row *r = &w->promo[i];
		struct totals_promo *p = &w->t.promos[w->t.n_promos];

		if (!usable(w, r))
			continue;
		*p = (struct totals_promo){ .id = r->id, .code = r->code, .title = r->title, .kind = kind_of(r->kind),
					    .percent_bp = r->percent_bp, .amount_minor = r->amount_minor,
					    .min_minor = r->min_minor, .currency = r->currency, .buy_qty = r->buy_qty,
					    .get_qty = r->get_qty, .vendor_id = r->vendor_id,
					    .combinable = r->combinable };
		p->product_ids = split(a, r->products, &p->n_products);
		p->category_ids = split(a, r->categories, &p->n_categories);
		w->t.n_promos++;
	}
	for (size_t i = 0; i < w->cart->n_coupon_codes; i++) {
		bool known = false;

		for (size_t k = 0; k < w->n_promo; k++)
			known |= w->promo[k].code && strcmp(w->promo[k].code, w->cart->coupon_codes[i]) == 0;
		if (!known)
			coupon_problem(w, w->cart->coupon_codes[i], "UNKNOWN", "This code is not known.");
	}
}

static void tell_promos(struct work *w)
{
	static const struct {
		const char *reason, *text;
	} no[] = {
		[PROMO_MINIMUM] = { "MINIMUM", "The cart does not reach the minimum of this code." },
		[PROMO_CURRENCY] = { "CURRENCY", "This code is for another currency." },
		[PROMO_NO_MATCH] = { "NO_MATCH", "Nothing in the cart matches this code." },
		[PROMO_NOT_COMBINABLE] = { "NOT_COMBINABLE", "This code cannot be combined with the others." },
	};

	w->out->promo_ids = arena_array(w->c->arena, w->t.n_promos + 1, sizeof(*w->out->promo_ids));
	for (size_t i = 0; i < w->t.n_promos; i++) {
		const struct totals_promo *p = &w->t.promos[i];

		if (p->no != PROMO_APPLIED) {
			coupon_problem(w, p->code, no[p->no].reason, no[p->no].text);
			continue;
		}
		w->out->promo_ids[w->out->n_promos++] = p->id;
		frozen_add_discount(w->c->arena, w->out->frozen, p);
	}
}

/* ---- shipping ---- */

static enum err_code price_of(const struct work *w, const struct ship_row *s, struct money left, int32_t weight,
			      struct money *r)
{
	struct money per_kg, base;
	struct err *e = &w->c->err;

	if (s->free_from_minor >= 0 && money_minor(left) >= s->free_from_minor) {
		*r = money_zero(&left);
		return OK;
	}
	if (money_make(s->base_minor, w->t.currency, &base, e) ||
	    money_make(s->per_kg_minor, w->t.currency, &per_kg, e) ||
	    money_mul(per_kg, ((int64_t)weight + 999) / 1000, &per_kg, e))
		return e->code;
	return money_add(base, per_kg, r, e);
}

static enum err_code offer(struct work *w, const struct ship_row *s, struct money price)
{
	Checkout__V1__ShippingOption *o = arena_alloc(w->c->arena, sizeof(*o));
	const char *want = w->in->shipping_method;

	checkout__v1__shipping_option__init(o);
	o->id = (char *)s->id;
	o->name = (char *)s->name;
	o->price = money_to_pb(w->c->arena, price);
	o->has_min_days = o->has_max_days = true;
	o->min_days = s->min_days;
	o->max_days = s->max_days;
	w->out->options[w->out->n_options++] = o;
	if (!w->chosen && (!want || strcmp(want, s->id) == 0)) {
		w->chosen = s;
		w->t.shipping = price;
	}
	return OK;
}

static enum err_code choose_shipping(struct work *w)
{
	struct err *e = &w->c->err;
	int32_t weight = totals_weight(&w->t);
	struct money left, price;

	w->out->options = arena_array(w->c->arena, w->n_ship + 1, sizeof(*w->out->options));
	if (money_make(0, w->t.currency, &w->t.shipping, e) || totals_left(&w->t, &left, e))
		return e->code;
	for (size_t i = 0; i < w->n_ship; i++) {
		if (w->ship[i].max_weight_g > 0 && weight > w->ship[i].max_weight_g)
			continue;
		if (price_of(w, &w->ship[i], left, weight, &price) || offer(w, &w->ship[i], price))
			return e->code;
	}
	if (w->chosen)
		return OK;
	if (w->out->n_options == 0)
		return w->in->strict ? err_set(e, E_RULE, "checkout.no_shipping", "%s in %s", w->in->country,
					       w->t.currency) : OK;
	err_detail(e, "shipping_method", NULL, "is not offered for this address");
	return err_set(e, E_RULE, "checkout.shipping_unavailable", "method %s", w->in->shipping_method);
}

enum err_code freeze_cart(struct call *c, const struct freeze_in *in, struct freeze *r)
{
	struct work w = { .c = c, .in = in, .out = r };
	size_t codes;

	*r = (struct freeze){ 0 };
	if (load_lines(&w) || load_rules(&w))
		return c->err.code;
	r->frozen = arena_alloc(c->arena, sizeof(*r->frozen));
	checkout__v1__frozen__init(r->frozen);
	codes = w.cart->n_coupon_codes + w.n_promo + 1;
	r->frozen->coupon_problems = arena_array(c->arena, codes, sizeof(*r->frozen->coupon_problems));
	r->frozen->discounts = arena_array(c->arena, codes, sizeof(*r->frozen->discounts));
	set_taxes(&w);
	set_promos(&w);
	if (w.t.n_lines == 0) /* an estimate of a cart in which nothing can be bought */
		return OK;
	if (totals_goods(&w.t, c->arena, &c->err) || choose_shipping(&w) || totals_finish(&w.t, c->arena, &c->err))
		return c->err.code;
	tell_promos(&w);
	r->total = w.t.total;
	if (w.chosen) {
		r->frozen->shipping_method = (char *)w.chosen->id;
		r->frozen->shipping_name = (char *)w.chosen->name;
	}
	frozen_fill(c->arena, r->frozen, &w.t, w.info);
	return OK;
}
