#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timeutil.h"

static int fds[2];
static char got[1 << 20];
static size_t got_len;

static int open_pipe(void **state)
{
	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_true(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 65536) > 0);
	log_init("test", LVL_DEBUG);
	log_to_fd(fds[1]);
	log_ctx_clear();
	return 0;
}

static int close_pipe(void **state)
{
	(void)state;
	log_to_fd(2);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return 0;
}

static void drain_more(void)
{
	ssize_t n;

	while ((n = read(fds[0], got + got_len, sizeof(got) - 1 - got_len)) > 0)
		got_len += (size_t)n;
	got[got_len] = '\0';
}

static void drain(void)
{
	log_flush(1000); /* routine lines wait for company */
	got_len = 0;
	drain_more();
}

/* The single line that was logged, parsed; fails unless it is exactly one. */
static json_t *one_line(void)
{
	json_error_t err;
	json_t *j;

	drain();
	assert_true(got_len > 0 && got_len < 16384);
	assert_int_equal(got[got_len - 1], '\n');
	assert_ptr_equal(strchr(got, '\n'), got + got_len - 1);
	assert_int_equal(strlen(got), got_len);
	j = json_loadb(got, got_len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &err);
	if (!j)
		fail_msg("%s: %.300s", err.text, got);
	return j;
}

static const char *str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	assert_non_null(s);
	return s;
}

