/*
 * Finishes what nobody waits for: checkouts whose time has come, the provider's events, refunds under way, units to put
 * back. Several threads, each with one piece of work at a time, so that a slow provider holds up only what needs it.
 * Work is claimed in PostgreSQL (SKIP LOCKED and a new due time): any number of replicas may sweep at once.
 */
#ifndef SOUK_CHECKOUT_SWEEPER_H
#define SOUK_CHECKOUT_SWEEPER_H

#include "services/checkout/checkout.h"

struct sweeper;
MUST_CHECK enum err_code sweeper_start(struct checkout_svc *svc, int threads, struct sweeper **s_r, struct err *e);
void sweeper_kick(struct sweeper *s); /* there is something to do; NULL is fine */
void sweeper_stop(struct sweeper *s); /* waits for the work under way; NULL is fine */

/* One round by hand, for tests: everything that is due, until nothing is. Returns how many pieces were worked on. */
int sweeper_round(struct checkout_svc *svc, struct arena *a);

#endif
