/* Who has guessed too often: the counters behind backoff_rules.h, for logins, second factors and mails. */
#ifndef SOUK_IDENTITY_GUARD_H
#define SOUK_IDENTITY_GUARD_H

#include "services/identity/backoff_rules.h"
#include "services/identity/identity.h"

#define GUARD_KEYS 3

struct guard {
	size_t n;
	const char *key[GUARD_KEYS];
	enum backoff_kind kind[GUARD_KEYS];
};

/* Adds the counter of (kind, a, b); NULL and "" parts are left out. */
void guard_add(struct call *c, struct guard *g, enum backoff_kind kind, const void *a, size_t a_len, const char *b);
/* identity.slowed with retry_after_ms while any of the counters asks for a wait. */
MUST_CHECK enum err_code guard_check(struct call *c, struct pg *, const struct guard *g);
/* Counts a failure in all of them, in a transaction of its own. */
MUST_CHECK enum err_code guard_fail(struct call *c, const struct guard *g);
/* Success forgives all but the address, which an attacker could otherwise clear with an account of his own. */
MUST_CHECK enum err_code guard_clear(struct call *c, struct pg *, const struct guard *g, struct err *);

/* Login by e-mail index from an address; known_device leaves out what strangers can cause. */
void guard_login(struct call *c, struct guard *g, struct pg_bytes email_index, const char *ip, bool known_device);
void guard_factor(struct call *c, struct guard *g, const char *user_id);

#endif
