/* Refunds of orders and units to put back: work that goes on until provider or inventory confirms. */
#ifndef SOUK_CHECKOUT_REFUND_DRIVE_H
#define SOUK_CHECKOUT_REFUND_DRIVE_H

#include "services/checkout/checkout.h"

/* One refund of an order, now: asks the provider with its key and stores what came of it. Pending stays pending. */
MUST_CHECK enum err_code refund_drive(struct call *c, const char *refund_id, int64_t pay_timeout_ms, struct err *e);
/* The provider says something about a refund: asked, and ours follows (a success that failed later comes back). */
MUST_CHECK enum err_code refund_look(struct call *c, const char *provider_id, struct err *e);
MUST_CHECK enum err_code refund_note_dispute(struct checkout_svc *svc, const char *pi_id, struct err *e);

/* Drive up to limit that are due; return how many there were. c is a service call. */
int refund_sweep(struct call *c, int limit, int64_t pay_timeout_ms);
/* What inventory refuses for good is told once, counted and not asked again. */
int restock_sweep(struct call *c, int limit);
#define RESTOCKS_REFUSED "souk_checkout_restocks_refused_total"

#endif
