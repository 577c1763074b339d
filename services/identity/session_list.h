/* The list of live sessions, for their owner and for administrators. */
#ifndef SOUK_IDENTITY_SESSION_LIST_H
#define SOUK_IDENTITY_SESSION_LIST_H

#include "services/identity/identity.h"

struct session_list_ask {
	const char *user_id;
	bool has_limit;
	int32_t limit;
	const char *cursor;
	bool masked; /* without the device's own words */
};
MUST_CHECK enum err_code session_list(struct call *c, const struct session_list_ask *, Identity__V1__SessionsReply *out);

#endif
