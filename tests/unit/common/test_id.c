#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/id.h"
#include "common/timeutil.h"

static void new_ids_are_valid_and_dated(void **state)
{
	char id[ID_LEN];
	int64_t before = wall_ms(), t;

	(void)state;
	id_new("ord", id);
	t = id_time_ms(id);
	assert_int_equal(strlen(id), 30);
	assert_true(id_valid("ord", id));
	assert_true(id_valid(NULL, id));
	assert_false(id_valid("usr", id));
	assert_true(t >= before && t <= wall_ms() + 100);
}

static void ids_increase(void **state)
{
	char a[ID_LEN], b[ID_LEN];

	(void)state;
	id_new("ord", a);
	for (int i = 0; i < 20000; i++) { /* more than one millisecond's worth */
		id_new("ord", b);
		assert_true(strcmp(a, b) < 0);
		memcpy(a, b, sizeof(a));
	}
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"",
		"ord",
		"ord_",
		"ord_01jd3k5z8q9w7x6y5t4s3r2p1",   /* 25 */
		"ord_01jd3k5z8q9w7x6y5t4s3r2p1nn", /* 27 */
		"ord_81jd3k5z8q9w7x6y5t4s3r2p1n",  /* more than 128 bits */
		"ord_01jd3k5z8q9w7x6y5t4s3r2p1l",  /* l is no digit */
		"ord_01JD3K5Z8Q9W7X6Y5T4S3R2P1N",
		"ord-01jd3k5z8q9w7x6y5t4s3r2p1n",
		"ord_01jd3k5z8q9w7x6y5t4s3r2p1n ",
		"ord_01jd3k5z8q9w7x6y5t4s3r2p1\n",
		"ordd_01jd3k5z8q9w7x6y5t4s3r2p1n",
		"ord_01jd3k5z8q9w7x6y5t4s3r2p1\xc3",
		"' OR 1=1 --",
	};

	(void)state;
	assert_true(id_valid("ord", "ord_01jd3k5z8q9w7x6y5t4s3r2p1n"));
	assert_false(id_valid("ord", NULL));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(id_valid("ord", bad[i]));
	assert_false(id_valid(NULL, "o_01jd3k5z8q9w7x6y5t4s3r2p1n"));
	assert_false(id_valid(NULL, "toolong_01jd3k5z8q9w7x6y5t4s3r2p1n"));
	assert_false(id_valid(NULL, "Ord_01jd3k5z8q9w7x6y5t4s3r2p1n"));
	assert_int_equal(id_time_ms("nonsense"), -1);
}

/* The specification's example: UUID 01890a5d-ac96-774b-bcce-b302099a8057. */
static void time_of_the_specification_example(void **state)
{
	(void)state;
	assert_true(id_time_ms("user_01h455vb4pex5vsknk084sn02q") == 0x01890a5dac96LL);
}

static void uuid_has_version_7(void **state)
{
	char u[37];

	(void)state;
	id_uuid(u);
	assert_int_equal(strlen(u), 36);
	assert_int_equal(u[14], '7');
	assert_non_null(strchr("89ab", u[19]));
	assert_int_equal(strspn(u, "0123456789abcdef-"), 36);
}

static void request_ids(void **state)
{
	(void)state;
	assert_true(id_request_ok("abcDEF_-12"));
	assert_true(id_request_ok("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_false(id_request_ok("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_false(id_request_ok("short12"));
	assert_false(id_request_ok("with space"));
	assert_false(id_request_ok("line\nbreak"));
	assert_false(id_request_ok(NULL));
}

static char many[4][2000][ID_LEN];
static void *make_many(void *arg)
{
	for (int i = 0; i < 2000; i++)
		id_new("evt", ((char(*)[ID_LEN])arg)[i]);
	return NULL;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void threads_never_share_one(void **state)
{
	pthread_t t[4];
	char(*all)[ID_LEN] = many[0];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, make_many, many[i]), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	qsort(all, 8000, ID_LEN, by_text);
	for (int i = 1; i < 8000; i++)
		assert_int_not_equal(strncmp(all[i - 1], all[i], 4 + 15), 0); /* time and counter alone differ */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ids_are_valid_and_dated), cmocka_unit_test(ids_increase),
		cmocka_unit_test(refused),		       cmocka_unit_test(time_of_the_specification_example),
		cmocka_unit_test(uuid_has_version_7),	       cmocka_unit_test(request_ids),
		cmocka_unit_test(threads_never_share_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
