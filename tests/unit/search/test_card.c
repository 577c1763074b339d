/* What ranking reads of a product, and facets counted over candidates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "services/search/card.h"
#include "services/search/engine.h"
#include "services/search/facet_count.h"

static bool word_of(const char *card, const char *lexeme, struct card_word *w_r)
{
	struct card_word w;

	while (card_next(&card, &w))
		if (w.hash == card_hash(lexeme, strlen(lexeme))) {
			*w_r = w;
			return true;
		}
	return false;
}

static void test_words(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct card_word w;
	char *card = card_make(a, "'lamp':2A,7A,9B,30C,31C 'led':3A 'wall':40C,41C,42C,43C,44C,45C,46C,47C,48C 'x':5 'led':80A ");

	(void)state;
	assert_true(word_of(card, "lamp", &w));
	assert_int_equal(w.tf[FIELD_TITLE], 2);
	assert_int_equal(w.tf[FIELD_NAMES], 1);
	assert_int_equal(w.tf[FIELD_TEXT], 2);
	assert_int_equal(w.tf[FIELD_ATTRS], 0);
	assert_int_equal(w.n_places, 2);
	assert_int_equal(w.places[0], 2);
	assert_int_equal(w.places[1], 7);
	assert_true(word_of(card, "led", &w)); /* said twice, one word */
	assert_int_equal(w.tf[FIELD_TITLE], 2);
	assert_int_equal(w.places[1], 63); /* the last place that there is */
	assert_true(word_of(card, "wall", &w));
	assert_int_equal(w.tf[FIELD_TEXT], 9);
	assert_true(word_of(card, "x", &w));
	assert_int_equal(w.tf[FIELD_ATTRS], 1);
	assert_false(word_of(card, "desk", &w));
	assert_string_equal(card_make(a, ""), "");
	arena_free(a);
}

/* Whatever the column holds, reading it ends. */
static void test_broken(void **state)
{
	static const char *const texts[] = { "", "0", "0000", "0000o", "0000o1", "00001\xff", "\xff\xfe", "0000p", "0000'" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *at = texts[i];
		struct card_word w;

		while (card_next(&at, &w))
			assert_true(w.n_places <= CARD_PLACES);
		assert_true(at <= texts[i] + strlen(texts[i]));
	}
}

static int64_t count_of(const struct facet_counts *c, const char *facet, const char *value)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->rows[i].facet, facet) == 0 && strcmp(c->rows[i].value, value) == 0)
			return c->rows[i].n;
	return 0;
}

static void test_facets(void **state)
{
	static const struct candidate rows[] = {
		{ .brand = "Sony", .vendor_id = "vnd_1", .availability = "in", .categories = "cat_a\x1f" "cat_b",
		  .attrs = "color:red\x1f" "colorful:yes\x1f" "size:4", .price = 1999, .rating_x100 = 450 },
		{ .brand = "Acme", .vendor_id = "vnd_1", .availability = "out", .categories = "cat_b", .attrs = "color:red",
		  .price = 2000, .rating_x100 = 200 },
		{ .brand = "Acme", .vendor_id = "vnd_2", .availability = "in", .categories = "", .attrs = "color:blue",
		  .price = 0 },
		{ .vendor_id = "vnd_2", .availability = "in", .price = -1 },
	};
	static const char *const names[] = { "brand", "vendor", "availability", "category", "rating", "price", "attr:color" };
	struct arena *a = arena_new("test", 1 << 20);
	struct facet_counts c = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		facet_count(a, names[i], rows, sizeof(rows) / sizeof(*rows), &c);
	assert_string_equal(c.rows[0].value, "Acme"); /* the most first */
	assert_string_equal(c.rows[0].label, "Acme");
	assert_int_equal(c.rows[0].n, 2);
	assert_int_equal(count_of(&c, "brand", "Sony"), 1);
	assert_int_equal(count_of(&c, "vendor", "vnd_2"), 2);
	assert_int_equal(count_of(&c, "availability", "in"), 3);
	assert_int_equal(count_of(&c, "category", "cat_b"), 2);
	assert_int_equal(count_of(&c, "rating", "4"), 1);
	assert_int_equal(count_of(&c, "rating", "2"), 2);
	assert_int_equal(count_of(&c, "rating", "1"), 2);
	assert_int_equal(count_of(&c, "price", "1"), 1); /* what is free is in the first bucket */
	assert_int_equal(count_of(&c, "price", "1000"), 1);
	assert_int_equal(count_of(&c, "price", "2000"), 1);
	assert_int_equal(count_of(&c, "attr:color", "red"), 2);
	assert_int_equal(count_of(&c, "attr:color", "blue"), 1);
	assert_int_equal(count_of(&c, "attr:color", "ful:yes"), 0);
	arena_free(a);
}

static void test_many_values(void **state)
{
	enum { N = 1000 };
	struct arena *a = arena_new("test", 1 << 22);
	struct candidate *rows = arena_array(a, N, sizeof(*rows));
	struct facet_counts c = { 0 };

	(void)state;
	for (size_t i = 0; i < N; i++)
		rows[i].brand = arena_printf(a, "brand %zu", i % 400 < 399 ? i % 400 : 0);
	facet_count(a, "brand", rows, N, &c);
	assert_int_equal(c.n, 50);
	assert_string_equal(c.rows[0].value, "brand 0");
	assert_int_equal(c.rows[0].n, 5);
	arena_free(a);
}

static void test_expected(void **state)
{
	struct query q = { .n = 2, .units = { { .df = 500 }, { .df = 100 } } };

	(void)state;
	assert_float_equal(engine_pg_expected(&q, 1, 1000), 50, 1e-9);
	assert_float_equal(engine_pg_expected(&q, 2, 1000), 0, 1e-9); /* there is none for two words */
	assert_float_equal(engine_pg_expected(&q, 3, 1000), 100, 1e-9); /* the rarest */
	q.n = 3;
	q.units[2].df = 2000; /* more than there are: the sum over forms of a word */
	assert_float_equal(engine_pg_expected(&q, 1, 1000), 50, 1e-9);
	assert_float_equal(engine_pg_expected(&q, 2, 1000), 550, 1e-9); /* one of the first two */
	assert_float_equal(engine_pg_expected(&q, 1, 0), 0, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	    cmocka_unit_test(test_broken),   cmocka_unit_test(test_facets),
		cmocka_unit_test(test_many_values), cmocka_unit_test(test_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
