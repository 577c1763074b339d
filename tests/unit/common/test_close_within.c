/* A close that hangs costs a moment, and what it uses stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdatomic.h>
#include "common/close_within.h"
#include "common/timeutil.h"

struct thing {
	atomic_bool may_go, closed;
};

static void close_at_once(void *what)
{
	atomic_store(&((struct thing *)what)->closed, true);
}

static void close_late(void *what)
{
	struct thing *t = what;

	while (!atomic_load(&t->may_go))
		sleep_ms(1);
	atomic_store(&t->closed, true);
}

static void test_in_time(void **state)
{
	struct thing t = { 0 };

	(void)state;
	assert_true(close_within(close_at_once, &t, 10000));
	assert_true(atomic_load(&t.closed));
}

/* Nothing here points at the thing afterwards: the leak checker would say if nobody kept it. */
static void test_too_late(void **state)
{
	struct thing *t = calloc(1, sizeof(*t));
	int64_t begun = mono_ms();

	(void)state;
	assert_non_null(t);
	assert_false(close_within(close_late, t, 30));
	assert_true(mono_ms() - begun >= 29);
	assert_false(atomic_load(&t->closed));
	atomic_store(&t->may_go, true);
	while (!atomic_load(&t->closed))
		sleep_ms(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_time),
		cmocka_unit_test(test_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
