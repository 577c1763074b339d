/* The one way a cart changes: its row locked and counted up, then the change, then cart.changed, all in one transaction. */
#ifndef SOUK_CART_CHANGE_H
#define SOUK_CART_CHANGE_H

#include "cart.pb-c.h"
#include "common/call.h"
#include "services/cart/cart_view.h"

struct cart_change {
	struct call *c;
	const char *token, *if_match; /* as the request brought them */
	bool need_match;	      /* If-Match missing is 428 */
	bool make;		      /* no cart yet: make one */
	/* Runs with the cart locked; may read its fields. */
	enum err_code (*fn)(struct cart_change *, struct pg *, const struct cart_row *, struct err *);
	const void *in;
	const void *extra;
	const char *currency; /* of a cart that is made; NULL: none yet */
	/*
	 * What catalog and inventory said of the lines just now; set by a change that adds or sets one, which leaves the
	 * cart in `currency`. The view then asks neither them nor the database again.
	 */
	const struct cart_asked *asked;

	/* Set by cart_change_run. */
	const char *cart_id;
	const char *new_token; /* of a guest's cart made just now, else NULL */
	bool fresh;	       /* made by this change */
	struct cart_content is; /* with asked: what the change left */
};

/* Runs the change and fills the view; a failing fn leaves no trace. */
MUST_CHECK enum err_code cart_change_run(struct cart_change *ch, Cart__V1__CartView *out);

#endif
