/* Registration, login, passwords and the links that are mailed. */
#include "world.h"

#include <pthread.h>

#include "services/identity/backoff_rules.h"
#include "services/identity/identity_db.h"
#include "services/identity/password_hash.h"

static void test_register_says_nothing(void **state)
{
	(void)state;
	register_user("twice@example.com");
	register_user("Twice@Example.COM");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.account"), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'user.registered'"), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'user.security_changed'"), 1);
	for (int i = 0; i < 10; i++) /* its owner is not drowned in mail */
		register_user("twice@example.com");
	assert_true(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'user.security_changed'") <= 5);
}

static void *register_thread(void *arg)
{
	Identity__V1__RegisterRequest in = IDENTITY__V1__REGISTER_REQUEST__INIT;
	struct arena *a = arena_new("thread", 1 << 20);
	enum err_code code;

	(void)arg;
	in.email = (char *)"crowd@example.com";
	in.password = (char *)PASSWORD;
	code = ask_in(a, "RegisterUser", &nobody, &in, NULL, NULL);
	arena_free(a);
	return code == OK ? NULL : (void *)1;
}

static void test_register_race(void **state)
{
	pthread_t t[16];

	(void)state;
	for (int i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&t[i], NULL, register_thread, NULL), 0);
	for (int i = 0; i < 16; i++) {
		void *bad;

		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'user.registered' AND"
					      " agg_id = (SELECT user_id FROM identity.password ORDER BY user_id DESC LIMIT 1)"), 1);
	(void)login("crowd@example.com");
}

static void test_register_input(void **state)
{
	Identity__V1__RegisterRequest in = IDENTITY__V1__REGISTER_REQUEST__INIT;
	struct err why = { 0 };

	(void)state;
	in.email = (char *)"not an address";
	in.password = (char *)"password";
	in.name = (char *)"";
	in.phone = (char *)"12";
	in.locale = (char *)"klingon!";
	assert_int_equal(ASK("RegisterUser", &nobody, &in, NULL, &why), E_INVALID);
	assert_int_equal(why.n_details, 5);
	assert_string_equal(why.details[1].field, "password");
}

static void test_login_wrong(void **state)
{
	(void)state;
	register_user("login@example.com");
	REFUSED(try_login("login@example.com", "wrong password", NULL, NULL, NULL, e), "identity.bad_credentials");
	REFUSED(try_login("nobody@example.com", PASSWORD, NULL, NULL, NULL, e), "identity.bad_credentials");
	REFUSED(try_login("login@example.com", PASSWORD, "admin", NULL, NULL, e), "identity.not_admin");
	REFUSED(try_login("login@example.com", PASSWORD, "vendor", NULL, NULL, e), "identity.not_member");
	REFUSED(try_login("login@example.com", PASSWORD, "root", NULL, NULL, e), "common.invalid_input");
	REFUSED(try_login("login@example.com", PASSWORD, "shop", "vnd_1", NULL, e), "common.invalid_input");
	assert_non_null(login("LOGIN@example.com")->access_token);
}

/* The token is what the gateway expects, and its claims are what the database says. */
static void test_access_token(void **state)
{
	static const char *const auds[] = { "shop", "vendor", "admin", NULL };
	Identity__V1__TokenReply *t = administrator("claims@example.com", "support");
	char *jwks = signer_jwks(w.svc.signer, w.arena);
	struct jws_expect expect = { .iss = "souk", .auds = auds, .now_s = wall_ms() / 1000 };
	struct jws_claims claims;
	struct jws_keys *keys;

	(void)state;
	MUST(jws_keys_parse(jwks, strlen(jwks), &keys, e));
	MUST(jws_verify(keys, t->access_token, strlen(t->access_token), &expect, &claims, e));
	assert_string_equal(claims.sub, t->user_id);
	assert_string_equal(claims.sid, t->session_id);
	assert_string_equal(claims.aud, "admin");
	assert_int_equal(claims.ver, 1);
	assert_int_equal(claims.exp - claims.iat, 900);
	assert_int_equal(claims.n_roles, 1);
	assert_string_equal(claims.roles[0], "support");
	assert_int_equal(claims.n_perms, 3);
	assert_string_equal(claims.perms[1], "admin.orders");
	assert_int_equal(t->n_perms, 3);
	jws_keys_free(keys);
}

