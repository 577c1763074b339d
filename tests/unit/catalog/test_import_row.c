/* An imported row as a product: names, prices, odd characters, what is refused and under which field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/catalog/import_row.h"

static const struct import_rules rules = { "USD", NULL };

/* The canonical document of a JSON row as text with sorted keys; the caller frees it. NULL: refused, the field in *field. */
static char *row(const char *json, const struct import_rules *r, struct err *e)
{
	json_error_t je;
	json_t *given = json_loads(json, JSON_DECODE_ANY, &je), *doc;
	char *text;

	if (!given)
		fail_msg("the test's own JSON: %s in %s", je.text, json);
	memset(e, 0, sizeof(*e));
	doc = import_row_from_json(given, r, e);
	json_decref(given);
	assert_int_equal(doc == NULL, e->n_details > 0);
	if (!doc)
		return NULL;
	text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(doc);
	return text;
}

static void gives(const char *json, const char *wanted)
{
	struct err e;
	char *text = row(json, &rules, &e);

	if (!text)
		fail_msg("%s is refused: %s %s", json, e.details[0].field, e.details[0].message);
	assert_string_equal(text, wanted);
	free(text);
}

static void refuses(const char *json, const char *field)
{
	struct err e;
	char *text = row(json, &rules, &e);

	if (text)
		fail_msg("%s passes as %s", json, text);
	for (size_t i = 0; i < e.n_details; i++)
		if (strcmp(e.details[i].field, field) == 0)
			return;
	fail_msg("%s is refused for %s, not %s", json, e.details[0].field, field);
}

static void test_decimals(void **state)
{
	static const struct {
		const char *s;
		int digits;
		int64_t minor; /* -1: refused */
	} t[] = {
		{ "19.99", 2, 1999 }, { "19.9", 2, 1990 },	{ "19", 2, 1900 },   { "0", 2, 0 },	  { "0.01", 2, 1 },
		{ ".5", 2, 50 },      { "5.", 2, 500 },		{ "19.990", 2, 1999 }, { "19.991", 2, -1 }, { "1999", 0, 1999 },
		{ "1999.0", 0, 1999 }, { "1999.5", 0, -1 },	{ "1.234", 3, 1234 }, { "007.5", 2, 750 }, { "", 2, -1 },
		{ ".", 2, -1 },	      { "-1", 2, -1 },		{ "+1", 2, -1 },     { "1,99", 2, -1 },	  { "1.2.3", 2, -1 },
		{ "1e3", 2, -1 },     { " 1", 2, -1 },		{ "1 ", 2, -1 },     { "$1", 2, -1 },	  { "0x10", 2, -1 },
		{ "1000000000", 2, 100000000000 }, { "1000000000.01", 2, -1 }, { "99999999999999999999999999", 2, -1 },
		{ "0.00000000000000000000000000000000", 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t minor = -1;
		bool good = import_decimal(t[i].s, t[i].digits, &minor);

		if (good != (t[i].minor >= 0) || (good && minor != t[i].minor))
			fail_msg("\"%s\": %d %lld", t[i].s, good, (long long)minor);
	}
}

static void test_least_row(void **state)
{
	(void)state;
	gives("{\"title\":\"Tea\",\"sku\":\"T1\"}",
	      "{\"attributes\":{},\"categories\":[],\"key\":\"T1\",\"media\":[],\"title\":\"Tea\",\"variants\":[{\"sku\":\"T1\"}]}");
	gives("{\"title\":\"Tea\",\"id\":77}",
	      "{\"attributes\":{},\"categories\":[],\"key\":\"77\",\"media\":[],\"title\":\"Tea\",\"variants\":[{\"sku\":\"77\"}]}");
}

static void test_prices(void **state)
{
	static const char *const same[] = { "1250", "\"12.50\"", "\"12.5\"", "{\"amount\":1250,\"currency\":\"USD\"}",
					    "{\"amount\":\"12.50\"}" };
	char json[200];

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		snprintf(json, sizeof(json), "{\"title\":\"Tea\",\"sku\":\"T\",\"price\":%s}", same[i]);
		gives(json, "{\"attributes\":{},\"categories\":[],\"key\":\"T\",\"media\":[],\"title\":\"Tea\","
			    "\"variants\":[{\"currency\":\"USD\",\"price\":1250,\"sku\":\"T\"}]}");
	}
	gives("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":\"1250\",\"currency\":\"JPY\"}",
	      "{\"attributes\":{},\"categories\":[],\"key\":\"T\",\"media\":[],\"title\":\"Tea\","
	      "\"variants\":[{\"currency\":\"JPY\",\"price\":1250,\"sku\":\"T\"}]}");
	gives("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":null}",
	      "{\"attributes\":{},\"categories\":[],\"key\":\"T\",\"media\":[],\"title\":\"Tea\",\"variants\":[{\"sku\":\"T\"}]}");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":12.5}", "price");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":-1}", "price");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":\"12,50\"}", "price");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":{}}", "price");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":[1]}", "price");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":100000000001}", "price");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"price\":1,\"currency\":\"XQX\"}", "currency");
	refuses("{\"title\":\"Tea\",\"sku\":\"T\",\"compare_at_price\":\"x\"}", "compare_at_price");
}

