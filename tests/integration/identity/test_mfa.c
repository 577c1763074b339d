/* The second factor on PostgreSQL. Codes come from the clock of the database; time passes by moving last_step. */
#include "world.h"

#include <pthread.h>

#include "services/identity/totp.h"

#define CROWD 32

static uint8_t secret[64];
static size_t secret_len;

static void unbase32(const char *s)
{
	uint32_t held = 0;
	int bits = 0;

	for (secret_len = 0; *s; s++) {
		held = held << 5 | (uint32_t)(*s >= 'A' ? *s - 'A' : *s - '2' + 26);
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			secret[secret_len++] = (uint8_t)(held >> bits);
			held &= (1u << bits) - 1;
		}
	}
}

static char *code_at(int64_t off)
{
	int64_t now = pg_fixture_i64(w.fx, "SELECT extract(epoch FROM now())::bigint");
	char *code = arena_alloc(w.arena, 9);

	assert_true(totp_code(TOTP_SHA1, secret, secret_len, totp_step(now) + off, 6, code));
	return code;
}

/* As if the last accepted code lay in the past. */
static void forget_step(void)
{
	pg_fixture_sql(w.fx, "UPDATE identity.totp SET last_step = 1");
}

static Identity__V1__RecoveryCodes *switch_on(const Identity__V1__TokenReply *t)
{
	Identity__V1__MfaEnrollRequest enroll = IDENTITY__V1__MFA_ENROLL_REQUEST__INIT;
	Identity__V1__MfaCodeRequest code = IDENTITY__V1__MFA_CODE_REQUEST__INIT;
	struct principal me = bearer(t);
	Identity__V1__RecoveryCodes *codes = NULL;
	Identity__V1__MfaEnrollReply *out;

	enroll.password = (char *)PASSWORD;
	MUST(ASK("MfaEnroll", &me, &enroll, &out, e));
	assert_non_null(strstr(out->uri, out->secret));
	unbase32(out->secret);
	code.code = code_at(0);
	MUST(ASK("MfaActivate", &me, &code, &codes, e));
	assert_int_equal(codes->n_codes, RECOVERY_CODES);
	return codes;
}

static Identity__V1__TokenReply *first_step(const char *email)
{
	Identity__V1__TokenReply *t = login(email);

	assert_true(t->mfa_required);
	assert_null(t->access_token);
	assert_null(t->refresh_token);
	return t;
}

static enum err_code second_step(struct arena *a, const char *mfa_token, const char *code, const char *recovery,
				 Identity__V1__TokenReply **t_r, struct err *e)
{
	Identity__V1__MfaChallengeRequest in = IDENTITY__V1__MFA_CHALLENGE_REQUEST__INIT;

	in.mfa_token = (char *)mfa_token;
	in.code = (char *)code;
	in.recovery_code = (char *)recovery;
	in.has_refresh_in_body = in.refresh_in_body = 1;
	return ask_in(a, "MfaChallenge", &nobody, &in, t_r, e);
}

static void test_enrolment(void **state)
{
	Identity__V1__MfaEnrollRequest enroll = IDENTITY__V1__MFA_ENROLL_REQUEST__INIT;
	Identity__V1__MfaCodeRequest code = IDENTITY__V1__MFA_CODE_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("enrol@example.com"), *elsewhere = login("enrol@example.com"), *again;
	struct principal me = bearer(t);
	Identity__V1__MfaEnrollReply *out;

	(void)state;
	code.code = (char *)"000000";
	REFUSED(ASK("MfaActivate", &me, &code, NULL, e), "identity.mfa_inactive");
	enroll.password = (char *)"wrong password";
	REFUSED(ASK("MfaEnroll", &me, &enroll, NULL, e), "identity.bad_credentials");
	enroll.password = (char *)PASSWORD;
	MUST(ASK("MfaEnroll", &me, &enroll, &out, e));
	assert_false(login("enrol@example.com")->mfa_required); /* not before a first code */
	unbase32(out->secret);
	code.code = code_at(5);
	REFUSED(ASK("MfaActivate", &me, &code, NULL, e), "identity.mfa_code");
	code.code = (char *)"12345";
	REFUSED(ASK("MfaActivate", &me, &code, NULL, e), "common.invalid_input");
	code.code = code_at(0);
	MUST(ASK("MfaActivate", &me, &code, NULL, e));
	REFUSED(ASK("MfaActivate", &me, &code, NULL, e), "identity.mfa_active");
	REFUSED(ASK("MfaEnroll", &me, &enroll, NULL, e), "identity.mfa_active");
	REFUSED(REFRESH(elsewhere->refresh_token, &again, e), "identity.refresh_invalid");
	MUST(REFRESH(t->refresh_token, &again, e));
}

