#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/money.h"
#include "common.pb-c.h"
#include "common/check.h"

static struct money usd(int64_t minor)
{
	struct money m;

	assert_int_equal(money_make(minor, "USD", &m, NULL), OK);
	return m;
}

static void currencies(void **state)
{
	const char *last = "", *c;
	size_t n = 0;

	(void)state;
	assert_int_equal(money_digits("USD"), 2);
	assert_int_equal(money_digits("JPY"), 0);
	assert_int_equal(money_digits("KWD"), 3);
	assert_int_equal(money_digits("usd"), -1);
	assert_int_equal(money_digits("USDX"), -1);
	assert_int_equal(money_digits("US"), -1);
	assert_int_equal(money_digits(""), -1);
	assert_false(money_valid_currency(NULL));
	assert_false(money_valid_currency("XXX"));
	for (; (c = money_currency_at(n)); n++) {
		assert_true(strcmp(last, c) < 0);
		assert_true(money_valid_currency(c));
		last = c;
	}
	assert_true(n > 150);
}

static void overflow_is_an_error_and_writes_nothing(void **state)
{
	struct err e = { 0 };
	struct money r = usd(77);

	(void)state;
	assert_int_equal(money_add(usd(INT64_MAX), usd(1), &r, &e), E_RULE);
	assert_string_equal(e.slug, "common.amount_range");
	assert_int_equal(money_sub(usd(INT64_MIN), usd(1), &r, &e), E_RULE);
	assert_int_equal(money_mul(usd(INT64_MAX / 2 + 1), 2, &r, &e), E_RULE);
	assert_int_equal(money_mul(usd(INT64_MIN), -1, &r, &e), E_RULE);
	assert_int_equal(money_neg(usd(INT64_MIN), &r, &e), E_RULE);
	assert_int_equal(money_ratio(usd(INT64_MAX), 3, 2, &r, &e), E_RULE);
	assert_int_equal(money_ratio(usd(INT64_MIN), INT64_MIN, 1, &r, &e), E_RULE);
	assert_int_equal(money_ratio(usd(1), 1, 0, &r, &e), E_INTERNAL);
	assert_int_equal(money_percent(usd(INT64_MAX), 10001, &r, &e), E_RULE);
	assert_true(money_minor(r) == 77);
}

static void currencies_do_not_mix(void **state)
{
	struct err e = { 0 };
	struct money eur, r = usd(77);
	int c = 9;

	(void)state;
	assert_int_equal(money_make(1, "EUR", &eur, &e), OK);
	assert_int_equal(money_add(usd(1), eur, &r, &e), E_RULE);
	assert_string_equal(e.slug, "common.currency_mismatch");
	assert_int_equal(money_sub(usd(1), eur, &r, &e), E_RULE);
	assert_int_equal(money_cmp(usd(1), eur, &c, &e), E_RULE);
	assert_int_equal(money_min(usd(1), eur, &r, &e), E_RULE);
	assert_int_equal(c, 9);
	assert_false(money_equal(usd(1), eur));
	assert_true(money_minor(r) == 77);
	assert_int_equal(money_make(1, "EURO", &r, &e), E_INVALID);
	assert_int_equal(money_make(1, NULL, &r, &e), E_INVALID);
}

static int64_t percent(int64_t minor, int64_t bp)
{
	struct money r;

	assert_int_equal(money_percent(usd(minor), bp, &r, NULL), OK);
	return money_minor(r);
}

static void percent_rounds_half_away_from_zero(void **state)
{
	(void)state;
	assert_int_equal(percent(1000, 825), 83); /* 82.5 */
	assert_int_equal(percent(-1000, 825), -83);
	assert_int_equal(percent(1000, -825), -83);
	assert_int_equal(percent(999, 825), 82); /* 82.4175 */
	assert_int_equal(percent(1999, 1900), 380); /* 379.81 */
	assert_int_equal(percent(0, 1900), 0);
	assert_true(percent(INT64_MAX, 10000) == INT64_MAX);
	assert_true(percent(INT64_MIN, 10000) == INT64_MIN);
}

static void ratio_with_odd_denominator(void **state)
{
	static const int64_t want[] = { -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2 }; /* n/3 for -5..5 */
	struct money r;

	(void)state;
	for (int64_t n = -5; n <= 5; n++) {
		assert_int_equal(money_ratio(usd(n), 1, 3, &r, NULL), OK);
		assert_true(money_minor(r) == want[n + 5]);
	}
	/* Net out of gross at 19 %: 11900 -> 10000. */
	assert_int_equal(money_ratio(usd(11900), 10000, 11900, &r, NULL), OK);
	assert_int_equal(money_minor(r), 10000);
}

static void split_examples(void **state)
{
	const int64_t w[] = { 1, 1, 1 }, z[] = { 0, 0, 0 }, u[] = { 0, 5, 0, 1 };
	struct money p[4];

	(void)state;
	assert_int_equal(money_split(usd(100), w, 3, p, NULL), OK);
	assert_int_equal(money_minor(p[0]), 34);
	assert_int_equal(money_minor(p[1]), 33);
	assert_int_equal(money_minor(p[2]), 33);
	assert_int_equal(money_split(usd(-100), w, 3, p, NULL), OK);
	assert_int_equal(money_minor(p[0]), -34);
	assert_int_equal(money_split(usd(100), z, 3, p, NULL), OK);
	assert_int_equal(money_minor(p[0]), 34);
	assert_int_equal(money_split(usd(7), u, 4, p, NULL), OK);
	assert_int_equal(money_minor(p[0]), 0);
	assert_int_equal(money_minor(p[1]), 6);
	assert_int_equal(money_minor(p[2]), 0);
	assert_int_equal(money_minor(p[3]), 1);
	assert_string_equal(money_cur(&p[3]), "USD");
}

