/* Vendors' teams, administrators, roles, API keys, and the first administrator. */
#include "world.h"

#include <pthread.h>

#include "events.pb-c.h"

/* ---- vendors ---- */
struct vendor_event {
	const char *type, *vendor_id, *owner;
	int64_t version;
};

static enum err_code apply(struct pg *pg, void *arg, struct err *e)
{
	Events__V1__VendorChanged msg = EVENTS__V1__VENDOR_CHANGED__INIT;
	const struct vendor_event *v = arg;
	struct inbox_event ev = { .source = "catalog", .type = v->type, .agg_version = v->version, .msg = &msg.base };

	msg.vendor_id = (char *)v->vendor_id;
	msg.owner_user_id = (char *)v->owner;
	for (const struct inbox_handler *h = identity_inbox; h->type; h++)
		if (strcmp(h->type, v->type) == 0)
			return h->fn(pg, w.arena, &ev, &w.svc, e);
	return err_set(e, E_INTERNAL, "common.internal", "no handler for %s", v->type);
}

static void vendor_event(const char *type, const char *vendor_id, const char *owner, int64_t version)
{
	const struct pg_actor actor = { "system", "" };
	struct vendor_event v = { type, vendor_id, owner, version };

	MUST(pg_tx(w.pool, mono_ms() + 5000, &actor, apply, &v, e));
}

static char *new_vendor(void)
{
	char *id = arena_alloc(w.arena, ID_LEN);

	id_new("vnd", id);
	return id;
}

static void test_vendor_life(void **state)
{
	Identity__V1__TokenReply *t = newcomer("vendor@example.com"), *v;
	const char *vendor = new_vendor();

	(void)state;
	vendor_event("vendor.applied", vendor, t->user_id, 1);
	REFUSED(try_login("vendor@example.com", PASSWORD, "vendor", NULL, NULL, e), "identity.vendor_pending");
	vendor_event("vendor.approved", vendor, t->user_id, 2);
	MUST(try_login("vendor@example.com", PASSWORD, "vendor", NULL, &v, e));
	assert_string_equal(v->audience, "vendor");
	assert_string_equal(v->vendor_id, vendor);
	assert_string_equal(v->roles[0], "vendor_owner");
	assert_int_equal(v->n_perms, 5);
	MUST(refresh_in(w.arena, t->refresh_token, "vendor", &v, e)); /* a shop session changes sides */
	assert_string_equal(v->audience, "vendor");
	MUST(REFRESH(v->refresh_token, &v, e)); /* and stays there */
	assert_string_equal(v->vendor_id, vendor);

	vendor_event("vendor.suspended", vendor, t->user_id, 3);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT max(min_token_version) FROM identity.revocation WHERE user_id = '%s'", t->user_id), 2);
	REFUSED(REFRESH(v->refresh_token, &t, e), "identity.vendor_suspended");
	MUST(refresh_in(w.arena, v->refresh_token, "shop", &t, e)); /* the person still shops */
	vendor_event("vendor.approved", vendor, t->user_id, 2); /* old news */
	REFUSED(refresh_in(w.arena, t->refresh_token, "vendor", &v, e), "identity.vendor_suspended");
	vendor_event("vendor.approved", vendor, t->user_id, 4);
	MUST(refresh_in(w.arena, t->refresh_token, "vendor", &v, e));
	vendor_event("vendor.applied", new_vendor(), t->user_id, 1);
	REFUSED(try_login("vendor@example.com", PASSWORD, "vendor", NULL, NULL, e), "identity.vendor_ambiguous");
	MUST(try_login("vendor@example.com", PASSWORD, "vendor", vendor, &v, e));
	REFUSED(try_login("vendor@example.com", PASSWORD, "vendor", new_vendor(), &v, e), "identity.not_member");
}

