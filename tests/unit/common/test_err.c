#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/err.h"

static void set_fills_and_returns(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, E_CONFLICT, "common.conflict", "row %d", 7), E_CONFLICT);
	assert_int_equal(e.code, E_CONFLICT);
	assert_string_equal(e.slug, "common.conflict");
	assert_string_equal(e.msg, "row 7");
	assert_true(err_is(&e, "common.conflict"));
	assert_false(err_is(&e, "common.gone"));
	assert_int_equal(err_set(NULL, E_GONE, "common.gone", "x"), E_GONE);
}

static void set_keeps_details(void **state)
{
	struct err e = { 0 };

	(void)state;
	err_detail(&e, "qty", "3", "only %d left", 3);
	e.retry_after_ms = 5;
	(void)err_set(&e, E_RULE, "common.rule", "x");
	assert_int_equal(e.n_details, 1);
	assert_int_equal(e.retry_after_ms, 5);
	assert_string_equal(e.details[0].field, "qty");
	assert_string_equal(e.details[0].value, "3");
	assert_string_equal(e.details[0].message, "only 3 left");
	err_clear(&e);
	assert_int_equal(e.n_details, 0);
	assert_int_equal(e.code, OK);
	assert_int_equal(e.retry_after_ms, 0);
}

static void details_are_bounded(void **state)
{
	struct err e = { 0 }, copy = { 0 };

	(void)state;
	for (int i = 0; i < 40; i++)
		err_detail(&e, "f", NULL, "%d", i);
	assert_int_equal(e.n_details, ERR_DETAILS_MAX);
	assert_string_equal(e.details[15].message, "15");
	(void)err_set(&e, E_INVALID, "common.invalid_input", "m");
	err_copy(&copy, &e);
	assert_int_equal(copy.n_details, ERR_DETAILS_MAX);
	assert_string_equal(copy.details[15].message, "15");
	assert_string_equal(copy.slug, e.slug);
}

/* Long text is cut at a character, never inside one. */
static void long_text_is_cut_whole(void **state)
{
	struct err e = { 0 };
	char text[2000];

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		memset(text, 'x', lead);
		for (size_t i = lead; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x98\x80", 4);
		text[1996] = '\0';
		err_clear(&e);
		(void)err_set(&e, E_INVALID, text, "%s", text);
		err_detail(&e, text, text, "%s", text);
		assert_true(utf8_valid(e.msg, strlen(e.msg)));
		assert_true(strlen(e.msg) > ERR_MSG_LEN - 6);
		assert_true(utf8_valid(e.slug, strlen(e.slug)));
		assert_true(utf8_valid(e.details[0].message, strlen(e.details[0].message)));
		assert_true(utf8_valid(e.details[0].value, strlen(e.details[0].value)));
		assert_true(strlen(e.details[0].value) > 58);
		assert_int_equal(strchr(e.details[0].message, '?') != NULL, 0);
	}
}

static void details_are_clean_text(void **state)
{
	struct err e = { 0 };

	(void)state;
	err_detail(&e, "a\nb", "\xff\xfe", "x%sy", "\x01\xc0\x80");
	assert_string_equal(e.details[0].field, "a?b");
	assert_string_equal(e.details[0].value, "??");
	assert_string_equal(e.details[0].message, "x???y");
	(void)err_set(&e, E_INVALID, "a\n\xff", "%.2s\r\n", "a\xc3\xa4");
	assert_string_equal(e.slug, "a??");
	assert_string_equal(e.msg, "a???");
}

static void table_is_consistent(void **state)
{
	size_t n, dup;
	const struct err_info *all = err_info_all(&n);

	(void)state;
	assert_true(n > 30);
	for (size_t i = 0; i < n; i++) {
		assert_true(all[i].code > OK && all[i].code < E_CODE_MAX_);
		assert_true(strlen(all[i].slug) < ERR_SLUG_LEN);
		assert_non_null(strchr(all[i].slug, '.'));
		assert_int_equal(strspn(all[i].slug, "abcdefghijklmnopqrstuvwxyz0123456789_."), strlen(all[i].slug));
		assert_int_equal(strspn(all[i].word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), strlen(all[i].word));
		assert_true(all[i].message[strlen(all[i].message) - 1] == '.');
		for (dup = 0; dup < i; dup++)
			assert_string_not_equal(all[i].slug, all[dup].slug);
		assert_ptr_equal(err_info(all[i].slug), &all[i]);
	}
}

static void unknown_slug_is_internal(void **state)
{
	(void)state;
	assert_string_equal(err_info("no.such_slug")->word, "INTERNAL");
	assert_string_equal(err_info(NULL)->slug, "common.internal");
	assert_string_equal(err_info("common.rate_limited")->word, "RATE_LIMITED");
}

static void codes_map_to_status(void **state)
{
	static const int want[] = { 200, 400, 401, 403, 404, 409, 410, 412, 428, 422, 413, 429, 503, 202, 503, 500 };

	(void)state;
	for (int c = OK; c < E_CODE_MAX_; c++)
		assert_int_equal(err_http_status((enum err_code)c), want[c]);
	assert_int_equal(err_http_status((enum err_code)99), 500);
	assert_int_equal(err_http_status((enum err_code)-1), 500);
	assert_string_equal(err_code_name(E_RETRY), "E_RETRY");
	assert_int_equal(err_code_from_wire(4), E_NOT_FOUND);
	assert_int_equal(err_code_from_wire(-1), E_INTERNAL);
	assert_int_equal(err_code_from_wire(1LL << 40), E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_and_returns),
		cmocka_unit_test(set_keeps_details),
		cmocka_unit_test(details_are_bounded),
		cmocka_unit_test(long_text_is_cut_whole),
		cmocka_unit_test(details_are_clean_text),
		cmocka_unit_test(table_is_consistent),
		cmocka_unit_test(unknown_slug_is_internal),
		cmocka_unit_test(codes_map_to_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
