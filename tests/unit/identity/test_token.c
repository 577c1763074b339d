/* The secrets we hand out: only ours are known again, and one successor belongs to one token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/identity/person.h"
#include "services/identity/token.h"

static struct identity_keys keys;

static int setup(void **state)
{
	(void)state;
	memset(keys.index.b, 7, KEY_LEN);
	identity_keys_derive(&keys);
	return 0;
}

static void test_refresh_round_trip(void **state)
{
	struct refresh_token first, read, next, again;
	char id[ID_LEN];

	(void)state;
	id_new("ses", id);
	refresh_token_first(&keys, id, &first);
	assert_int_equal(strlen(first.text), REFRESH_TEXT_LEN - 1);
	assert_true(refresh_token_read(&keys, first.text, &read));
	assert_string_equal(read.session_id, id);
	assert_memory_equal(read.hash, first.hash, SHA256_LEN);
	refresh_token_next(&keys, &first, &next);
	refresh_token_next(&keys, &read, &again);
	assert_string_equal(next.text, again.text);
	assert_string_not_equal(next.text, first.text);
	assert_true(refresh_token_read(&keys, next.text, &read));
	assert_string_equal(read.session_id, id);
}

/* Every single character counts, and a token of other keys is nobody's. */
static void test_refresh_forged(void **state)
{
	struct identity_keys other = { 0 };
	struct refresh_token first, read;
	char id[ID_LEN], text[REFRESH_TEXT_LEN + 2];

	(void)state;
	id_new("ses", id);
	refresh_token_first(&keys, id, &first);
	for (size_t i = 0; i < strlen(first.text); i++) {
		memcpy(text, first.text, sizeof(first.text));
		text[i] = text[i] == 'a' ? 'b' : 'a';
		if (strcmp(text, first.text) != 0)
			assert_false(refresh_token_read(&keys, text, &read));
	}
	memset(other.index.b, 8, KEY_LEN);
	identity_keys_derive(&other);
	assert_false(refresh_token_read(&other, first.text, &read));
	assert_false(refresh_token_read(&keys, NULL, &read));
	assert_false(refresh_token_read(&keys, "", &read));
	(void)snprintf(text, sizeof(text), "%sA", first.text);
	assert_false(refresh_token_read(&keys, text, &read));
}

static void test_links(void **state)
{
	char a[LINK_TEXT_LEN], b[LINK_TEXT_LEN], again[LINK_TEXT_LEN];

	(void)state;
	link_token(&keys, "lnk_1", a);
	link_token(&keys, "lnk_2", b);
	link_token(&keys, "lnk_1", again);
	assert_string_equal(a, again);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), LINK_TEXT_LEN - 1);
}

static void test_recovery_codes(void **state)
{
	char code[RECOVERY_LEN], loose[32];
	uint8_t h1[SHA256_LEN], h2[SHA256_LEN];

	(void)state;
	for (int i = 0; i < 200; i++) {
		recovery_code_new(code);
		assert_int_equal(strlen(code), RECOVERY_LEN - 1);
		assert_int_equal(code[5], '-');
		assert_true(recovery_code_hash(&keys, "usr_a", code, h1));
		(void)snprintf(loose, sizeof(loose), " %.5s %s ", code, code + 6);
		for (char *p = loose; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		assert_true(recovery_code_hash(&keys, "usr_a", loose, h2));
		assert_memory_equal(h1, h2, SHA256_LEN);
		assert_true(recovery_code_hash(&keys, "usr_b", code, h2));
		assert_memory_not_equal(h1, h2, SHA256_LEN);
	}
	assert_false(recovery_code_hash(&keys, "usr_a", "aaaaa-aaaaa-a", h1));
	assert_false(recovery_code_hash(&keys, "usr_a", "aaaa1-aaaaa", h1));
	assert_false(recovery_code_hash(&keys, "usr_a", "aaaa\xc3\xa4", h1));
}

static void test_networks(void **state)
{
	struct arena *a = arena_new("test", 1 << 16);

	(void)state;
	assert_string_equal(person_short_ip(a, "203.0.113.77"), "203.0.113.0/24");
	assert_string_equal(person_short_ip(a, "2001:db8:1:2:3::9"), "2001:db8:1::/48");
	assert_string_equal(person_short_ip(a, "::ffff:203.0.113.77"), "203.0.113.0/24");
	assert_string_equal(person_ip_unit(a, "203.0.113.77"), "203.0.113.77");
	assert_string_equal(person_ip_unit(a, "2001:db8:1:2:3::9"), "2001:db8:1:2::/64");
	assert_string_equal(person_ip_unit(a, "2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
	assert_string_equal(person_ip_unit(a, "nonsense"), "");
	assert_string_equal(person_ip_unit(a, NULL), "");
	assert_string_equal(person_mask_name(a, "\xc3\x84nne Muster"), "\xc3\x84***");
	assert_null(person_mask_email(a, NULL));
	arena_free(a);
}

/* What one person's key sealed, neither another's key nor another column opens. */
static void test_person_keys(void **state)
{
	struct arena *a = arena_new("test", 1 << 16);
	struct err e = { 0 };
	struct keyring *ring1, *ring2, *again;
	struct pg_bytes sealed1, sealed2, secret, plain;

	(void)state;
	assert_int_equal(keyring_parse("1 0101010101010101010101010101010101010101010101010101010101010101\n", 67,
				       &keys.ring, &e), OK);
	assert_int_equal(person_key_new(&keys, a, "usr_1", &sealed1, &ring1, &e), OK);
	assert_int_equal(person_key_new(&keys, a, "usr_2", &sealed2, &ring2, &e), OK);
	assert_int_equal(crypto_seal_text(ring1, "t.c", "usr_1", "canary", a, &secret, &e), OK);
	assert_int_equal(person_key_open(&keys, a, "usr_1", sealed1, &again, &e), OK);
	assert_int_equal(crypto_open(again, "t.c", "usr_1", secret, a, &plain, &e), OK);
	assert_memory_equal(plain.data, "canary", 6);
	assert_int_not_equal(crypto_open(ring2, "t.c", "usr_1", secret, a, &plain, &e), OK);
	assert_int_not_equal(crypto_open(ring1, "t.d", "usr_1", secret, a, &plain, &e), OK);
	keyring_free(again);
	assert_int_not_equal(person_key_open(&keys, a, "usr_2", sealed1, &again, &e), OK);
	keyring_free(ring1);
	keyring_free(ring2);
	keyring_free(keys.ring);
	keys.ring = NULL;
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refresh_round_trip), cmocka_unit_test(test_refresh_forged),
		cmocka_unit_test(test_links),		   cmocka_unit_test(test_recovery_codes),
		cmocka_unit_test(test_networks),	   cmocka_unit_test(test_person_keys),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