static void test_event_of_unknown_owner(void **state)
{
	char owner[ID_LEN];
	const char *vendor = new_vendor();

	(void)state;
	id_new("usr", owner);
	vendor_event("vendor.applied", vendor, owner, 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.vendor_member WHERE vendor_id = '%s'", vendor), 0);
}

static Identity__V1__TokenReply *owner_of(const char *email, const char *vendor)
{
	Identity__V1__TokenReply *t = newcomer(email);

	vendor_event("vendor.approved", vendor, t->user_id, 1);
	return login_as(email, "vendor");
}

static enum err_code add_member(const struct principal *who, const char *email, const char *role,
				Identity__V1__Member **m_r, struct err *e)
{
	Identity__V1__AddMemberRequest in = IDENTITY__V1__ADD_MEMBER_REQUEST__INIT;

	in.email = (char *)email;
	in.role = (char *)role;
	return ASK("AddMember", who, &in, m_r, e);
}

static void test_members(void **state)
{
	Identity__V1__UpdateMemberRequest change = IDENTITY__V1__UPDATE_MEMBER_REQUEST__INIT;
	Identity__V1__RemoveMemberRequest remove = IDENTITY__V1__REMOVE_MEMBER_REQUEST__INIT;
	Identity__V1__MembersRequest list = IDENTITY__V1__MEMBERS_REQUEST__INIT;
	struct principal owner = bearer(owner_of("owner@example.com", new_vendor()));
	struct principal rival = bearer(owner_of("rival@example.com", new_vendor()));
	Identity__V1__TokenReply *staff = newcomer("staff@example.com"), *t;
	struct principal manager, shopper = bearer(staff);
	Identity__V1__MembersReply *page;
	Identity__V1__Member *m;

	(void)state;
	REFUSED(add_member(&owner, "staff@example.com", "vendor_staff", NULL, e), "identity.member_unknown"); /* unverified */
	verify_address(staff->user_id);
	REFUSED(add_member(&owner, "ghost@example.com", "vendor_staff", NULL, e), "identity.member_unknown");
	REFUSED(add_member(&owner, "staff@example.com", "administrator", NULL, e), "common.invalid_input");
	REFUSED(add_member(&shopper, "staff@example.com", "vendor_staff", NULL, e), "common.forbidden");
	MUST(add_member(&owner, "Staff@Example.com", "vendor_manager", &m, e));
	assert_string_equal(m->email, "staff@example.com");
	REFUSED(add_member(&owner, "staff@example.com", "vendor_staff", NULL, e), "identity.member_exists");
	MUST(ASK("ListMembers", &owner, &list, &page, e));
	assert_int_equal(page->n_data, 2);
	MUST(ASK("ListMembers", &rival, &list, &page, e));
	assert_int_equal(page->n_data, 1);

	manager = bearer(login_as("staff@example.com", "vendor"));
	change.user_id = (char *)owner.user_id;
	change.role = (char *)"vendor_staff";
	REFUSED(ASK("UpdateMember", &manager, &change, NULL, e), "common.forbidden"); /* owners are owners' business */
	REFUSED(ASK("UpdateMember", &owner, &change, NULL, e), "identity.last_owner");
	REFUSED(ASK("UpdateMember", &rival, &change, NULL, e), "common.not_found");
	change.user_id = staff->user_id;
	change.role = (char *)"vendor_owner";
	REFUSED(ASK("UpdateMember", &manager, &change, NULL, e), "common.forbidden");
	change.role = (char *)"vendor_finance";
	change.hdr_if_match = (char *)"usr-7";
	REFUSED(ASK("UpdateMember", &owner, &change, NULL, e), "common.precondition_failed");
	change.hdr_if_match = m->hdr_etag;
	MUST(ASK("UpdateMember", &owner, &change, &m, e));
	assert_int_equal(m->version, 2);
	assert_int_equal(login_as("staff@example.com", "vendor")->n_perms, 2);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT token_version FROM identity.account WHERE id = '%s'", staff->user_id), 2);

	remove.user_id = (char *)owner.user_id;
	REFUSED(ASK("RemoveMember", &owner, &remove, NULL, e), "identity.last_owner");
	REFUSED(ASK("RemoveMember", &rival, &remove, NULL, e), "common.not_found");
	remove.user_id = staff->user_id;
	MUST(ASK("RemoveMember", &owner, &remove, NULL, e));
	REFUSED(try_login("staff@example.com", PASSWORD, "vendor", NULL, &t, e), "identity.not_member");
	/* Who owns a vendor alone cannot vanish. */
	struct principal self = bearer(login("owner@example.com"));

	REFUSED(ASK("EraseMe", &self, &(Identity__V1__EraseMeRequest)IDENTITY__V1__ERASE_ME_REQUEST__INIT, NULL, e), "identity.owns_vendor");
}

/* ---- administrators ---- */
static void test_first_administrator(void **state)
{
	Identity__V1__ResetPasswordRequest in = IDENTITY__V1__RESET_PASSWORD_REQUEST__INIT;
	int keep = dup(STDOUT_FILENO), pipes[2];
	char line[200] = "", *token;
	struct err why = { 0 };

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	(void)fflush(stdout);
	(void)dup2(pipes[1], STDOUT_FILENO);
	MUST(identity_bootstrap(&w.svc, "root@example.com", e));
	MUST(identity_bootstrap(&w.svc, "root@example.com", e)); /* again, as long as nobody used it */
	(void)fflush(stdout);
	(void)dup2(keep, STDOUT_FILENO);
	assert_true(read(pipes[0], line, sizeof(line) - 1) > 0);
	token = strchr(strchr(line, '\n') + 1, ' ') + 1;
	token[strcspn(token, "\n")] = '\0';
	in.email = (char *)"root@example.com";
	in.password = (char *)PASSWORD;
	line[strcspn(line, "\n")] = '\0';
	in.token = strchr(line, ' ') + 1;
	REFUSED(ASK("ResetPassword", &nobody, &in, NULL, e), "identity.link_invalid"); /* the first token ended */
	in.token = token;
	MUST(ASK("ResetPassword", &nobody, &in, NULL, e));
	assert_int_equal(login_as("root@example.com", "admin")->n_perms, 13);
	assert_int_equal(identity_bootstrap(&w.svc, "other@example.com", &why), E_CONFLICT);
	assert_string_equal(why.slug, "identity.bootstrap_done");
}

static void test_users(void **state)
{
	Identity__V1__ListUsersRequest list = IDENTITY__V1__LIST_USERS_REQUEST__INIT;
	Identity__V1__GetUserRequest get = IDENTITY__V1__GET_USER_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("lookup@example.com");
	struct principal root = bearer(login_as("root@example.com", "admin"));
	struct principal support = bearer(administrator("support@example.com", "support")), shopper = bearer(t);
	Identity__V1__ListUsersReply *page;
	Identity__V1__User *u;
	size_t seen = 0;

	(void)state;
	list.email = (char *)"LookUp@example.com";
	REFUSED(ASK("ListUsers", &shopper, &list, NULL, e), "common.forbidden");
	MUST(ASK("ListUsers", &root, &list, &page, e));
	assert_int_equal(page->n_data, 1);
	assert_string_equal(page->data[0]->email, "lookup@example.com");
	MUST(ASK("ListUsers", &support, &list, &page, e));
	assert_int_equal(page->n_data, 1);
	assert_string_equal(page->data[0]->email, "l***@e***");
	assert_string_equal(page->data[0]->name, "A***");
	assert_string_equal(page->data[0]->phone, "***78");
	list.email = (char *)"lookup@example.co"; /* no search by parts */
	MUST(ASK("ListUsers", &root, &list, &page, e));
	assert_int_equal(page->n_data, 0);
	list.email = NULL;
	list.phone = (char *)"+4915112345678";
	list.has_limit = 1;
	list.limit = 1;
	do {
		MUST(ASK("ListUsers", &root, &list, &page, e));
		seen += page->n_data;
		list.cursor = page->next_cursor;
	} while (list.cursor);
	assert_int_equal(seen, pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.account WHERE phone_index IS NOT NULL"));
	list.phone = NULL;
	list.role = (char *)"support";
	list.limit = 100;
	MUST(ASK("ListUsers", &root, &list, &page, e));
	assert_int_equal(page->n_data, 1);
	get.user_id = t->user_id;
	MUST(ASK("GetUser", &support, &get, &u, e));
	assert_string_equal(u->email, "l***@e***");
	get.user_id = (char *)"usr_none";
	REFUSED(ASK("GetUser", &root, &get, NULL, e), "common.not_found");
}

static void test_disable(void **state)
{
	Identity__V1__SetUserStatusRequest in = IDENTITY__V1__SET_USER_STATUS_REQUEST__INIT;
	Identity__V1__UserSessionsRequest list = IDENTITY__V1__USER_SESSIONS_REQUEST__INIT;
	Identity__V1__RevokeUserSessionsRequest end = IDENTITY__V1__REVOKE_USER_SESSIONS_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("bad@example.com"), *again, *root_t = login_as("root@example.com", "admin");
	struct principal root = bearer(root_t), support = bearer(login_as("support@example.com", "admin"));
	Identity__V1__SessionsReply *sessions;
	Identity__V1__RevokedReply *revoked;
	Identity__V1__User *u;

	(void)state;
	in.user_id = list.user_id = end.user_id = t->user_id;
	in.reason = (char *)"fraud";
	MUST(ASK("ListUserSessions", &support, &list, &sessions, e));
	assert_int_equal(sessions->n_data, 1);
	assert_null(sessions->data[0]->user_agent);
	MUST(ASK("RevokeUserSessions", &support, &end, &revoked, e));
	assert_int_equal(revoked->revoked, 1);
	REFUSED(REFRESH(t->refresh_token, &again, e), "identity.refresh_invalid");
	t = login("bad@example.com");
	MUST(ASK("DisableUser", &support, &in, &u, e));
	assert_string_equal(u->status, "disabled");
	REFUSED(try_login("bad@example.com", PASSWORD, NULL, NULL, NULL, e), "identity.disabled");
	REFUSED(try_login("bad@example.com", "wrong password", NULL, NULL, NULL, e), "identity.bad_credentials");
	REFUSED(REFRESH(t->refresh_token, &again, e), "identity.refresh_invalid");
	MUST(ASK("EnableUser", &root, &in, &u, e));
	(void)login("bad@example.com");
	in.user_id = root_t->user_id;
	REFUSED(ASK("DisableUser", &support, &in, NULL, e), "identity.protected_user");
	REFUSED(ASK("DisableUser", &root, &in, NULL, e), "identity.last_administrator");
	end.user_id = root_t->user_id;
	REFUSED(ASK("RevokeUserSessions", &support, &end, NULL, e), "identity.protected_user");
}

static void test_roles(void **state)
{
	Identity__V1__GrantRoleRequest grant = IDENTITY__V1__GRANT_ROLE_REQUEST__INIT;
	Identity__V1__RevokeRoleRequest revoke = IDENTITY__V1__REVOKE_ROLE_REQUEST__INIT;
	Identity__V1__RolesRequest all = IDENTITY__V1__ROLES_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("rise@example.com");
	struct principal root = bearer(login_as("root@example.com", "admin"));
	struct principal support = bearer(login_as("support@example.com", "admin"));
	Identity__V1__UserRolesReply *held;
	Identity__V1__RolesReply *roles;

	(void)state;
	MUST(ASK("ListRoles", &support, &all, &roles, e));
	assert_int_equal(roles->n_data, 7);
	grant.user_id = revoke.user_id = t->user_id;
	grant.role = revoke.role = (char *)"support";
	REFUSED(ASK("GrantRole", &support, &grant, NULL, e), "common.forbidden");
	MUST(ASK("GrantRole", &root, &grant, &held, e));
	MUST(ASK("GrantRole", &root, &grant, &held, e));
	assert_int_equal(held->n_data, 1);
	assert_string_equal(held->data[0]->granted_by, root.user_id);
	(void)login_as("rise@example.com", "admin");
	grant.role = (char *)"vendor_owner";
	REFUSED(ASK("GrantRole", &root, &grant, NULL, e), "common.invalid_input");
	MUST(ASK("RevokeRole", &root, &revoke, NULL, e));
	REFUSED(ASK("RevokeRole", &root, &revoke, NULL, e), "common.not_found");
	REFUSED(try_login("rise@example.com", PASSWORD, "admin", NULL, NULL, e), "identity.not_admin");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT token_version FROM identity.account WHERE id = '%s'", t->user_id), 2);
}

struct racer {
	struct principal who;
	const char *user_id;
	enum err_code code;
};

static void *abdicate(void *arg)
{
	Identity__V1__RevokeRoleRequest in = IDENTITY__V1__REVOKE_ROLE_REQUEST__INIT;
	struct arena *a = arena_new("thread", 1 << 20);
	struct racer *r = arg;

	in.user_id = (char *)r->user_id;
	in.role = (char *)"administrator";
	r->code = ask_in(a, "RevokeRole", &r->who, &in, NULL, NULL);
	arena_free(a);
	return NULL;
}

/* All administrators resign at the same moment: one stays. */
static void test_last_administrator(void **state)
{
	struct racer r[4];
	pthread_t t[4];
	int stayed = 0;

	(void)state;
	pg_fixture_sql(w.fx, "DELETE FROM identity.user_role WHERE role = 'administrator'");
	for (int i = 0; i < 4; i++) {
		Identity__V1__TokenReply *token = administrator(arena_printf(w.arena, "admin%d@example.com", i), "administrator");

		r[i] = (struct racer){ .who = bearer(token), .user_id = token->user_id };
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, abdicate, &r[i]), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_true(r[i].code == OK || r[i].code == E_CONFLICT);
		stayed += r[i].code == E_CONFLICT;
	}
	assert_int_equal(stayed, 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.user_role WHERE role = 'administrator'"), 1);
}

/* ---- API keys ---- */
static enum err_code verify_key(const char *token, Identity__V1__VerifyApiKeyReply **out_r, struct err *e)
{
	Identity__V1__VerifyApiKeyRequest in = IDENTITY__V1__VERIFY_API_KEY_REQUEST__INIT;
	struct principal gateway = service("gateway");

	in.token = (char *)token;
	return ASK("VerifyApiKey", &gateway, &in, out_r, e);
}

static void test_api_keys(void **state)
{
	Identity__V1__CreateApiKeyRequest in = IDENTITY__V1__CREATE_API_KEY_REQUEST__INIT;
	Identity__V1__RevokeApiKeyRequest revoke = IDENTITY__V1__REVOKE_API_KEY_REQUEST__INIT;
	Identity__V1__ApiKeysRequest list = IDENTITY__V1__API_KEYS_REQUEST__INIT;
	Identity__V1__TokenReply *t = administrator("keys@example.com", "administrator");
	struct principal me = bearer(t), support = bearer(login_as("support@example.com", "admin"));
	char *perms[] = { (char *)"admin.events", (char *)"admin.audit" }, *beyond[] = { (char *)"admin.world" };
	Identity__V1__VerifyApiKeyReply *ok;
	Identity__V1__ApiKeysReply *page;
	Identity__V1__ApiKey *key;
	char *broken;

	(void)state;
	in.name = (char *)"soukctl";
	in.perms = perms;
	in.n_perms = 2;
	REFUSED(ASK("CreateApiKey", &support, &in, NULL, e), "common.forbidden");
	MUST(ASK("CreateApiKey", &me, &in, &key, e));
	MUST(verify_key(key->token, &ok, e));
	assert_string_equal(ok->principal->user_id, t->user_id);
	assert_string_equal(ok->principal->session_id, key->id);
	assert_string_equal(ok->principal->audience, "admin");
	assert_int_equal(ok->principal->n_perms, 2);
	broken = arena_strdup(w.arena, key->token);
	broken[strlen(broken) - 1] ^= 1;
	REFUSED(verify_key(broken, NULL, e), "identity.api_key");
	REFUSED(verify_key(key->id, NULL, e), "identity.api_key");
	REFUSED(verify_key("key_", NULL, e), "identity.api_key");
	REFUSED(verify_key(NULL, NULL, e), "identity.api_key");
	REFUSED(ASK("VerifyApiKey", &me, &(Identity__V1__VerifyApiKeyRequest)IDENTITY__V1__VERIFY_API_KEY_REQUEST__INIT, NULL, e),
		"common.forbidden");
	in.perms = beyond;
	in.n_perms = 1;
	REFUSED(ASK("CreateApiKey", &me, &in, NULL, e), "identity.perms_beyond");
	in.perms = perms;
	in.has_expires_at = 1;
	in.expires_at = 1;
	REFUSED(ASK("CreateApiKey", &me, &in, NULL, e), "common.invalid_input");
	MUST(ASK("ListApiKeys", &me, &list, &page, e));
	assert_int_equal(page->n_data, 1);
	assert_null(page->data[0]->token);
	assert_true(page->data[0]->has_last_used_at);
	/* The key is never more than its maker is now. */
	pg_fixture_sql(w.fx, "UPDATE identity.user_role SET role = 'catalog_manager' WHERE user_id = '%s'", t->user_id);
	MUST(verify_key(key->token, &ok, e));
	assert_int_equal(ok->principal->n_perms, 0);
	pg_fixture_sql(w.fx, "UPDATE identity.account SET status = 'disabled' WHERE id = '%s'", t->user_id);
	REFUSED(verify_key(key->token, NULL, e), "identity.api_key");
	pg_fixture_sql(w.fx, "UPDATE identity.account SET status = 'active' WHERE id = '%s'", t->user_id);
	revoke.key_id = key->id;
	MUST(ASK("RevokeApiKey", &me, &revoke, NULL, e));
	REFUSED(ASK("RevokeApiKey", &me, &revoke, NULL, e), "common.not_found");
	REFUSED(verify_key(key->token, NULL, e), "identity.api_key");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.revocation WHERE session_id = '%s'", key->id), 1);
	in.expires_at = wall_ms() + 60000;
	pg_fixture_sql(w.fx, "UPDATE identity.user_role SET role = 'administrator' WHERE user_id = '%s'", t->user_id);
	MUST(ASK("CreateApiKey", &me, &in, &key, e));
	MUST(verify_key(key->token, &ok, e));
	pg_fixture_sql(w.fx, "UPDATE identity.api_key SET expires_at = now() - interval '1 s' WHERE id = '%s'", key->id);
	REFUSED(verify_key(key->token, NULL, e), "identity.api_key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vendor_life),	    cmocka_unit_test(test_event_of_unknown_owner),
		cmocka_unit_test(test_members),		    cmocka_unit_test(test_first_administrator),
		cmocka_unit_test(test_users),		    cmocka_unit_test(test_disable),
		cmocka_unit_test(test_roles),		    cmocka_unit_test(test_last_administrator),
		cmocka_unit_test(test_api_keys),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
