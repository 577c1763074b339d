/* What checkout learns from others: an erased user's name and address go. */
#include "events.pb-c.h"
#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"

static enum err_code on_user_erased(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				    struct err *e)
{
	const Events__V1__UserErased *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->user_id ? checkout_db_erase(pg, m->user_id, e) : OK;
}

const struct inbox_handler checkout_inbox[] = {
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, on_user_erased, NULL },
	{ 0 },
};
