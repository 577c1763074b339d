/* REST rows of souk-cart. */
#include "gateway/routes.h"

#include "cart.pb-c.h"

#define CART .auth = AUTH_OPTIONAL, .tag = "cart"
#define VIEW &cart__v1__cart_view__descriptor

const struct route cart_routes[] = {
	{ "GET", "/api/cart", "cart", "GetCart", &cart__v1__get_cart_request__descriptor, VIEW, CART, .rate = RATE_READ,
	  .flags = ROUTE_READ, .doc = "The caller's cart with today's prices, and a list of problems." },
	{ "POST", "/api/cart/items", "cart", "AddItem", &cart__v1__add_item_request__descriptor, VIEW, CART,
	  .rate = RATE_WRITE, .status = 201, .required = "variant_id qty",
	  .doc = "Adds an article. A guest's first call answers the cart_token to send as X-Cart-Token from then on." },
	{ "PATCH", "/api/cart/items/{line_id}", "cart", "SetItem", &cart__v1__set_item_request__descriptor, VIEW, CART,
	  .rate = RATE_WRITE, .flags = ROUTE_IF_MATCH, .required = "qty",
	  .doc = "Sets the quantity of a line; 0 removes it." },
	{ "DELETE", "/api/cart/items/{line_id}", "cart", "RemoveItem", &cart__v1__remove_item_request__descriptor, VIEW,
	  CART, .rate = RATE_WRITE, .flags = ROUTE_IF_MATCH, .doc = "Removes a line." },
	{ "DELETE", "/api/cart", "cart", "Clear", &cart__v1__clear_request__descriptor, VIEW, CART, .rate = RATE_WRITE,
	  .flags = ROUTE_IF_MATCH, .doc = "Empties the cart." },
	{ "POST", "/api/cart/coupons/{code}", "cart", "AddCoupon", &cart__v1__coupon_request__descriptor, VIEW, CART,
	  .rate = RATE_WRITE, .flags = ROUTE_IF_MATCH,
	  .doc = "Enters a coupon code; the estimate says what it is worth." },
	{ "DELETE", "/api/cart/coupons/{code}", "cart", "RemoveCoupon", &cart__v1__coupon_request__descriptor, VIEW, CART,
	  .rate = RATE_WRITE, .flags = ROUTE_IF_MATCH, .doc = "Takes a coupon code out." },
	{ "POST", "/api/cart/merge", "cart", "Merge", &cart__v1__merge_request__descriptor, VIEW, .auth = AUTH_USER,
	  .tag = "cart", .rate = RATE_WRITE, .flags = ROUTE_IF_MATCH,
	  .doc = "Makes the guest cart of X-Cart-Token part of the signed-in user's cart." },
	{ 0 },
};
