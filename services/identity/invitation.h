/* Invitations into a vendor's team, for people with or without an account. */
#ifndef SOUK_IDENTITY_INVITATION_H
#define SOUK_IDENTITY_INVITATION_H

#include "services/identity/identity.h"

#define INVITATION_PREFIX "inv"
#define INVITATION_S	  (7 * 24 * 3600)

/* What notify needs to send it: address and one-time token. */
MUST_CHECK enum err_code invitation_link(struct call *c, const char *invitation_id, Identity__V1__Link *out);

#endif
