/* AWS Signature Version 4 against the example that AWS publishes, and what changes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/s3_presign.h"

static struct arena *a;

static int up(void **state)
{
	(void)state;
	a = arena_new("test", 1 << 20);
	return 0;
}

static int down(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static struct s3_request example(void)
{
	return (struct s3_request){ .method = "GET", .base_url = "https://examplebucket.s3.amazonaws.com", .key = "test.txt",
				    .region = "us-east-1", .access_key = "AKIAIOSFODNN7EXAMPLE",
				    .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", .expires_s = 86400,
				    .now_ms = INT64_C(1369353600000) };
}

static const char *url_of(const struct s3_request *r)
{
	struct err e = { 0 };
	const char *url = NULL;

	if (s3_presign(a, r, &url, &e))
		fail_msg("%s %s", e.slug, e.msg);
	return url;
}

/* "Authenticating Requests: Using Query Parameters", the example of a presigned GET. */
static void test_published_example(void **state)
{
	struct s3_request r = example();

	(void)state;
	assert_string_equal(url_of(&r),
			    "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
			    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
			    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
			    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

static void test_headers_and_path(void **state)
{
	const struct s3_header headers[] = { { "content-type", "image/png" }, { "x-amz-acl", "private" } };
	struct s3_request r = example();
	const char *url, *plain;

	(void)state;
	r.headers = headers;
	r.n_headers = 2;
	r.base_url = "http://127.0.0.1:8027/souk-media/";
	r.key = "vnd_1/med_2.png";
	url = url_of(&r);
	assert_ptr_equal(strstr(url, "http://127.0.0.1:8027/souk-media/vnd_1/med_2.png?"), url);
	assert_non_null(strstr(url, "X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-acl&"));
	r.n_headers = 0;
	plain = url_of(&r);
	assert_string_not_equal(strstr(url, "X-Amz-Signature="), strstr(plain, "X-Amz-Signature="));
}

static void test_no_store(void **state)
{
	static const char *const bad[] = { "", "not a url", "https://", "https://x/?a=b" };
	struct s3_request r = example();
	struct err e = { 0 };
	const char *url;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		r.base_url = bad[i];
		assert_int_equal(s3_presign(a, &r, &url, &e), E_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_example),
		cmocka_unit_test(test_headers_and_path),
		cmocka_unit_test(test_no_store),
	};

	return cmocka_run_group_tests(tests, up, down);
}
