/* Links that travel by mail. The event names the link; its token is made when notify sends it (MakeLink). */
#ifndef SOUK_IDENTITY_LINK_H
#define SOUK_IDENTITY_LINK_H

#include "services/identity/identity.h"

#define LINK_VERIFY_S (7 * 24 * 3600)
#define LINK_RESET_S  3600

/* A new link of that kind (earlier ones end) and the event that asks for its mail; inside a transaction. */
MUST_CHECK enum err_code link_send(struct call *c, struct pg *, const char *user_id, const char *kind, struct err *);

#endif
