/* Lag, dead letters and the audit log as soukctl prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "deploy/soukctl/soukctl.h"

static const char lag[] = "{\"data\":[{\"source\":\"catalog\",\"behind\":3,\"parked\":2,\"dead_letters\":1,"
			  "\"last_applied_at\":\"2026-01-15T10:30:00.000Z\"},{\"source\":\"cart\"}],\"outbox_rows\":7,\"horizon_lag_ms\":12}";
static const char dead[] = "{\"data\":[{\"id\":\"dle_1\",\"source\":\"catalog\",\"type\":\"ProductChanged\",\"agg_type\":\"product\","
			   "\"agg_id\":\"prd_1\",\"attempts\":5,\"error\":\"dead: no such row\",\"failed_at\":\"2026-01-15T10:30:00.000Z\"}]}";
static const char audit[] =
	"{\"data\":[{\"changed_at\":\"2026-01-15T10:30:00.000Z\",\"actor\":\"usr_1\",\"request_id\":\"req_1\",\"action\":\"update\","
	"\"table_name\":\"product\",\"row_id\":\"prd_1\",\"before\":{\"title\":\"Old\",\"version\":1,\"same\":[1]},"
	"\"after\":{\"title\":\"New\",\"version\":2,\"same\":[1],\"more\":null}},"
	"{\"action\":\"insert\",\"after\":{\"a\":1}},{\"action\":\"delete\",\"before\":{\"a\":1}}]}";

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

static void test_lag(void **state)
{
	(void)state;
	assert_true(events_lag_text(lag, &out));
	assert_string_equal(buf_cstr(&out), "7 events written, the oldest not given out for 12 ms\n"
					    "  from catalog         3 behind      2 parked      1 dead, the last applied at 2026-01-15 10:30\n"
					    "  from cart            0 behind      0 parked      0 dead, the last applied at -\n");
}

static void test_dead_letters(void **state)
{
	(void)state;
	assert_true(events_dead_text(dead, &out));
	assert_string_equal(buf_cstr(&out), "  dle_1  catalog ProductChanged of product prd_1, 5 tries, failed at 2026-01-15 10:30\n"
					    "      dead: no such row\n");
	buf_reset(&out);
	assert_true(events_dead_text("{}", &out));
	assert_string_equal(buf_cstr(&out), "  none\n");
}

static void test_audit(void **state)
{
	(void)state;
	assert_true(audit_text(audit, &out));
	assert_string_equal(buf_cstr(&out), "2026-01-15T10:30:00.000Z update product prd_1 by usr_1, request req_1\n"
					    "    title: \"Old\" -> \"New\"\n"
					    "    version: 1 -> 2\n"
					    "    more: nothing -> null\n"
					    "- insert - - by -, request -\n"
					    "    a: nothing -> 1\n"
					    "- delete - - by -, request -\n"
					    "    a: 1 -> nothing\n");
	buf_reset(&out);
	assert_true(audit_text("{\"data\":[]}", &out));
	assert_string_equal(buf_cstr(&out), "no changes\n");
}

static void test_no_answers(void **state)
{
	static const char *const bad[] = { "", "[]", "{\"data\":5}", "{\"data\":[", "null", NULL };

	(void)state;
	for (int i = 0; bad[i]; i++) {
		assert_false(events_lag_text(bad[i], &out));
		assert_false(events_dead_text(bad[i], &out));
		assert_false(audit_text(bad[i], &out));
	}
	assert_true(events_lag_text("{\"data\":[5,null,{}]}", &out));
	assert_true(events_dead_text("{\"data\":[5,null,{\"attempts\":\"x\"}]}", &out));
	assert_true(audit_text("{\"data\":[5,{\"before\":[],\"after\":7}]}", &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lag, fresh, gone),
		cmocka_unit_test_setup_teardown(test_dead_letters, fresh, gone),
		cmocka_unit_test_setup_teardown(test_audit, fresh, gone),
		cmocka_unit_test_setup_teardown(test_no_answers, fresh, gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
