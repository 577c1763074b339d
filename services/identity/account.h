/* An account as its owner, a colleague or an administrator sees it. */
#ifndef SOUK_IDENTITY_ACCOUNT_H
#define SOUK_IDENTITY_ACCOUNT_H

#include "services/identity/identity_db.h"
#include "services/identity/identity.h"

/* Reads roles and memberships too. masked: e-mail, name and phone can be recognised but not used. */
MUST_CHECK enum err_code account_show(struct call *c, struct pg *, const struct account_row *row, bool masked,
				      Identity__V1__User *out);

/* The texts under an account's key; NULL where the column is. */
struct account_texts {
	const char *email, *name, *phone;
};
MUST_CHECK enum err_code account_read(struct call *c, const struct account_row *row, struct account_texts *texts_r);

/* Adds details; each may be NULL. An empty phone is "none". */
void account_check(struct call *c, const char *name, const char *phone, const char *locale);
/* locale given, else the first language of Accept-Language, else "en". */
const char *account_locale(struct call *c, const char *locale, const char *accept_language);

/* Seals a new account's texts under a fresh key; *n_r is complete but for phc. */
MUST_CHECK enum err_code account_seal(struct identity_svc *, struct arena *, const char *email, const char *name,
				      const char *phone, const char *locale, struct account_new *n_r, struct err *);

/* Another person's row by id; 404 when there is none. */
MUST_CHECK enum err_code account_find(struct call *c, struct pg *, const char *user_id, struct account_row **row_r);

#endif
