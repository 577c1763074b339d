#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cursor.h"

static struct arena *a;

static int setup(void **state)
{
	const struct key32 key = { { 1, 2, 3 } };

	(void)state;
	a = arena_new("test", 1 << 24);
	cursor_use_key(&key);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static void refused(const char *text, const char *filter, const char *types)
{
	struct err e = { 0 };
	struct cursor c = { .n = 77 };

	if (cursor_read(a, text, filter, types, &c, &e) != E_INVALID)
		fail_msg("accepted %.100s", text);
	assert_string_equal(e.slug, "common.cursor_invalid");
	assert_string_equal(e.details[0].field, "cursor");
	assert_int_equal(c.n, 77);
}

static void first_page(void **state)
{
	struct cursor c = { .n = 5 };

	(void)state;
	assert_int_equal(cursor_read(a, NULL, "f", "i", &c, NULL), OK);
	assert_int_equal(c.n, 0);
	c.n = 5;
	assert_int_equal(cursor_read(a, "", "f", "i", &c, NULL), OK);
	assert_int_equal(c.n, 0);
}

static void round_trips(void **state)
{
	char big[1000];
	struct cursor c;
	const char *text;

	(void)state;
	text = cursor_write(a, "stock|v1", "titiit", "Zür\xc3\xa4", INT64_MIN, "", INT64_MAX, (int64_t)-1, "x");
	assert_int_equal(cursor_read(a, text, "stock|v1", "titiit", &c, NULL), OK);
	assert_int_equal(c.n, 6);
	assert_string_equal(c.field[0].text, "Zür\xc3\xa4");
	assert_true(c.field[1].i == INT64_MIN);
	assert_string_equal(c.field[2].text, "");
	assert_true(c.field[3].i == INT64_MAX);
	assert_true(c.field[4].i == -1);
	assert_string_equal(c.field[5].text, "x");
	/* NULL text, too long text, the longest cursor of all */
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	text = cursor_write(a, "f", "tt", NULL, big);
	assert_int_equal(cursor_read(a, text, "f", "tt", &c, NULL), OK);
	assert_string_equal(c.field[0].text, "");
	assert_int_equal(strlen(c.field[1].text), CURSOR_TEXT_MAX);
	text = cursor_write(a, "f", "tttttt", big, big, big, big, big, big);
	assert_true(strlen(text) < CURSOR_MAX);
	assert_int_equal(cursor_read(a, text, "f", "tttttt", &c, NULL), OK);
	assert_int_equal(strlen(c.field[5].text), CURSOR_TEXT_MAX);
}

static void bound_to_filter_and_types(void **state)
{
	const char *text = cursor_write(a, "stock|v1|low", "it", (int64_t)5, "abc");

	(void)state;
	refused(text, "stock|v2|low", "it");
	refused(text, "stock|v1|", "it");
	refused(text, "", "it");
	refused(text, "stock|v1|low", "ti");
	refused(text, "stock|v1|low", "i");
	refused(text, "stock|v1|low", "itt");
	refused(text, "stock|v1|low", "");
}

static void forged(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *text = cursor_write(a, "f", "it", (int64_t)5, "abc");
	size_t n = strlen(text);
	const struct key32 other = { { 9 } }, mine = { { 1, 2, 3 } };
	char *big = malloc(100001);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char was = text[i];

		for (size_t k = 0; k < 64; k += 7) {
			if (alphabet[k] == was)
				continue;
			text[i] = alphabet[k];
			refused(text, "f", "it");
		}
		text[i] = was;
	}
	for (size_t cut = 1; cut < n; cut++)
		refused(arena_strndup(a, text, cut), "f", "it");
	refused(arena_printf(a, "%sA", text), "f", "it");
	refused(arena_printf(a, "%s=", text), "f", "it");
	refused(arena_printf(a, " %s", text), "f", "it");
	refused("' OR 1=1 --", "f", "it");
	refused("AAAA", "f", "it");
	refused("\xff\xff", "f", "it");
	memset(big, 'A', 100000);
	big[100000] = '\0';
	refused(big, "f", "it");
	free(big);
	cursor_use_key(&other);
	refused(text, "f", "it");
	cursor_use_key(&mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_page),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(bound_to_filter_and_types),
		cmocka_unit_test(forged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
