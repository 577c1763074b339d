/* Coupon codes entered into a cart. Whether they are worth anything is checkout's to say (estimate, checkout). */
#include <string.h>

#include "services/cart/cart.h"
#include "services/cart/cart_change.h"
#include "services/cart/cart_rules.h"

RPC_HANDLER(cart_add_coupon, Cart__V1__CouponRequest, Cart__V1__CartView)
RPC_HANDLER(cart_remove_coupon, Cart__V1__CouponRequest, Cart__V1__CartView)

const struct rpc_method cart_coupon_methods[] = {
	{ "AddCoupon", cart_add_coupon_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RemoveCoupon", cart_remove_coupon_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code add(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	const char *code = ch->in;
	struct coupon_row *have = NULL;
	size_t n = 0;

	if (cart_db_coupons(pg, ch->c->arena, cart->id, &have, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (strcmp(have[i].code, code) == 0)
			return OK;
	if (n >= CART_COUPONS_MAX)
		return err_set(e, E_RULE, "cart.coupon_limit", "%zu codes", n);
	return cart_db_coupon_put(pg, cart->id, code, e);
}

static enum err_code drop(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	bool found = false;

	if (cart_db_coupon_del(pg, cart->id, ch->in, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "cart.coupon_unknown", "no such code in the cart");
}

static enum err_code change(struct call *c, const Cart__V1__CouponRequest *in, Cart__V1__CartView *out,
			    enum err_code (*fn)(struct cart_change *, struct pg *, const struct cart_row *, struct err *))
{
	char code[33];
	struct cart_change ch = { .c = c, .token = in->hdr_cart_token, .if_match = in->hdr_if_match,
				  .need_match = true, .fn = fn, .in = code };

	if (!cart_coupon_normal(in->code, code)) {
		err_detail(&c->err, "code", NULL, "must be 3 to 32 letters, digits, - or _");
		return err_set(&c->err, E_INVALID, "common.invalid_input", "coupon code");
	}
	return cart_change_run(&ch, out);
}

static enum err_code cart_add_coupon(struct call *c, const Cart__V1__CouponRequest *in, Cart__V1__CartView *out)
{
	return change(c, in, out, add);
}

static enum err_code cart_remove_coupon(struct call *c, const Cart__V1__CouponRequest *in, Cart__V1__CartView *out)
{
	return change(c, in, out, drop);
}
