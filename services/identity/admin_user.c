/* Administrators look users up by exact e-mail, phone or id, disable them and end their sessions. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/identity/account.h"
#include "services/identity/identity_db.h"
#include "services/identity/notice.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"
#include "services/identity/session_list.h"

RPC_HANDLER(identity_admin_user_list, Identity__V1__ListUsersRequest, Identity__V1__ListUsersReply)
RPC_HANDLER(identity_admin_user_get, Identity__V1__GetUserRequest, Identity__V1__User)
RPC_HANDLER(identity_admin_user_disable, Identity__V1__SetUserStatusRequest, Identity__V1__User)
RPC_HANDLER(identity_admin_user_enable, Identity__V1__SetUserStatusRequest, Identity__V1__User)
RPC_HANDLER(identity_admin_user_sessions, Identity__V1__UserSessionsRequest, Identity__V1__SessionsReply)
RPC_HANDLER(identity_admin_user_revoke, Identity__V1__RevokeUserSessionsRequest, Identity__V1__RevokedReply)

const struct rpc_method identity_admin_user_methods[] = {
	{ "ListUsers", identity_admin_user_list_, RPC_READ, 0 },
	{ "GetUser", identity_admin_user_get_, RPC_READ, 0 },
	{ "DisableUser", identity_admin_user_disable_, RPC_WRITE | RPC_KEYED, 0 },
	{ "EnableUser", identity_admin_user_enable_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListUserSessions", identity_admin_user_sessions_, RPC_READ, 0 },
	{ "RevokeUserSessions", identity_admin_user_revoke_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static bool masked(const struct call *c)
{
	return !call_has_perm(c, "admin.users.personal");
}

static void check_filters(struct call *c, const Identity__V1__ListUsersRequest *in)
{
	if (in->email)
		check_email(&c->err, "email", in->email);
	if (in->phone)
		check_phone(&c->err, "phone", in->phone);
	if (in->status)
		check_oneof(&c->err, "status", in->status, "active|disabled|erased");
	if (in->role)
		check_text(&c->err, "role", in->role, 1, 40);
}

static enum err_code list(struct call *c, struct pg *pg, struct account_filter *f, const struct page *p,
			  Identity__V1__ListUsersReply *out)
{
	struct account_row *rows;
	size_t n;

	f->after = page_text(p, 0, "");
	f->limit = p->limit + 1;
	if (identity_db_account_page(pg, c->arena, f, &rows, &n, &c->err))
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(p, n); i++) {
		Identity__V1__User *u = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*u));

		identity__v1__user__init(u);
		if (account_show(c, pg, &rows[i], masked(c), u))
			return c->err.code;
		u->hdr_etag = NULL;
	}
	if (page_more(p, n))
		out->next_cursor = page_next(c, p, rows[p->limit - 1].id);
	return OK;
}

static enum err_code identity_admin_user_list(struct call *c, const Identity__V1__ListUsersRequest *in,
					      Identity__V1__ListUsersReply *out)
{
	struct account_filter f = { .status = in->status, .role = in->role };
	const struct identity_keys *keys = &identity_of(c)->keys;
	char index[65] = "", phone_index[65] = "";
	const char *filter;
	struct page p;
	struct pg *pg;

	if (call_perm(c, "admin.users"))
		return c->err.code;
	check_filters(c, in);
	if (input_ok(c))
		return c->err.code;
	if (in->email) {
		f.email_index = person_email_index(keys, c->arena, in->email);
		hex_encode(f.email_index.data, SHA256_LEN, index);
	}
	if (in->phone) {
		f.phone_index = person_phone_index(keys, c->arena, in->phone);
		hex_encode(f.phone_index.data, SHA256_LEN, phone_index);
	}
	filter = arena_printf(c->arena, "users|%s|%s|%s|%s", index, phone_index, in->status ? in->status : "",
			      in->role ? in->role : "");
	if (page_of(c, in, filter, "t", &p) || call_pg(c, &pg))
		return c->err.code;
	(void)list(c, pg, &f, &p, out);
	pg_return(pg);
	return c->err.code;
}

static enum err_code identity_admin_user_get(struct call *c, const Identity__V1__GetUserRequest *in, Identity__V1__User *out)
{
	struct account_row *row;
	struct pg *pg;

	if (call_perm(c, "admin.users"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	if (call_pg(c, &pg))
		return c->err.code;
	if (account_find(c, pg, in->user_id, &row) == OK)
		noted(account_show(c, pg, row, masked(c), out));
	pg_return(pg);
	return c->err.code;
}

struct change {
	struct call *c;
	const char *user_id, *reason;
	Identity__V1__User *out;
	bool enable;
	int64_t revoked;
};

/* Whoever has an administrators' role himself is out of reach for those who cannot grant one. */
static enum err_code may_touch(struct change *ch, struct pg *pg, struct account_row **row_r, struct err *e)
{
	struct call *c = ch->c;
	struct word_row *roles;
	bool found = false;
	size_t n;

