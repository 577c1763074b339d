/* What is said of a canary by who clicked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "services/reco/canary.h"

static struct canary_counts of(int64_t shown, int64_t clicked, int64_t main_shown, int64_t main_clicked)
{
	return (struct canary_counts){ shown, clicked, main_shown, main_clicked };
}

static void assert_verdict(struct canary_counts c, enum canary_verdict meanwhile, enum canary_verdict at_end)
{
	assert_int_equal(canary_judge(&c, false), meanwhile);
	assert_int_equal(canary_judge(&c, true), at_end);
}

/* By hand: 80 of 1000 against 100 of 1000 pooled 0.09: -0.02 / sqrt(0.09 * 0.91 * 0.002) = -1.5627. */
static void test_distance(void **state)
{
	struct canary_counts c = of(1000, 80, 1000, 100), back = of(1000, 100, 1000, 80);

	(void)state;
	assert_float_equal(canary_distance(&c), -1.5627, 0.0001);
	assert_float_equal(canary_distance(&back), 1.5627, 0.0001);
}

static void test_verdicts(void **state)
{
	(void)state;
	assert_verdict(of(1000, 100, 9000, 900), CANARY_GOES_ON, CANARY_STAYS);
	assert_verdict(of(1000, 80, 1000, 100), CANARY_GOES_ON, CANARY_STAYS);	      /* -1.56 */
	assert_verdict(of(1000, 77, 1000, 100), CANARY_GOES_ON, CANARY_WITHDRAWN); /* -1.81 */
	assert_verdict(of(1000, 60, 1000, 100), CANARY_WITHDRAWN, CANARY_WITHDRAWN); /* -3.30 */
	assert_verdict(of(1000, 200, 1000, 100), CANARY_GOES_ON, CANARY_STAYS);
}

/* Too few on either side, or nobody or everybody clicked: nothing speaks against it. */
static void test_nothing_can_be_said(void **state)
{
	(void)state;
	assert_verdict(of(0, 0, 0, 0), CANARY_GOES_ON, CANARY_STAYS);
	assert_verdict(of(99, 0, 100000, 90000), CANARY_GOES_ON, CANARY_STAYS);
	assert_verdict(of(100000, 0, 99, 99), CANARY_GOES_ON, CANARY_STAYS);
	assert_verdict(of(100, 0, 100, 99), CANARY_WITHDRAWN, CANARY_WITHDRAWN);
	assert_verdict(of(500, 0, 500, 0), CANARY_GOES_ON, CANARY_STAYS);
	assert_verdict(of(500, 500, 500, 500), CANARY_GOES_ON, CANARY_STAYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_nothing_can_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
