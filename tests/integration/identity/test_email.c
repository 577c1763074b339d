/* The change of an e-mail address: who may ask, what the link does, whom it tells. */
#include "world.h"

static enum err_code wish(const struct principal *who, const char *email, const char *password, struct err *e)
{
	Identity__V1__ChangeEmailRequest in = IDENTITY__V1__CHANGE_EMAIL_REQUEST__INIT;

	in.email = (char *)email;
	in.password = (char *)password;
	return ASK("ChangeEmail", who, &in, NULL, e);
}

static enum err_code confirm(char *token, struct err *e)
{
	Identity__V1__VerifyEmailRequest in = IDENTITY__V1__VERIFY_EMAIL_REQUEST__INIT;

	in.token = token;
	return ASK("VerifyEmail", &nobody, &in, NULL, e);
}

static char *link_of(const char *user_id)
{
	return arena_printf(w.arena, "%s", pg_fixture_text(w.fx, "SELECT id FROM identity.link WHERE kind = 'change_email'"
							     " AND user_id = '%s' ORDER BY id DESC LIMIT 1", user_id));
}

static int64_t events(const char *type, const char *user_id)
{
	return pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = '%s' AND agg_id = '%s'", type, user_id);
}

static void test_change(void **state)
{
	Identity__V1__ResetPasswordRequest reset = IDENTITY__V1__RESET_PASSWORD_REQUEST__INIT;
	Identity__V1__ForgotPasswordRequest forgot = IDENTITY__V1__FORGOT_PASSWORD_REQUEST__INIT;
	Identity__V1__LinkRequest make = IDENTITY__V1__LINK_REQUEST__INIT;
	Identity__V1__ContactRequest contact = IDENTITY__V1__CONTACT_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("old@example.com");
	struct principal me = bearer(t), notify = service("notify");
	Identity__V1__Contact *person;
	Identity__V1__Link *link;
	char *old_reset;

	(void)state;
	REFUSED(wish(&nobody, "new@example.com", PASSWORD, e), "common.unauthenticated");
	REFUSED(wish(&me, "new@example.com", "not the password", e), "identity.bad_credentials");
	REFUSED(wish(&me, "no address", PASSWORD, e), "common.invalid_input");
	REFUSED(wish(&me, "Old@example.com", PASSWORD, e), "identity.email_same");
	MUST(wish(&me, "First@example.com", PASSWORD, e));
	make.link_id = link_of(t->user_id);
	MUST(wish(&me, "New@example.com", PASSWORD, e));
	REFUSED(ASK("MakeLink", &notify, &make, NULL, e), "identity.link_invalid"); /* the second wish ended it */
	assert_int_equal(events("user.email_change_requested", t->user_id), 2);
	make.link_id = link_of(t->user_id);
	MUST(ASK("MakeLink", &notify, &make, &link, e));
	assert_string_equal(link->kind, "change_email");
	assert_string_equal(link->email, "new@example.com");
	contact.user_id = t->user_id;
	MUST(ASK("GetContact", &notify, &contact, &person, e));
	assert_string_equal(person->email, "old@example.com"); /* not yet */
	contact.link_id = make.link_id;
	REFUSED(ASK("GetContact", &notify, &contact, NULL, e), "common.not_found");

	reset.token = link->token;
	reset.password = (char *)"another long secret";
	REFUSED(ASK("ResetPassword", &nobody, &reset, NULL, e), "identity.link_invalid"); /* not what this link is for */
	forgot.email = (char *)"old@example.com";
	MUST(ASK("ForgotPassword", &nobody, &forgot, NULL, e));
	old_reset = mailed_token(t->user_id, "password_reset");
	MUST(confirm(link->token, e));
	REFUSED(confirm(link->token, e), "identity.link_invalid");
	reset.token = old_reset;
	REFUSED(ASK("ResetPassword", &nobody, &reset, NULL, e), "identity.link_invalid"); /* went to the address before */
	assert_int_equal(events("user.email_changed", t->user_id), 1);
	MUST(ASK("GetContact", &notify, &contact, &person, e));
	assert_string_equal(person->email, "old@example.com");
	contact.link_id = NULL;
	MUST(ASK("GetContact", &notify, &contact, &person, e));
	assert_string_equal(person->email, "new@example.com");
	assert_true(person->email_verified);
	REFUSED(try_login("old@example.com", PASSWORD, NULL, NULL, NULL, e), "identity.bad_credentials");
	(void)login("new@example.com");
	register_user("old@example.com"); /* the address is free again */
	assert_string_not_equal(login("old@example.com")->user_id, t->user_id);
}

/* Nobody learns from the answer who has an account; and of two who want one address, the first to confirm gets it. */
static void test_taken(void **state)
{
	Identity__V1__TokenReply *a = newcomer("a@example.com"), *b = newcomer("b@example.com");
	struct principal ann = bearer(a), bob = bearer(b);
	char *token;

	(void)state;
	MUST(wish(&ann, "b@example.com", PASSWORD, e));
	assert_int_equal(events("user.email_change_requested", a->user_id), 0);
	assert_int_equal(events("user.security_changed", b->user_id), 1);
	MUST(wish(&ann, "both@example.com", PASSWORD, e));
	MUST(wish(&bob, "both@example.com", PASSWORD, e));
	token = mailed_token(a->user_id, "change_email");
	MUST(confirm(mailed_token(b->user_id, "change_email"), e));
	REFUSED(confirm(token, e), "identity.email_taken");
	(void)login("a@example.com");
	/* At most a few mails: the further wish is refused. */
	MUST(wish(&ann, "c@example.com", PASSWORD, e));
	REFUSED((wish(&ann, "d@example.com", PASSWORD, e) || wish(&ann, "e@example.com", PASSWORD, e)), "identity.slowed");
}

static void test_erased_with_the_person(void **state)
{
	Identity__V1__TokenReply *t = newcomer("gone@example.com");
	struct principal me = bearer(t);

	(void)state;
	MUST(wish(&me, "gone2@example.com", PASSWORD, e));
	MUST(ASK("EraseMe", &me, &(Identity__V1__EraseMeRequest)IDENTITY__V1__ERASE_ME_REQUEST__INIT, NULL, e));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.link WHERE user_id = '%s'", t->user_id), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_erased_with_the_person),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
