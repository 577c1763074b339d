/* What POST and PATCH share: the destination, the frozen cart, the first step of the saga. */
#ifndef SOUK_CHECKOUT_BEGIN_H
#define SOUK_CHECKOUT_BEGIN_H

#include "services/checkout/checkout_view.h"
#include "services/checkout/freeze.h"
#include "services/checkout/saga_run.h"

struct begin {
	struct call *c;
	/* in */
	const Checkout__V1__Address *address; /* inline, or */
	const char *address_id;		      /* one of the user's */
	const char *email, *shipping_method, *cart_token;
	const Common__V1__Money *expected;
	int64_t cart_version; /* -1: as it is */
	/* made on the way */
	Checkout__V1__Person person;
	Checkout__V1__Address where;
	struct freeze f;
	struct checkout_new n; /* all but id and order_id */
	struct saga_state s;
	struct saga_cmds cmds; /* the first command, to be carried out once the row is stored */
};

/* Field details for what breaks the schema; adds to c->err. */
void begin_check(struct begin *b);
/* Address, buyer, cart, totals; E_CONFLICT checkout.price_changed when the total is another one than expected. */
MUST_CHECK enum err_code begin_freeze(struct begin *b);
/* Inside the transaction that stores the row: takes the promotions' uses. */
MUST_CHECK enum err_code begin_take(struct pg *pg, struct begin *b, int32_t attempt, struct err *e);
/* Seals the person for that row. */
MUST_CHECK enum err_code begin_seal(struct begin *b, const char *checkout_id);

/* Runs the saga until it rests and answers: the view, 202, or why it ended. r->answered: its key is finished as well. */
MUST_CHECK enum err_code begin_drive(struct call *c, struct saga_run *r, Checkout__V1__CheckoutView *out);

#endif
