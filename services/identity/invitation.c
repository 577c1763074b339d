#include "services/identity/invitation.h"

#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "services/identity/guard.h"
#include "services/identity/identity_db.h"
#include "services/identity/member.h"
#include "services/identity/notice.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"
#include "services/identity/token.h"

RPC_HANDLER(identity_invitation_create, Identity__V1__CreateInvitationRequest, Identity__V1__Invitation)
RPC_HANDLER(identity_invitation_list, Identity__V1__InvitationsRequest, Identity__V1__InvitationsReply)
RPC_HANDLER(identity_invitation_revoke, Identity__V1__InvitationRequest, Common__V1__Empty)
RPC_HANDLER(identity_invitation_accept, Identity__V1__AcceptInvitationRequest, Identity__V1__Membership)

const struct rpc_method identity_invitation_methods[] = {
	{ "CreateInvitation", identity_invitation_create_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListInvitations", identity_invitation_list_, RPC_READ, 0 },
	{ "RevokeInvitation", identity_invitation_revoke_, RPC_WRITE | RPC_KEYED, 0 },
	{ "AcceptInvitation", identity_invitation_accept_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define EMAIL "identity.invitation.email"

static enum err_code show(struct call *c, const struct invitation_row *row, Identity__V1__Invitation *out, struct err *e)
{
	const char *email = NULL;

	if (crypto_open_text(identity_of(c)->keys.ring, EMAIL, row->id, row->email, c->arena, &email, e))
		return e->code;
	out->id = call_str(c, row->id);
	out->vendor_id = call_str(c, row->vendor_id);
	out->email = call_str(c, email);
	out->role = call_str(c, row->role);
	out->status = call_str(c, row->status);
	out->invited_by = call_str(c, row->invited_by);
	SET(out, created_at, row->created_at);
	SET(out, expires_at, row->expires_at);
	return OK;
}

/* ---- the vendor's side ---- */
struct invite {
	struct call *c;
	const char *email, *role;
	Identity__V1__Invitation *out;
};

/* A mailbox hears of at most a few invitations, whoever sends them. */
static enum err_code may_mail(struct call *c, struct pg *pg, struct pg_bytes email_index, struct err *e)
{
	struct guard g = { 0 };
	int64_t wait_ms;

	guard_add(c, &g, BACKOFF_MAIL, email_index.data, email_index.len, "invite");
	if (identity_db_backoff_wait(pg, c->arena, g.key, g.n, &wait_ms, e))
		return e->code;
	if (wait_ms > 0) {
		e->retry_after_ms = (int)wait_ms;
		return err_set(e, E_EXHAUSTED, "identity.slowed", "invitations to one address");
	}
	return identity_db_backoff_fail(pg, g.key[0], backoff_rule(BACKOFF_MAIL), e);
}

static enum err_code not_yet_member(struct call *c, struct pg *pg, struct pg_bytes email_index, struct err *e)
{
	struct member_row *row;
	const char *user_id;
	bool verified, found = false;

	if (identity_db_account_id(pg, c->arena, email_index, &user_id, &verified, e) ||
	    (user_id && identity_db_member_get(pg, c->arena, c->who.vendor_id, user_id, &row, &found, e)))
		return e->code;
	return found ? err_set(e, E_CONFLICT, "identity.member_exists", "%s", user_id) : OK;
}

static enum err_code store(struct invite *in, struct pg *pg, struct invitation_new *n, struct err *e)
{
	struct call *c = in->c;
	struct invitation_row *row;
	bool done = false, found = false;

	if (crypto_seal_text(identity_of(c)->keys.ring, EMAIL, n->id, in->email, c->arena, &n->email, e) ||
	    identity_db_invitation_add(pg, n, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_RULE, "identity.too_many", "invitations");
	if (notice_invited(pg, c->arena, n->vendor_id, n->id, e) ||
	    identity_db_invitation_get(pg, c->arena, n->id, &row, &found, e))
		return e->code;
	return show(c, row, in->out, e);
}

static enum err_code create(struct pg *pg, void *arg, struct err *e)
{
	struct invite *in = arg;
	struct call *c = in->c;
	char id[ID_LEN];
	struct invitation_new n = { .vendor_id = c->who.vendor_id, .role = in->role, .invited_by = c->who.user_id,
				    .life_s = INVITATION_S, .max = IDENTITY_INVITED_MAX };
	int64_t owners;

	id_new(INVITATION_PREFIX, id);
	n.id = id;
	n.email_index = person_email_index(&identity_of(c)->keys, c->arena, in->email);
	if (member_may_touch(c, NULL, in->role, e) || identity_db_member_lock(pg, c->arena, n.vendor_id, &owners, e) ||
	    not_yet_member(c, pg, n.email_index, e) || may_mail(c, pg, n.email_index, e))
		return e->code;
	return store(in, pg, &n, e);
}

static enum err_code identity_invitation_create(struct call *c, const Identity__V1__CreateInvitationRequest *in,
						Identity__V1__Invitation *out)
{
	struct invite i = { .c = c, .role = in->role, .out = out };

	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	check_email(&c->err, "email", in->email);
	member_check_role(c, in->role);
	if (input_ok(c))
		return c->err.code;
	i.email = crypto_normal_email(c->arena, in->email);
	return call_tx(c, CALL_TX_ONLY, create, &i);
}

static enum err_code list(struct call *c, struct pg *pg, const struct page *p,
			  Identity__V1__InvitationsReply *out)
{
	struct invitation_row *rows;
	size_t n;

	if (identity_db_invitation_page(pg, c->arena, c->who.vendor_id, page_text(p, 0, ""), p->limit + 1, &rows, &n, &c->err))
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(p, n); i++) {
		Identity__V1__Invitation *one = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*one));

		identity__v1__invitation__init(one);
		if (show(c, &rows[i], one, &c->err))
			return c->err.code;
	}
	if (page_more(p, n))
		out->next_cursor = page_next(c, p, rows[p->limit - 1].id);
	return OK;
}

static enum err_code identity_invitation_list(struct call *c, const Identity__V1__InvitationsRequest *in,
					      Identity__V1__InvitationsReply *out)
{
	const char *filter;
	struct page p;
	struct pg *pg;

	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	filter = arena_printf(c->arena, "invitations|%s", c->who.vendor_id);
	if (page_of(c, in, filter, "t", &p) || call_pg(c, &pg))
		return c->err.code;
	(void)list(c, pg, &p, out);
	pg_return(pg);
	return c->err.code;
}

struct ending {
	struct call *c;
	const char *id;
};

static enum err_code revoke(struct pg *pg, void *arg, struct err *e)
{
	struct ending *end = arg;
	struct invitation_row *row;
	bool found = false, done = false;

	if (identity_db_invitation_get(pg, end->c->arena, end->id, &row, &found, e))
		return e->code;
	if (!found || strcmp(row->vendor_id, end->c->who.vendor_id) != 0)
		return err_set(e, E_NOT_FOUND, "common.not_found", "invitation");
	if (member_may_touch(end->c, NULL, row->role, e) ||
	    identity_db_invitation_end(pg, row->id, row->vendor_id, "revoked", &done, e))
		return e->code;
	return done ? OK : err_set(e, E_GONE, "identity.link_invalid", "invitation is %s", row->status);
}

static enum err_code identity_invitation_revoke(struct call *c, const Identity__V1__InvitationRequest *in,
						Common__V1__Empty *out)
{
	struct ending end = { .c = c, .id = in->invitation_id };

	(void)out;
	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	if (!id_valid(INVITATION_PREFIX, in->invitation_id))
		return not_found(c, "invitation");
	return call_tx(c, CALL_TX_ONLY, revoke, &end);
}

/* ---- the link ---- */
struct make {
	struct call *c;
	const char *id, *email;
	struct invitation_row *row;
	char token[LINK_TEXT_LEN];
};

static enum err_code make_token(struct pg *pg, void *arg, struct err *e)
{
	struct make *m = arg;
	struct identity_keys *keys = &identity_of(m->c)->keys;
	uint8_t hash[SHA256_LEN];
	bool found = false;

	if (identity_db_invitation_get(pg, m->c->arena, m->id, &m->row, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "common.not_found", "invitation");
	if (strcmp(m->row->status, "open") != 0)
		return err_set(e, E_GONE, "identity.link_invalid", "invitation is %s", m->row->status);
	link_token(keys, m->id, m->token);
	token_hash(m->token, hash);
	if (crypto_open_text(keys->ring, EMAIL, m->id, m->row->email, m->c->arena, &m->email, e))
		return e->code;
	return identity_db_invitation_made(pg, m->id, hash, e);
}

enum err_code invitation_link(struct call *c, const char *invitation_id, Identity__V1__Link *out)
{
	struct make m = { .c = c, .id = invitation_id };

	if (call_tx(c, CALL_TX_PLAIN, make_token, &m))
		return c->err.code;
	out->kind = call_str(c, "vendor_invite");
	out->token = call_str(c, m.token);
	out->email = call_str(c, m.email);
	SET(out, expires_at, m.row->expires_at);
	return OK;
}

/* ---- the invited person ---- */
struct joining {
	struct call *c;
	const uint8_t *token_hash;
	struct invitation_row *row;
	struct member_row *member;
};

/* Whoever holds the link could read the mailbox; with the account of that address he is the one who was meant. */
static enum err_code is_meant(struct joining *j, struct pg *pg, struct err *e)
{
	struct call *c = j->c;
	const char *user_id;
	bool verified;

	if (identity_db_account_id(pg, c->arena, j->row->email_index, &user_id, &verified, e))
		return e->code;
	if (!user_id || strcmp(user_id, c->who.user_id) != 0)
		return err_set(e, E_DENIED, "identity.invitation_other", "%s", c->who.user_id);
	return verified ? OK : identity_db_account_verified(pg, user_id, e);
}

static enum err_code join(struct pg *pg, void *arg, struct err *e)
{
	struct joining *j = arg;
	struct call *c = j->c;
	bool found = false, done = false;
	int64_t owners;

	if (identity_db_invitation_find(pg, c->arena, j->token_hash, &j->row, &found, e))
		return e->code;
	if (!found || strcmp(j->row->status, "open") != 0)
		return err_set(e, E_GONE, "identity.link_invalid", "no open invitation");
	if (is_meant(j, pg, e) || identity_db_member_lock(pg, c->arena, j->row->vendor_id, &owners, e) ||
	    identity_db_invitation_end(pg, j->row->id, j->row->vendor_id, "accepted", &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_GONE, "identity.link_invalid", "ended meanwhile");
	if (identity_db_member_get(pg, c->arena, j->row->vendor_id, c->who.user_id, &j->member, &found, e))
		return e->code;
	if (found)
		return err_set(e, E_CONFLICT, "identity.member_exists", "%s", c->who.user_id);
	if (identity_db_member_add(pg, j->row->vendor_id, c->who.user_id, j->row->role, IDENTITY_MEMBERS_MAX, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_RULE, "identity.too_many", "members");
	return identity_db_member_get(pg, c->arena, j->row->vendor_id, c->who.user_id, &j->member, &found, e);
}

static enum err_code identity_invitation_accept(struct call *c, const Identity__V1__AcceptInvitationRequest *in,
						Identity__V1__Membership *out)
{
	struct joining j = { .c = c };
	uint8_t hash[SHA256_LEN];

	if (call_user(c))
		return c->err.code;
	check_text(&c->err, "token", in->token, 20, 200);
	if (input_ok(c))
		return c->err.code;
	token_hash(in->token, hash);
	j.token_hash = hash;
	if (call_tx(c, CALL_TX_PLAIN, join, &j))
		return c->err.code;
	out->vendor_id = call_str(c, j.member->vendor_id);
	out->role = call_str(c, j.member->role);
	out->vendor_status = call_str(c, j.member->vendor_status);
	return OK;
}
