#include "services/identity/notice.h"

#include <string.h>

#include "events.pb-c.h"
#include "services/identity/identity_db.h"

/* protobuf-c wants char *; packing changes nothing. */
static char *text(struct arena *a, const char *s)
{
	return arena_strdup(a, s);
}

enum err_code notice_security(struct pg *pg, struct arena *a, const char *user_id, const char *what, struct err *e)
{
	Events__V1__UserSecurityChanged msg = EVENTS__V1__USER_SECURITY_CHANGED__INIT;

	msg.user_id = text(a, user_id);
	msg.what = text(a, what);
	return identity_db_event(pg, a, user_id, "user.security_changed", &msg.base, e);
}

enum err_code notice_registered(struct pg *pg, struct arena *a, const char *user_id, const char *locale, struct err *e)
{
	Events__V1__UserRegistered msg = EVENTS__V1__USER_REGISTERED__INIT;

	msg.user_id = text(a, user_id);
	msg.locale = text(a, locale);
	return identity_db_event(pg, a, user_id, "user.registered", &msg.base, e);
}

enum err_code notice_erased(struct pg *pg, struct arena *a, const char *user_id, struct err *e)
{
	Events__V1__UserErased msg = EVENTS__V1__USER_ERASED__INIT;

	msg.user_id = text(a, user_id);
	return identity_db_event(pg, a, user_id, "user.erased", &msg.base, e);
}

enum err_code notice_consent(struct pg *pg, struct arena *a, const char *user_id, const char *purpose, bool granted,
			     struct err *e)
{
	Events__V1__ConsentChanged msg = EVENTS__V1__CONSENT_CHANGED__INIT;

	msg.user_id = text(a, user_id);
	msg.purpose = text(a, purpose);
	msg.has_granted = true;
	msg.granted = granted;
	return identity_db_event(pg, a, user_id, "user.consent_changed", &msg.base, e);
}

enum err_code notice_link(struct pg *pg, struct arena *a, const char *user_id, const char *kind, const char *link_id,
			  struct err *e)
{
	Events__V1__UserLinkRequested msg = EVENTS__V1__USER_LINK_REQUESTED__INIT;
	bool verify = strcmp(kind, "verify_email") == 0;

	msg.user_id = text(a, user_id);
	msg.link_id = text(a, link_id);
	return identity_db_event(pg, a, user_id, verify ? "user.verification_requested" : "user.password_reset_requested",
				 &msg.base, e);
}

enum err_code notice_email(struct pg *pg, struct arena *a, const char *user_id, const char *type, const char *link_id,
			   struct err *e)
{
	Events__V1__UserEmailChange msg = EVENTS__V1__USER_EMAIL_CHANGE__INIT;

	msg.user_id = text(a, user_id);
	msg.link_id = text(a, link_id);
	return identity_db_event(pg, a, user_id, type, &msg.base, e);
}

enum err_code notice_invited(struct pg *pg, struct arena *a, const char *vendor_id, const char *invitation_id,
			     struct err *e)
{
	Events__V1__VendorMemberInvited msg = EVENTS__V1__VENDOR_MEMBER_INVITED__INIT;

	msg.vendor_id = text(a, vendor_id);
	msg.invitation_id = text(a, invitation_id);
	return outbox_put(pg, "invitation", invitation_id, 1, "vendor_member.invited", &msg.base, e);
}

enum err_code notice_revoked(struct pg *pg, struct arena *a, const char *user_id, const char *session_id, struct err *e)
{
	Events__V1__SessionRevoked msg = EVENTS__V1__SESSION_REVOKED__INIT;

	msg.user_id = text(a, user_id);
	msg.session_id = text(a, session_id);
	return identity_db_event(pg, a, user_id, "session.revoked", &msg.base, e);
}
