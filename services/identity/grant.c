#include "services/identity/grant.h"

#include <string.h>

#include "common/check.h"
#include "services/identity/identity_db.h"

enum err_code grant_check(const char *audience, const char *vendor_id, struct err *e)
{
	bool vendor = audience && strcmp(audience, "vendor") == 0;

	if (audience && *audience)
		check_oneof(e, "audience", audience, "shop|vendor|admin");
	if (vendor_id && *vendor_id && check_id(e, "vendor_id", vendor_id, "vnd") && !vendor)
		err_detail(e, "vendor_id", NULL, "only with audience vendor");
	return e->n_details ? err_set(e, E_INVALID, "common.invalid_input", "audience") : OK;
}

static const char *const *words(struct arena *a, const struct word_row *rows, size_t n)
{
	const char **to = arena_array(a, n + 1, sizeof(*to));

	for (size_t i = 0; i < n; i++)
		to[i] = rows[i].word;
	return to;
}

static enum err_code grant_admin(struct pg *pg, struct arena *a, const char *user_id, struct grant *g, struct err *e)
{
	struct word_row *roles, *perms;

	if (identity_db_admin_roles(pg, a, user_id, &roles, &g->n_roles, e))
		return e->code;
	if (g->n_roles == 0)
		return err_set(e, E_DENIED, "identity.not_admin", "no role");
	if (identity_db_admin_perms(pg, a, user_id, &perms, &g->n_perms, e))
		return e->code;
	g->roles = words(a, roles, g->n_roles);
	g->perms = words(a, perms, g->n_perms);
	return OK;
}

static enum err_code vendor_open(const char *status, struct err *e)
{
	if (strcmp(status, "approved") == 0)
		return OK;
	if (strcmp(status, "applied") == 0)
		return err_set(e, E_CONFLICT, "identity.vendor_pending", "applied");
	return err_set(e, E_DENIED, "identity.vendor_suspended", "%s", status);
}

static enum err_code grant_vendor(struct pg *pg, struct arena *a, const char *user_id, const char *vendor_id,
				  struct grant *g, struct err *e)
{
	struct member_row *members;
	struct word_row *perms;
	const char **role = arena_array(a, 1, sizeof(*role));
	size_t n;

	if (identity_db_memberships(pg, a, user_id, vendor_id && *vendor_id ? vendor_id : NULL, &members, &n, e))
		return e->code;
	if (n == 0)
		return err_set(e, E_DENIED, "identity.not_member", "no membership");
	if (n > 1) {
		err_detail(e, "vendor_id", NULL, "is required: you belong to several vendors");
		return err_set(e, E_INVALID, "identity.vendor_ambiguous", "%zu memberships", n);
	}
	if (vendor_open(members[0].vendor_status, e) ||
	    identity_db_role_perms(pg, a, members[0].role, &perms, &g->n_perms, e))
		return e->code;
	role[0] = members[0].role;
	g->vendor_id = members[0].vendor_id;
	g->roles = role;
	g->n_roles = 1;
	g->perms = words(a, perms, g->n_perms);
	return OK;
}

enum err_code grant_find(struct pg *pg, struct arena *a, const char *user_id, const char *audience, const char *vendor_id,
			 struct grant *grant_r, struct err *e)
{
	static const char *const shopper[] = { "shopper" };
	struct grant g = { .audience = "shop", .vendor_id = "", .roles = shopper, .n_roles = 1 };
	enum err_code code = OK;

	if (audience && strcmp(audience, "admin") == 0) {
		g.audience = "admin";
		code = grant_admin(pg, a, user_id, &g, e);
	} else if (audience && strcmp(audience, "vendor") == 0) {
		g.audience = "vendor";
		code = grant_vendor(pg, a, user_id, vendor_id, &g, e);
	}
	if (code == OK)
		*grant_r = g;
	return code;
}
