#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/page.h"

static struct call c;

static int setup(void **state)
{
	static const struct key32 key = { { 7 } };

	(void)state;
	cursor_use_key(&key);
	c = (struct call){ .arena = arena_new("page", 1 << 20) };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(c.arena);
	return 0;
}

static void test_limit(void **state)
{
	struct page p = { 0 };
	int32_t limit = 0;

	(void)state;
	assert_int_equal(page_read(&c, false, 999, NULL, "f", "t", &p), OK);
	assert_int_equal(p.limit, 20);
	assert_int_equal(page_read(&c, true, 1, "", "f", "t", &p), OK);
	assert_int_equal(page_limit(&c, true, 100, &limit), OK);
	assert_int_equal(limit, 100);
	assert_int_equal(page_read(&c, true, 101, NULL, "f", "t", &p), E_INVALID);
	assert_string_equal(c.err.slug, "common.invalid_input");
	assert_string_equal(c.err.details[0].field, "limit");
	err_clear(&c.err);
	assert_int_equal(page_limit(&c, true, 0, &limit), E_INVALID);
	assert_int_equal(limit, 100); /* untouched */
}

static void test_earlier_details_count(void **state)
{
	struct page p = { 0 };

	(void)state;
	check_oneof(&c.err, "status", "burnt", "open|paid");
	assert_int_equal(page_read(&c, false, 0, NULL, "f", "t", &p), E_INVALID);
	assert_string_equal(c.err.details[0].field, "status");
}

static void test_the_next_page(void **state)
{
	struct page p = { 0 }, next = { 0 };
	char *cursor;

	(void)state;
	assert_int_equal(page_read(&c, true, 2, NULL, "things|x", "it", &p), OK);
	assert_int_equal(page_int(&p, 0, INT64_MAX), INT64_MAX);
	assert_null(page_text(&p, 1, NULL));
	assert_int_equal(page_shown(&p, 1), 1);
	assert_false(page_more(&p, 2));
	assert_true(page_more(&p, 3));
	assert_int_equal(page_shown(&p, 3), 2);
	cursor = page_next(&c, &p, (int64_t)-5, "prd_1");
	assert_int_equal(page_read(&c, true, 2, cursor, "things|y", "it", &next), E_INVALID);
	err_clear(&c.err);
	assert_int_equal(page_read(&c, true, 2, cursor, "things|x", "it", &next), OK);
	assert_int_equal(page_int(&next, 0, 0), -5);
	assert_string_equal(page_text(&next, 1, ""), "prd_1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_earlier_details_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_next_page, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
