/*
 * A cart at a moment: today's prices and articles, the promotions that apply, tax and shipping of a destination, the
 * total. Estimate shows it; start and update freeze it. Asks cart and catalog, reads our own tables; changes nothing.
 */
#ifndef SOUK_CHECKOUT_FREEZE_H
#define SOUK_CHECKOUT_FREEZE_H

#include "checkout.pb-c.h"
#include "common/call.h"
#include "services/checkout/totals.h"

struct freeze_in {
	const char *cart_token;
	int64_t cart_version;		 /* -1: whatever it is */
	const char *country, *region;	 /* "" when not known */
	const char *shipping_method;	 /* NULL: the first offered */
	const char *buyer;		 /* for limits per buyer; "" when not known */
	bool strict;			 /* what cannot be bought is an error, not a problem to show */
};
struct freeze {
	const char *cart_id, *user_id /* NULL: guest */, *currency;
	int64_t cart_version;
	struct money total;
	Checkout__V1__Frozen *frozen;
	Checkout__V1__ShippingOption **options;
	size_t n_options;
	Checkout__V1__LineProblem **problems;
	size_t n_problems;
	const char **promo_ids; /* applied: their uses are to be taken */
	size_t n_promos;
};
/* Errors: cart.empty, cart.version, checkout.not_sellable, checkout.shipping_unavailable, checkout.no_shipping, … */
MUST_CHECK enum err_code freeze_cart(struct call *c, const struct freeze_in *in, struct freeze *r);

/* Region as tax tables know it: upper case, without "US-". */
const char *freeze_region(struct arena *a, const char *country, const char *region);

#endif
