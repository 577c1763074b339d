/* Carries out one command of the saga, with no transaction open, and says what came of it. */
#ifndef SOUK_CHECKOUT_SAGA_ACT_H
#define SOUK_CHECKOUT_SAGA_ACT_H

#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"

struct act {
	struct call *c;			/* its err is scratch; svc is the struct checkout_svc */
	const struct checkout_row *row;
	const struct saga_state *s;	/* as persisted */
	int64_t pay_timeout_ms;
	bool fresh_attempt;		/* its row was written just now: what is stored is what we would compute */
	struct saga_facts *facts;	/* learnt, to be persisted with the next step */
	struct err *refused;		/* why stock or provider said no, with details for the client */
};
struct saga_event act_perform(struct act *x, enum saga_cmd cmd);

/* Key and exact parameters of payment attempt pi_n, as they are stored before the first call. */
char *act_create_key(struct arena *a, const char *checkout_id, int32_t pi_n);
char *act_create_params(struct arena *a, const struct checkout_row *row, int32_t pi_n);

#endif