static void test_code_once(void **state)
{
	Identity__V1__TokenReply *t = newcomer("once@example.com"), *out;
	char *code;

	(void)state;
	switch_on(t);
	/* The code that activated it is used up. */
	REFUSED(second_step(w.arena, first_step("once@example.com")->mfa_token, code_at(0), NULL, &out, e), "identity.mfa_code");
	forget_step();
	code = code_at(0);
	t = first_step("once@example.com");
	REFUSED(second_step(w.arena, t->mfa_token, code_at(3), NULL, &out, e), "identity.mfa_code");
	MUST(second_step(w.arena, t->mfa_token, code, NULL, &out, e));
	assert_non_null(out->access_token);
	assert_non_null(out->refresh_token);
	REFUSED(second_step(w.arena, t->mfa_token, code, NULL, &out, e), "identity.mfa_token");
	REFUSED(second_step(w.arena, first_step("once@example.com")->mfa_token, code, NULL, &out, e), "identity.mfa_code");
	REFUSED(second_step(w.arena, "a token that nobody ever made, really", code, NULL, &out, e), "identity.mfa_token");
}

struct racer {
	const char *mfa_token, *code, *recovery;
	enum err_code code_r;
};

static void *race(void *arg)
{
	struct arena *a = arena_new("thread", 1 << 20);
	struct racer *r = arg;

	r->code_r = second_step(a, r->mfa_token, r->code, r->recovery, NULL, NULL);
	arena_free(a);
	return NULL;
}

static int winners(struct racer *r)
{
	pthread_t t[CROWD];
	int won = 0;

	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_true(r[i].code_r == OK || r[i].code_r == E_UNAUTH || r[i].code_r == E_EXHAUSTED);
		won += r[i].code_r == OK;
	}
	return won;
}