static void fields(void **state)
{
	const json_t *c;
	json_t *j;
	int64_t ms;

	(void)state;
	log_ctx_set("req_12345678", "usr_1", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	log_msg(LVL_INFO, "cart merged", LF_S("cart_id", "crt_1"), LF_I("lines", -5), LF_B("guest", true),
		LF_F("ratio", 0.5), LF_S("none", NULL), LF_I("least", INT64_MIN), LF_I("zero", 0), LF_END);
	j = one_line();
	assert_true(time_parse_rfc3339(str(j, "timestamp"), &ms));
	assert_true(ms > wall_ms() - 60000 && ms <= wall_ms());
	assert_string_equal(str(j, "level"), "INFO");
	assert_string_equal(str(j, "service"), "test");
	assert_string_equal(str(j, "log"), "app");
	assert_string_equal(str(j, "request_id"), "req_12345678");
	assert_string_equal(str(j, "user_id"), "usr_1");
	assert_string_equal(str(j, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_string_equal(str(j, "message"), "cart merged");
	assert_null(json_object_get(j, "stack_trace"));
	c = json_object_get(j, "context");
	assert_string_equal(str(c, "cart_id"), "crt_1");
	assert_int_equal(json_integer_value(json_object_get(c, "lines")), -5);
	assert_true(json_integer_value(json_object_get(c, "least")) == INT64_MIN);
	assert_true(json_is_integer(json_object_get(c, "zero")) && json_integer_value(json_object_get(c, "zero")) == 0);
	assert_true(json_is_true(json_object_get(c, "guest")));
	assert_true(json_is_null(json_object_get(c, "none")));
	assert_true(json_real_value(json_object_get(c, "ratio")) == 0.5);
	json_decref(j);
}

static void errors_carry_a_stack(void **state)
{
	struct err e = { 0 };
	json_t *j;

	(void)state;
	(void)err_set(&e, E_INTERNAL, "common.internal", "row %d is odd", 7);
	log_err(LVL_ERROR, "failed", &e);
	j = one_line();
	assert_string_equal(str(j, "level"), "ERROR");
	assert_true(json_array_size(json_object_get(j, "stack_trace")) > 1);
	assert_string_equal(str(json_object_get(j, "context"), "slug"), "common.internal");
	assert_string_equal(str(json_object_get(j, "context"), "error"), "row 7 is odd");
	json_decref(j);
}

static void streams_and_levels(void **state)
{
	json_t *j;

	(void)state;
	log_set_level(LVL_WARNING);
	log_msg(LVL_INFO, "silent", LF_END);
	log_msg(LVL_DEBUG, "silent", LF_END);
	drain();
	assert_int_equal(got_len, 0);
	log_msg(LVL_WARNING, "heard", LF_END);
	json_decref(one_line());
	log_access("GET /", LF_I("status", 200), LF_END);
	j = one_line();
	assert_string_equal(str(j, "log"), "access");
	json_decref(j);
	log_audit("price changed", LF_END);
	j = one_line();
	assert_string_equal(str(j, "log"), "audit");
	json_decref(j);
	log_set_level(LVL_DEBUG);
}

static void level_names(void **state)
{
	enum log_level l;

	(void)state;
	for (int i = LVL_DEBUG; i <= LVL_CRITICAL; i++) {
		assert_true(log_level_parse(log_level_name((enum log_level)i), &l));
		assert_int_equal(l, i);
	}
	assert_false(log_level_parse("info", &l));
	assert_false(log_level_parse(NULL, &l));
	assert_string_equal(log_level_name((enum log_level)77), "ERROR");
}

static void hostile_strings_stay_one_line(void **state)
{
	static const char *const bad[] = { "a\r\n{\"level\":\"CRITICAL\"}\r\n", "\"}\n", "\\", "\x1b[2J", "\xff\xfe\x80",
		"\xed\xa0\x80", "%n%s%s%s%n", "\xe2\x80\xa8", "\x7f\x01", "\xf0\x9f\x98" };
	json_t *j;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		log_ctx_set(bad[i], bad[i], bad[i]);
		log_msg(LVL_INFO, bad[i], LF_S(bad[i], bad[i]), LF_END);
		j = one_line();
		assert_string_equal(str(j, "level"), "INFO");
		assert_string_equal(str(j, "trace_id"), "");
		assert_int_equal(json_object_size(json_object_get(j, "context")), 1);
		json_decref(j);
	}
	log_msg(LVL_INFO, "a\r\nb", LF_END);
	j = one_line();
	assert_string_equal(str(j, "message"), "a\r\nb"); /* and nothing is lost */
	json_decref(j);
	log_msg(LVL_INFO, "a\xff" "b", LF_END);
	j = one_line();
	assert_string_equal(str(j, "message"), "a\xef\xbf\xbd" "b");
	json_decref(j);
}

static void random_bytes_stay_one_line(void **state)
{
	unsigned seed = 7;
	char s[3000];

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t n = (size_t)rand_r(&seed) % (sizeof(s) - 1);

		for (size_t i = 0; i < n; i++)
			s[i] = (char)(1 + rand_r(&seed) % 255);
		s[n] = '\0';
		log_ctx_set(s, s, s);
		log_msg(round % 2 ? LVL_ERROR : LVL_INFO, s, LF_S("a", s), LF_S("b", s), LF_S("c", s), LF_S("d", s),
			LF_S("e", s), LF_S("f", s), LF_S("g", s), LF_S("h", s), LF_END);
		json_decref(one_line());
	}
}

static void long_lines_are_cut_but_parse(void **state)
{
	static char big[100000], control[100000];
	const json_t *c;
	json_t *j;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	memset(control, 1, sizeof(control) - 1);
	log_msg(LVL_ERROR, control, LF_S("a", control), LF_S("b", control), LF_S("c", big), LF_END);
	j = one_line();
	json_decref(j);
	log_msg(LVL_INFO, "m", LF_S("a", big), LF_I("b", 5), LF_END);
	j = one_line();
	c = json_object_get(j, "context");
	assert_true(strlen(str(c, "a")) < 2100 && strlen(str(c, "a")) > 2000);
	assert_int_equal(json_integer_value(json_object_get(c, "b")), 5);
	json_decref(j);
	log_msg(LVL_INFO, NULL, LF_END);
	json_decref(one_line());
}

/* Lines of a usual length are built in less room than the longest: nothing may be lost at the seam. */
static void no_length_is_cut_early(void **state)
{
	static char text[1600];
	json_t *j;

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n += n < 600 || n > 1100 ? 97 : 1) {
		memset(text, n % 2 ? 'x' : '"', n);
		text[n] = '\0';
		log_msg(LVL_INFO, "m", LF_S("a", text), LF_I("b", 5), LF_END);
		j = one_line();
		assert_string_equal(str(json_object_get(j, "context"), "a"), text);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "context"), "b")), 5);
		json_decref(j);
	}
}

