/* The report of recommendations as soukctl prints it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "deploy/soukctl/soukctl.h"

static const char report[] =
	"{\"data\":[{\"placement\":\"home\",\"variant\":\"main\",\"model_version\":\"v1\",\"requests\":7,\"impressions\":200,"
	"\"clicks\":10,\"carts\":3,\"orders\":1,\"ctr\":0.05,\"ctr_low\":0.0274,\"ctr_high\":0.0896,\"fallbacks\":2},"
	"{\"placement\":\"cart\",\"variant\":\"none\",\"model_version\":\"none\",\"requests\":4}],"
	"\"days\":[{\"day\":\"2026-01-01\",\"variant\":\"main\",\"impressions\":100,\"clicks\":8},"
	"{\"day\":\"2026-01-02\",\"variant\":\"main\",\"impressions\":100,\"clicks\":2},"
	"{\"day\":\"2026-01-03\",\"variant\":\"main\",\"impressions\":0,\"clicks\":0}]}";

static struct buf out;

static int fresh(void **state)
{
	(void)state;
	buf_init(&out, 65536);
	return 0;
}

static int gone(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static void test_table_and_plot(void **state)
{
	(void)state;
	assert_true(reco_report_text(report, &out));
	assert_non_null(strstr(out.data, "home                 main    v1 "));
	assert_non_null(strstr(out.data, " 200      10 5.00 % (2.74 to 8.96)    "
				"     3      1\n"));
	assert_non_null(strstr(out.data, " 0       0 -                        "
				"     0      0\n")); /* never shown: no share */
	assert_non_null(strstr(out.data, "2026-01-01 main    ########################################   8.00 %  8 of 100\n"));
	assert_non_null(strstr(out.data, "2026-01-02 main    ##########                                 2.00 %  2 of 100\n"));
	assert_non_null(strstr(out.data, "2026-01-03 main                                               0.00 %  0 of 0\n"));
}

static void test_nothing_and_nonsense(void **state)
{
	(void)state;
	assert_true(reco_report_text("{}", &out));
	assert_string_equal(out.data, "nothing was recommended\n");
	buf_reset(&out);
	assert_false(reco_report_text("", &out));
	assert_false(reco_report_text("[]", &out));
	assert_false(reco_report_text("{\"data\": 1}", &out));
	assert_false(reco_report_text("{\"days\": {}}", &out));
	assert_int_equal(out.len, 0);
	assert_true(reco_report_text("{\"data\": [1, null], \"days\": [\"x\"]}", &out)); /* rows of nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table_and_plot, fresh, gone),
		cmocka_unit_test_setup_teardown(test_nothing_and_nonsense, fresh, gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
