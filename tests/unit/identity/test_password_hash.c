/* Argon2id against RFC 9106 section 5.3, and the strings it is kept in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/crypto.h"
#include "services/identity/password_hash.h"

static const struct argon2_cost cheap = { 64, 1, 1 };

static void test_rfc9106(void **state)
{
	static const char want[] = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
	uint8_t password[32], salt[16], secret[8], ad[12], out[32];
	char hex[65];

	(void)state;
	memset(password, 1, sizeof(password));
	memset(salt, 2, sizeof(salt));
	memset(secret, 3, sizeof(secret));
	memset(ad, 4, sizeof(ad));
	assert_true(password_argon2id(&(struct argon2_cost){ 32, 3, 4 }, (struct argon2_bytes){ password, 32 },
				      (struct argon2_bytes){ salt, 16 }, (struct argon2_bytes){ secret, 8 },
				      (struct argon2_bytes){ ad, 12 }, out, sizeof(out)));
	hex_encode(out, sizeof(out), hex);
	assert_string_equal(hex, want);
}

/* A string that the reference tool printed: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 */
static void test_foreign_phc(void **state)
{
	struct err e = { 0 };
	bool match = false;

	(void)state;
	assert_int_equal(password_verify("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
					 "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
					 "password", &match, &e), OK);
	assert_true(match);
}

static void test_round_trip(void **state)
{
	static const char *const passwords[] = { "correct horse", "\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c 123", " " };
	char phc[PHC_LEN], again[PHC_LEN], other[64];
	struct err e = { 0 };
	bool match = false;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(password_hash(&cheap, passwords[i], phc, &e), OK);
		assert_int_equal(strncmp(phc, "$argon2id$v=19$m=64,t=1,p=1$", 28), 0);
		assert_int_equal(password_verify(phc, passwords[i], &match, &e), OK);
		assert_true(match);
		(void)snprintf(other, sizeof(other), "%sx", passwords[i]);
		assert_int_equal(password_verify(phc, other, &match, &e), OK);
		assert_false(match);
		assert_int_equal(password_hash(&cheap, passwords[i], again, &e), OK);
		assert_string_not_equal(phc, again);
	}
}

/* bcrypt would stop at byte 72. */
static void test_every_byte_counts(void **state)
{
	char long1[201], long2[201], phc[PHC_LEN];
	struct err e = { 0 };
	bool match = true;

	(void)state;
	memset(long1, 'a', 200);
	long1[200] = '\0';
	memcpy(long2, long1, sizeof(long1));
	long2[199] = 'b';
	assert_int_equal(password_hash(&cheap, long1, phc, &e), OK);
	assert_int_equal(password_verify(phc, long2, &match, &e), OK);
	assert_false(match);
}

static void test_weaker(void **state)
{
	char phc[PHC_LEN];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(password_hash(&cheap, "x", phc, &e), OK);
	assert_false(password_weaker(phc, &cheap));
	assert_true(password_weaker(phc, &(struct argon2_cost){ 65, 1, 1 }));
	assert_true(password_weaker(phc, &(struct argon2_cost){ 64, 2, 1 }));
	assert_false(password_weaker(phc, &(struct argon2_cost){ 32, 1, 1 }));
	assert_true(password_weaker("rubbish", &cheap));
}

static void test_rubbish(void **state)
{
	static const char *const bad[] = {
		"", "x", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", "$argon2id$v=19$m=64,t=1,p=1$$",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=19$m=64,t=1,p=1$c29t!!NhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };
		bool match = false;

		assert_int_equal(password_verify(bad[i], "x", &match, &e), E_INTERNAL);
		assert_false(match);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc9106),		  cmocka_unit_test(test_foreign_phc),
		cmocka_unit_test(test_round_trip),	  cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_weaker),		  cmocka_unit_test(test_rubbish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
