/* A person's right to a copy and to be forgotten. */
#include <string.h>

#include "common/timeutil.h"
#include "services/identity/account.h"
#include "services/identity/address.h"
#include "services/identity/consent.h"
#include "services/identity/identity_db.h"
#include "services/identity/notice.h"
#include "services/identity/reply.h"
#include "services/identity/session_list.h"

RPC_HANDLER(identity_erasure_export, Identity__V1__ExportMeRequest, Identity__V1__UserExport)
RPC_HANDLER(identity_erasure_erase, Identity__V1__EraseMeRequest, Identity__V1__LogoutReply)

const struct rpc_method identity_erasure_methods[] = {
	{ "ExportMe", identity_erasure_export_, RPC_READ, 0 },
	{ "EraseMe", identity_erasure_erase_, RPC_WRITE, 0 },
	{ 0 },
};

static enum err_code export_rows(struct call *c, struct pg *pg, Identity__V1__UserExport *out)
{
	struct account_row *account;
	struct address_row *addresses;
	size_t n;

	if (account_find(c, pg, c->who.user_id, &account))
		return c->err.code;
	out->user = arena_alloc(c->arena, sizeof(*out->user));
	identity__v1__user__init(out->user);
	if (account_show(c, pg, account, false, out->user) ||
	    identity_db_address_page(pg, c->arena, c->who.user_id, "", IDENTITY_ADDRESSES_MAX, &addresses, &n, &c->err))
		return c->err.code;
	out->user->hdr_etag = NULL;
	out->addresses = address_slots(c, n);
	out->n_addresses = n;
	if (address_show(c, pg, c->who.user_id, addresses, n, out->addresses))
		return c->err.code;
	for (size_t i = 0; i < n; i++)
		out->addresses[i]->hdr_etag = NULL;
	return consent_show(c, pg, c->who.user_id, true, &out->consents, &out->n_consents, &c->err);
}

static enum err_code identity_erasure_export(struct call *c, const Identity__V1__ExportMeRequest *in,
					     Identity__V1__UserExport *out)
{
	struct session_list_ask ask = { .has_limit = true, .limit = 100 };
	Identity__V1__SessionsReply sessions = IDENTITY__V1__SESSIONS_REPLY__INIT;
	struct pg *pg;

	(void)in;
	if (call_user(c) || call_pg(c, &pg))
		return c->err.code;
	(void)export_rows(c, pg, out);
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	ask.user_id = c->who.user_id;
	if (session_list(c, &ask, &sessions))
		return c->err.code;
	out->sessions = sessions.data;
	out->n_sessions = sessions.n_data;
	SET(out, exported_at, wall_ms());
	return OK;
}

/* A token that lies around must not be enough: the login is fresh. API keys have no session, so they cannot. */
static enum err_code fresh(struct call *c, struct pg *pg, struct err *e)
{
	struct session_row *s;
	bool found = false;

	if (identity_db_session_get(pg, c->arena, c->who.session_id ? c->who.session_id : "", &s, &found, e))
		return e->code;
	if (!found || strcmp(s->user_id, c->who.user_id) != 0 ||
	    s->now - s->created_at > (int64_t)identity_of(c)->conf->fresh_login_s * 1000)
		return err_set(e, E_DENIED, "identity.fresh_login", "session is old");
	return OK;
}

static enum err_code may_leave(struct call *c, struct pg *pg, struct err *e)
{
	struct word_row *roles;
	int64_t vendors, others;
	size_t n;

	if (identity_db_vendors_owned(pg, c->arena, c->who.user_id, &vendors, e))
		return e->code;
	if (vendors > 0)
		return err_set(e, E_CONFLICT, "identity.owns_vendor", "%lld", (long long)vendors);
	if (identity_db_other_administrators(pg, c->arena, c->who.user_id, &others, e) ||
	    identity_db_admin_roles(pg, c->arena, c->who.user_id, &roles, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (others == 0 && strcmp(roles[i].word, "administrator") == 0)
			return err_set(e, E_CONFLICT, "identity.last_administrator", "%s", c->who.user_id);
	return OK;
}

static enum err_code erase(struct pg *pg, void *arg, struct err *e)
{
	struct call *c = arg;
	const char *id = c->who.user_id;
	struct account_row *row;
	bool found = false, done;
	int64_t n;

	if (fresh(c, pg, e) || may_leave(c, pg, e) || identity_db_account_lock(pg, c->arena, id, &row, &found, e))
		return e->code;
	if (!found || strcmp(row->status, "erased") == 0)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	if (identity_db_session_revoke_all(pg, id, NULL, "account erased", &n, e) || identity_db_session_forget(pg, id, e) ||
	    identity_db_api_key_revoke_all(pg, id, e) || identity_db_totp_remove(pg, id, e) ||
	    identity_db_recovery_clear(pg, id, e) || identity_db_user_role_remove(pg, id, NULL, &done, e) ||
	    identity_db_member_remove(pg, NULL, id, e) || identity_db_account_bump(pg, id, e) ||
	    identity_db_account_erase(pg, id, e) || notice_revoked(pg, c->arena, id, "", e))
		return e->code;
	return notice_erased(pg, c->arena, id, e);
}

static enum err_code identity_erasure_erase(struct call *c, const Identity__V1__EraseMeRequest *in,
					    Identity__V1__LogoutReply *out)
{
	(void)in;
	if (call_user(c))
		return c->err.code;
	out->hdr_refresh_token = call_str(c, "");
	return call_tx(c, CALL_TX_PLAIN, erase, c);
}
