/* The tables that main and the tests share. */
#include "cart.pb-c.h"
#include "services/cart/cart.h"
#include "services/cart/cart_db.h"

const struct pg_stmt *const *const cart_stmts[] = { cart_db_stmts, NULL };

static const struct rpc_method *const tables[] = {
	cart_line_methods, cart_coupon_methods, cart_merge_methods, cart_checkout_methods, NULL,
};
const struct rpc_service cart_services[] = { { &cart__v1__cart__descriptor, tables }, { 0 } };
