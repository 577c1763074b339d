#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "common/buf.h"

static void grows_to_the_maximum_and_no_further(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_string_equal(buf_cstr(&b), "");
	buf_str(&b, "12345");
	buf_str(&b, "67890");
	assert_false(buf_over(&b));
	assert_string_equal(buf_cstr(&b), "1234567890");
	buf_char(&b, 'x');
	assert_true(buf_over(&b));
	buf_add(&b, "", 0);
	assert_int_equal(b.len, 10);
	assert_string_equal(buf_cstr(&b), "1234567890");
	buf_reset(&b);
	assert_false(buf_over(&b));
	assert_string_equal(buf_cstr(&b), "");
	buf_str(&b, "12345678901");
	assert_true(buf_over(&b));
	assert_int_equal(b.len, 0);
	buf_free(&b);
	assert_null(b.data);
	buf_init(&b, 0);
	buf_str(&b, "");
	assert_false(buf_over(&b));
	buf_char(&b, 'x');
	assert_true(buf_over(&b));
	buf_free(&b);
}

static void formats_of_any_length(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_fmt(&b, "%d", 5);
	buf_fmt(&b, "%500d", 5);
	buf_i64(&b, INT64_MIN);
	assert_int_equal(b.len, 1 + 500 + 20);
	assert_int_equal(strlen(b.data), b.len);
	buf_fmt(&b, "%*d", 2 << 20, 1);
	assert_true(buf_over(&b));
	assert_int_equal(b.len, 521);
	buf_free(&b);
}

static void json_of(const void *p, size_t n, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_json_strn(&b, p, n);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void json_strings(void **state)
{
	(void)state;
	json_of("a", 1, "\"a\"");
	json_of("", 0, "\"\"");
	json_of("\"\\\n\r\t", 5, "\"\\\"\\\\\\n\\r\\t\"");
	json_of("\0\x1f\x7f", 3, "\"\\u0000\\u001f\\u007f\"");
	json_of("\xc3\xa4\xf0\x9f\x98\x80", 6, "\"\xc3\xa4\xf0\x9f\x98\x80\"");
	json_of("a\xff" "b\xc3", 4, "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
	json_of("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void json_of_null(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_json_str(&b, NULL);
	assert_string_equal(buf_cstr(&b), "null");
	buf_free(&b);
}

/* Whatever the bytes, the result is one JSON string; and no half of one stays when it does not fit. */
static void json_of_random_bytes_parses(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		char in[64];
		size_t n = (size_t)(rand_r(&seed) % 64);
		struct buf b;
		json_t *j;

		for (size_t i = 0; i < n; i++)
			in[i] = (char)(rand_r(&seed) & 0xff);
		buf_init(&b, (size_t)(rand_r(&seed) % 400));
		buf_json_strn(&b, in, n);
		if (buf_over(&b)) {
			assert_int_equal(b.len, 0);
		} else {
			j = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
			assert_non_null(j);
			json_decref(j);
		}
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_the_maximum_and_no_further),
		cmocka_unit_test(formats_of_any_length),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(json_of_null),
		cmocka_unit_test(json_of_random_bytes_parses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
