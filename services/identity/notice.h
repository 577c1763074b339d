/* Events that identity tells the others: ids and words, never personal data. All run inside the change's transaction. */
#ifndef SOUK_IDENTITY_NOTICE_H
#define SOUK_IDENTITY_NOTICE_H

#include "common/arena.h"
#include "common/pg.h"

/* user.security_changed; what: password_changed, mfa_enabled, mfa_disabled, register_attempt, sessions_revoked */
MUST_CHECK enum err_code notice_security(struct pg *, struct arena *, const char *user_id, const char *what, struct err *);
MUST_CHECK enum err_code notice_registered(struct pg *, struct arena *, const char *user_id, const char *locale,
					   struct err *);
MUST_CHECK enum err_code notice_erased(struct pg *, struct arena *, const char *user_id, struct err *);
/* user.consent_changed */
MUST_CHECK enum err_code notice_consent(struct pg *, struct arena *, const char *user_id, const char *purpose,
					bool granted, struct err *);
/* kind verify_email or password_reset: user.verification_requested or user.password_reset_requested */
MUST_CHECK enum err_code notice_link(struct pg *, struct arena *, const char *user_id, const char *kind,
				     const char *link_id, struct err *);
/* user.email_change_requested, user.email_changed */
MUST_CHECK enum err_code notice_email(struct pg *, struct arena *, const char *user_id, const char *type,
				      const char *link_id, struct err *);
/* vendor_member.invited */
MUST_CHECK enum err_code notice_invited(struct pg *, struct arena *, const char *vendor_id, const char *invitation_id,
					struct err *);
/* session.revoked; session_id "" is every session: gateways hear it by the doorbell and ask at once. */
MUST_CHECK enum err_code notice_revoked(struct pg *, struct arena *, const char *user_id, const char *session_id,
					struct err *);

#endif