/* Guessing slows down; the right password does not help until the wait is over; success forgives. */
static void test_backoff(void **state)
{
	struct err why = { 0 };
	int wrong = 0;

	(void)state;
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
	register_user("slow@example.com");
	while (wrong < 30 && try_login("slow@example.com", "wrong password", NULL, NULL, NULL, &why) == E_UNAUTH)
		wrong++;
	assert_int_equal(wrong, backoff_rule(BACKOFF_PAIR)->free + 1);
	assert_int_equal(why.code, E_EXHAUSTED);
	assert_true(why.retry_after_ms > 0 && why.retry_after_ms <= 1000);
	REFUSED(try_login("slow@example.com", PASSWORD, NULL, NULL, NULL, e), "identity.slowed");
	pg_fixture_sql(w.fx, "UPDATE identity.backoff SET next_at = now() - interval '1 s'");
	assert_non_null(login("slow@example.com"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.backoff WHERE key NOT LIKE 'i:%%' AND key NOT LIKE 'm:%%'"), 0);
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
}

static int fail_n(struct pg *pg, const char *key, enum backoff_kind kind, int n, struct err *e)
{
	for (int i = 0; i < n; i++)
		if (identity_db_backoff_fail(pg, key, backoff_rule(kind), e))
			return -1;
	return 0;
}

/* The delay in SQL is the delay of the rules. */
static void test_backoff_formula(void **state)
{
	struct pg *pg;

	(void)state;
	MUST(pg_borrow(w.pool, mono_ms() + 5000, &pg, e));
	for (int kind = BACKOFF_ACCOUNT; kind <= BACKOFF_MAIL; kind++) {
		const char *key = arena_printf(w.arena, "x:%d", kind);

		for (int n = 1; n <= 115; n++) {
			int64_t got, want = backoff_delay_ms((enum backoff_kind)kind, n);

			MUST(fail_n(pg, key, (enum backoff_kind)kind, 1, e));
			got = pg_fixture_i64(w.fx, "SELECT round(extract(epoch FROM next_at - updated_at) * 1000)::bigint"
						   " FROM identity.backoff WHERE key = '%s'", key);
			if (got != want)
				fail_msg("kind %d, %d failures: %lld ms in SQL, %lld ms by rule", kind, n, (long long)got,
					 (long long)want);
		}
	}
	pg_return(pg);
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
}

/* One address that tries many accounts: slowed down, and forgotten after an hour. */
static void test_address_backoff(void **state)
{
	struct err why = { 0 };
	int wrong = 0;

	(void)state;
	w.conf.address_free = 20;
	while (wrong < 60 && try_login(arena_printf(w.arena, "guess%d@example.com", wrong), "wrong password", NULL, NULL, NULL,
				       &why) == E_UNAUTH)
		wrong++;
	assert_int_equal(wrong, 21);
	assert_string_equal(why.slug, "identity.slowed");
	pg_fixture_sql(w.fx, "UPDATE identity.backoff SET next_at = now(), updated_at = now() - interval '61 minutes'");
	for (int i = 0; i < 20; i++)
		REFUSED(try_login(arena_printf(w.arena, "more%d@example.com", i), "wrong password", NULL, NULL, NULL, e),
			"identity.bad_credentials");
	w.conf.address_free = 100;
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
}

/* Strangers slow the account down for strangers; the owner's device passes. */
static void test_known_device(void **state)
{
	Identity__V1__LoginRequest in = IDENTITY__V1__LOGIN_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("device@example.com");

	(void)state;
	in.email = (char *)"device@example.com";
	in.password = (char *)"wrong password";
	for (int i = 0; i < 14; i++) {
		in.hdr_client_ip = arena_printf(w.arena, "198.51.100.%d", i);
		(void)ASK("Login", &nobody, &in, NULL, NULL);
	}
	in.password = (char *)PASSWORD;
	in.hdr_client_ip = (char *)"192.0.2.1";
	REFUSED(ASK("Login", &nobody, &in, NULL, e), "identity.slowed");
	in.hdr_refresh_token = t->refresh_token;
	MUST(ASK("Login", &nobody, &in, NULL, e));
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
}

static void test_rehash(void **state)
{
	struct argon2_cost stronger = { 128, 1, 1 };
	char phc[PHC_LEN];

	(void)state;
	register_user("rehash@example.com");
	w.conf.argon2_memory_kib = 128;
	(void)login("rehash@example.com");
	(void)snprintf(phc, sizeof(phc), "%s", pg_fixture_text(w.fx, "SELECT phc FROM identity.password ORDER BY user_id DESC LIMIT 1"));
	assert_false(password_weaker(phc, &stronger));
	(void)login("rehash@example.com");
	w.conf.argon2_memory_kib = 64;
}

static void test_verified_only(void **state)
{
	Identity__V1__TokenReply *t = newcomer("unverified@example.com");
	Identity__V1__VerifyEmailRequest in = IDENTITY__V1__VERIFY_EMAIL_REQUEST__INIT;

	(void)state;
	w.conf.verified_only = true;
	REFUSED(try_login("unverified@example.com", PASSWORD, NULL, NULL, NULL, e), "identity.email_unverified");
	REFUSED(try_login("unverified@example.com", "wrong password", NULL, NULL, NULL, e), "identity.bad_credentials");
	in.token = mailed_token(t->user_id, "verify_email");
	assert_string_equal(in.token, mailed_token(t->user_id, "verify_email")); /* a mail sent twice */
	MUST(ASK("VerifyEmail", &nobody, &in, NULL, e));
	REFUSED(ASK("VerifyEmail", &nobody, &in, NULL, e), "identity.link_invalid");
	assert_non_null(login("unverified@example.com"));
	w.conf.verified_only = false;
}

static void test_change_password(void **state)
{
	Identity__V1__ChangePasswordRequest in = IDENTITY__V1__CHANGE_PASSWORD_REQUEST__INIT;
	Identity__V1__TokenReply *here = newcomer("change@example.com"), *there = login("change@example.com"), *t;
	struct principal me = bearer(here);

	(void)state;
	in.current_password = (char *)"not my password";
	in.new_password = (char *)"a different teapot";
	REFUSED(ASK("ChangePassword", &nobody, &in, NULL, e), "common.unauthenticated");
	REFUSED(ASK("ChangePassword", &me, &in, NULL, e), "identity.bad_credentials");
	in.current_password = (char *)PASSWORD;
	in.new_password = (char *)"password1";
	REFUSED(ASK("ChangePassword", &me, &in, NULL, e), "common.invalid_input");
	in.new_password = (char *)"a different teapot";
	MUST(ASK("ChangePassword", &me, &in, NULL, e));
	MUST(REFRESH(here->refresh_token, &t, e));
	REFUSED(REFRESH(there->refresh_token, &t, e), "identity.refresh_invalid");
	REFUSED(try_login("change@example.com", PASSWORD, NULL, NULL, NULL, e), "identity.bad_credentials");
	MUST(try_login("change@example.com", "a different teapot", NULL, NULL, &t, e));
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
}

static void test_reset_password(void **state)
{
	Identity__V1__ForgotPasswordRequest forgot = IDENTITY__V1__FORGOT_PASSWORD_REQUEST__INIT;
	Identity__V1__ResetPasswordRequest in = IDENTITY__V1__RESET_PASSWORD_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("forgot@example.com"), *again;
	Identity__V1__AcceptedReply *known, *unknown;
	char *first;

	(void)state;
	forgot.email = (char *)"forgot@example.com";
	MUST(ASK("ForgotPassword", &nobody, &forgot, &known, e));
	first = mailed_token(t->user_id, "password_reset");
	forgot.email = (char *)"unknown@example.com";
	MUST(ASK("ForgotPassword", &nobody, &forgot, &unknown, e));
	assert_string_equal(known->status, unknown->status);
	forgot.email = (char *)"forgot@example.com";
	MUST(ASK("ForgotPassword", &nobody, &forgot, NULL, e));
	in.password = (char *)"a different teapot";
	in.token = first; /* a newer link has taken its place */
	REFUSED(ASK("ResetPassword", &nobody, &in, NULL, e), "identity.link_invalid");
	in.token = mailed_token(t->user_id, "verify_email");
	REFUSED(ASK("ResetPassword", &nobody, &in, NULL, e), "identity.link_invalid");
	in.token = mailed_token(t->user_id, "password_reset");
	in.email = (char *)"somebody@example.com";
	REFUSED(ASK("ResetPassword", &nobody, &in, NULL, e), "identity.link_invalid");
	in.email = (char *)"forgot@example.com";
	MUST(ASK("ResetPassword", &nobody, &in, NULL, e));
	REFUSED(ASK("ResetPassword", &nobody, &in, NULL, e), "identity.link_invalid");
	REFUSED(REFRESH(t->refresh_token, &again, e), "identity.refresh_invalid");
	MUST(try_login("forgot@example.com", "a different teapot", NULL, NULL, &again, e));
	for (int i = 0; i < 10; i++)
		MUST(ASK("ForgotPassword", &nobody, &forgot, NULL, e));
	assert_true(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.link WHERE user_id = '%s' AND kind = 'password_reset'",
				   t->user_id) <= 4);
}

static void test_link_expires(void **state)
{
	Identity__V1__VerifyEmailRequest in = IDENTITY__V1__VERIFY_EMAIL_REQUEST__INIT;
	Identity__V1__LinkRequest make = IDENTITY__V1__LINK_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("late@example.com");
	struct principal notify = service("notify"), cart = service("cart"), me = bearer(t);
	char id[64];

	(void)state;
	in.token = mailed_token(t->user_id, "verify_email");
	(void)snprintf(id, sizeof(id), "%s", pg_fixture_text(w.fx, "SELECT id FROM identity.link WHERE user_id = '%s'", t->user_id));
	make.link_id = id;
	REFUSED(ASK("MakeLink", &cart, &make, NULL, e), "common.forbidden");
	REFUSED(ASK("MakeLink", &me, &make, NULL, e), "common.forbidden");
	pg_fixture_sql(w.fx, "UPDATE identity.link SET expires_at = now() - interval '1 s' WHERE id = '%s'", id);
	REFUSED(ASK("MakeLink", &notify, &make, NULL, e), "identity.link_invalid");
	REFUSED(ASK("VerifyEmail", &nobody, &in, NULL, e), "identity.link_invalid");
	MUST(ASK("ResendVerification", &me, &(Identity__V1__ResendVerificationRequest)IDENTITY__V1__RESEND_VERIFICATION_REQUEST__INIT,
		 NULL, e));
	verify_address(t->user_id);
}

/* A further login ends the session that was used longest ago, also when many come at once. */
static void test_session_cap(void **state)
{
	Identity__V1__TokenReply *first, *second, *last = NULL, *out;

	(void)state;
	w.conf.sessions_max = 3;
	first = newcomer("many@example.com");
	second = login("many@example.com");
	MUST(REFRESH(first->refresh_token, &first, e)); /* used after the second */
	for (int i = 0; i < 2; i++)
		last = login("many@example.com");
	w.conf.sessions_max = 20;
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.session WHERE user_id = '%s' AND revoked_at IS NULL",
					last->user_id), 3);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.revocation WHERE session_id = '%s'", second->session_id), 1);
	REFUSED(REFRESH(second->refresh_token, &out, e), "identity.refresh_invalid");
	MUST(REFRESH(first->refresh_token, &out, e));
	MUST(REFRESH(last->refresh_token, &out, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register_says_nothing), cmocka_unit_test(test_register_race),
		cmocka_unit_test(test_register_input),	      cmocka_unit_test(test_login_wrong),
		cmocka_unit_test(test_access_token),	      cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_backoff_formula),	      cmocka_unit_test(test_known_device),
		cmocka_unit_test(test_address_backoff),
		cmocka_unit_test(test_rehash),		      cmocka_unit_test(test_verified_only),
		cmocka_unit_test(test_change_password),	      cmocka_unit_test(test_reset_password),
		cmocka_unit_test(test_link_expires),	      cmocka_unit_test(test_session_cap),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
