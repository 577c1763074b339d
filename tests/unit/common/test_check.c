#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"

static struct err e;

static int fresh(void **state)
{
	(void)state;
	err_clear(&e);
	return 0;
}

static void text_counts_code_points(void **state)
{
	(void)state;
	assert_true(check_text(&e, "name", "\xc3\xa4\xc3\xb6\xc3\xbc", 3, 3));
	assert_true(check_text(&e, "name", "\xf0\x9f\x98\x80", 1, 1));
	assert_true(check_text(&e, "name", NULL, 0, 5));
	assert_true(check_text(&e, "name", "", 0, 5));
	assert_int_equal(e.n_details, 0);
	assert_false(check_text(&e, "name", NULL, 1, 5));
	assert_false(check_text(&e, "name", "", 1, 5));
	assert_false(check_text(&e, "name", "abcdef", 1, 5));
	assert_false(check_text(&e, "name", "ab", 3, 5));
	assert_int_equal(e.n_details, 4);
	assert_string_equal(e.details[0].message, "is required");
	assert_string_equal(e.details[3].message, "must be 3 to 5 characters long");
	assert_string_equal(e.details[3].field, "name");
}

static void text_refuses_what_is_not_text(void **state)
{
	static const char *const bad[] = { "\xff", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xc3",
		"a\nb", "a\tb", "\x01", "\x7f", "\xc2\x85", "\xe2\x80\xa8", "\x1b[31m", "\xe0\x80\xaf", "\xf8\x88\x80\x80\x80",
		"\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(check_text(&e, "f", bad[i], 0, 100));
		err_clear(&e);
	}
	assert_true(check_longtext(&e, "f", "line one\r\n\tline two\n", 1, 100));
	assert_true(check_longtext(&e, "f", "\n", 1, 100));
	assert_true(check_longtext(&e, "f", "", 0, 100));
	assert_false(check_longtext(&e, "f", "a\x0b", 1, 100));
	assert_false(check_longtext(&e, "f", "\xff", 1, 100));
	assert_false(check_longtext(&e, "f", "abc", 1, 2));
}

