/* Turning a paid checkout into an order, inside the transaction that says so. */
#ifndef SOUK_CHECKOUT_ORDER_WRITE_H
#define SOUK_CHECKOUT_ORDER_WRITE_H

#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"

/* Payment, order, vendor orders, lines, ledger, promotions used, order.placed and vendor_order.placed. */
MUST_CHECK enum err_code order_write(struct pg *pg, struct arena *a, const struct checkout_svc *svc,
				     const struct checkout_row *row, int64_t captured_minor, struct err *e);
/* The provider holds this much of a checkout that will be no order: the payment's row (once), then a refund of it. */
MUST_CHECK enum err_code order_owe_refund(struct pg *pg, struct arena *a, const struct checkout_row *row,
					  int64_t captured_minor, const char *why, struct err *e);
/* Promotions given back and checkout.expired, checkout.payment_failed or checkout.refunded. */
MUST_CHECK enum err_code order_tell_end(struct pg *pg, const struct checkout_row *row, const char *type,
					const char *why, int64_t version, struct err *e);

/* Inventory's key of the reservation, and checkouts' own ids derived from it. */
char *order_reservation_key(struct arena *a, const struct checkout_row *row);

/* A guest's key to the order: derived, so that every confirmation gives the same and nothing is stored. */
char *order_token(struct arena *a, const struct checkout_svc *svc, const char *order_id);
bool order_token_ok(struct arena *a, const struct checkout_svc *svc, const char *order_id, const char *token);

#endif
