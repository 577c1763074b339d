#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#include "common/timeutil.h"

static void known_instants(void **state)
{
	char t[TIME_TEXT_LEN];

	(void)state;
	assert_string_equal(time_rfc3339(0, t), "1970-01-01T00:00:00.000Z");
	assert_string_equal(time_rfc3339(1768473000123, t), "2026-01-15T10:30:00.123Z");
	assert_string_equal(time_rfc3339(-1, t), "1969-12-31T23:59:59.999Z");
	assert_string_equal(time_rfc3339(951782400000, t), "2000-02-29T00:00:00.000Z");
	assert_string_equal(time_rfc3339(INT64_MAX, t), "9999-12-31T23:59:59.999Z");
	assert_string_equal(time_rfc3339(INT64_MIN, t), "0000-01-01T00:00:00.000Z");
}

/* Against the C library, over four centuries. */
static void agrees_with_gmtime(void **state)
{
	char ours[TIME_TEXT_LEN], libs[64];
	int64_t back;

	(void)state;
	for (int64_t s = -5000000000LL; s < 8000000000LL; s += 1234567) {
		time_t t = (time_t)s;
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(libs, sizeof(libs), "%Y-%m-%dT%H:%M:%S.007Z", &tm) > 0);
		assert_string_equal(time_rfc3339(s * 1000 + 7, ours), libs);
		assert_true(time_parse_rfc3339(ours, &back));
		assert_true(back == s * 1000 + 7);
	}
}

static void parses(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "2026-01-15T10:30:00Z", 1768473000000 },	{ "2026-01-15t10:30:00z", 1768473000000 },
		{ "2026-01-15 10:30:00Z", 1768473000000 },	{ "2026-01-15T12:30:00+02:00", 1768473000000 },
		{ "2026-01-15T05:00:00-05:30", 1768473000000 }, { "2026-01-15T10:30:00.5Z", 1768473000500 },
		{ "2026-01-15T10:30:00.123456789Z", 1768473000123 },
	};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(time_parse_rfc3339(good[i].text, &ms));
		assert_true(ms == good[i].ms);
	}
}

static void refuses(void **state)
{
	static const char *const bad[] = { "", "2026", "2026-01-15", "2026-01-15T10:30:00", "2026-01-15T10:30Z",
		"2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-15T24:00:00Z", "2026-01-15T10:60:00Z",
		"2026-01-15T10:30:60Z", "2026-01-15T10:30:00.Z", "2026-01-15T10:30:00+24:00", "2026-01-15T10:30:00+0200",
		"2026-01-15T10:30:00Zx", " 2026-01-15T10:30:00Z", "-026-01-15T10:30:00Z", "2026-01-15T10:30:00.1e3Z",
		"2026-1-15T10:30:00Z", "2026-01-15T10:30:00.0000000000000000000000000000000000000000000000000000Z" };
	int64_t ms = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(time_parse_rfc3339(bad[i], &ms));
	assert_false(time_parse_rfc3339(NULL, &ms));
	assert_true(ms == 42);
}

static void clocks(void **state)
{
	int64_t a = mono_ms(), us = mono_us();

	(void)state;
	sleep_ms(5);
	assert_true(mono_ms() - a >= 4);
	assert_true(mono_us() - us >= 5000);
	assert_true(wall_ms() > 1700000000000LL);
	sleep_ms(-5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_instants), cmocka_unit_test(agrees_with_gmtime), cmocka_unit_test(parses),
		cmocka_unit_test(refuses),	  cmocka_unit_test(clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
