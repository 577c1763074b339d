/* Suggestions: what is found, in which order, with which mistakes; and how many people asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/timeutil.h"
#include "services/search/people.h"
#include "services/search/suggest_index.h"

#define DAY_MS 86400000LL

static struct suggest_index *shop(void)
{
	struct suggest_index *x = suggest_index_new();

	suggest_index_add(x, SUGGEST_PRODUCT, "Wireless headphones", "prd_1", "wireless-headphones", 5);
	suggest_index_add(x, SUGGEST_PRODUCT, "Sony WH-1000XM3 wireless headphones", "prd_2", "sony", 9);
	suggest_index_add(x, SUGGEST_PRODUCT, "Käsereibe fein", "prd_3", "kasereibe", 1);
	suggest_index_add(x, SUGGEST_PRODUCT, "Пылесос мощный", "prd_4", "p", 1);
	suggest_index_add(x, SUGGEST_QUERY, "wireless headphones for running", NULL, NULL, 3);
	suggest_index_add(x, SUGGEST_QUERY, "wireless mouse", NULL, NULL, 30);
	suggest_index_add(x, SUGGEST_BRAND, "Sony", NULL, NULL, 3);
	suggest_index_add(x, SUGGEST_CATEGORY, "Headphones", "cat_1", "headphones", 3);
	suggest_index_add(x, SUGGEST_WORD, "headphones", NULL, NULL, 3);
	suggest_index_add(x, SUGGEST_WORD, "headlamp", NULL, NULL, 2);
	suggest_index_finish(x);
	return x;
}

/* "kind:text|kind:text" with what was corrected before it in brackets. */
static const char *found(const struct suggest_index *x, struct arena *a, const char *typed, size_t limit)
{
	static const char kinds[] = "qcbpw";
	struct suggestions s;
	char *out;

	suggest_index_find(x, a, typed, limit, &s);
	out = arena_printf(a, "%s%s%s", s.corrected ? "[" : "", s.corrected ? s.corrected : "", s.corrected ? "]" : "");
	for (size_t i = 0; i < s.n; i++)
		out = arena_printf(a, "%s%s%c:%s", out, i ? "|" : "", kinds[s.v[i].kind], s.v[i].text);
	return out;
}

static void test_found(void **state)
{
	static const struct {
		const char *typed, *found;
	} rows[] = {
		{ "wirel", "q:wireless mouse|q:wireless headphones for running|p:Sony WH-1000XM3 wireless headphones|"
			   "p:Wireless headphones" },
		{ "head", "q:wireless headphones for running|c:Headphones|w:headlamp|p:Sony WH-1000XM3 wireless headphones|"
			  "p:Wireless headphones" },
		{ "SONY", "b:Sony|p:Sony WH-1000XM3 wireless headphones" },
		{ "headphones sony", "p:Sony WH-1000XM3 wireless headphones" }, /* in any order */
		{ "wh-1000", "p:Sony WH-1000XM3 wireless headphones" },
		{ "wh1000x", "p:Sony WH-1000XM3 wireless headphones" },
		{ "käse", "p:Käsereibe fein" },
		{ "kase", "p:Käsereibe fein" },
		{ "пылес", "p:Пылесос мощный" },
		{ "пылсос", "[пылесос]p:Пылесос мощный" },
		{ "headhp", "[headph]q:wireless headphones for running|c:Headphones|p:Sony WH-1000XM3 wireless headphones|"
			    "p:Wireless headphones" }, /* swapped */
		{ "xony", "[sony]b:Sony|p:Sony WH-1000XM3 wireless headphones" }, /* the first letter */
		{ "sonyy", "[sony]b:Sony|p:Sony WH-1000XM3 wireless headphones" },
		{ "wirless mou", "[wireless mou]q:wireless mouse" },
		{ "wireless mosue", "[wireless mouse]q:wireless mouse" },
		{ "mouse headl", "w:mouse headlamp" }, /* no text has both */
		{ "son", "b:Sony|p:Sony WH-1000XM3 wireless headphones" },
		{ "zon", "" },	   /* too short to be wrong */
		{ "wh1001xm", "" }, /* numbers are meant as they are */
		{ "", "" },
		{ "  --  ", "" },
	};
	struct arena *a = arena_new("test", 1 << 20);
	struct suggest_index *x = shop();

	(void)state;
	assert_int_equal(suggest_index_size(x), 10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(found(x, a, rows[i].typed, 10), rows[i].found);
	assert_string_equal(found(x, a, "head", 2), "q:wireless headphones for running|c:Headphones");
	suggest_index_free(x);
	arena_free(a);
}

static void test_nothing_in_it(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct suggest_index *x = suggest_index_new();

	(void)state;
	suggest_index_add(x, SUGGEST_PRODUCT, "--", "prd_1", NULL, 1);
	suggest_index_finish(x);
	assert_int_equal(suggest_index_size(x), 0);
	assert_string_equal(found(x, a, "anything here", 10), "");
	suggest_index_free(x);
	arena_free(a);
}

/* Many entries: the best of each kind are found whatever their number, each once, and nothing takes long. */
static void test_many(void **state)
{
	static const char *const typed[] = { "product", "p", "product wor", "prodcut word7", "wrod123 produc", "xq" };
	struct arena *a = arena_new("test", 8 << 20);
	struct suggest_index *x = suggest_index_new();
	int64_t begun;
	char text[80];

	(void)state;
	for (int i = 0; i < 30000; i++) {
		snprintf(text, sizeof(text), "word%c%c word product number%d product", 'a' + i % 26, 'a' + i / 26 % 26, i);
		suggest_index_add(x, SUGGEST_PRODUCT, text, "prd", text, i);
	}
	suggest_index_finish(x);
	snprintf(text, sizeof(text), "p:%s", "wordvj word product number29999 product");
	assert_string_equal(found(x, a, "prod", 1), text);
	begun = mono_ms();
	for (size_t i = 0; i < 60; i++) {
		arena_reset(a);
		(void)found(x, a, typed[i % 6], 10);
	}
	assert_true(mono_ms() - begun < 6000); /* 2 ms each without sanitizers on an idle machine; far less than this */
	suggest_index_free(x);
	arena_free(a);
}

static void test_people(void **state)
{
	struct people *p = people_new();
	int32_t n = 0;

	(void)state;
	assert_true(people_first(p, 5 * DAY_MS, "usr_1", "lamp"));
	assert_false(people_first(p, 5 * DAY_MS + 1, "usr_1", "lamp"));
	assert_true(people_first(p, 5 * DAY_MS + 1, "usr_2", "lamp"));
	assert_true(people_first(p, 5 * DAY_MS + 1, "usr_1", "desk"));
	assert_true(people_first(p, 6 * DAY_MS, "usr_1", "lamp")); /* the day before is forgotten */
	assert_false(people_first(p, 6 * DAY_MS, NULL, "lamp"));
	assert_false(people_first(p, 6 * DAY_MS, "", "lamp"));
	for (int i = 0; i < 10000; i++) {
		char who[32];

		snprintf(who, sizeof(who), "usr_%d", i + 100);
		n += people_first(p, 6 * DAY_MS, who, "lamp");
	}
	assert_in_range(n, 9990, 10000);
	people_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_nothing_in_it),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