	if (identity_db_account_lock(pg, c->arena, ch->user_id, row_r, &found, e) ||
	    identity_db_admin_roles(pg, c->arena, ch->user_id, &roles, &n, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	if (strcmp((*row_r)->status, "erased") == 0)
		return err_set(e, E_CONFLICT, "identity.erased", "%s", ch->user_id);
	if (n > 0 && !call_has_perm(c, "admin.roles"))
		return err_set(e, E_DENIED, "identity.protected_user", "%s", ch->user_id);
	return OK;
}

static enum err_code answer(struct change *ch, struct pg *pg, struct err *e)
{
	struct account_row *row;
	bool found = false;

	if (identity_db_account_get(pg, ch->c->arena, ch->user_id, &row, &found, e))
		return e->code;
	return account_show(ch->c, pg, row, masked(ch->c), ch->out);
}

static enum err_code disable(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct call *c = ch->c;
	struct account_row *row;
	int64_t others = 0;

	if (identity_db_other_administrators(pg, c->arena, ch->user_id, &others, e) || may_touch(ch, pg, &row, e))
		return e->code;
	if (others == 0)
		return err_set(e, E_CONFLICT, "identity.last_administrator", "%s", ch->user_id);
	if (identity_db_account_status(pg, ch->user_id, "disabled", ch->reason, e) ||
	    identity_db_session_revoke_all(pg, ch->user_id, NULL, "account disabled", &ch->revoked, e) ||
	    identity_db_account_bump(pg, ch->user_id, e) || notice_revoked(pg, c->arena, ch->user_id, "", e))
		return e->code;
	return answer(ch, pg, e);
}

static enum err_code enable(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct account_row *row;

	if (may_touch(ch, pg, &row, e) || identity_db_account_status(pg, ch->user_id, "active", ch->reason, e))
		return e->code;
	return answer(ch, pg, e);
}

static enum err_code set_status(struct call *c, const Identity__V1__SetUserStatusRequest *in, pg_tx_fn *fn,
				Identity__V1__User *out)
{
	struct change ch = { .c = c, .user_id = in->user_id, .reason = in->reason, .out = out };

	if (call_perm(c, "admin.users"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	if (in->reason)
		check_text(&c->err, "reason", in->reason, 1, 500);
	if (input_ok(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, fn, &ch);
}

static enum err_code identity_admin_user_disable(struct call *c, const Identity__V1__SetUserStatusRequest *in,
						 Identity__V1__User *out)
{
	return set_status(c, in, disable, out);
}

static enum err_code identity_admin_user_enable(struct call *c, const Identity__V1__SetUserStatusRequest *in,
						Identity__V1__User *out)
{
	return set_status(c, in, enable, out);
}

static enum err_code identity_admin_user_sessions(struct call *c, const Identity__V1__UserSessionsRequest *in,
						  Identity__V1__SessionsReply *out)
{
	struct session_list_ask ask = { .user_id = in->user_id,
					.has_limit = in->has_limit,
					.limit = in->limit,
					.cursor = in->cursor };

	if (call_perm(c, "admin.users"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	ask.masked = masked(c);
	return session_list(c, &ask, out);
}

static enum err_code revoke(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct account_row *row;

	if (may_touch(ch, pg, &row, e) ||
	    identity_db_session_revoke_all(pg, ch->user_id, NULL, "ended by an administrator", &ch->revoked, e) ||
	    identity_db_account_bump(pg, ch->user_id, e) ||
	    notice_security(pg, ch->c->arena, ch->user_id, "sessions_revoked", e))
		return e->code;
	return notice_revoked(pg, ch->c->arena, ch->user_id, "", e);
}

struct revoke_all {
	struct change ch;
	Identity__V1__RevokedReply *out;
};

/* The reply is stored with the key, so it is filled inside. */
static enum err_code revoke_and_count(struct pg *pg, void *arg, struct err *e)
{
	struct revoke_all *r = arg;

	if (revoke(pg, &r->ch, e))
		return e->code;
	SET(r->out, revoked, (int32_t)r->ch.revoked);
	return OK;
}

static enum err_code identity_admin_user_revoke(struct call *c, const Identity__V1__RevokeUserSessionsRequest *in,
						Identity__V1__RevokedReply *out)
{
	struct revoke_all r = { .ch = { .c = c, .user_id = in->user_id }, .out = out };

	if (call_perm(c, "admin.users"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	return call_tx(c, CALL_TX_ONLY, revoke_and_count, &r);
}