static void test_unknown_names_become_attributes(void **state)
{
	(void)state;
	gives("{\"title\":\"T\",\"sku\":\"T\",\"attr_t_color\":\"red\",\"attr_n_width\":2.5,\"attr_b_new\":true,\"attr:finish\":\"matt\","
	      "\"material\":[\"wood\"],\"empty\":\"\",\"nothing\":null,\"attributes\":{\"size\":\"L\"}}",
	      "{\"attributes\":{\"color\":\"red\",\"finish\":\"matt\",\"material\":[\"wood\"],\"new\":true,\"size\":\"L\",\"width\":2.5},"
	      "\"categories\":[],\"key\":\"T\",\"media\":[],\"title\":\"T\",\"variants\":[{\"sku\":\"T\"}]}");
	refuses("{\"title\":\"T\",\"sku\":\"T\",\"shape\":{\"a\":1}}", "shape");
	refuses("{\"title\":\"T\",\"sku\":\"T\",\"attributes\":[]}", "attributes");
	refuses("{\"title\":\"T\",\"sku\":\"T\",\"attributes\":{\"a\":{}}}", "attributes");
}

static void test_aliases(void **state)
{
	(void)state;
	gives("{\"id\":\"K\",\"title\":\"T\",\"short_description\":\"Fine\",\"supplier\":\"Acme\",\"category\":\"a|b\",\"images\":\"x.jpg|y.jpg\","
	      "\"stock\":\"7\",\"weight_g\":500.0,\"ean\":[\"4006381333931\",\"0\"]}",
	      "{\"attributes\":{},\"brand\":\"Acme\",\"categories\":[\"a\",\"b\"],\"description\":\"Fine\",\"key\":\"K\","
	      "\"media\":[\"x.jpg\",\"y.jpg\"],\"title\":\"T\",\"variants\":[{\"ean\":\"4006381333931\",\"on_hand\":7,\"sku\":\"K\","
	      "\"weight_g\":500}]}");
	/* The name itself wins over its alias. */
	gives("{\"id\":\"alias\",\"key\":\"K\",\"title\":\"T\"}",
	      "{\"attributes\":{},\"categories\":[],\"key\":\"K\",\"media\":[],\"title\":\"T\",\"variants\":[{\"sku\":\"K\"}]}");
}

static void test_variants(void **state)
{
	(void)state;
	gives("{\"key\":\"K\",\"title\":\"T\",\"variants\":[{\"sku\":\"A\",\"title\":\"Red\",\"options\":{\"c\":\"red\"},\"price\":1},{\"sku\":2}]}",
	      "{\"attributes\":{},\"categories\":[],\"key\":\"K\",\"media\":[],\"title\":\"T\",\"variants\":[{\"currency\":\"USD\","
	      "\"options\":{\"c\":\"red\"},\"price\":1,\"sku\":\"A\",\"title\":\"Red\"},{\"sku\":\"2\"}]}");
	refuses("{\"title\":\"T\",\"variants\":[]}", "variants");
	refuses("{\"title\":\"T\",\"variants\":{}}", "variants");
	refuses("{\"title\":\"T\",\"variants\":[5]}", "variants");
	refuses("{\"title\":\"T\",\"variants\":[{}]}", "sku");
	refuses("{\"title\":\"T\",\"variants\":[{\"sku\":\"A\",\"on_hand\":-1}]}", "on_hand");
	refuses("{\"title\":\"T\"}", "sku");
}

