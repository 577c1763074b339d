/* A vendor's team. The vendor is the token's; somebody else's member is 404. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/identity/identity_db.h"
#include "services/identity/member.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

RPC_HANDLER(identity_member_list, Identity__V1__MembersRequest, Identity__V1__MembersReply)
RPC_HANDLER(identity_member_add, Identity__V1__AddMemberRequest, Identity__V1__Member)
RPC_HANDLER(identity_member_update, Identity__V1__UpdateMemberRequest, Identity__V1__Member)
RPC_HANDLER(identity_member_remove, Identity__V1__RemoveMemberRequest, Common__V1__Empty)

const struct rpc_method identity_member_methods[] = {
	{ "ListMembers", identity_member_list_, RPC_READ, 0 },
	{ "AddMember", identity_member_add_, RPC_WRITE | RPC_KEYED, 0 },
	{ "UpdateMember", identity_member_update_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RemoveMember", identity_member_remove_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code show(struct call *c, const struct member_row *row, Identity__V1__Member *out)
{
	const char *email = NULL, *name = NULL;
	struct keyring *ring;

	if (row->person_key.data) {
		if (person_key_open(&identity_of(c)->keys, c->arena, row->user_id, row->person_key, &ring, &c->err))
			return c->err.code;
		if (crypto_open_text(ring, "identity.account.email", row->user_id, row->email, c->arena, &email, &c->err) ==
		    OK)
			noted(crypto_open_text(ring, "identity.account.name", row->user_id, row->name, c->arena, &name,
					       &c->err));
		keyring_free(ring);
	}
	out->user_id = call_str(c, row->user_id);
	out->vendor_id = call_str(c, row->vendor_id);
	out->role = call_str(c, row->role);
	out->email = call_str(c, email);
	out->name = call_str(c, name);
	SET(out, joined_at, row->joined_at);
	SET(out, version, row->version);
	return c->err.code;
}

static enum err_code list(struct call *c, struct pg *pg, const struct page *p,
			  Identity__V1__MembersReply *out)
{
	struct member_row *rows;
	size_t n;

	if (identity_db_member_page(pg, c->arena, c->who.vendor_id, page_text(p, 0, ""), p->limit + 1, &rows, &n, &c->err))
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(p, n); i++) {
		Identity__V1__Member *m = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*m));

		identity__v1__member__init(m);
		if (show(c, &rows[i], m))
			return c->err.code;
	}
	if (page_more(p, n))
		out->next_cursor = page_next(c, p, rows[p->limit - 1].user_id);
	return OK;
}

static enum err_code identity_member_list(struct call *c, const Identity__V1__MembersRequest *in,
					  Identity__V1__MembersReply *out)
{
	const char *filter;
	struct page p;
	struct pg *pg;

	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	filter = arena_printf(c->arena, "members|%s", c->who.vendor_id);
	if (page_of(c, in, filter, "t", &p) || call_pg(c, &pg))
		return c->err.code;
	(void)list(c, pg, &p, out);
	pg_return(pg);
	return c->err.code;
}

struct change {
	struct call *c;
	const char *user_id, *email, *role, *if_match;
	Identity__V1__Member *out;
	int64_t owners;
	struct member_row *row;
};

static bool is_owner(const char *role)
{
	return role && strcmp(role, MEMBER_OWNER) == 0;
}

enum err_code member_may_touch(const struct call *c, const char *role_before, const char *role_after, struct err *e)
{
	if ((is_owner(role_before) || is_owner(role_after)) && !(c->who.n_roles > 0 && is_owner(c->who.roles[0])))
		return err_set(e, E_DENIED, "common.forbidden", "only an owner");
	return OK;
}

static enum err_code may_touch(const struct change *ch, const char *role_before, const char *role_after, struct err *e)
{
	if (member_may_touch(ch->c, role_before, role_after, e))
		return e->code;
	if (is_owner(role_before) && !is_owner(role_after) && ch->owners < 2)
		return err_set(e, E_CONFLICT, "identity.last_owner", "one left");
	return OK;
}

static enum err_code reread(struct change *ch, struct pg *pg, struct err *e)
{
	struct call *c = ch->c;
	bool found = false;

	if (identity_db_member_get(pg, c->arena, c->who.vendor_id, ch->user_id, &ch->row, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "common.not_found", "member");
}

static enum err_code answer(struct change *ch)
{
	if (show(ch->c, ch->row, ch->out))
		return ch->c->err.code;
	ch->out->hdr_etag = etag_of(ch->c, ch->row->user_id, ch->row->version);
	return OK;
}

static enum err_code add_member(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct call *c = ch->c;
	bool verified = false, done = false;

	if (identity_db_member_lock(pg, c->arena, c->who.vendor_id, &ch->owners, e) || may_touch(ch, NULL, ch->role, e) ||
	    identity_db_account_id(pg, c->arena, person_email_index(&identity_of(c)->keys, c->arena, ch->email),
				   &ch->user_id, &verified, e))
		return e->code;
	if (!ch->user_id || !verified)
		return err_set(e, E_RULE, "identity.member_unknown", "unknown or unverified");
	if (reread(ch, pg, e) == OK)
		return err_set(e, E_CONFLICT, "identity.member_exists", "%s", ch->user_id);
	if (e->code != E_NOT_FOUND)
		return e->code;
	err_clear(e);
	if (identity_db_member_add(pg, c->who.vendor_id, ch->user_id, ch->role, IDENTITY_MEMBERS_MAX, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_RULE, "identity.too_many", "members");
	return reread(ch, pg, e) ? e->code : answer(ch);
}

void member_check_role(struct call *c, const char *role)
{
	check_oneof(&c->err, "role", role, "vendor_owner|vendor_manager|vendor_staff|vendor_finance");
}

static enum err_code identity_member_add(struct call *c, const Identity__V1__AddMemberRequest *in,
					 Identity__V1__Member *out)
{
	struct change ch = { .c = c, .email = in->email, .role = in->role, .out = out };

	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	check_email(&c->err, "email", in->email);
	member_check_role(c, in->role);
	if (input_ok(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, add_member, &ch);
}

/* Rights that are taken away are gone at once: his access tokens end, and the next one has what is left. */
static enum err_code change_member(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct call *c = ch->c;

	if (identity_db_member_lock(pg, c->arena, c->who.vendor_id, &ch->owners, e) || reread(ch, pg, e) ||
	    etag_check(c, ch->if_match, etag_of(c, ch->row->user_id, ch->row->version)) ||
	    may_touch(ch, ch->row->role, ch->role, e))
		return e->code;
	if (strcmp(ch->row->role, ch->role) == 0)
		return answer(ch);
	if (identity_db_member_role(pg, c->who.vendor_id, ch->user_id, ch->role, e) ||
	    identity_db_account_bump(pg, ch->user_id, e) || reread(ch, pg, e))
		return e->code;
	return answer(ch);
}

static enum err_code identity_member_update(struct call *c, const Identity__V1__UpdateMemberRequest *in,
					    Identity__V1__Member *out)
{
	struct change ch = {
		.c = c, .user_id = in->user_id, .role = in->role, .if_match = in->hdr_if_match, .out = out
	};

	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "member");
	member_check_role(c, in->role);
	if (input_ok(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, change_member, &ch);
}

static enum err_code remove_member(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct call *c = ch->c;

	if (identity_db_member_lock(pg, c->arena, c->who.vendor_id, &ch->owners, e) || reread(ch, pg, e) ||
	    may_touch(ch, ch->row->role, NULL, e) ||
	    identity_db_member_remove(pg, c->who.vendor_id, ch->user_id, e))
		return e->code;
	return identity_db_account_bump(pg, ch->user_id, e);
}

static enum err_code identity_member_remove(struct call *c, const Identity__V1__RemoveMemberRequest *in,
					    Common__V1__Empty *out)
{
	struct change ch = { .c = c, .user_id = in->user_id };

	(void)out;
	if (call_vendor(c, "vendor.members"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "member");
	return call_tx(c, CALL_TX_ONLY, remove_member, &ch);
}
