/* Orders as the outside sees them, and who may see which. */
#ifndef SOUK_CHECKOUT_ORDER_VIEW_H
#define SOUK_CHECKOUT_ORDER_VIEW_H

#include "checkout.pb-c.h"
#include "services/checkout/checkout.h"
#include "services/checkout/order_db_read.h"

/* E_NOT_FOUND order.not_found when it is absent. No check of who asks. */
MUST_CHECK enum err_code order_load(struct call *c, const char *id, struct order_parts *r);
MUST_CHECK enum err_code order_load_in(struct pg *pg, struct arena *a, const char *id, struct order_parts *r,
				       struct err *e);
/* The caller's own: by login, or by the order token; anything else is E_NOT_FOUND order.not_found. */
MUST_CHECK enum err_code order_load_mine(struct call *c, const char *id, const char *order_token, struct order_parts *r);
bool order_is_mine(struct call *c, const struct order_row *o, const char *order_token);

MUST_CHECK enum err_code order_fill(struct call *c, const struct order_parts *p, Checkout__V1__Order *out);
Checkout__V1__Line *order_line_of(struct arena *a, const struct oline_row *x, const char *currency);
Checkout__V1__Totals *order_totals(struct arena *a, const struct order_row *o);
MUST_CHECK enum err_code order_person(struct call *c, const char *order_id, struct pg_bytes sealed,
				      Checkout__V1__Person **p_r);


#endif
