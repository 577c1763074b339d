/* What people did, in memory: numbered names, cut at an instant, no more of one person than says something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "services/reco/past.h"

static void add(struct past_builder *b, int64_t ts, const char *who, const char *item)
{
	past_add(b, &(struct reco_event){ .ts = ts, .kind = RECO_VIEW, .subject = who, .session_id = who, .product_id = item });
}

static int32_t number_of(const struct past *p, const char *item)
{
	for (int32_t i = 0; i < p->items; i++)
		if (strcmp(p->item[i], item) == 0)
			return i;
	return -1;
}

static void test_a_robot_is_cut(void **state)
{
	struct arena *a = arena_new("test", SIZE_MAX);
	struct past_builder *b = past_begin();
	struct past p, cut;
	int64_t first = 0;
	int robot = 0;

	(void)state;
	for (int i = 0; i < PAST_OF_ONE + 500; i++) {
		char item[16];

		snprintf(item, sizeof(item), "p%d", i % 700);
		add(b, 1000 + i, "robot", item);
		if (i % 500 == 0)
			add(b, 1000 + i, i % 1000 ? "anna" : NULL, "p1");
	}
	past_end(b, a, &p);
	assert_int_equal(p.n, PAST_OF_ONE + 5);
	for (size_t i = 0; i < p.n; i++) {
		if (p.act[i].person == 0 && robot++ == 0)
			first = p.act[i].ts;
		assert_true(i == 0 || p.act[i - 1].ts <= p.act[i].ts);
		assert_in_range(p.act[i].item, 0, p.items - 1);
	}
	assert_int_equal(robot, PAST_OF_ONE);
	assert_int_equal(first, 1000 + 500); /* the latest are kept */
	assert_int_equal(p.act[p.n - 1].item, number_of(&p, arena_printf(a, "p%d", (PAST_OF_ONE + 499) % 700)));
	for (int32_t i = 1; i < p.items; i++)
		assert_true(strcmp(p.item[i - 1], p.item[i]) < 0);
	cut = past_before(&p, 1000 + 1000);
	assert_true(cut.n > 0 && cut.act[cut.n - 1].ts < 2000 && p.act[cut.n].ts >= 2000);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_a_robot_is_cut) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
