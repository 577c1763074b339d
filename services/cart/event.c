/* What the cart learns from others: bought lines leave it, an erased user's carts go. */
#include "events.pb-c.h"
#include "services/cart/cart.h"
#include "services/cart/cart_db.h"

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
	if (cart_db_touch(pg, a, m->cart_id, -1, &cart, &found, e))
		return e->code;
	if (!found) /* merged or expired meanwhile: nothing to take from */
		return OK;
	for (size_t i = 0; i < m->n_lines; i++)
		if (m->lines[i]->variant_id &&
		    cart_db_line_take(pg, m->cart_id, m->lines[i]->variant_id, m->lines[i]->qty, e))
			return e->code;
	if (cart_db_coupons_clear(pg, m->cart_id, e))
		return e->code;
	return cart_db_free_currency(pg, m->cart_id, e);
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
