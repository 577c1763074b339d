/* How one promotion lowers the lines of totals.h. Pure. */
#ifndef SOUK_CHECKOUT_PROMO_RULES_H
#define SOUK_CHECKOUT_PROMO_RULES_H

#include "services/checkout/totals.h"

/* Sets p->no and p->amount and adds to the lines' discounts. *exclusive: one that combines with nothing has applied. */
MUST_CHECK enum err_code promo_apply(struct totals *t, struct totals_promo *p, size_t n_applied, bool *exclusive,
				     struct arena *a, struct err *e);

#endif
