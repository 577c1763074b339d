/* What checkout asks of cart, catalog, inventory and identity. One function per question, so that tests link their own. */
#ifndef SOUK_CHECKOUT_REMOTE_H
#define SOUK_CHECKOUT_REMOTE_H

#include "cart.pb-c.h"
#include "catalog.pb-c.h"
#include "common/call.h"
#include "identity.pb-c.h"

/* The caller's own cart; version < 0: whatever it is. */
MUST_CHECK enum err_code checkout_remote_cart(struct call *c, const char *cart_token, int64_t version,
					      Cart__V1__CartForCheckoutReply **out_r);
MUST_CHECK enum err_code checkout_remote_variants(struct call *c, const char *const *ids, size_t n,
						  const char *currency, Catalog__V1__VariantsReply **out_r);
MUST_CHECK enum err_code checkout_remote_address(struct call *c, const char *user_id, const char *address_id,
						 Identity__V1__Address **out_r);
MUST_CHECK enum err_code checkout_remote_contact(struct call *c, const char *user_id, Identity__V1__Contact **out_r);

struct stock_line {
	const char *variant_id;
	int32_t qty;
};
/* Each is idempotent by its key. state_r: active, sold, released. */
MUST_CHECK enum err_code checkout_remote_reserve(struct call *c, const char *key, const struct stock_line *lines,
						 size_t n, int32_t ttl_s, const char *owner, const char **state_r);
MUST_CHECK enum err_code checkout_remote_sell(struct call *c, const char *key, const char *order_id);
MUST_CHECK enum err_code checkout_remote_release(struct call *c, const char *key, const char *reason);
MUST_CHECK enum err_code checkout_remote_hold(struct call *c, const char *key, int32_t ttl_s);
MUST_CHECK enum err_code checkout_remote_restock(struct call *c, const char *operation_id, const char *key,
						 const struct stock_line *lines, size_t n, const char *reason);

#endif
