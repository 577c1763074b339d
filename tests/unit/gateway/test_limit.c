/* gateway/limit.c: the rule itself, and counting without Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/limit.h"

static void burst_then_rate(void **state)
{
	struct gcra g = gcra_of(100);
	int64_t tat = 0, now = 1000000000;
	int ok = 0;

	(void)state;
	for (int i = 0; i < 500; i++)
		ok += gcra_take(&g, now, &tat);
	assert_int_equal(ok, 100);
	assert_false(gcra_take(&g, now + 599999, &tat));
	assert_true(gcra_take(&g, now + 600000, &tat));
	assert_false(gcra_take(&g, now + 600000, &tat));
	/* A minute later everything is back, and not more. */
	for (ok = 0; gcra_take(&g, now + 61000000, &tat); ok++)
		;
	assert_int_equal(ok, 100);
}

static void steady(void **state)
{
	struct gcra g = gcra_of(60);
	int64_t tat = 0, now = 5000000;

	(void)state;
	for (int i = 0; i < 10000; i++, now += 1000000)
		assert_true(gcra_take(&g, now, &tat));
	/* Fixed windows would allow twice the quota around their border. */
	now += 60000000;
	for (int i = 0; i < 60; i++)
		assert_true(gcra_take(&g, now, &tat));
	assert_false(gcra_take(&g, now + 900000, &tat));
}

static void extremes(void **state)
{
	struct gcra g = gcra_of(1000000000);
	int64_t tat = 0;

	(void)state;
	assert_true(g.interval >= 1);
	assert_true(gcra_take(&g, 1, &tat));
	g = gcra_of(1);
	tat = 0;
	assert_true(gcra_take(&g, 100, &tat));
	assert_false(gcra_take(&g, 100, &tat));
	assert_true(gcra_take(&g, 100 + 60000000, &tat));
}

static enum err_code once(struct limiter *l, enum rate_class c, const char *user, const char *addr, struct limit_answer *a)
{
	struct err e = { 0 };

	return limiter_check(l, c, user, addr, c != RATE_READ, a, &e);
}

static void alone(void **state)
{
	const struct limit_conf conf = { .user = 5, .anonymous = 3, .auth = 2, .suggest = 0 };
	struct limiter *l = limiter_new(&conf, NULL);
	struct limit_answer a;
	struct err e = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(once(l, RATE_READ, NULL, "1.1.1.1", &a), OK);
		assert_int_equal(a.remaining, 2 - i);
	}
	assert_int_equal(once(l, RATE_WRITE, NULL, "1.1.1.1", &a), E_EXHAUSTED); /* one budget for reads and writes */
	assert_true(a.retry_s >= 19 && a.retry_s <= 20);
	assert_int_equal(once(l, RATE_READ, NULL, "1.1.1.2", &a), OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(once(l, RATE_WRITE, "usr_1", "1.1.1.1", &a), OK);
	assert_string_equal(a.policy, "user");
	assert_int_equal(a.quota, 5);
	assert_int_equal(once(l, RATE_READ, "usr_1", "9.9.9.9", &a), E_EXHAUSTED);
	assert_int_equal(once(l, RATE_READ, "usr_2", "1.1.1.1", &a), OK);
	/* Signing in is counted by address, whoever the token says. */
	assert_int_equal(once(l, RATE_AUTH, "usr_2", "1.1.1.1", &a), OK);
	assert_int_equal(once(l, RATE_AUTH, "usr_3", "1.1.1.1", &a), OK);
	assert_int_equal(limiter_check(l, RATE_AUTH, NULL, "1.1.1.1", true, &a, &e), E_EXHAUSTED);
	assert_true(e.retry_after_ms >= 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(once(l, RATE_SUGGEST, NULL, "1.1.1.1", &a), OK);
	assert_null(a.policy);
	assert_true(limiter_guard(l, "1.1.1.1", &a));
	limiter_free(l);
}

/* More addresses than there is room for: nobody is locked out, nothing breaks. */
static void many(void **state)
{
	const struct limit_conf conf = { .anonymous = 1 };
	struct limiter *l = limiter_new(&conf, NULL);
	struct limit_answer a;
	char addr[32];

	(void)state;
	for (int i = 0; i < 60000; i++) {
		snprintf(addr, sizeof addr, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		assert_int_equal(once(l, RATE_READ, NULL, addr, &a), OK);
	}
	assert_int_equal(once(l, RATE_READ, NULL, addr, &a), E_EXHAUSTED);
	limiter_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_rate), cmocka_unit_test(steady), cmocka_unit_test(extremes),
		cmocka_unit_test(alone),	   cmocka_unit_test(many),
	};

	return cmocka_run_group_tests_name("gateway limits", tests, NULL, NULL);
}
