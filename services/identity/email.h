/* The change of an account's e-mail address: asked for with the password, done by the link mailed to the new one. */
#ifndef SOUK_IDENTITY_EMAIL_H
#define SOUK_IDENTITY_EMAIL_H

#include "services/identity/identity.h"
#include "services/identity/identity_db.h"

#define LINK_CHANGE_S (24 * 3600)

/* The link was opened: its address becomes the account's, the one before is told. Inside a transaction. */
MUST_CHECK enum err_code email_confirm(struct call *c, struct pg *, const struct link_row *link, struct err *);
/* The text of the link's new address, or (old) of the one before it. */
MUST_CHECK enum err_code email_of_link(struct call *c, struct pg *, const struct link_row *link, bool old,
				       const char **email_r, struct err *);
/* Somebody wants an address that is taken: its owner hears of it by mail, at most a few times. Inside a transaction. */
MUST_CHECK enum err_code email_tell_owner(struct call *c, struct pg *, struct pg_bytes email_index, struct err *);

#endif