static void split_refuses(void **state)
{
	const int64_t neg[] = { 1, -1 }, big[] = { INT64_MAX, 1 };
	struct err e = { 0 };
	struct money p[2];

	(void)state;
	assert_int_equal(money_split(usd(100), neg, 2, p, &e), E_RULE);
	assert_int_equal(money_split(usd(100), big, 2, p, &e), E_RULE);
	assert_int_equal(money_split(usd(100), neg, 0, p, &e), E_INTERNAL);
}

static int64_t random64(unsigned *seed)
{
	int64_t v = 0;

	for (int i = 0; i < 5; i++)
		v = (int64_t)((uint64_t)v << 15 ^ (uint64_t)rand_r(seed));
	return v;
}

/* For any total and weights: the parts add up, none is further than one unit from its share, weight 0 gets 0. */
static void split_always_adds_up(void **state)
{
	unsigned seed = 42;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = 1 + (size_t)(rand_r(&seed) % 20);
		int64_t w[20], total = random64(&seed), sum = 0;
		struct money p[20], back = usd(0);
		__int128 wsum = 0;

		if (round % 3 == 0)
			total %= 1000;
		for (size_t i = 0; i < n; i++) {
			w[i] = rand_r(&seed) % 4 == 0 ? 0 : (int64_t)((uint64_t)random64(&seed) >> (7 + rand_r(&seed) % 50));
			wsum += w[i];
		}
		assert_int_equal(money_split(usd(total), w, n, p, NULL), OK);
		for (size_t i = 0; i < n; i++) {
			__int128 share = wsum ? (__int128)total * w[i] / wsum : total / (int64_t)n;
			__int128 off = money_minor(p[i]) - share;

			assert_true(off >= -1 && off <= 1);
			assert_true(wsum == 0 || w[i] != 0 || money_minor(p[i]) == 0);
			sum = (int64_t)((uint64_t)sum + (uint64_t)money_minor(p[i]));
		}
		assert_true(sum == total);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(money_acc(&back, p[i], NULL), OK);
		assert_true(money_equal(back, usd(total)));
	}
}

static void extremes_split_too(void **state)
{
	const int64_t w[] = { INT64_MAX - 1, 1 }, one[] = { 5 };
	struct money p[2], r;

	(void)state;
	assert_int_equal(money_split(usd(INT64_MIN), w, 2, p, NULL), OK);
	assert_int_equal(money_add(p[0], p[1], &r, NULL), OK);
	assert_true(money_minor(r) == INT64_MIN);
	assert_int_equal(money_split(usd(INT64_MIN), one, 1, p, NULL), OK);
	assert_true(money_minor(p[0]) == INT64_MIN);
	assert_int_equal(money_split(usd(INT64_MAX), w, 2, p, NULL), OK);
	assert_int_equal(money_add(p[0], p[1], &r, NULL), OK);
	assert_true(money_minor(r) == INT64_MAX);
}

static void format_of(int64_t minor, const char *cur, const char *want)
{
	struct money m;
	char out[MONEY_TEXT_LEN];

	assert_int_equal(money_make(minor, cur, &m, NULL), OK);
	assert_string_equal(money_format(m, out), want);
}

static void formats(void **state)
{
	(void)state;
	format_of(1999, "USD", "19.99 USD");
	format_of(-5, "USD", "-0.05 USD");
	format_of(0, "EUR", "0.00 EUR");
	format_of(-500, "JPY", "-500 JPY");
	format_of(1234, "KWD", "1.234 KWD");
	format_of(INT64_MIN, "USD", "-92233720368547758.08 USD");
}

static void wire(void **state)
{
	struct arena *a = arena_new("test", 1000);
	Common__V1__Money pb = COMMON__V1__MONEY__INIT;
	struct err e = { 0 };
	struct money m;

	(void)state;
	assert_int_equal(money_from_pb(NULL, &m, &e), E_INVALID);
	assert_int_equal(money_from_pb(&pb, &m, &e), E_INVALID);
	pb.currency = (char *)"usd";
	pb.has_amount = true;
	pb.amount = -3;
	assert_int_equal(money_from_pb(&pb, &m, &e), E_INVALID);
	pb.currency = (char *)"EUR";
	assert_int_equal(money_from_pb(&pb, &m, &e), OK);
	assert_int_equal(money_sign(m), -1);
	assert_int_equal(money_to_pb(a, m)->amount, -3);
	assert_string_equal(money_to_pb(a, m)->currency, "EUR");
	err_clear(&e);
	assert_false(check_money(&e, "price", &pb, 0, 100));
	assert_string_equal(e.details[0].field, "price.amount");
	assert_true(check_money(&e, "price", &pb, -3, 100));
	assert_false(check_money(&e, "price", NULL, 0, 100));
	assert_int_equal(e.n_details, 2);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(currencies),
		cmocka_unit_test(overflow_is_an_error_and_writes_nothing),
		cmocka_unit_test(currencies_do_not_mix),
		cmocka_unit_test(percent_rounds_half_away_from_zero),
		cmocka_unit_test(ratio_with_odd_denominator),
		cmocka_unit_test(split_examples),
		cmocka_unit_test(split_refuses),
		cmocka_unit_test(split_always_adds_up),
		cmocka_unit_test(extremes_split_too),
		cmocka_unit_test(formats),
		cmocka_unit_test(wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
