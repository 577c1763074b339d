/* What the cart learns from others: bought lines leave it, an erased user's carts go. */
#include <string.h>

#include "events.pb-c.h"
#include "services/cart/cart.h"
#include "services/cart/cart_db.h"

static enum err_code take_lines(struct pg *pg, const char *cart_id, const Events__V1__OrderPlaced *m, struct err *e)
{
	for (size_t i = 0; i < m->n_lines; i++)
		if (m->lines[i]->variant_id && cart_db_line_take(pg, cart_id, m->lines[i]->variant_id, m->lines[i]->qty, e))
			return e->code;
	if (cart_db_coupons_clear(pg, cart_id, e))
		return e->code;
	return cart_db_taken(pg, cart_id, e);
}

/* The guest signed in between paying and the order: what his cart brought into the user's leaves it there. */
static enum err_code take_merged(struct pg *pg, struct arena *a, const struct cart_row *guest,
				 const Events__V1__OrderPlaced *m, struct err *e)
{
	struct line_row *brought = NULL;
	struct cart_row *user = NULL;
	bool found = false;
	size_t n = 0;

	if (cart_db_lock(pg, a, guest->merged_into, &user, &found, e) ||
	    (found && cart_db_lines(pg, a, guest->id, &brought, &n, e)))
		return e->code;
	for (size_t i = 0; i < m->n_lines; i++)
		for (size_t k = 0; k < n; k++) {
			int32_t qty = m->lines[i]->qty < brought[k].qty ? m->lines[i]->qty : brought[k].qty;

			if (m->lines[i]->variant_id && strcmp(m->lines[i]->variant_id, brought[k].variant_id) == 0 &&
			    cart_db_line_take(pg, user->id, brought[k].variant_id, qty, e))
				return e->code;
		}
	if (!found || take_lines(pg, guest->id, m, e) || cart_db_coupons_clear(pg, user->id, e))
		return e->code;
	return cart_db_taken(pg, user->id, e);
}

/* Exactly the frozen lines and quantities go; what was added meanwhile stays. */
static enum err_code on_order_placed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__OrderPlaced *m = (const void *)ev->msg;
	struct cart_row *cart = NULL;
	bool found = false;

	(void)svc;
	if (!m->cart_id)
		return OK;
	if (cart_db_lock(pg, a, m->cart_id, &cart, &found, e))
		return e->code;
	if (found)
		return take_lines(pg, m->cart_id, m, e);
	if (cart_db_by_id(pg, a, m->cart_id, &cart, &found, e))
		return e->code;
	return found && cart->merged_into ? take_merged(pg, a, cart, m, e) : OK; /* else expired: nothing to take from */
}

static enum err_code on_user_erased(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				    struct err *e)
{
	const Events__V1__UserErased *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->user_id ? cart_db_erase_user(pg, m->user_id, e) : OK;
}

const struct inbox_handler cart_inbox[] = {
	{ "checkout", "order.placed", &events__v1__order_placed__descriptor, on_order_placed, NULL },
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, on_user_erased, NULL },
	{ 0 },
};
