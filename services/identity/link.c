#include "services/identity/link.h"

#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "services/identity/email.h"
#include "services/identity/guard.h"
#include "services/identity/identity_db.h"
#include "services/identity/invitation.h"
#include "services/identity/notice.h"
#include "services/identity/reply.h"
#include "services/identity/token.h"

RPC_HANDLER(identity_link_make, Identity__V1__LinkRequest, Identity__V1__Link)
RPC_HANDLER(identity_link_verify, Identity__V1__VerifyEmailRequest, Identity__V1__VerifyEmailReply)
RPC_HANDLER(identity_link_resend, Identity__V1__ResendVerificationRequest, Identity__V1__AcceptedReply)

const struct rpc_method identity_link_methods[] = {
	{ "MakeLink", identity_link_make_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ "VerifyEmail", identity_link_verify_, RPC_WRITE, 0 },
	{ "ResendVerification", identity_link_resend_, RPC_WRITE, 0 },
	{ 0 },
};

enum err_code link_send(struct call *c, struct pg *pg, const char *user_id, const char *kind, struct err *e)
{
	char *id = arena_alloc(c->arena, ID_LEN);
	int64_t life = strcmp(kind, "verify_email") == 0 ? LINK_VERIFY_S : LINK_RESET_S;

	id_new("lnk", id);
	if (identity_db_link_end(pg, user_id, kind, e) || identity_db_link_add(pg, id, user_id, kind, life, NULL, e))
		return e->code;
	return notice_link(pg, c->arena, user_id, kind, id, e);
}

struct make {
	struct call *c;
	const char *link_id;
	struct link_row *row;
	const char *email; /* NULL: the account's */
	char token[LINK_TEXT_LEN];
};

/* The token is a function of the id: asked for twice (a mail sent again) it is the same. */
static enum err_code make_token(struct pg *pg, void *arg, struct err *e)
{
	struct make *m = arg;
	uint8_t hash[SHA256_LEN];
	bool found = false;

	if (identity_db_link_get(pg, m->c->arena, m->link_id, &m->row, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "common.not_found", "link");
	if (!m->row->open)
		return err_set(e, E_GONE, "identity.link_invalid", "used or over");
	link_token(&identity_of(m->c)->keys, m->link_id, m->token);
	token_hash(m->token, hash);
	if (strcmp(m->row->kind, "change_email") == 0 && email_of_link(m->c, pg, m->row, false, &m->email, e))
		return e->code;
	return identity_db_link_made(pg, m->link_id, hash, e);
}

static enum err_code identity_link_make(struct call *c, const Identity__V1__LinkRequest *in, Identity__V1__Link *out)
{
	struct make m = { .c = c, .link_id = in->link_id };

	if (call_service(c, "notify"))
		return c->err.code;
	if (id_valid(INVITATION_PREFIX, in->link_id))
		return invitation_link(c, in->link_id, out);
	check_id(&c->err, "link_id", in->link_id, "lnk");
	if (input_ok(c) || call_tx(c, CALL_TX_PLAIN, make_token, &m))
		return c->err.code;
	out->kind = call_str(c, m.row->kind);
	out->user_id = call_str(c, m.row->user_id);
	out->token = call_str(c, m.token);
	out->email = call_str(c, m.email);
	SET(out, expires_at, m.row->expires_at);
	return OK;
}

struct verify {
	struct call *c;
	struct link_row *row;
};

static enum err_code verify_address(struct pg *pg, void *arg, struct err *e)
{
	struct verify *v = arg;
	bool done = false;

	if (identity_db_link_use(pg, v->row->id, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_GONE, "identity.link_invalid", "used or over");
	if (v->row->email.data)
		return email_confirm(v->c, pg, v->row, e);
	return identity_db_account_verified(pg, v->row->user_id, e);
}

static enum err_code identity_link_verify(struct call *c, const Identity__V1__VerifyEmailRequest *in,
					  Identity__V1__VerifyEmailReply *out)
{
	struct verify v = { .c = c };
	uint8_t hash[SHA256_LEN];
	struct pg *pg;
	bool found = false;

	check_text(&c->err, "token", in->token, 20, 200);
	if (input_ok(c) || call_pg(c, &pg))
		return c->err.code;
	token_hash(in->token, hash);
	noted(identity_db_link_find(pg, c->arena, hash, &v.row, &found, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	if (!found || (strcmp(v.row->kind, "verify_email") != 0 && strcmp(v.row->kind, "change_email") != 0))
		return err_set(&c->err, E_GONE, "identity.link_invalid", "no such link");
	call_act_as(c, v.row->user_id);
	if (call_tx(c, CALL_TX_PLAIN, verify_address, &v))
		return c->err.code;
	SET(out, email_verified, true);
	return OK;
}

struct resend {
	struct call *c;
	const char *user_id;
};

static enum err_code send_again(struct pg *pg, void *arg, struct err *e)
{
	struct resend *r = arg;
	struct guard g = { 0 };
	struct login_row *row;
	int64_t wait_ms;
	bool found = false;

	guard_add(r->c, &g, BACKOFF_MAIL, r->user_id, strlen(r->user_id), "");
	if (identity_db_backoff_wait(pg, r->c->arena, g.key, g.n, &wait_ms, e) ||
	    identity_db_login_by_id(pg, r->c->arena, r->user_id, &row, &found, e))
		return e->code;
	if (!found || row->email_verified || wait_ms > 0)
		return OK;
	if (identity_db_backoff_fail(pg, g.key[0], backoff_rule(BACKOFF_MAIL), e))
		return e->code;
	return link_send(r->c, pg, r->user_id, "verify_email", e);
}

static enum err_code identity_link_resend(struct call *c, const Identity__V1__ResendVerificationRequest *in,
					  Identity__V1__AcceptedReply *out)
{
	struct resend r = { .c = c };

	(void)in;
	if (call_user(c))
		return c->err.code;
	r.user_id = c->who.user_id;
	if (call_tx(c, CALL_TX_PLAIN, send_again, &r))
		return c->err.code;
	out->status = call_str(c, "accepted");
	return OK;
}
