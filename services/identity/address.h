/* Addresses as replies, for the owner, for checkout and for the export. */
#ifndef SOUK_IDENTITY_ADDRESS_H
#define SOUK_IDENTITY_ADDRESS_H

#include "services/identity/identity.h"
#include "services/identity/identity_db.h"

/* n initialised messages in the arena. */
Identity__V1__Address **address_slots(struct call *c, size_t n);
/* Opens n rows of one user into n messages. */
MUST_CHECK enum err_code address_show(struct call *c, struct pg *, const char *user_id, const struct address_row *rows,
				      size_t n, Identity__V1__Address **out);

#endif
