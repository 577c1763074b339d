/* The frozen look at a cart that checkout takes: the caller's own cart, at the version the buyer saw. */
#include "services/cart/cart.h"
#include "services/cart/cart_view.h"

RPC_HANDLER(cart_for_checkout, Cart__V1__CartForCheckoutRequest, Cart__V1__CartForCheckoutReply)

const struct rpc_method cart_checkout_methods[] = {
	{ "CartForCheckout", cart_for_checkout_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

static enum err_code read_cart(struct call *c, struct pg *pg, const Cart__V1__CartForCheckoutRequest *in,
			       struct cart_row **cart_r, struct line_row **lines_r, size_t *n_lines,
			       struct coupon_row **coupons_r, size_t *n_coupons)
{
	if (cart_find(c, pg, in->hdr_cart_token, cart_r, &c->err))
		return c->err.code;
	if (!*cart_r)
		return err_set(&c->err, E_RULE, "cart.empty", "no cart");
	if (in->has_version && in->version != (*cart_r)->version)
		return cart_stale(c->arena, *cart_r, &c->err);
	if (cart_db_content(pg, c->arena, (*cart_r)->id, lines_r, n_lines, coupons_r, n_coupons, &c->err))
		return c->err.code;
	return *n_lines ? OK : err_set(&c->err, E_RULE, "cart.empty", "no lines");
}

static enum err_code cart_for_checkout(struct call *c, const Cart__V1__CartForCheckoutRequest *in,
				       Cart__V1__CartForCheckoutReply *out)
{
	struct cart_row *cart = NULL;
	struct line_row *lines = NULL;
	struct coupon_row *coupons = NULL;
	size_t n = 0, n_coupons = 0;
	struct pg *pg;
	enum err_code code;

	if (call_caller(c, "checkout") || call_pg(c, &pg)) /* on behalf of the buyer, whom it forwards */
		return c->err.code;
	code = read_cart(c, pg, in, &cart, &lines, &n, &coupons, &n_coupons);
	pg_return(pg);
	if (code)
		return code;
	out->cart_id = (char *)cart->id;
	out->has_version = true;
	out->version = cart->version;
	out->currency = (char *)cart->currency;
	out->user_id = (char *)cart->user_id;
	out->lines = arena_alloc(c->arena, n * sizeof(*out->lines));
	for (size_t i = 0; i < n; i++) {
		Cart__V1__CheckoutLine *l = arena_alloc(c->arena, sizeof(*l));

		cart__v1__checkout_line__init(l);
		l->line_id = (char *)lines[i].id;
		l->variant_id = (char *)lines[i].variant_id;
		l->has_qty = true;
		l->qty = lines[i].qty;
		out->lines[out->n_lines++] = l;
	}
	out->coupon_codes = arena_alloc(c->arena, (n_coupons + 1) * sizeof(*out->coupon_codes));
	for (size_t i = 0; i < n_coupons; i++)
		out->coupon_codes[out->n_coupon_codes++] = (char *)coupons[i].code;
	return OK;
}
