/* Invitations into a vendor's team. */
#include "world.h"

#include "events.pb-c.h"

/* The owner's tokens of an approved vendor. */
static Identity__V1__TokenReply *owner(const char *email)
{
	Identity__V1__TokenReply *t = newcomer(email);
	char id[ID_LEN];

	id_new("vnd", id);
	pg_fixture_sql(w.fx, "INSERT INTO identity.vendor (id, owner_user_id, status, agg_version) VALUES ('%s', '%s', 'approved', 1);"
			     "INSERT INTO identity.vendor_member (vendor_id, user_id, role) VALUES ('%s', '%s', 'vendor_owner')",
		       id, t->user_id, id, t->user_id);
	return login_as(email, "vendor");
}

static enum err_code invite(const struct principal *who, const char *email, const char *role, Identity__V1__Invitation **i_r,
			    struct err *e)
{
	Identity__V1__CreateInvitationRequest in = IDENTITY__V1__CREATE_INVITATION_REQUEST__INIT;

	in.email = (char *)email;
	in.role = (char *)role;
	return ASK("CreateInvitation", who, &in, i_r, e);
}

static char *token_of(const Identity__V1__Invitation *i)
{
	Identity__V1__LinkRequest in = IDENTITY__V1__LINK_REQUEST__INIT;
	struct principal notify = service("notify"), cart = service("cart");
	Identity__V1__Link *out;

	in.link_id = i->id;
	REFUSED(ASK("MakeLink", &cart, &in, NULL, e), "common.forbidden");
	MUST(ASK("MakeLink", &notify, &in, &out, e));
	assert_string_equal(out->kind, "vendor_invite");
	assert_string_equal(out->email, i->email);
	return out->token;
}

static enum err_code accept_it(const struct principal *who, char *token, Identity__V1__Membership **m_r, struct err *e)
{
	Identity__V1__AcceptInvitationRequest in = IDENTITY__V1__ACCEPT_INVITATION_REQUEST__INIT;

	in.token = token;
	return ASK("AcceptInvitation", who, &in, m_r, e);
}

static void test_join(void **state)
{
	struct principal boss = bearer(owner("boss@example.com")), rival = bearer(owner("rival@example.com"));
	struct principal stranger = bearer(newcomer("stranger@example.com")), hand;
	Identity__V1__InvitationsRequest list = IDENTITY__V1__INVITATIONS_REQUEST__INIT;
	Identity__V1__InvitationRequest revoke = IDENTITY__V1__INVITATION_REQUEST__INIT;
	Identity__V1__InvitationsReply *page;
	Identity__V1__Invitation *first, *i;
	Identity__V1__Membership *m;
	char *token;

	(void)state;
	REFUSED(invite(&stranger, "hand@example.com", "vendor_staff", NULL, e), "common.forbidden");
	REFUSED(invite(&boss, "hand@example.com", "administrator", NULL, e), "common.invalid_input");
	REFUSED(invite(&boss, "boss@example.com", "vendor_staff", NULL, e), "identity.member_exists");
	MUST(invite(&boss, "hand@example.com", "vendor_staff", &first, e));
	token = token_of(first);
	MUST(invite(&boss, "Hand@example.com", "vendor_manager", &i, e)); /* takes the first one's place */
	REFUSED(accept_it(&stranger, token, NULL, e), "identity.link_invalid");
	assert_string_equal(i->email, "hand@example.com");
	assert_string_equal(i->status, "open");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'vendor_member.invited'"), 2);
	revoke.invitation_id = i->id;
	REFUSED(ASK("RevokeInvitation", &rival, &revoke, NULL, e), "common.not_found");
	MUST(ASK("ListInvitations", &rival, &list, &page, e));
	assert_int_equal(page->n_data, 0);

	token = token_of(i);
	REFUSED(accept_it(&nobody, token, NULL, e), "common.unauthenticated");
	REFUSED(accept_it(&stranger, token, NULL, e), "identity.invitation_other");
	hand = bearer(newcomer("hand@example.com")); /* the account comes after the invitation */
	MUST(accept_it(&hand, token, &m, e));
	assert_string_equal(m->role, "vendor_manager");
	assert_string_equal(m->vendor_id, boss.vendor_id);
	assert_string_equal(login_as("hand@example.com", "vendor")->vendor_id, boss.vendor_id);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.account WHERE id = '%s' AND email_verified", hand.user_id), 1);
	REFUSED(accept_it(&hand, token, NULL, e), "identity.link_invalid");
	REFUSED(ASK("RevokeInvitation", &boss, &revoke, NULL, e), "identity.link_invalid");
	MUST(ASK("ListInvitations", &boss, &list, &page, e));
	assert_int_equal(page->n_data, 2);
	assert_string_equal(page->data[1]->status, "accepted");
	assert_null(page->data[1]->email); /* nothing personal stays */
}

static void test_limits(void **state)
{
	struct principal boss = bearer(owner("boss2@example.com")), hand, manager;
	Identity__V1__InvitationRequest revoke = IDENTITY__V1__INVITATION_REQUEST__INIT;
	Identity__V1__Invitation *i;

	(void)state;
	hand = bearer(newcomer("late@example.com"));
	MUST(invite(&boss, "late@example.com", "vendor_manager", &i, e));
	char *token = token_of(i);

	pg_fixture_sql(w.fx, "UPDATE identity.invitation SET expires_at = now() - interval '1 s' WHERE id = '%s'", i->id);
	REFUSED(accept_it(&hand, token, NULL, e), "identity.link_invalid");
	MUST(invite(&boss, "late@example.com", "vendor_manager", &i, e));
	MUST(accept_it(&hand, token_of(i), NULL, e));
	manager = bearer(login_as("late@example.com", "vendor"));
	REFUSED(invite(&manager, "x@example.com", "vendor_owner", NULL, e), "common.forbidden"); /* owners make owners */
	MUST(invite(&boss, "x@example.com", "vendor_owner", &i, e));
	revoke.invitation_id = i->id;
	REFUSED(ASK("RevokeInvitation", &manager, &revoke, NULL, e), "common.forbidden");
	MUST(ASK("RevokeInvitation", &boss, &revoke, NULL, e));
	for (int n = 0; n < IDENTITY_INVITED_MAX; n++)
		MUST(invite(&boss, arena_printf(w.arena, "n%d@example.com", n), "vendor_staff", NULL, e));
	REFUSED(invite(&boss, "onemore@example.com", "vendor_staff", NULL, e), "identity.too_many");
	/* A mailbox is left in peace after a few. */
	for (int n = 0; n < 3; n++)
		(void)invite(&boss, "n1@example.com", "vendor_staff", NULL, NULL);
	REFUSED(invite(&boss, "n1@example.com", "vendor_staff", NULL, e), "identity.slowed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