/* One code, 32 logins that have all passed the password: one gets in. The same for a recovery code. */
static void test_parallel(void **state)
{
	Identity__V1__RecoveryCodes *codes = switch_on(newcomer("race@example.com"));
	struct racer r[CROWD];
	int64_t before = pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.session");

	(void)state;
	forget_step();
	for (int i = 0; i < CROWD; i++)
		r[i] = (struct racer){ .mfa_token = first_step("race@example.com")->mfa_token };
	for (int i = 0; i < CROWD; i++)
		r[i].code = i ? r[0].code : code_at(0);
	assert_int_equal(winners(r), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.session"), before + 1);
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
	for (int i = 0; i < CROWD; i++)
		r[i] = (struct racer){ .mfa_token = first_step("race@example.com")->mfa_token, .recovery = codes->codes[3] };
	assert_int_equal(winners(r), 1);
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
}

static void test_recovery_codes(void **state)
{
	Identity__V1__MfaRecoveryRequest in = IDENTITY__V1__MFA_RECOVERY_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("recover@example.com"), *out;
	Identity__V1__RecoveryCodes *codes = switch_on(t), *fresh;
	struct principal me = bearer(t);

	(void)state;
	MUST(second_step(w.arena, first_step("recover@example.com")->mfa_token, NULL, codes->codes[0], &out, e));
	REFUSED(second_step(w.arena, first_step("recover@example.com")->mfa_token, NULL, codes->codes[0], &out, e),
		"identity.mfa_code");
	REFUSED(second_step(w.arena, first_step("recover@example.com")->mfa_token, "123456", codes->codes[1], &out, e),
		"common.invalid_input");
	forget_step();
	in.password = (char *)PASSWORD;
	in.code = code_at(0);
	MUST(ASK("MfaRecoveryCodes", &me, &in, &fresh, e));
	REFUSED(second_step(w.arena, first_step("recover@example.com")->mfa_token, NULL, codes->codes[1], &out, e),
		"identity.mfa_code");
	MUST(second_step(w.arena, first_step("recover@example.com")->mfa_token, NULL, fresh->codes[9], &out, e));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.recovery_code WHERE user_id = '%s'", t->user_id), 10);
}

static void test_guessing_slows(void **state)
{
	Identity__V1__TokenReply *t;
	struct err why = { 0 };
	int wrong = 0;

	(void)state;
	switch_on(newcomer("guess@example.com"));
	t = first_step("guess@example.com");
	while (wrong < 30 && second_step(w.arena, t->mfa_token, code_at(10 + wrong), NULL, NULL, &why) == E_UNAUTH)
		wrong++;
	assert_int_equal(wrong, 5);
	assert_string_equal(why.slug, "identity.slowed");
	forget_step();
	REFUSED(second_step(w.arena, t->mfa_token, code_at(0), NULL, NULL, e), "identity.slowed");
	pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
	MUST(second_step(w.arena, t->mfa_token, code_at(0), NULL, NULL, e));
}

/* Between the two steps the password was reset, or the account shut: the first step counts no more. */
static void test_challenge_dies(void **state)
{
	Identity__V1__ForgotPasswordRequest forgot = IDENTITY__V1__FORGOT_PASSWORD_REQUEST__INIT;
	Identity__V1__ResetPasswordRequest reset = IDENTITY__V1__RESET_PASSWORD_REQUEST__INIT;
	Identity__V1__TokenReply *me = newcomer("dies@example.com"), *t, *out;

	(void)state;
	switch_on(me);
	forget_step();
	t = first_step("dies@example.com");
	forgot.email = (char *)"dies@example.com";
	MUST(ASK("ForgotPassword", &nobody, &forgot, NULL, e));
	reset.token = mailed_token(me->user_id, "password_reset");
	reset.password = (char *)"a different teapot";
	MUST(ASK("ResetPassword", &nobody, &reset, NULL, e));
	REFUSED(second_step(w.arena, t->mfa_token, code_at(0), NULL, &out, e), "identity.mfa_token");
	MUST(try_login("dies@example.com", "a different teapot", NULL, NULL, &t, e)); /* a reset does not skip the factor */
	assert_true(t->mfa_required);
	pg_fixture_sql(w.fx, "UPDATE identity.mfa_challenge SET expires_at = now() - interval '1 s'");
	REFUSED(second_step(w.arena, t->mfa_token, code_at(0), NULL, &out, e), "identity.mfa_token");
}

static void test_disable(void **state)
{
	Identity__V1__MfaDisableRequest in = IDENTITY__V1__MFA_DISABLE_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("off@example.com");
	struct principal me = bearer(t);

	(void)state;
	in.password = (char *)PASSWORD;
	in.code = (char *)"123456";
	REFUSED(ASK("MfaDisable", &me, &in, NULL, e), "identity.mfa_inactive");
	switch_on(t);
	forget_step();
	in.code = code_at(4);
	REFUSED(ASK("MfaDisable", &me, &in, NULL, e), "identity.mfa_code");
	in.code = code_at(0);
	in.password = (char *)"wrong password";
	REFUSED(ASK("MfaDisable", &me, &in, NULL, e), "identity.bad_credentials");
	in.password = (char *)PASSWORD;
	MUST(ASK("MfaDisable", &me, &in, NULL, e));
	assert_false(login("off@example.com")->mfa_required);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.recovery_code WHERE user_id = '%s'", t->user_id), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enrolment),      cmocka_unit_test(test_code_once),
		cmocka_unit_test(test_parallel),       cmocka_unit_test(test_recovery_codes),
		cmocka_unit_test(test_guessing_slows), cmocka_unit_test(test_challenge_dies),
		cmocka_unit_test(test_disable),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
