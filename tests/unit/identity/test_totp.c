/* RFC 6238 appendix B, RFC 4648 section 10, and the window around now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "services/identity/totp.h"

static const struct {
	int64_t time;
	const char *sha1, *sha256, *sha512;
} vectors[] = {
	{ 59, "94287082", "46119246", "90693936" },	     { 1111111109, "07081804", "68084774", "25091201" },
	{ 1111111111, "14050471", "67062674", "99943326" },  { 1234567890, "89005924", "91819424", "93441116" },
	{ 2000000000, "69279037", "90698825", "38618901" },  { 20000000000, "65353130", "77737706", "47863826" },
};

static void test_rfc6238(void **state)
{
	char seed[65], code[9];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		seed[i] = (char)('0' + (i + 1) % 10);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		int64_t step = totp_step(vectors[i].time);

		assert_true(totp_code(TOTP_SHA1, seed, 20, step, 8, code));
		assert_string_equal(code, vectors[i].sha1);
		assert_true(totp_code(TOTP_SHA256, seed, 32, step, 8, code));
		assert_string_equal(code, vectors[i].sha256);
		assert_true(totp_code(TOTP_SHA512, seed, 64, step, 8, code));
		assert_string_equal(code, vectors[i].sha512);
	}
	assert_false(totp_code(TOTP_SHA1, seed, 20, 1, 9, code));
	assert_false(totp_code(TOTP_SHA1, seed, 20, 1, 5, code));
}

static void test_window(void **state)
{
	const char *secret = "12345678901234567890";
	const int64_t now = 1234567890;
	char code[9];

	(void)state;
	for (int64_t off = -3; off <= 3; off++) {
		int64_t step = totp_step(now) + off;

		assert_true(totp_code(TOTP_SHA1, secret, 20, step, 6, code));
		assert_int_equal(totp_match(secret, 20, code, now, 0), off >= -1 && off <= 1 ? step : 0);
		assert_int_equal(totp_match(secret, 20, code, now, step), 0);
		assert_int_equal(totp_match(secret, 20, code, now, step - 1), off >= -1 && off <= 1 ? step : 0);
	}
	assert_int_equal(totp_match(secret, 20, "", now, 0), 0);
	assert_int_equal(totp_match(secret, 20, "0059240", now, 0), 0);
	assert_int_equal(totp_match(secret, 20, "00592", now, 0), 0);
}

static void test_base32(void **state)
{
	static const char *const in[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
	static const char *const want[] = { "", "MY", "MZXQ", "MZXW6", "MZXW6YQ", "MZXW6YTB", "MZXW6YTBOI" };
	char out[TOTP_BASE32_LEN];

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		totp_base32((const unsigned char *)in[i], strlen(in[i]), out);
		assert_string_equal(out, want[i]);
	}
	totp_base32((const unsigned char *)"12345678901234567890", 20, out);
	assert_string_equal(out, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc6238),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_base32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
