/* Passwords that are good enough, and how long guessers wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "services/identity/backoff_rules.h"
#include "services/identity/password_rules.h"

static void test_passwords(void **state)
{
	static const struct {
		const char *password, *email;
		enum password_verdict want;
	} cases[] = {
		{ "", NULL, PASSWORD_SHORT },
		{ "Xy7!kq2", NULL, PASSWORD_SHORT },
		{ "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa9", NULL, PASSWORD_SHORT }, /* four letters in eight bytes */
		{ "password", NULL, PASSWORD_COMMON },
		{ "Password1", NULL, PASSWORD_COMMON },
		{ "P@ssw0rd!2024", NULL, PASSWORD_COMMON },
		{ "passw0rd", NULL, PASSWORD_COMMON },
		{ "12345678", NULL, PASSWORD_COMMON },
		{ "87654321", NULL, PASSWORD_COMMON },
		{ "1234567890", NULL, PASSWORD_COMMON },
		{ "qwertyuiop", NULL, PASSWORD_COMMON },
		{ "qwerty123", NULL, PASSWORD_COMMON },
		{ "asdfghjkl", NULL, PASSWORD_COMMON },
		{ "1q2w3e4r", NULL, PASSWORD_COMMON },
		{ "1qaz2wsx", NULL, PASSWORD_COMMON },
		{ "abcd1234", NULL, PASSWORD_COMMON },
		{ "aaaaaaaa", NULL, PASSWORD_COMMON },
		{ "abcabcabc", NULL, PASSWORD_COMMON },
		{ "iloveyou", NULL, PASSWORD_COMMON },
		{ "letmein123", NULL, PASSWORD_COMMON },
		{ "adminadmin", NULL, PASSWORD_COMMON },
		{ "Welcome2026", NULL, PASSWORD_COMMON },
		{ "sunshine!", NULL, PASSWORD_COMMON },
		{ "Trustno1", NULL, PASSWORD_COMMON },
		{ "19840517", NULL, PASSWORD_COMMON },
		{ "17051984", NULL, PASSWORD_COMMON },
		{ "margaret.hill", "margaret.hill@example.com", PASSWORD_PERSONAL },
		{ "Margaret.Hill1", "margaret.hill@example.com", PASSWORD_PERSONAL },
		{ "margaret.hill", NULL, PASSWORD_GOOD },
		{ "correct horse battery staple", NULL, PASSWORD_GOOD },
		{ "tR7#mWq9zL", NULL, PASSWORD_GOOD },
		{ "kitchen teapot", NULL, PASSWORD_GOOD },
		{ "94817362", NULL, PASSWORD_GOOD },
		{ "\xe7\xa7\x81\xe3\x81\xae\xe7\xa7\x98\xe5\xaf\x86\xe3\x81\xae\xe8\xa8\x80\xe8\x91\x89\xe7\x8c\xab", NULL, PASSWORD_GOOD },
		{ "Souk-demo-2026", NULL, PASSWORD_GOOD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (password_judge(cases[i].password, cases[i].email) != cases[i].want)
			fail_msg("%s: %d, not %d", cases[i].password, password_judge(cases[i].password, cases[i].email),
				 cases[i].want);
}

static void test_password_length(void **state)
{
	char text[PASSWORD_BYTES + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('!' + i * 37 % 90);
	text[PASSWORD_MAX] = '\0';
	assert_int_equal(password_judge(text, NULL), PASSWORD_GOOD);
	text[PASSWORD_MAX] = 'x';
	text[PASSWORD_MAX + 1] = '\0';
	assert_int_equal(password_judge(text, NULL), PASSWORD_LONG);
	for (int i = 0; i < PASSWORD_MAX; i++) /* 256 characters of three bytes: allowed */
		memcpy(text + 3 * i, "\xe2\x82\xac", 3);
	text[3 * PASSWORD_MAX] = '\0';
	assert_int_equal(password_judge(text, NULL), PASSWORD_GOOD);
	for (int v = PASSWORD_SHORT; v <= PASSWORD_PERSONAL; v++)
		assert_true(*password_reason((enum password_verdict)v));
}

static void test_backoff(void **state)
{
	(void)state;
	for (int k = BACKOFF_ACCOUNT; k <= BACKOFF_MAIL; k++) {
		const struct backoff_rule *r = backoff_rule((enum backoff_kind)k);
		int64_t before = 0;

		assert_int_equal(backoff_delay_ms((enum backoff_kind)k, r->free), 0);
		assert_int_equal(backoff_delay_ms((enum backoff_kind)k, r->free + 1), r->base_ms);
		assert_int_equal(backoff_delay_ms((enum backoff_kind)k, r->free + 2), r->base_ms * 2);
		for (int32_t n = 0; n < 200; n++) {
			int64_t now = backoff_delay_ms((enum backoff_kind)k, n);

			assert_true(now >= before && now <= r->cap_ms);
			before = now;
		}
		assert_int_equal(before, r->cap_ms);
	}
	/* A stranger must not keep an owner out for long. */
	assert_true(backoff_rule(BACKOFF_ACCOUNT)->cap_ms <= 30000);
	/* No more than a hundred guesses an hour at one account from one place. */
	int64_t hour = 0;
	int guesses = 0;

	for (; hour < 3600000; guesses++)
		hour += backoff_delay_ms(BACKOFF_PAIR, guesses);
	assert_true(guesses <= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_password_length),
		cmocka_unit_test(test_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
