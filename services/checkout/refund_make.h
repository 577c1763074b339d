/* Deciding a refund of an order, inside a transaction that holds the order's row. */
#ifndef SOUK_CHECKOUT_REFUND_MAKE_H
#define SOUK_CHECKOUT_REFUND_MAKE_H

#include "services/checkout/checkout.h"
#include "services/checkout/order_view.h"

struct refund_ask {
	const char *id;		  /* the new refund's */
	int64_t amount;		  /* 0: of the lines; without lines all that is left */
	const char *const *variants; /* lines: units of these */
	const int32_t *qtys;
	size_t n;
	const char *reason;
	bool restock;		  /* the units of the lines go back on the shelf */
};
/*
 * Writes refund, lines, shares of the vendors and the units to put back. amount_r: what it came to.
 * E_RULE refund.too_much, refund.nothing; E_INVALID order.line_unknown.
 */
MUST_CHECK enum err_code refund_make(struct pg *pg, struct arena *a, const struct order_row *o,
				     const struct refund_ask *ask, int64_t *amount_r, struct err *e);

#endif
