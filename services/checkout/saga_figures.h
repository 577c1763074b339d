/* How many checkouts are unfinished, in which state and for how long, as gauges of this process. */
#ifndef SOUK_CHECKOUT_SAGA_FIGURES_H
#define SOUK_CHECKOUT_SAGA_FIGURES_H

#include "services/checkout/checkout.h"

/* A timer's job; arg is the struct checkout_svc. Every replica tells the same. */
MUST_CHECK enum err_code saga_figures(void *arg, struct arena *, struct err *);

#endif
