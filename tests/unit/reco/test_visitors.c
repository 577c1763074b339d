/* What a visitor may send in an hour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "services/reco/visitors.h"

#define HOUR 3600000

static void test_limit_and_hour(void **state)
{
	struct visitors *v = visitors_new();
	int64_t now = 1000 * (int64_t)HOUR;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(visitors_take(v, "s-1", now, 10, 100));
	assert_false(visitors_take(v, "s-1", now, 1, 100));
	assert_true(visitors_take(v, "s-2", now, 100, 100));
	assert_false(visitors_take(v, "s-2", now + HOUR - 1, 1, 100));
	assert_true(visitors_take(v, "s-1", now + HOUR, 100, 100));
	visitors_free(v);
}

/* However many come, memory stays, and the one who sent most is not forgotten for the many who sent one. */
static void test_many_visitors_do_not_hide_one(void **state)
{
	struct visitors *v = visitors_new();
	int64_t now = 1000 * (int64_t)HOUR;
	char who[32];

	(void)state;
	assert_true(visitors_take(v, "s-robot", now, 100, 100));
	for (int i = 0; i < 50000; i++) {
		snprintf(who, sizeof(who), "s-%d", i);
		assert_true(visitors_take(v, who, now, 1, 100));
	}
	assert_false(visitors_take(v, "s-robot", now, 1, 100));
	visitors_free(v);
}

static void test_robots_by_name(void **state)
{
	(void)state;
	assert_true(visitors_is_robot("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"));
	assert_true(visitors_is_robot("ExampleCrawler"));
	assert_false(visitors_is_robot("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"));
	assert_false(visitors_is_robot("python-requests/2.31"));
	assert_false(visitors_is_robot(""));
	assert_false(visitors_is_robot(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_and_hour),
		cmocka_unit_test(test_many_visitors_do_not_hide_one),
		cmocka_unit_test(test_robots_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
