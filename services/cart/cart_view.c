#include "services/cart/cart_view.h"

#include <string.h>

#include "common/crypto.h"
#include "common/money.h"
#include "services/cart/cart.h"
#include "services/cart/cart_remote.h"
#include "services/cart/cart_rules.h"

struct pg_bytes cart_token_hash(struct arena *a, const char *token)
{
	uint8_t *h = arena_alloc(a, SHA256_LEN);

	sha256(token, strlen(token), h);
	return (struct pg_bytes){ h, SHA256_LEN };
}

enum err_code cart_stale(struct arena *a, const struct cart_row *row, struct err *e)
{
	err_detail(e, "If-Match", cart_etag(a, row ? row->id : NULL, row ? row->version : 0),
		   "is not the cart's current version");
	return err_set(e, E_PRECOND, "cart.version", "stale tag");
}

enum err_code cart_find(struct call *c, struct pg *pg, const char *token, struct cart_row **row_r, struct err *e)
{
	bool found = false;

	*row_r = NULL;
	if (c->who.kind == WHO_USER) {
		if (cart_db_by_user(pg, c->arena, c->who.user_id, row_r, &found, e))
			return e->code;
		if (!found)
			*row_r = NULL;
		return OK;
	}
	if (!token || !*token)
		return OK;
	if (strlen(token) > 100)
		return err_set(e, E_NOT_FOUND, "cart.not_found", "overlong token");
	if (cart_db_by_token(pg, c->arena, cart_token_hash(c->arena, token), row_r, &found, e))
		return e->code;
	if (!found || strcmp((*row_r)->state, "open") != 0 || (*row_r)->user_id)
		return err_set(e, E_NOT_FOUND, "cart.not_found", "token of no open guest cart");
	return OK;
}

/* ---- the view ---- */

struct view {
	struct call *c;
	const struct cart_row *cart;
	const struct line_row *lines;
	size_t n;
	const Catalog__V1__VariantsReply *variants;	   /* NULL: catalog did not answer */
	const Inventory__V1__AvailabilityReply *available; /* NULL: inventory did not answer */
	Cart__V1__CartView *out;
};

static Cart__V1__Problem *problem(struct view *v, const struct line_row *l, const char *code, bool blocking,
				  const char *message)
{
	Cart__V1__Problem *p = arena_alloc(v->c->arena, sizeof(*p));

	cart__v1__problem__init(p);
	p->line_id = (char *)l->id;
	p->code = (char *)code;
	p->message = (char *)message;
	p->has_blocking = true;
	p->blocking = blocking;
	v->out->problems[v->out->n_problems++] = p;
	return p;
}

static void line_article(Cart__V1__Line *out, const Catalog__V1__VariantInfo *i)
{
	out->product_id = i->product_id;
	out->product_slug = i->product_slug;
	out->vendor_id = i->vendor_id;
	out->vendor_name = i->vendor_name;
	out->sku = i->sku;
	out->title = i->product_title;
	out->variant_title = i->variant_title;
	out->image_key = i->image_key;
	out->compare_at_price = i->compare_at_price;
}

/* The unit price to count with: today's, or the one last seen when catalog is silent or has none. */
static enum err_code line_price(struct view *v, const struct line_row *l, const Catalog__V1__VariantInfo *i,
				struct money *unit_r)
{
	struct call *c = v->c;
	struct money seen;

	if (money_make(l->seen_minor, v->cart->currency, &seen, &c->err))
		return c->err.code;
	*unit_r = seen;
	if (!v->variants) {
		problem(v, l, "UNVERIFIED", false, "Price and availability could not be checked just now.");
		return OK;
	}
	if (!i || !i->sellable || !i->price) {
		problem(v, l, "NOT_SELLABLE", true, "This article cannot be bought now.");
		return OK;
	}
	if (money_from_pb(i->price, unit_r, &c->err))
		return c->err.code;
	if (!money_equal(seen, *unit_r))
		problem(v, l, "PRICE_CHANGED", false, "The price has changed since it was put into the cart.")
			->previous_price = money_to_pb(c->arena, seen);
	return OK;
}

static void line_stock(struct view *v, const struct line_row *l, Cart__V1__Line *out)
{
	const Inventory__V1__Availability *a = cart_remote_left(v->available, l->variant_id);
	int64_t left = a ? a->available : 0;

	if (!v->available)
		return;
	out->availability = a ? a->state : (char *)"out";
	if (a && a->backorder)
		return;
	if (left < l->qty) {
		Cart__V1__Problem *p = problem(v, l, "OUT_OF_STOCK", true,
					       left > 0 ? "Fewer units are left than the cart holds."
							: "This article is sold out.");

		p->has_available = true;
		p->available = left > 0 ? left : 0;
	}
}

