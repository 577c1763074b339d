/* Passwords as handlers meet them: judged, hashed and verified through the bounded queue, never while a connection is held. */
#ifndef SOUK_IDENTITY_PASSWORD_H
#define SOUK_IDENTITY_PASSWORD_H

#include "services/identity/guard.h"
#include "services/identity/identity_db.h"
#include "services/identity/password_hash.h"

/* Adds a detail for field when the password is not good enough; email may be NULL. */
bool password_good(struct err *e, const char *field, const char *password, const char *email);
MUST_CHECK enum err_code password_make(struct call *c, const char *password, char phc[PHC_LEN]);
/* phc NULL verifies the dummy and never matches: an unknown account takes as long as a known one. */
MUST_CHECK enum err_code password_matches(struct call *c, const char *phc, const char *password, bool *match_r);
/* The stored hash is cheaper than today's settings. */
bool password_outdated(struct call *c, const char *phc);
/*
 * A signed-in user proves again who he is: identity.bad_credentials counts against the account from this address.
 * *row_r is the account as it was read.
 */
MUST_CHECK enum err_code password_confirm(struct call *c, const char *password, struct login_row **row_r);

struct argon2_cost password_cost(const struct identity_conf *);

#endif
