/* Who may change whom in a vendor's team. */
#ifndef SOUK_IDENTITY_MEMBER_H
#define SOUK_IDENTITY_MEMBER_H

#include "services/identity/identity.h"

#define MEMBER_OWNER "vendor_owner"

/* Only owners make and unmake owners; common.forbidden otherwise. Roles may be NULL. */
MUST_CHECK enum err_code member_may_touch(const struct call *c, const char *role_before, const char *role_after,
					  struct err *);
void member_check_role(struct call *c, const char *role);

#endif
