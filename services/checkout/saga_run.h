/*
 * Drives one checkout: load, step, persist by compare-and-set BEFORE acting, act with no transaction open, feed the
 * outcome back; until it rests. Whoever loses the compare-and-set loads again and finds what the winner did.
 *
 * While somebody acts on a row its lease is taken, and others wait for the outcome instead of asking the provider once
 * more. The lease is courtesy: correctness is the compare-and-set and the keys.
 */
#ifndef SOUK_CHECKOUT_SAGA_RUN_H
#define SOUK_CHECKOUT_SAGA_RUN_H

#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"

struct saga_run {
	struct call *c;	     /* arena, actor, svc; its err is not touched */
	const char *id;
	struct saga_event first; /* SAGA_WAKE, SAGA_SETTLE or SAGA_END */
	int64_t until_ms;    /* monotonic: no new call to the provider, no waiting after this */
	int64_t pay_timeout_ms; /* of one call to the provider; shortened to until_ms when patient is false */
	const struct saga_cmds *given; /* persisted already, with the lease, and not yet carried out; NULL: none */
	/*
	 * Fills c->out in the transaction that brings the checkout to rest in payment_pending or ordered; the answer then
	 * belongs to the request's key from that commit on (tx_flags as for call_tx). NULL: the caller does it later.
	 */
	enum err_code (*rest)(struct call *c, struct pg *pg, const struct checkout_row *row, struct err *e);
	unsigned tx_flags;
	bool patient;	     /* the sweeper: does not wait for leases, and lets each call have its time */
	/* results */
	struct checkout_row *row; /* as last seen; may be set before: then it is not loaded again */
	bool answered;		  /* rest has run, and its transaction is committed */
	bool unsure;		  /* the outcome of something is still open */
	struct err refused;	  /* what stock or provider said no to, with details */
};
/* E_NOT_FOUND checkout.not_found; E_UNAVAILABLE when the database is away. The checkout goes on without us then. */
MUST_CHECK enum err_code saga_run(struct saga_run *r, struct err *e);

/* Prepares a run of a request: until inline_ms have passed, or its deadline is near. */
void saga_run_inline(struct call *c, const char *id, enum saga_ev first, enum saga_why why, struct saga_run *r_r);

#endif
