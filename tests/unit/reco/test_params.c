/* A training's parameters: read over the standard ones, refused by name, written back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "services/reco/params.h"

static void test_round_trip(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct train_params p, q;
	struct err e = { 0 };

	(void)state;
	params_read("{\"ridge\": 2.5, \"factors\": 0, \"neighbours\": 512}", &p, &e);
	assert_int_equal(e.n_details, 0);
	assert_true(p.ridge == 2.5 && p.factors == 0 && p.neighbours == 512 && p.sweeps == train_defaults.sweeps);
	params_read(params_text(a, &p), &q, &e);
	assert_int_equal(e.n_details, 0);
	assert_string_equal(params_text(a, &q), params_text(a, &p));
	params_read(NULL, &q, &e);
	assert_string_equal(params_text(a, &q), params_text(a, &train_defaults));
	assert_string_not_equal(params_text(a, &q), params_text(a, &p));
	arena_free(a);
}

/* With an error each fault is named; without, and for each fault, the standard value stays. */
static void test_faults(void **state)
{
	static const char *const bad[] = { "[]",	       "",		    "{",
					   "{\"ridge\": 0}",   "{\"ridge\": \"2\"}", "{\"factors\": 1.5}",
					   "{\"factors\": 513}", "{\"sweeps\": -1}", "{\"half_life_days\": 1e300}",
					   "{\"treads\": 2}", "{\"neighbours\": null}" };
	struct arena *a = arena_new("test", 1 << 20);
	struct train_params p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		params_read(bad[i], &p, &e);
		assert_int_equal(e.n_details, 1);
		assert_string_equal(e.details[0].field, "params");
		params_read(bad[i], &p, NULL);
		assert_string_equal(params_text(a, &p), params_text(a, &train_defaults));
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_round_trip), cmocka_unit_test(test_faults) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
