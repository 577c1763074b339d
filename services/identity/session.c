/* Sessions after they began: logout, the list, ending one or all. */
#include <string.h>

#include "common/id.h"
#include "services/identity/identity_db.h"
#include "services/identity/notice.h"
#include "services/identity/reply.h"
#include "services/identity/session_list.h"
#include "services/identity/token.h"

RPC_HANDLER(identity_session_logout, Identity__V1__LogoutRequest, Identity__V1__LogoutReply)
RPC_HANDLER(identity_session_logout_all, Identity__V1__LogoutAllRequest, Identity__V1__LogoutReply)
RPC_HANDLER(identity_session_list, Identity__V1__SessionsRequest, Identity__V1__SessionsReply)
RPC_HANDLER(identity_session_revoke, Identity__V1__RevokeSessionRequest, Common__V1__Empty)

const struct rpc_method identity_session_methods[] = {
	{ "Logout", identity_session_logout_, RPC_WRITE, 0 },
	{ "LogoutAll", identity_session_logout_all_, RPC_WRITE, 0 },
	{ "ListSessions", identity_session_list_, RPC_READ, 0 },
	{ "RevokeSession", identity_session_revoke_, RPC_WRITE, 0 },
	{ 0 },
};

struct ending {
	struct call *c;
	const char *session_id, *user_id; /* user_id NULL: whoever's */
	bool must_exist;
};

static enum err_code end_session(struct pg *pg, void *arg, struct err *e)
{
	struct ending *end = arg;
	struct call *c = end->c;
	struct session_row *s;
	bool done = false, found = false;

	if (identity_db_session_revoke(pg, end->session_id, end->user_id, "ended by the user", &done, e))
		return e->code;
	if (!done)
		return end->must_exist ? err_set(e, E_NOT_FOUND, "common.not_found", "session") : OK;
	if (identity_db_session_get(pg, c->arena, end->session_id, &s, &found, e))
		return e->code;
	return found ? notice_revoked(pg, c->arena, s->user_id, s->id, e) : OK;
}

/* The refresh token names its session, also when it is an old one or the access token has run out. */
static enum err_code identity_session_logout(struct call *c, const Identity__V1__LogoutRequest *in,
					     Identity__V1__LogoutReply *out)
{
	struct ending end = { .c = c };
	struct refresh_token token;

	out->hdr_refresh_token = call_str(c, "");
	if (refresh_token_read(&identity_of(c)->keys, in->refresh_token ? in->refresh_token : in->hdr_refresh_token,
			       &token)) {
		end.session_id = token.session_id;
	} else if (c->who.kind == WHO_USER) {
		end.session_id = c->who.session_id;
		end.user_id = c->who.user_id;
	} else {
		return OK;
	}
	return call_tx(c, CALL_TX_PLAIN, end_session, &end);
}

static enum err_code end_all(struct pg *pg, void *arg, struct err *e)
{
	struct call *c = arg;
	int64_t n;

	if (identity_db_session_revoke_all(pg, c->who.user_id, NULL, "ended by the user", &n, e) ||
	    notice_security(pg, c->arena, c->who.user_id, "sessions_revoked", e))
		return e->code;
	return notice_revoked(pg, c->arena, c->who.user_id, "", e);
}

static enum err_code identity_session_logout_all(struct call *c, const Identity__V1__LogoutAllRequest *in,
						 Identity__V1__LogoutReply *out)
{
	(void)in;
	if (call_user(c))
		return c->err.code;
	out->hdr_refresh_token = call_str(c, "");
	return call_tx(c, CALL_TX_PLAIN, end_all, c);
}

static enum err_code identity_session_list(struct call *c, const Identity__V1__SessionsRequest *in,
					   Identity__V1__SessionsReply *out)
{
	struct session_list_ask ask;

	if (call_user(c))
		return c->err.code;
	ask = (struct session_list_ask){ .user_id = c->who.user_id,
					 .has_limit = in->has_limit,
					 .limit = in->limit,
					 .cursor = in->cursor };
	return session_list(c, &ask, out);
}

static enum err_code identity_session_revoke(struct call *c, const Identity__V1__RevokeSessionRequest *in,
					     Common__V1__Empty *out)
{
	struct ending end = { .c = c, .session_id = in->session_id, .must_exist = true };

	(void)out;
	if (call_user(c))
		return c->err.code;
	if (!id_valid("ses", in->session_id))
		return not_found(c, "session");
	end.user_id = c->who.user_id;
	return call_tx(c, CALL_TX_PLAIN, end_session, &end);
}
