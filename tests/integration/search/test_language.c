/* A shop whose texts are German: words are cut and stemmed as German, in products and queries alike. */
#include "integration/search/world.h"

static const struct goods german[] = {
	{ "prd_d1", "Ergonomische Bürostühle", "Müller", "buero", "Zwei Stühle für das Büro.", "{\"farbe\":\"schwarz\"}", "BS-1", 19900 },
	{ "prd_d2", "Lampenschirm aus Leinen", "Rasch", "licht", "Für Stehlampen.", "{\"farbe\":\"weiß\"}", "LS-9", 4900 },
	{ "prd_d3", "Der Fußball", "Müller", "sport", "Ein Ball.", "{}", "FB-3", 2900 },
};

static void test_stems(void **state)
{
	(void)state;
	assert_string_equal(first("bürostuhl"), "prd_d1");
	assert_string_equal(first("burostuhl"), "prd_d1"); /* as it is typed without umlauts */
	assert_string_equal(first("lampenschirme"), "prd_d2");
	assert_string_equal(first("FUSSBÄLLE"), "prd_d3");
	assert_string_equal(first("weiss lampenschirm"), "prd_d2");
}

/* "der" and "für" are no words to look for; "the" is. */
static void test_stop_words(void **state)
{
	struct query q;

	(void)state;
	known_query(w.svc.known, w.a, w.svc.dict, "de", "der Stuhl für das Büro", &q);
	assert_int_equal(q.n, 2);
	known_query(w.svc.known, w.a, w.svc.dict, "de", "the Stuhl", &q);
	assert_int_equal(q.n, 2);
}

static void test_typo(void **state)
{
	Search__V1__SearchReply *r = find("lampenschrim");

	(void)state;
	assert_string_equal(r->corrected_query, "lampenschirm");
	assert_true(has(r, "prd_d2"));
}

/* Whoever asks in another language is told, rather than answered with nothing. */
static void test_other_language(void **state)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	(void)state;
	in.q = (char *)"lampenschirm";
	in.lang = (char *)"de";
	assert_true(ask(&in)->n_data > 0);
	in.lang = (char *)"en";
	assert_int_equal(handlers_ask(&w.h, w.a, "Search", &who_nobody, &in, NULL, NULL), E_INVALID);
}

static int open_german(void **state)
{
	world_lang = "de";
	*state = NULL;
	if (open_world(state))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(german); i++)
		put(&german[i], true);
	refresh();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stems),
		cmocka_unit_test(test_stop_words),
		cmocka_unit_test(test_typo),
		cmocka_unit_test(test_other_language),
	};

	return cmocka_run_group_tests(tests, open_german, close_world);
}
