/* Candidates as they are kept: the key changes with all they depend on, what was written is read, nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "services/reco/kept.h"

static void test_key(void **state)
{
	struct reco_history_row past[2] = { { .product_id = "a", .w = 1, .n_view = 1, .last_at = 5 },
					    { .product_id = "b", .w = 2, .n_view = 1, .last_at = 4 } };
	char *const cart[] = { (char *)"x", (char *)"yz" }, *const other[] = { (char *)"xy", (char *)"z" };
	const struct kept_on base = { .version = "v1", .type = "personal", .product_id = "p", .category = "c", .cart = cart,
				      .n_cart = 2, .past = past, .n_past = 2 };
	char keys[12][KEPT_KEY_LEN];
	struct kept_on k;
	size_t n = 0;

	(void)state;
	kept_key(&base, keys[n++]);
#define CHANGED(...) (k = base, __VA_ARGS__, kept_key(&k, keys[n++]))
	CHANGED(k.version = "v2");
	CHANGED(k.type = "related");
	CHANGED(k.product_id = NULL);
	CHANGED(k.product_id = "c", k.category = "p");
	CHANGED(k.category = "");
	CHANGED(k.cart = other);
	CHANGED(k.n_cart = 1);
	CHANGED(k.n_past = 1);
	past[0].n_view = 2;
	kept_key(&base, keys[n++]);
	past[0].n_view = 1, past[0].last_at = 6;
	kept_key(&base, keys[n++]);
	past[0].last_at = 5, past[1].rating = 4;
	kept_key(&base, keys[n++]);
	assert_int_equal(n, sizeof(keys) / sizeof(*keys));
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(keys[i], keys[j]);
	past[1].rating = 0, past[1].w = 1.5; /* time alone changes nothing */
	kept_key(&base, keys[1]);
	assert_string_equal(keys[0], keys[1]);
	assert_int_equal(strncmp(keys[0], "reco:v1:personal:", 17), 0);
}

static void test_round_trip(void **state)
{
	struct candidate list[200], back[200];
	struct candidates c = { .list = list, .n = 200, .room = 200, .own = 160 }, r = { .list = back, .room = 200 };
	struct arena *a = arena_new("test", 1 << 20);
	struct buf b;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		list[i] = (struct candidate){ arena_printf(a, "prd_%zu", i), i % 2 ? "similar" : "trending",
					      i % 3 ? "prd_0" : NULL, (double)i / 8 - 3 };
	buf_init(&b, 65536);
	kept_write(&b, &c);
	assert_true(kept_read(a, b.data, b.len, &r));
	assert_int_equal(r.n, 150); /* no more are kept */
	assert_int_equal(r.own, 150);
	for (size_t i = 0; i < r.n; i++) {
		assert_string_equal(back[i].id, list[i].id);
		assert_string_equal(back[i].reason, list[i].reason);
		assert_true(list[i].because ? strcmp(back[i].because, list[i].because) == 0 : !back[i].because);
		assert_true(back[i].score == list[i].score);
	}
	for (size_t n = 0; n < b.len; n++) /* cut short anywhere */
		assert_false(kept_read(a, b.data, n, &r));
	r.room = 149;
	assert_false(kept_read(a, b.data, b.len, &r));
	buf_reset(&b);
	c.own = 3;
	c.n = 7;
	kept_write(&b, &c);
	assert_true(kept_read(a, b.data, b.len, &r));
	assert_true(r.n == 7 && r.own == 3);
	buf_free(&b);
	arena_free(a);
}

static void test_nonsense(void **state)
{
	static const char good[] = "1 1 0\na\tb\t\t1\n", *const bad[] = { "", "\n", "1 1 0\n", "2 0 0\n", "1 0 1\n", "1 -1 0\n", "1 1 0\na\tb\t\tx\n",
					   "1 1 0\n\tb\t\t1\n", "1 1 0\na\t\t\t1\n", "1 1 0\na\tb\t\tnan\n",
					   "1 1 0\na\tb\t\t1\nmore", "1 1e9 0\n", "1 nan 0\n", "1 1 0\na\tb\t1\n" };
	struct candidate list[10];
	struct candidates c = { .list = list, .room = 10 };
	struct arena *a = arena_new("test", 1 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(kept_read(a, bad[i], strlen(bad[i]), &c));
	assert_int_equal(c.n, 0);
	assert_true(kept_read(a, good, strlen(good), &c));
	assert_true(c.n == 1 && !c.list[0].because);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
