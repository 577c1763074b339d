/* What a user may do with one audience: the content of an access token. */
#ifndef SOUK_IDENTITY_GRANT_H
#define SOUK_IDENTITY_GRANT_H

#include "common/call.h"

struct grant {
	const char *audience;  /* shop, vendor, admin */
	const char *vendor_id; /* "" unless vendor */
	const char *const *roles;
	size_t n_roles;
	const char *const *perms;
	size_t n_perms;
};

/* NULL or "" is shop. Adds details and returns E_INVALID for anything else than the three words and vendor ids. */
MUST_CHECK enum err_code grant_check(const char *audience, const char *vendor_id, struct err *);

/*
 * Resolves what the user holds now. Vendor without vendor_id takes the only membership. Errors: identity.not_admin,
 * identity.not_member, identity.vendor_pending (409), identity.vendor_suspended, identity.vendor_ambiguous.
 */
MUST_CHECK enum err_code grant_find(struct pg *, struct arena *, const char *user_id, const char *audience,
				    const char *vendor_id, struct grant *grant_r, struct err *);

#endif
