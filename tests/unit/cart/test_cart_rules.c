/* What a cart allows: tags, merging, codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "services/cart/cart.h"
#include "services/cart/cart_rules.h"

#define CART "crt_01jd000000000000000000000a"

static void test_tag_is_read_back(void **state)
{
	static const int64_t versions[] = { 1, 9, 10, 123456789, INT64_MAX };
	struct arena *a = arena_new("test", 1 << 16);

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		assert_int_equal(cart_etag_version(cart_etag(a, CART, versions[i]), CART), versions[i]);
	assert_string_equal(cart_etag(a, NULL, 0), "none");
	assert_int_equal(cart_etag_version("none", NULL), 0);
	arena_free(a);
}

static void test_foreign_tags(void **state)
{
	static const char *const bad[] = {
		"", "none", CART, CART "-", CART "-0", CART "-01", CART "--1", CART "-+1", CART "- 1", CART "-1x", CART "-1 ",
		CART "-99999999999999999999", CART "x-1", "crt_01jd000000000000000000000b-1", "1", "-1", "*", "W/" CART "-1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cart_etag_version(bad[i], CART) != -1)
			fail_msg("tag \"%s\" counts as version %lld", bad[i], (long long)cart_etag_version(bad[i], CART));
	assert_int_equal(cart_etag_version(NULL, CART), -1);
	assert_int_equal(cart_etag_version(NULL, NULL), -1);
	assert_int_equal(cart_etag_version(CART "-1", NULL), -1);
	assert_int_equal(cart_etag_version("nonesuch", NULL), -1);
}

static void test_merge_policy_words(void **state)
{
	enum merge_policy p = MERGE_KEEP_GUEST;

	(void)state;
	assert_true(cart_merge_policy(NULL, &p));
	assert_int_equal(p, MERGE_SUM);
	assert_true(cart_merge_policy("keep_user", &p));
	assert_int_equal(p, MERGE_KEEP_USER);
	assert_true(cart_merge_policy("keep_guest", &p));
	assert_int_equal(p, MERGE_KEEP_GUEST);
	assert_true(cart_merge_policy("sum", &p));
	assert_int_equal(p, MERGE_SUM);
	assert_false(cart_merge_policy("", &p));
	assert_false(cart_merge_policy("SUM", &p));
	assert_false(cart_merge_policy("keep_users", &p));
}

static void test_merge_qty(void **state)
{
	(void)state;
	assert_int_equal(cart_merge_qty(MERGE_SUM, 2, 3), 5);
	assert_int_equal(cart_merge_qty(MERGE_KEEP_USER, 2, 3), 2);
	assert_int_equal(cart_merge_qty(MERGE_KEEP_GUEST, 2, 3), 3);
	assert_int_equal(cart_merge_qty(MERGE_SUM, CART_QTY_MAX - 1, 1), CART_QTY_MAX);
	assert_int_equal(cart_merge_qty(MERGE_SUM, CART_QTY_MAX, 1), CART_QTY_MAX);
	assert_int_equal(cart_merge_qty(MERGE_SUM, CART_QTY_MAX, CART_QTY_MAX), CART_QTY_MAX);
}

static void test_coupon_codes(void **state)
{
	static const char *const bad[] = { "", "ab", "a b", "a.b", "abc\n", "caf\xc3\xa9", "a'b", "abcdefghijklmnopqrstuvwxyz0123456" };
	char out[33];

	(void)state;
	assert_true(cart_coupon_normal("save10", out));
	assert_string_equal(out, "SAVE10");
	assert_true(cart_coupon_normal("A-b_9", out));
	assert_string_equal(out, "A-B_9");
	assert_true(cart_coupon_normal("abcdefghijklmnopqrstuvwxyz012345", out));
	assert_int_equal(strlen(out), 32);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cart_coupon_normal(bad[i], out))
			fail_msg("\"%s\" passes as a code", bad[i]);
	assert_false(cart_coupon_normal(NULL, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag_is_read_back), cmocka_unit_test(test_foreign_tags),
		cmocka_unit_test(test_merge_policy_words), cmocka_unit_test(test_merge_qty),
		cmocka_unit_test(test_coupon_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
