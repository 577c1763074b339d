/* Candidates kept in the process: the same ones come back, for their time, under their key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/timeutil.h"
#include "services/reco/hot.h"

static struct candidate list[HOT_ITEMS + 10], room[HOT_ITEMS];
static char names[HOT_ITEMS + 10][40];

static int open_list(void **state)
{
	(void)state;
	for (int i = 0; i < HOT_ITEMS + 10; i++) {
		snprintf(names[i], sizeof(names[i]), "prd_%026d", i);
		list[i] = (struct candidate){ names[i], i < 3 ? "for_you" : "trending", i % 2 ? "prd_because" : NULL, 1.0 / (i + 3) };
	}
	return 0;
}

static void same(const struct candidates *got, size_t n, size_t own)
{
	assert_int_equal(got->n, n);
	assert_int_equal(got->own, own);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(got->list[i].id, list[i].id);
		assert_string_equal(got->list[i].reason, list[i].reason);
		assert_true(got->list[i].score == list[i].score);
		if (i % 2)
			assert_string_equal(got->list[i].because, "prd_because");
		else
			assert_null(got->list[i].because);
	}
}

static void test_kept(void **state)
{
	struct hot *h = hot_new();
	struct arena *a = arena_new("test", 1 << 20);
	struct candidates in = { list, 20, HOT_ITEMS, 5 }, out = { .list = room, .room = HOT_ITEMS };

	(void)state;
	assert_false(hot_get(h, a, "reco:v1:related:00000001", &out));
	hot_put(h, "reco:v1:related:00000001", &in, 1000);
	hot_put(NULL, "reco:v1:related:00000001", &in, 1000);
	assert_false(hot_get(NULL, a, "reco:v1:related:00000001", &out));
	assert_true(hot_get(h, a, "reco:v1:related:00000001", &out));
	same(&out, 20, 5);
	/* Of another model: not what was asked for. */
	assert_false(hot_get(h, a, "reco:v2:related:00000001", &out));
	in.n = HOT_ITEMS + 10, in.own = HOT_ITEMS + 5;
	hot_put(h, "reco:v2:related:00000001", &in, 1000);
	assert_true(hot_get(h, a, "reco:v2:related:00000001", &out));
	same(&out, HOT_ITEMS, HOT_ITEMS);
	assert_true(hot_get(h, a, "reco:v1:related:00000001", &out));
	same(&out, 20, 5);
	out.room = 10;
	assert_false(hot_get(h, a, "reco:v2:related:00000001", &out));
	hot_free(h);
	hot_free(NULL);
	arena_free(a);
}

static void test_ends(void **state)
{
	struct hot *h = hot_new();
	struct arena *a = arena_new("test", 1 << 20);
	struct candidates in = { list, 20, HOT_ITEMS, 5 }, none = { list, 0, 0, 0 }, out = { .list = room, .room = HOT_ITEMS };
	int64_t until = mono_ms() + 30000;
	bool there = true;

	(void)state;
	hot_put(h, "k", &none, 1000);
	assert_false(hot_get(h, a, "k", &out));
	hot_put(h, "k", &in, 30);
	while (there && mono_ms() < until) {
		there = hot_get(h, a, "k", &out);
		arena_reset(a);
		sleep_ms(5);
	}
	assert_false(there);
	hot_free(h);
	arena_free(a);
}

/* So many lists asked for in turn, each under its digest; how many of the second round are there. */
static int second_round(int lists)
{
	struct hot *h = hot_new();
	struct arena *a = arena_new("test", 8 << 20);
	struct candidates out = { .list = room, .room = HOT_ITEMS };
	int found = 0;

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < lists; i++) {
			char key[KEPT_KEY_LEN], id[64];
			struct candidate one = { id, "trending", NULL, i };
			struct candidates in = { &one, 1, 1, 1 };
			const struct kept_on on = { .version = "v1", .type = "related", .product_id = id };

			snprintf(id, sizeof(id), "prd_%d", i);
			kept_key(&on, key);
			if (hot_get(h, a, key, &out)) {
				assert_string_equal(out.list[0].id, id);
				found += round;
			}
			hot_put(h, key, &in, HOT_MS);
		}
	hot_free(h);
	arena_free(a);
	return found;
}

/* Keys share the places: never another one's list, and few lists seldom meet. */
static void test_places(void **state)
{
	(void)state;
	assert_in_range(second_round(100), 90, 100);
	assert_in_range(second_round(4 * HOT_SLOTS), 0, HOT_SLOTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kept), cmocka_unit_test(test_ends), cmocka_unit_test(test_places) };

	return cmocka_run_group_tests(tests, open_list, NULL);
}
