/* What a person agreed to: terms, privacy, marketing, analytics, personalisation. */
#ifndef SOUK_IDENTITY_CONSENT_H
#define SOUK_IDENTITY_CONSENT_H

#include "services/identity/identity.h"

#define CONSENTS_AT_ONCE 10

/* Adds a detail for every choice that is not whole. */
void consent_check(struct call *c, Identity__V1__ConsentChoice *const *choices, size_t n);
/* Records them; inside a transaction. */
MUST_CHECK enum err_code consent_store(struct pg *, struct arena *, const char *user_id,
				       Identity__V1__ConsentChoice *const *choices, size_t n, struct err *);
/* What counts now, or (all) every decision, newest first, into a list in the arena. */
MUST_CHECK enum err_code consent_show(struct call *c, struct pg *, const char *user_id, bool all,
				      Identity__V1__Consent ***list_r, size_t *n_r, struct err *);

#endif
