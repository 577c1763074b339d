/* The provider's answers, read into pay.h's structs. Whatever is missing or of another type is "" or 0. */
#ifndef SOUK_CHECKOUT_PAY_JSON_H
#define SOUK_CHECKOUT_PAY_JSON_H

#include "services/checkout/pay.h"

/* False: no JSON object, so the answer says nothing. kind: "payment_intent", "refund" or "list". */
bool pay_json_reply(struct arena *a, const char *body, size_t len, struct pay_reply *r, const char **kind_r);
/* Entry i of a list as r->intent or r->refund; false past the end. */
struct pay_list;
bool pay_json_list(struct arena *a, const char *body, size_t len, struct pay_list **l_r);
bool pay_json_entry(struct pay_list *l, struct arena *a, size_t i, struct pay_reply *r);
bool pay_json_more(const struct pay_list *l);
void pay_json_list_free(struct pay_list *l);

/* A webhook's event, after its signature. */
struct pay_event {
	const char *id, *type, *object_id, *object_type;
	const char *intent_id;	 /* of the object, or the object itself */
	const char *checkout_id; /* from the metadata; a hint */
	bool livemode;
};
bool pay_json_event(struct arena *a, const char *body, size_t len, struct pay_event *ev_r);

#endif