static enum err_code view_line(struct view *v, const struct line_row *l, struct money *subtotal)
{
	struct call *c = v->c;
	Cart__V1__Line *out = arena_alloc(c->arena, sizeof(*out));
	const Catalog__V1__VariantInfo *i = cart_remote_variant(v->variants, l->variant_id);
	struct money unit, total;

	cart__v1__line__init(out);
	out->id = (char *)l->id;
	out->variant_id = (char *)l->variant_id;
	out->has_qty = out->has_added_at = true;
	out->qty = l->qty;
	out->added_at = l->added_at;
	if (i)
		line_article(out, i);
	if (line_price(v, l, i, &unit) || money_mul(unit, l->qty, &total, &c->err) ||
	    money_acc(subtotal, total, &c->err))
		return c->err.code;
	out->unit_price = money_to_pb(c->arena, unit);
	out->line_total = money_to_pb(c->arena, total);
	line_stock(v, l, out);
	v->out->lines[v->out->n_lines++] = out;
	v->out->item_count += l->qty;
	return OK;
}

/* Asks catalog and inventory; a silent one is shown as a problem of the lines, not as an error. */
static void view_ask(struct view *v)
{
	struct call *c = v->c;
	const char **ids = arena_alloc(c->arena, (v->n + 1) * sizeof(*ids));
	Catalog__V1__VariantsReply *variants = NULL;
	Inventory__V1__AvailabilityReply *available = NULL;

	for (size_t i = 0; i < v->n; i++)
		ids[i] = v->lines[i].variant_id;
	if (v->n && cart_remote_variants(c, ids, v->n, v->cart->currency, &variants) == OK)
		v->variants = variants;
	if (v->n && cart_remote_available(c, ids, v->n, &available) == OK)
		v->available = available;
	err_clear(&c->err);
}

/* A variant that catalog does not know looks like one that was not asked about, and is asked about again. */
static bool knows_all(const struct cart_asked *asked, const struct cart_content *is)
{
	if (!asked || !asked->variants || !asked->available)
		return false;
	for (size_t i = 0; i < is->n; i++)
		if (!cart_remote_variant(asked->variants, is->lines[i].variant_id))
			return false;
	return true;
}

static void view_head(struct view *v, const struct cart_content *is)
{
	Cart__V1__CartView *out = v->out;
	struct arena *a = v->c->arena;

	out->has_item_count = true;
	out->id = (char *)is->cart->id;
	out->currency = (char *)is->cart->currency;
	out->has_version = out->has_updated_at = true;
	out->version = is->cart->version;
	out->updated_at = is->cart->updated_at;
	out->hdr_etag = (char *)cart_etag(a, is->cart->id, is->cart->version);
	out->coupon_codes = arena_alloc(a, (is->n_coupons + 1) * sizeof(*out->coupon_codes));
	for (size_t i = 0; i < is->n_coupons; i++)
		out->coupon_codes[out->n_coupon_codes++] = (char *)is->coupons[i].code;
}

enum err_code cart_view_of(struct call *c, const struct cart_content *is, const struct cart_asked *asked,
			   Cart__V1__CartView *out)
{
	struct view v = { .c = c, .out = out, .cart = is->cart, .lines = is->lines, .n = is->n };
	struct money subtotal;

	view_head(&v, is);
	if (!v.n)
		return OK;
	if (knows_all(asked, is)) {
		v.variants = asked->variants;
		v.available = asked->available;
	} else {
		view_ask(&v);
	}
	out->lines = arena_alloc(c->arena, v.n * sizeof(*out->lines));
	out->problems = arena_alloc(c->arena, 3 * v.n * sizeof(*out->problems));
	if (money_make(0, v.cart->currency, &subtotal, &c->err))
		return c->err.code;
	for (size_t i = 0; i < v.n; i++)
		if (view_line(&v, &v.lines[i], &subtotal))
			return c->err.code;
	out->subtotal = money_to_pb(c->arena, subtotal);
	return OK;
}

enum err_code cart_view(struct call *c, const char *cart_id, Cart__V1__CartView *out)
{
	struct cart_content is = { 0 };
	bool found = false;
	struct pg *pg;
	enum err_code code;

	out->has_item_count = true;
	if (!cart_id) {
		out->hdr_etag = (char *)cart_etag(c->arena, NULL, 0);
		return OK;
	}
	if (call_pg(c, &pg))
		return c->err.code;
	code = cart_db_by_id(pg, c->arena, cart_id, &is.cart, &found, &c->err);
	if (!code && found)
		code = cart_db_content(pg, c->arena, cart_id, &is.lines, &is.n, &is.coupons, &is.n_coupons, &c->err);
	pg_return(pg);
	if (code)
		return code;
	if (!found)
		return err_set(&c->err, E_NOT_FOUND, "cart.not_found", "%s", cart_id);
	return cart_view_of(c, &is, NULL, out);
}
