/* GET /api/checkout/{checkout_id} and its shipping options; GET /api/cart/estimate. */
#include <string.h>

#include "common/check.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/freeze.h"

RPC_HANDLER(get_checkout, Checkout__V1__CheckoutRequest, Checkout__V1__CheckoutView)
RPC_HANDLER(list_shipping_options, Checkout__V1__CheckoutRequest, Checkout__V1__ShippingOptionsReply)
RPC_HANDLER(estimate_cart, Checkout__V1__EstimateRequest, Checkout__V1__EstimateView)

const struct rpc_method checkout_read_methods[] = {
	{ "GetCheckout", get_checkout_, RPC_READ, 0 },
	{ "ListShippingOptions", list_shipping_options_, RPC_READ, 0 },
	{ 0 },
};
const struct rpc_method checkout_estimate_methods[] = {
	{ "EstimateCart", estimate_cart_, RPC_READ, 0 },
	{ 0 },
};

static enum err_code get_checkout(struct call *c, const Checkout__V1__CheckoutRequest *in,
				  Checkout__V1__CheckoutView *out)
{
	struct checkout_row *row = NULL;

	if (checkout_find(c, in->checkout_id, in->hdr_cart_token, &row))
		return c->err.code;
	return checkout_fill_view(c, row, out);
}

static enum err_code list_shipping_options(struct call *c, const Checkout__V1__CheckoutRequest *in,
					   Checkout__V1__ShippingOptionsReply *out)
{
	Checkout__V1__Person *person = NULL;
	struct checkout_row *row = NULL;
	struct freeze f;

	if (checkout_find(c, in->checkout_id, in->hdr_cart_token, &row) ||
	    checkout_open_person(c, "checkout.checkout.person", row->id, row->person, &person))
		return c->err.code;
	const struct freeze_in ask = {
		.cart_token = in->hdr_cart_token, .cart_version = -1,
		.country = person->address && person->address->country ? person->address->country : "",
		.region = person->address && person->address->region ? person->address->region : "", .buyer = row->buyer,
	};

	if (freeze_cart(c, &ask, &f))
		return c->err.code;
	out->data = f.options;
	out->n_data = f.n_options;
	return OK;
}

static enum err_code estimate_cart(struct call *c, const Checkout__V1__EstimateRequest *in,
				   Checkout__V1__EstimateView *out)
{
	const struct freeze_in ask = {
		.cart_token = in->hdr_cart_token, .cart_version = -1, .country = in->country ? in->country : "",
		.region = in->region ? in->region : "", .shipping_method = in->shipping_method,
		.buyer = c->who.kind == WHO_USER ? c->who.user_id : "",
	};
	struct freeze f;

	if (in->country)
		check_country(&c->err, "country", in->country);
	check_text(&c->err, "region", in->region, 0, 80);
	check_text(&c->err, "postal_code", in->postal_code, 0, 20);
	check_text(&c->err, "shipping_method", in->shipping_method, 0, 40);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "estimate");
	if (freeze_cart(c, &ask, &f))
		return c->err.code;
	out->cart_id = (char *)f.cart_id;
	out->has_cart_version = true;
	out->cart_version = f.cart_version;
	out->currency = (char *)f.currency;
	out->lines = arena_array(c->arena, f.frozen->n_lines + 1, sizeof(*out->lines));
	for (size_t i = 0; i < f.frozen->n_lines; i++)
		out->lines[out->n_lines++] = f.frozen->lines[i]->line;
	out->discounts = f.frozen->discounts;
	out->n_discounts = f.frozen->n_discounts;
	out->coupon_problems = f.frozen->coupon_problems;
	out->n_coupon_problems = f.frozen->n_coupon_problems;
	out->shipping_options = f.options;
	out->n_shipping_options = f.n_options;
	out->shipping_method = f.frozen->shipping_method;
	out->totals = f.frozen->totals;
	out->problems = f.problems;
	out->n_problems = f.n_problems;
	out->hdr_etag = checkout_tag(c->arena, f.cart_id, f.cart_version);
	return OK;
}