static void traceparents(void **state)
{
	static const char *const bad[] = { "", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };

	(void)state;
	log_ctx_set("r", "u", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	assert_string_equal(log_ctx_traceparent(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	assert_string_equal(log_ctx_request_id(), "r");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		log_ctx_set("r", "u", bad[i]);
		assert_string_equal(log_ctx_traceparent(), "");
	}
	log_ctx_set(NULL, NULL, NULL);
	assert_string_equal(log_ctx_request_id(), "");
}

/* A reader that stopped reading: every call returns at once, and later the loss is told. */
static void dead_reader_never_blocks(void **state)
{
	int64_t start = mono_ms(), lost, told = 0, lines = 0;
	const int calls = 20000;
	json_t *j;
	size_t n;

	(void)state;
	for (int i = 0; i < calls; i++)
		log_msg(LVL_INFO, "a line that nobody reads and that is long enough to fill a pipe soon", LF_I("i", i), LF_END);
	assert_true(mono_ms() - start < 20000);
	lost = log_dropped();
	assert_true(lost > 0 && lost < calls);
	/* The reader comes back: whole lines only, and one that tells. */
	got_len = 0;
	do {
		n = got_len;
		drain_more();
		log_flush(0);
	} while (n != got_len);
	for (char *p = got, *end; (end = strchr(p, '\n')); p = end + 1, lines++) {
		j = json_loadb(p, (size_t)(end - p), JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(j);
		json_decref(j);
	}
	assert_int_equal(got[got_len - 1], '\n');
	assert_int_equal(lines + lost, calls);
	log_msg(LVL_INFO, "after", LF_END);
	drain();
	j = json_loadb(got, got_len, 0, NULL);
	assert_non_null(j);
	told = json_integer_value(json_object_get(j, "lines_dropped"));
	json_decref(j);
	assert_int_equal(told, lost);
	assert_int_equal(log_dropped(), lost);
}

/* Without a flush a routine line comes within moments, and a warning takes all that waited along, in order. */
static void lazy_lines_come(void **state)
{
	int64_t until = mono_ms() + 5000;

	(void)state;
	log_msg(LVL_INFO, "first", LF_END);
	got_len = 0;
	while (!got_len && mono_ms() < until) {
		sleep_ms(5);
		drain_more();
	}
	assert_non_null(strstr(got, "first"));
	log_msg(LVL_INFO, "second", LF_END);
	log_msg(LVL_WARNING, "third", LF_END);
	got_len = 0;
	drain_more();
	assert_non_null(strstr(got, "second"));
	assert_true(strstr(got, "third") > strstr(got, "second"));
}

static void closed_reader_is_survived(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(fds[0]);
	for (int i = 0; i < 100; i++)
		log_msg(LVL_ERROR, "into the void", LF_END);
	fds[0] = open("/dev/null", O_RDONLY);
}

static void masks(void **state)
{
	char out[LOG_MASK_LEN];

	(void)state;
	assert_string_equal(log_mask_email("alice@example.org", out), "a***@e***");
	assert_string_equal(log_mask_email("\xc3\xa4x@example.org", out), "\xc3\xa4***@e***");
	assert_string_equal(log_mask_email("@example.org", out), "***");
	assert_string_equal(log_mask_email("alice", out), "***");
	assert_string_equal(log_mask_email(NULL, out), "***");
	assert_string_equal(log_mask_email("a@", out), "a***@***");
	assert_string_equal(log_mask_phone("+49301234567", out), "***67");
	assert_string_equal(log_mask_phone("12", out), "***");
	assert_string_equal(log_mask_phone(NULL, out), "***");
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_pipe, close_pipe)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(fields),
		T(errors_carry_a_stack),
		T(streams_and_levels),
		T(level_names),
		T(hostile_strings_stay_one_line),
		T(random_bytes_stay_one_line),
		T(long_lines_are_cut_but_parse), T(no_length_is_cut_early),
		T(traceparents),
		T(dead_reader_never_blocks),
		T(lazy_lines_come),
		T(closed_reader_is_survived),
		T(masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
