/* Roles and who holds them: granting and revoking by administrators. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "services/identity/account.h"
#include "services/identity/identity_db.h"
#include "services/identity/reply.h"

RPC_HANDLER(identity_role_list, Identity__V1__RolesRequest, Identity__V1__RolesReply)
RPC_HANDLER(identity_role_of_user, Identity__V1__UserRolesRequest, Identity__V1__UserRolesReply)
RPC_HANDLER(identity_role_grant, Identity__V1__GrantRoleRequest, Identity__V1__UserRolesReply)
RPC_HANDLER(identity_role_revoke, Identity__V1__RevokeRoleRequest, Common__V1__Empty)

const struct rpc_method identity_role_methods[] = {
	{ "ListRoles", identity_role_list_, RPC_READ, 0 },
	{ "ListUserRoles", identity_role_of_user_, RPC_READ, 0 },
	{ "GrantRole", identity_role_grant_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RevokeRole", identity_role_revoke_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code identity_role_list(struct call *c, const Identity__V1__RolesRequest *in, Identity__V1__RolesReply *out)
{
	struct role_row *rows;
	struct pg *pg;
	size_t n = 0;

	(void)in;
	if (call_perm(c, "admin.users") || call_pg(c, &pg))
		return c->err.code;
	noted(identity_db_roles(pg, c->arena, &rows, &n, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Identity__V1__Role *r = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*r));

		identity__v1__role__init(r);
		r->name = call_str(c, rows[i].name);
		r->side = call_str(c, rows[i].side);
		r->description = call_str(c, rows[i].description);
		r->n_perms = words_split(c, rows[i].perms, &r->perms);
	}
	return OK;
}

static enum err_code show(struct call *c, struct pg *pg, const char *user_id, Identity__V1__UserRolesReply *out)
{
	struct user_role_row *rows;
	size_t n;

	if (identity_db_user_roles(pg, c->arena, user_id, &rows, &n, &c->err))
		return c->err.code;
	out->n_data = 0;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Identity__V1__UserRole *r = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*r));

		identity__v1__user_role__init(r);
		r->role = call_str(c, rows[i].role);
		r->granted_by = call_str(c, rows[i].granted_by);
		SET(r, granted_at, rows[i].granted_at);
	}
	return OK;
}

static enum err_code identity_role_of_user(struct call *c, const Identity__V1__UserRolesRequest *in,
					   Identity__V1__UserRolesReply *out)
{
	struct account_row *account;
	struct pg *pg;

	if (call_perm(c, "admin.users"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	if (call_pg(c, &pg))
		return c->err.code;
	if (account_find(c, pg, in->user_id, &account) == OK)
		(void)show(c, pg, in->user_id, out);
	pg_return(pg);
	return c->err.code;
}

struct change {
	struct call *c;
	const char *user_id, *role;
	Identity__V1__UserRolesReply *out;
};

static enum err_code grant_role(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct call *c = ch->c;
	struct account_row *account;
	const char *side;
	bool found = false, done;

	if (identity_db_role_side(pg, c->arena, ch->role, &side, e) ||
	    identity_db_account_lock(pg, c->arena, ch->user_id, &account, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	if (!side || strcmp(side, "admin") != 0) {
		err_detail(e, "role", NULL, "is not an administrators' role");
		return err_set(e, E_INVALID, "common.invalid_input", "role");
	}
	if (strcmp(account->status, "erased") == 0)
		return err_set(e, E_CONFLICT, "identity.erased", "%s", ch->user_id);
	if (identity_db_user_role_add(pg, ch->user_id, ch->role, c->who.user_id, &done, e))
		return e->code;
	return show(c, pg, ch->user_id, ch->out);
}

static enum err_code identity_role_grant(struct call *c, const Identity__V1__GrantRoleRequest *in,
					 Identity__V1__UserRolesReply *out)
{
	struct change ch = { .c = c, .user_id = in->user_id, .role = in->role, .out = out };

	if (call_perm(c, "admin.roles"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	check_text(&c->err, "role", in->role, 1, 40);
	if (input_ok(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, grant_role, &ch);
}

static enum err_code revoke_role(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct call *c = ch->c;
	int64_t others = 1;
	bool done = false;

	if (strcmp(ch->role, "administrator") == 0 &&
	    identity_db_other_administrators(pg, c->arena, ch->user_id, &others, e))
		return e->code;
	if (identity_db_user_role_remove(pg, ch->user_id, ch->role, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_NOT_FOUND, "common.not_found", "role of user");
	if (others == 0)
		return err_set(e, E_CONFLICT, "identity.last_administrator", "%s", ch->user_id);
	return identity_db_account_bump(pg, ch->user_id, e);
}

static enum err_code identity_role_revoke(struct call *c, const Identity__V1__RevokeRoleRequest *in, Common__V1__Empty *out)
{
	struct change ch = { .c = c, .user_id = in->user_id, .role = in->role };

	(void)out;
	if (call_perm(c, "admin.roles"))
		return c->err.code;
	if (!id_valid("usr", in->user_id) || !check_text(&c->err, "role", in->role, 1, 40))
		return not_found(c, "role of user");
	return call_tx(c, CALL_TX_ONLY, revoke_role, &ch);
}
