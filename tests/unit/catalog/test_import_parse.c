/* Cutting an import into records and fields, however the bytes arrive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "services/catalog/import_parse.h"

static struct arena *a;

static int open_arena(void **state)
{
	(void)state;
	a = arena_new("test", 32 << 20);
	return 0;
}

static int close_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

/* All records of a text, each in <>, when it arrives in pieces of that many bytes. */
static const char *records(const char *text, size_t piece, bool csv)
{
	size_t total = strlen(text), have = 0, at = 0, len, skip;
	char *held = malloc(total + 1);
	struct buf out;
	char *result;

	buf_init(&out, 1 << 20);
	while (have < total) {
		size_t n = total - have < piece ? total - have : piece;

		memcpy(held + have, text + have, n);
		have += n;
		while (at < have && import_record(held + at, have - at, csv, have == total, &len, &skip)) {
			buf_str(&out, "<");
			buf_add(&out, held + at, len);
			buf_str(&out, ">");
			assert_true(skip > 0 && len <= skip);
			at += skip;
		}
	}
	assert_int_equal(at, total);
	result = arena_strndup(a, out.data ? out.data : "", out.len);
	buf_free(&out);
	free(held);
	return result;
}

static void same_however_cut(const char *text, bool csv, const char *wanted)
{
	for (size_t piece = 1; piece <= strlen(text); piece++)
		assert_string_equal(records(text, piece, csv), wanted);
}

static void test_lines(void **state)
{
	(void)state;
	same_however_cut("a\nb\r\nc", false, "<a><b><c>");
	same_however_cut("a\n\n\nb\n", false, "<a><><><b>");
	same_however_cut("{\"a\":\"x\"}\n{\"b\":\"\\\"\"}\n", false, "<{\"a\":\"x\"}><{\"b\":\"\\\"\"}>");
	same_however_cut("\n", false, "<>");
	same_however_cut("a\r", false, "<a>");
}

static void test_quoted_line_ends(void **state)
{
	(void)state;
	same_however_cut("a,\"b\nc\",d\ne", true, "<a,\"b\nc\",d><e>");
	same_however_cut("\"a\"\"\n\"\"b\"\r\nc\r\n", true, "<\"a\"\"\n\"\"b\"><c>");
	same_however_cut("\"\"\n\"\"\n", true, "<\"\"><\"\">");
}

/* A quote inside an unquoted field is an inch, not the beginning of a text: it must not swallow the rows behind it. */
static void test_lone_quotes(void **state)
{
	(void)state;
	same_however_cut("1,5\" pipe,x\n2,y,z\n", true, "<1,5\" pipe,x><2,y,z>");
	same_however_cut("a\"\nb\n", true, "<a\"><b>");
	same_however_cut("\"a\"b\"\nc\n", true, "<\"a\"b\"><c>");
}

static void test_nothing(void **state)
{
	size_t len = 7, skip = 7;

	(void)state;
	assert_false(import_record("", 0, true, true, &len, &skip));
	assert_false(import_record("abc", 3, true, false, &len, &skip));
	assert_false(import_record("\"abc\n", 5, true, false, &len, &skip));
	assert_true(import_record("\"abc\n", 5, true, true, &len, &skip)); /* open to the end: one record */
	assert_int_equal(skip, 5);
}

static const char *fields(const char *record)
{
	struct buf out;
	int n = -2;
	char **f = import_csv_fields(a, record, strlen(record), &n), *result;

	if (n < 0)
		return "malformed";
	buf_init(&out, 1 << 20);
	for (int i = 0; i < n; i++) {
		buf_str(&out, "<");
		buf_str(&out, f[i]);
		buf_str(&out, ">");
	}
	result = arena_strndup(a, out.data, out.len);
	buf_free(&out);
	return result;
}

static void test_fields(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "<>" },
		{ "a", "<a>" },
		{ "a,b,c", "<a><b><c>" },
		{ ",", "<><>" },
		{ "a,,b,", "<a><><b><>" },
		{ "\"a,b\",c", "<a,b><c>" },
		{ "\"a\"\"b\",\"\"", "<a\"b><>" },
		{ "\"\"\"\"", "<\">" },
		{ "\"a\nb\"", "<a\nb>" },
		{ "5\" pipe,x", "<5\" pipe><x>" },
		{ " \"a\"", "< \"a\">" },
		{ "\"a\",", "<a><>" },
		{ "\"a\" ,b", "malformed" },
		{ "\"a\"b", "malformed" },
		{ "\"a", "malformed" },
		{ "\"", "malformed" },
		{ "a,\"b", "malformed" },
		{ "\"a\"\"", "malformed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_string_equal(fields(pairs[i][0]), pairs[i][1]);
}

/* Random bytes: whole, in order, and no byte outside (the sanitizers watch). */
static void test_random(void **state)
{
	static const char letters[] = "a\",\n\r";
	unsigned seed = 12345;

	(void)state;
	for (int turn = 0; turn < 2000; turn++) {
		char text[40];
		size_t n = (size_t)(turn % 39) + 1;

		for (size_t i = 0; i < n; i++)
			text[i] = letters[(seed = seed * 1103515245 + 12345) >> 16 & 0xff ? (seed >> 20) % 5 : 0];
		text[n] = '\0';
		const char *whole = records(text, n, true);

		assert_string_equal(records(text, 1, true), whole);
		assert_string_equal(records(text, 3, true), whole);
		(void)fields(text);
		arena_reset(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_quoted_line_ends), cmocka_unit_test(test_lone_quotes),
		cmocka_unit_test(test_nothing), cmocka_unit_test(test_fields), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
