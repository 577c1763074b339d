/* What notify asks others when it sends: who the person is, what was ordered, the one-time link. Never in a transaction. */
#ifndef SOUK_NOTIFY_REMOTE_H
#define SOUK_NOTIFY_REMOTE_H

#include "checkout.pb-c.h"
#include "common/call.h"
#include "identity.pb-c.h"

/* c->svc is the struct notify_svc; replies live in c->arena. The peer's refusals pass through (404, 410). */
MUST_CHECK enum err_code notify_remote_contact(struct call *c, const char *user_id,
					       const char *before_link /* NULL: the address of today */,
					       Identity__V1__Contact **out_r);
MUST_CHECK enum err_code notify_remote_link(struct call *c, const char *link_id, Identity__V1__Link **out_r);
MUST_CHECK enum err_code notify_remote_order(struct call *c, const char *order_id, Checkout__V1__OrderForMail **out_r);

#endif
