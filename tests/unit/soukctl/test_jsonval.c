#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/soukctl/soukctl.h"

static void finds_members(void **state)
{
	char out[64];
	const char *text = " {\"data\":[{\"id\":\"no\"},{\"x\":[\"]\",\"}\"]}], \"id\" : \"imp_1\",\"n\":-12,\"ok\":true,"
			   "\"error\":{\"details\":[{\"message\":\"no\"}],\"message\":\"yes\"}} ";

	(void)state;
	assert_true(jsonval_get(text, "id", out, sizeof(out)));
	assert_string_equal(out, "imp_1");
	assert_true(jsonval_get(text, "error.message", out, sizeof(out)));
	assert_string_equal(out, "yes");
	assert_true(jsonval_get(text, "ok", out, sizeof(out)));
	assert_string_equal(out, "true");
	assert_int_equal(jsonval_i64(text, "n"), -12);
	assert_int_equal(jsonval_i64(text, "absent"), 0);
	assert_false(jsonval_get(text, "message", out, sizeof(out)));
	assert_false(jsonval_get(text, "error.code", out, sizeof(out)));
}

static void unescapes(void **state)
{
	char out[32];

	(void)state;
	assert_true(jsonval_get("{\"a\":\"x\\\"\\\\\\n\\u00e9\\u20ac\"}", "a", out, sizeof(out)));
	assert_string_equal(out, "x\"\\\n\xc3\xa9\xe2\x82\xac");
	assert_false(jsonval_get("{\"a\":\"0123456789\"}", "a", out, 8));
}

static void survives_broken_text(void **state)
{
	static const char *const broken[] = { "", "{", "[]", "{\"a", "{\"a\"", "{\"a\":", "{\"b\":\"", "{\"b\":[", "{\"b\":[[{",
					      "{\"a\":\"\\", "{\"a\":\"\\u12", "{\"a\":\"\\q\"}", "nonsense", "{\"b\":]}" };
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_false(jsonval_get(broken[i], "a.b", out, sizeof(out)) && *out);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		(void)jsonval_get(broken[i], "a", out, sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_members),
		cmocka_unit_test(unescapes),
		cmocka_unit_test(survives_broken_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
