/* Slugs, tags, attributes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/catalog/catalog.h"
#include "services/catalog/catalog_rules.h"

#define PRODUCT "prd_01jd000000000000000000000a"

static struct arena *a;

static int open_arena(void **state)
{
	(void)state;
	a = arena_new("test", 8 << 20);
	return 0;
}

static int close_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static void test_slugs(void **state)
{
	static const char *const pairs[][2] = {
		{ "Tea Pot, 1.5 l", "tea-pot-1-5-l" },
		{ "  --Tea--  ", "tea" },
		{ "\xc3\x86gir \xc3\x84pfel \xc3\xbc\xc3\x9f", "agir-apfel-us" },
		{ "Cr\xc3\xa8me Br\xc3\xbbl\xc3\xa9" "e", "creme-brulee" },
		{ "\xc5\x81\xc3\xb3" "d\xc5\xba \xc5\x90 \xc5\xbd\xc5\x9f\xc3\xbf", "lodz-o-zsy" },
		{ "\xc4\x80\xc4\x8d\xc4\x91\xc4\x99\xc4\x9f\xc4\xb0\xc4\xb7", "acdegik" },
		{ "2 \xc3\x97 4", "2-4" },
		{ "\xe8\x8c\xb6 tea", "tea" },
		{ "\xe8\x8c\xb6\xe5\xa3\xba", "item" },
		{ "\xf0\x9f\x94\xa5", "item" },
		{ "", "item" },
		{ "!!!", "item" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_string_equal(catalog_slug(a, pairs[i][0]), pairs[i][1]);
	assert_string_equal(catalog_slug(a, NULL), "item");
}

static void test_slugs_are_short_and_clean(void **state)
{
	char title[400];

	(void)state;
	for (unsigned n = 0; n < 300; n++) {
		const char *s;

		for (unsigned i = 0; i < n; i++)
			title[i] = (i * 7 + n) % 5 ? (char)('a' + i % 26) : ' ';
		title[n] = '\0';
		s = catalog_slug(a, title);
		assert_in_range(strlen(s), 1, 80);
		assert_int_equal(strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(s));
		assert_true(s[0] != '-' && s[strlen(s) - 1] != '-' && !strstr(s, "--"));
	}
}

static void test_unique_slugs(void **state)
{
	(void)state;
	assert_string_equal(catalog_slug_unique(a, "tea", PRODUCT), "tea-00000a");
	assert_string_equal(catalog_slug_unique(a, "tea", "abc"), "tea-abc");
}

static void test_tags(void **state)
{
	bool any = true;

	(void)state;
	assert_int_equal(catalog_tag_version(PRODUCT "-7", PRODUCT, &any), 7);
	assert_false(any);
	assert_int_equal(catalog_tag_version(NULL, PRODUCT, &any), -1);
	assert_true(any);
	assert_int_equal(catalog_tag_version("", PRODUCT, &any), -1);
	assert_true(any);
	assert_int_equal(catalog_tag_version(PRODUCT "-07", PRODUCT, &any), -1);
	assert_false(any);
	assert_int_equal(catalog_tag_version(PRODUCT "-0", PRODUCT, &any), -1);
	assert_int_equal(catalog_tag_version(PRODUCT "-7x", PRODUCT, &any), -1);
	assert_int_equal(catalog_tag_version(PRODUCT, PRODUCT, &any), -1);
	assert_int_equal(catalog_tag_version("prd_01jd000000000000000000000b-7", PRODUCT, &any), -1);
	assert_int_equal(catalog_tag_version(PRODUCT "-99999999999999999999", PRODUCT, &any), -1);
}

static void test_attribute_filters(void **state)
{
	const char *name = NULL, *value = NULL;
	char *big = calloc(1, 400);

	(void)state;
	assert_true(catalog_attr_parse(a, "color:red", &name, &value));
	assert_string_equal(name, "color");
	assert_string_equal(value, "red");
	assert_true(catalog_attr_parse(a, "ratio:16:9", &name, &value));
	assert_string_equal(name, "ratio");
	assert_string_equal(value, "16:9");
	assert_false(catalog_attr_parse(a, "color", &name, &value));
	assert_false(catalog_attr_parse(a, ":red", &name, &value));
	assert_false(catalog_attr_parse(a, "color:", &name, &value));
	assert_false(catalog_attr_parse(a, "", &name, &value));
	memset(big, 'x', 399);
	big[3] = ':';
	assert_false(catalog_attr_parse(a, big, &name, &value));
	free(big);
}

static bool ok(const char *json)
{
	struct err e = { 0 };
	bool good = catalog_attributes_ok(&e, "attributes", json);

	assert_int_equal(good, e.n_details == 0);
	if (!good)
		assert_string_equal(e.details[0].field, "attributes");
	return good;
}

static void test_attributes(void **state)
{
	static const char *const bad[] = { "", "[]", "5", "{", "{\"a\":null}", "{\"a\":{\"b\":1}}", "{\"a\":[1]}", "{\"a\":[[\"b\"]]}",
					   "{\"\":1}", "{\"a\":1,\"a\":2}", "{\"a\":1} x" };
	char *big = calloc(1, 80000);

	(void)state;
	assert_true(ok(NULL));
	assert_true(ok("{}"));
	assert_true(ok("{\"a\":\"x\",\"b\":1,\"c\":2.5,\"d\":true,\"e\":[],\"f\":[\"x\",\"y\"]}"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ok(bad[i]))
			fail_msg("%s passes as attributes", bad[i]);
	memcpy(big, "{\"a\":\"", 6);
	memset(big + 6, 'x', CATALOG_VALUE_MAX);
	memcpy(big + 6 + CATALOG_VALUE_MAX, "\"}", 3);
	assert_true(ok(big));
	memcpy(big + 6 + CATALOG_VALUE_MAX, "x\"}", 4);
	assert_false(ok(big));
	memset(big + 1, ' ', CATALOG_JSON_MAX);
	big[CATALOG_JSON_MAX + 1] = '}';
	assert_false(ok(big));
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slugs), cmocka_unit_test(test_slugs_are_short_and_clean),
		cmocka_unit_test(test_unique_slugs), cmocka_unit_test(test_tags),
		cmocka_unit_test(test_attribute_filters), cmocka_unit_test(test_attributes),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
