/* Tokens: a new session after login or second factor, and the answer that carries them. */
#ifndef SOUK_IDENTITY_SESSION_OPEN_H
#define SOUK_IDENTITY_SESSION_OPEN_H

#include "services/identity/grant.h"
#include "services/identity/identity.h"
#include "services/identity/token.h"

struct session_ask {
	const char *user_id;
	int64_t token_version;
	const char *audience, *vendor_id; /* as asked; "" and NULL are shop and none */
	const char *user_agent, *ip;
	bool in_body;
};
struct session_made {
	struct refresh_token token;
	struct grant grant;
};

/* Resolves the grant and stores the session; inside a transaction. */
MUST_CHECK enum err_code session_open(struct call *c, struct pg *, const struct session_ask *, struct session_made *made_r,
				      struct err *);
/* The access token and the fields of the reply; after the commit. */
MUST_CHECK enum err_code session_answer(struct call *c, const struct session_ask *, const struct session_made *,
					Identity__V1__TokenReply *out);

#endif