static void test_bad_rows(void **state)
{
	char long_name[400];

	(void)state;
	refuses("[]", "row");
	refuses("\"x\"", "row");
	refuses("null", "row");
	refuses("{\"sku\":\"A\"}", "title");
	refuses("{\"sku\":\"A\",\"title\":\"\"}", "title");
	refuses("{\"sku\":\"A\",\"title\":[\"x\"]}", "title");
	refuses("{\"sku\":\"A\",\"title\":true}", "title");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"slug\":\"No Slug\"}", "slug");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"tax_class\":\"luxury\"}", "tax_class");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"on_hand\":\"many\"}", "on_hand");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"on_hand\":1.5}", "on_hand");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"weight_g\":1e300}", "weight_g");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"categories\":5}", "categories");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"media\":[5]}", "media");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"media\":[\"a.jpg\",\"../b.jpg\"]}", "media");
	refuses("{\"sku\":\"A\",\"title\":\"T\",\"media\":\"https://x.example/a.jpg\"}", "media");
	(void)snprintf(long_name, sizeof(long_name), "{\"sku\":\"A\",\"title\":\"T\",\"media\":[\"%0301d\"]}", 7);
	refuses(long_name, "media");
}

/* Stray control characters and line separators of real catalogues become blanks instead of costing the row. */
static void test_control_characters(void **state)
{
	(void)state;
	gives("{\"sku\":\"A\",\"title\":\"Tea\\u0007pot\\u007f \\u0085x\\u2028y\\tz\",\"description\":\"one\\ntwo\\u000bthree\"}",
	      "{\"attributes\":{},\"categories\":[],\"description\":\"one\\ntwo three\",\"key\":\"A\",\"media\":[],"
	      "\"title\":\"Tea pot   x y z\",\"variants\":[{\"sku\":\"A\"}]}");
}

static void test_derived_category(void **state)
{
	const struct import_rules derive = { "USD", "product_type" };
	struct err e;
	char *text = row("{\"sku\":\"A\",\"title\":\"T\",\"attr_t_product_type\":\"Tea Pots\"}", &derive, &e);

	(void)state;
	assert_non_null(text);
	assert_non_null(strstr(text, "\"derive\":\"Tea Pots\""));
	free(text);
	text = row("{\"sku\":\"A\",\"title\":\"T\"}", &derive, &e);
	assert_non_null(text);
	assert_null(strstr(text, "derive"));
	free(text);
}

static void test_csv(void **state)
{
	char *names[] = { (char *)"key", (char *)"title", (char *)"price", (char *)"option:size", (char *)"attr:finish", (char *)"stock" };
	char *good[] = { (char *)"K", (char *)"T", (char *)"9.99", (char *)"L", (char *)"", (char *)"3" };
	char *bad[] = { (char *)"K", (char *)"T\xff", (char *)"9.99", (char *)"L", (char *)"matt", (char *)"3" };
	struct err e = { 0 };
	json_t *doc = import_row_from_csv(names, good, 6, &rules, &e);
	char *text;

	(void)state;
	assert_non_null(doc);
	text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, "{\"attributes\":{},\"categories\":[],\"key\":\"K\",\"media\":[],\"title\":\"T\",\"variants\":[{"
				  "\"currency\":\"USD\",\"on_hand\":3,\"options\":{\"size\":\"L\"},\"price\":999,\"sku\":\"K\"}]}");
	free(text);
	json_decref(doc);
	assert_null(import_row_from_csv(names, bad, 6, &rules, &e));
	assert_string_equal(e.details[0].field, "title");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decimals), cmocka_unit_test(test_least_row), cmocka_unit_test(test_prices),
		cmocka_unit_test(test_unknown_names_become_attributes), cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_variants), cmocka_unit_test(test_bad_rows),
		cmocka_unit_test(test_control_characters), cmocka_unit_test(test_derived_category), cmocka_unit_test(test_csv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