static void every_utf8_sequence(void **state)
{
	(void)state;
	/* All code points, encoded by hand, are valid but the surrogates; cutting one off is not. */
	for (uint32_t c = 0x80; c < 0x120000; c += c < 0x3000 || c > 0x10ff00 || (c > 0xd700 && c < 0xe100) ? 1 : 97) {
		unsigned char s[4];
		size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		bool ok = (c < 0xd800 || c > 0xdfff) && c < 0x110000;

		for (size_t i = n - 1; i > 0; i--)
			s[i] = (unsigned char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
		s[0] = (unsigned char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c >> (6 * (n - 1)));
		assert_int_equal(utf8_valid((char *)s, n), ok);
		assert_false(utf8_valid((char *)s, n - 1));
		if (ok)
			assert_int_equal(utf8_length((char *)s, n), 1);
	}
	assert_true(utf8_valid("a\0b", 3));
	assert_false(text_clean("a\0b", 3));
	assert_int_equal(utf8_cut("a\xc3\xa4", 3), 3);
	assert_int_equal(utf8_cut("a\xc3\xa4", 2), 1);
	assert_int_equal(utf8_cut("\xf0\x9f\x98\x80", 3), 0);
	assert_int_equal(utf8_cut("", 0), 0);
	assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80", 5), 5);
}

static void ranges(void **state)
{
	(void)state;
	assert_true(check_range(&e, "qty", 1, 1, 5));
	assert_true(check_range(&e, "qty", 5, 1, 5));
	assert_false(check_range(&e, "qty", 0, 1, 5));
	assert_false(check_range(&e, "qty", INT64_MAX, 1, 5));
	assert_string_equal(e.details[0].message, "must be from 1 to 5");
}

static void emails(void **state)
{
	static const char *const good[] = { "a@b.co", "first.last+tag@sub.example.org", "o'neill@example.ie",
		"j\xc3\xb6rg@example.de", "_@a-b.example" };
	static const char *const bad[] = { "", "a", "a@", "@b.co", "a@b", "a b@c.de", "a@b..co", "a@.co", "a@b.co.",
		".a@b.co", "a.@b.co", "a..b@c.de", "a@-b.co", "a@b-.co", "a@b.co\r\nBcc: x@y.z", "a@b@c.de", "a@b_c.de",
		"\"quoted\"@b.co", "a,b@c.de", "<a@b.co>",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.co", "\xff@b.co", "a@\xc3\xa4.de" };
	char big[400];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(check_email(&e, "email", good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (check_email(&e, "email", bad[i]))
			fail_msg("accepted %s", bad[i]);
		err_clear(&e);
	}
	memset(big, 'a', sizeof(big));
	memcpy(big, "x@", 2);
	memcpy(big + 300, ".co", 4);
	assert_false(check_email(&e, "email", big));
	assert_false(check_email(&e, "email", NULL));
}

static void phones_countries_currencies_slugs_languages(void **state)
{
	(void)state;
	assert_true(check_phone(&e, "p", "+49301234567"));
	assert_false(check_phone(&e, "p", "0301234567"));
	assert_false(check_phone(&e, "p", "+0301234567"));
	assert_false(check_phone(&e, "p", "+123456"));
	assert_false(check_phone(&e, "p", "+1234567890123456"));
	assert_false(check_phone(&e, "p", "+49 30 1234567"));
	assert_false(check_phone(&e, "p", "+"));
	assert_false(check_phone(&e, "p", ""));
	err_clear(&e);
	assert_true(check_country(&e, "c", "DE"));
	assert_true(check_country(&e, "c", "AD"));
	assert_true(check_country(&e, "c", "ZW"));
	assert_false(check_country(&e, "c", "de"));
	assert_false(check_country(&e, "c", "XX"));
	assert_false(check_country(&e, "c", "EA"));
	assert_false(check_country(&e, "c", "DEU"));
	assert_false(check_country(&e, "c", "D"));
	assert_false(check_country(&e, "c", ""));
	err_clear(&e);
	assert_true(check_currency(&e, "c", "EUR"));
	assert_false(check_currency(&e, "c", "EURO"));
	assert_true(check_slug(&e, "s", "red-shoe-2"));
	assert_false(check_slug(&e, "s", "-red"));
	assert_false(check_slug(&e, "s", "red-"));
	assert_false(check_slug(&e, "s", "red--shoe"));
	assert_false(check_slug(&e, "s", "Red"));
	assert_false(check_slug(&e, "s", ""));
	assert_false(check_slug(&e, "s", "../etc"));
	err_clear(&e);
	assert_true(check_language(&e, "l", "en"));
	assert_true(check_language(&e, "l", "pt-BR"));
	assert_false(check_language(&e, "l", "e"));
	assert_false(check_language(&e, "l", "english"));
	assert_false(check_language(&e, "l", "pt-br"));
	assert_false(check_language(&e, "l", "pt-BRA"));
	assert_false(check_language(&e, "l", "pt-"));
}

static void ids(void **state)
{
	(void)state;
	assert_true(check_id(&e, "id", "ord_01jd3k5z8q9w7x6y5t4s3r2p1n", "ord"));
	assert_false(check_id(&e, "id", "ord_", "ord"));
	assert_false(check_id(&e, "id", NULL, "ord"));
	assert_int_equal(e.n_details, 2);
}

static void urls(void **state)
{
	static const char *const good[] = { "https://example.org", "https://a.example:8443/x?y=1#z", "https://hooks/x" };
	static const char *const bad[] = { "http://example.org", "ftp://x.y", "https://", "https:///x", "https://u@h.de/",
		"https://u:p@h.de/", "https://h.de:0/", "https://h.de:99999/", "https://h.de:80a/", "https://h.de/ x",
		"https://h.de/\nx", "javascript:alert(1)", "https://[::1]/", "https://h..de/", "//h.de", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(check_url(&e, "url", good[i], true));
	assert_true(check_url(&e, "url", "http://example.org", false));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (check_url(&e, "url", bad[i], true))
			fail_msg("accepted %s", bad[i]);
		err_clear(&e);
	}
}

static void one_of(void **state)
{
	(void)state;
	assert_true(check_oneof(&e, "sort", "new", "new|price|rating"));
	assert_true(check_oneof(&e, "sort", "rating", "new|price|rating"));
	assert_false(check_oneof(&e, "sort", "pric", "new|price|rating"));
	assert_false(check_oneof(&e, "sort", "new|price", "new|price|rating"));
	assert_false(check_oneof(&e, "sort", "", "new|price|rating"));
	assert_false(check_oneof(&e, "sort", NULL, "new"));
}

#define T(f) cmocka_unit_test_setup(f, fresh)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(text_counts_code_points),
		T(text_refuses_what_is_not_text),
		T(every_utf8_sequence),
		T(ranges),
		T(emails),
		T(phones_countries_currencies_slugs_languages),
		T(ids),
		T(urls),
		T(one_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
