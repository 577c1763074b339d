#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto.h"

static uint8_t *unhex(const char *hex)
{
	static uint8_t out[4][512];
	static int turn;
	uint8_t *p = out[turn++ % 4];

	assert_true(hex_decode(hex, strlen(hex), p));
	return p;
}

static void sha256_vectors(void **state)
{
	uint8_t h[SHA256_LEN];
	char hex[SHA256_HEX_LEN];
	struct sha256_ctx *c;

	(void)state;
	sha256_hex("abc", 3, hex); /* FIPS 180-4 */
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	c = sha256_start();
	sha256_add(c, "a", 1);
	sha256_add(c, "", 0);
	sha256_add(c, "bc", 2);
	sha256_end(c, h);
	hex_encode(h, sizeof(h), hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void hmac(const char *key, size_t key_len, const char *data, size_t n, const char *want)
{
	uint8_t h[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	hmac_sha256(key, key_len, data, n, h);
	hex_encode(h, sizeof(h), hex);
	assert_string_equal(hex, want);
}

static void hmac_vectors_of_rfc4231(void **state)
{
	char a[200], d[200];

	(void)state;
	memset(a, 0x0b, 20);
	hmac(a, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac("Jefe", 4, "what do ya want for nothing?", 28,
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(a, 0xaa, 131);
	memset(d, 0xdd, 50);
	hmac(a, 20, d, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	hmac((char *)unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"), 25, memset(d, 0xcd, 50), 50,
		"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	hmac(a, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hmac(a, 131,
		"This is a test using a larger than block-size key and a larger than block-size data. The key needs to "
		"be hashed before being used by the HMAC algorithm.",
		152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void base64url_vectors(void **state)
{
	static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
	static const char *const coded[] = { "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy" };
	uint8_t out[16];
	char text[32];
	size_t n;

	(void)state;
	for (size_t i = 0; i < 7; i++) { /* RFC 4648, without padding */
		assert_int_equal(base64url_encode(plain[i], i, text), strlen(coded[i]));
		assert_string_equal(text, coded[i]);
		assert_true(base64url_decode(coded[i], strlen(coded[i]), out, sizeof(out), &n));
		assert_int_equal(n, i);
		assert_memory_equal(out, plain[i], i);
		assert_int_equal(strlen(text) + 1, BASE64URL_LEN(i));
	}
	/* RFC 7515 appendix C */
	assert_int_equal(base64url_encode("\x03\xec\xff\xe0\xc1", 5, text), 7);
	assert_string_equal(text, "A-z_4ME");
}

static void base64url_refuses(void **state)
{
	static const char *const bad[] = { "A", "AAAAA", "Zg==", "Zg=", "Zm8=", "Z g", "Zg\n", "+/+/", "Zh", "Zm9", "Z\xc3",
		"====", "Zm9v.", "_w=" };
	uint8_t out[16];
	size_t n = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(base64url_decode(bad[i], strlen(bad[i]), out, sizeof(out), &n));
	assert_false(base64url_decode("Zm9v", 4, out, 2, &n)); /* no room */
	assert_false(base64url_decode("Zm\0v", 4, out, 16, &n));
	assert_int_equal(n, 99);
}

/* Of all two- and three-character texts exactly one decodes to each value. */
static void base64url_is_canonical(void **state)
{
	static uint8_t seen[65536];
	uint8_t out[3];
	char t[3];
	size_t n, good = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (int a = 1; a < 128; a++)
		for (int b = 1; b < 128; b++)
			for (int c = 1; c < 128; c++) {
				t[0] = (char)a, t[1] = (char)b, t[2] = (char)c;
				if (!base64url_decode(t, 3, out, 3, &n))
					continue;
				assert_int_equal(seen[out[0] << 8 | out[1]]++, 0);
				good++;
			}
	assert_int_equal(good, 65536);
}

static void base64_standard(void **state)
{
	uint8_t out[16];
	char text[32];
	size_t n;

	(void)state;
	assert_int_equal(base64_encode("foob", 4, text), 8);
	assert_string_equal(text, "Zm9vYg==");
	assert_true(base64_decode("Zm9vYg==", 8, out, sizeof(out), &n));
	assert_int_equal(n, 4);
	assert_true(base64_decode("", 0, out, sizeof(out), &n));
	assert_int_equal(n, 0);
	assert_false(base64_decode("Zm9vYg", 6, out, sizeof(out), &n));
	assert_false(base64_decode("Zm9vYh==", 8, out, sizeof(out), &n));
	assert_false(base64_decode("Z===", 4, out, sizeof(out), &n));
	assert_false(base64_decode("====", 4, out, sizeof(out), &n));
	assert_false(base64_decode("Zg==Zg==", 8, out, sizeof(out), &n));
	assert_false(base64_decode("Zm9v-_==", 8, out, sizeof(out), &n));
}

static void comparing_and_random(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	char t1[44], t2[44];

	(void)state;
	assert_true(ct_equal(a, b, 64));
	b[63] = 1;
	assert_false(ct_equal(a, b, 64));
	assert_true(ct_equal(a, b, 63));
	random_bytes(a, 64);
	random_bytes(b, 64);
	assert_memory_not_equal(a, b, 64);
	random_token(t1);
	random_token(t2);
	assert_int_equal(strlen(t1), 43);
	assert_string_not_equal(t1, t2);
}

static const char ring1[] = "1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308\n";
static const char ring2[] = "# rotated\n1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308\n\n"
			    "7 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\r\n";

static struct keyring *ring(const char *text)
{
	struct keyring *k = NULL;

	assert_int_equal(keyring_parse(text, strlen(text), &k, NULL), OK);
	return k;
}

static void seal_opens_in_its_place_only(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct keyring *k = ring(ring1);
	struct pg_bytes s, s2, p;
	struct err e = { 0 };
	const char *text;

	(void)state;
	assert_int_equal(crypto_seal_text(k, "identity.users.email", "usr_1", "a@b.co", a, &s, &e), OK);
	assert_int_equal(s.len, 6 + CRYPTO_OVERHEAD);
	assert_null(memmem(s.data, s.len, "a@b", 3));
	assert_int_equal(crypto_seal_text(k, "identity.users.email", "usr_1", "a@b.co", a, &s2, &e), OK);
	assert_memory_not_equal(s.data, s2.data, s.len);
	assert_int_equal(crypto_open_text(k, "identity.users.email", "usr_1", s, a, &text, &e), OK);
	assert_string_equal(text, "a@b.co");
	assert_int_equal(crypto_open(k, "identity.users.email", "usr_2", s, a, &p, &e), E_INTERNAL);
	assert_string_equal(e.slug, "crypto.open");
	assert_int_equal(crypto_open(k, "identity.users.phone", "usr_1", s, a, &p, &e), E_INTERNAL);
	/* A separator moved from one part to the other is another place. */
	assert_int_equal(crypto_seal_text(k, "a.b|c", "d", "x", a, &s, &e), OK);
	assert_int_equal(crypto_open(k, "a.b", "c|d", s, a, &p, &e), E_INTERNAL);
	keyring_free(k);
	arena_free(a);
}

static void any_changed_bit_is_noticed(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct keyring *k = ring(ring1);
	struct pg_bytes s, p;
	struct err e = { 0 };
	uint8_t copy[64];

	(void)state;
	assert_int_equal(crypto_seal_text(k, "s.t.c", "r", "secret!", a, &s, &e), OK);
	for (size_t bit = 0; bit < s.len * 8; bit++) {
		memcpy(copy, s.data, s.len);
		copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
		assert_int_equal(crypto_open(k, "s.t.c", "r", (struct pg_bytes){ copy, s.len }, a, &p, &e), E_INTERNAL);
	}
	for (size_t n = 0; n < s.len; n++)
		assert_int_equal(crypto_open(k, "s.t.c", "r", (struct pg_bytes){ s.data, n }, a, &p, &e), E_INTERNAL);
	assert_int_equal(crypto_open(k, "s.t.c", "r", (struct pg_bytes){ NULL, 0 }, a, &p, &e), E_INTERNAL);
	keyring_free(k);
	arena_free(a);
}

static void null_empty_and_nul(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct keyring *k = ring(ring1);
	struct pg_bytes s, p;
	struct err e = { 0 };
	const char *text = "x";

	(void)state;
	assert_int_equal(crypto_seal_text(k, "s.t.c", "r", NULL, a, &s, &e), OK);
	assert_null(s.data);
	assert_int_equal(crypto_open_text(k, "s.t.c", "r", s, a, &text, &e), OK);
	assert_null(text);
	assert_int_equal(crypto_seal_text(k, "s.t.c", "r", "", a, &s, &e), OK);
	assert_int_equal(crypto_open_text(k, "s.t.c", "r", s, a, &text, &e), OK);
	assert_string_equal(text, "");
	assert_int_equal(crypto_seal(k, "s.t.c", "r", (struct pg_bytes){ "a\0b", 3 }, a, &s, &e), OK);
	assert_int_equal(crypto_open(k, "s.t.c", "r", s, a, &p, &e), OK);
	assert_memory_equal(p.data, "a\0b", 3);
	assert_int_equal(crypto_open_text(k, "s.t.c", "r", s, a, &text, &e), E_INTERNAL);
	assert_int_equal(crypto_seal(k, "s.t.c", "r", (struct pg_bytes){ "", (1u << 20) + 1 }, a, &s, &e), E_TOO_LARGE);
	keyring_free(k);
	arena_free(a);
}

static void rotation(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct keyring *old = ring(ring1), *new = ring(ring2);
	struct pg_bytes s, p;
	struct err e = { 0 };
	const char *text;

	(void)state;
	assert_int_equal(crypto_seal_text(old, "s.t.c", "r", "old", a, &s, &e), OK);
	assert_int_equal(crypto_open_text(new, "s.t.c", "r", s, a, &text, &e), OK);
	assert_string_equal(text, "old");
	assert_int_equal(crypto_seal_text(new, "s.t.c", "r", "new", a, &s, &e), OK);
	assert_memory_equal((const uint8_t *)s.data + 1, "\0\0\0\x07", 4);
	assert_int_equal(crypto_open(old, "s.t.c", "r", s, a, &p, &e), E_INTERNAL);
	keyring_free(old);
	keyring_free(new);
	arena_free(a);
}

/* Sealed by another implementation (Go's crypto/cipher) with this key, nonce cafebabefacedbaddecaf888 and our AAD. */
static void record_of_another_implementation_opens(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	struct keyring *k = ring(ring1);
	struct err e = { 0 };
	const char *text;
	static const char record[] = "0100000001cafebabefacedbaddecaf888f8749ca511b709a2345e5f0bf51d01"
				     "c98def4267bd0e3b241d116a332e6de440b78f62";
	struct pg_bytes s = { unhex(record), strlen(record) / 2 };

	(void)state;
	assert_int_equal(crypto_open_text(k, "identity.users.email", "usr_1", s, a, &text, &e), OK);
	assert_string_equal(text, "shopper@example.org");
	keyring_free(k);
	arena_free(a);
}

static void malformed_rings(void **state)
{
	static const char *const bad[] = {
		"",
		"# only a comment\n",
		"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"0 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"4294967296 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"99999999999999999999 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f946730830",
		"1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f94673083088",
		"1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f946730830g",
		"1 0000000000000000000000000000000000000000000000000000000000000000",
		("1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308\n"
		 "1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
		"-1 feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"1",
		"1 ",
	};
	struct keyring *k = NULL;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(keyring_parse(bad[i], strlen(bad[i]), &k, &e), E_INTERNAL);
		assert_string_equal(e.slug, "keys.invalid");
		assert_null(strstr(e.msg, "feff")); /* no key material in messages */
	}
	assert_null(k);
}

static void blind_index(void **state)
{
	struct arena *a = arena_new("test", 1000);
	struct key32 key = { { 7 } };
	uint8_t x[32], y[32], want[32];

	(void)state;
	crypto_blind_index(&key, "email", "a@b.co", x);
	hmac_sha256(key.b, 32, "email:v1:a@b.co", 15, want);
	assert_memory_equal(x, want, 32);
	crypto_blind_index(&key, "phone", "a@b.co", y);
	assert_memory_not_equal(x, y, 32);
	crypto_blind_index(&key, "email", crypto_normal_email(a, "  A@B.Co\t"), y);
	assert_memory_equal(x, y, 32);
	assert_string_equal(crypto_normal_email(a, " "), "");
	arena_free(a);
}

/* ---- key files ---- */

static void remove_tree(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *f;
	char path[600];

	while (d && (f = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
		if (f->d_name[0] != '.')
			(void)unlink(path);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

static size_t private_files(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *f;
	struct stat st;
	char path[600];
	size_t n = 0;

	assert_non_null(d);
	while ((f = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
		if (f->d_name[0] == '.')
			continue;
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		n++;
	}
	(void)closedir(d);
	return n;
}

static void keys_init_is_idempotent_and_private(void **state)
{
	char dir[] = "/tmp/souk-keys-XXXXXX", sub[100];
	struct key32 first, again;
	struct keyring *k = NULL;
	struct err e = { 0 };
	size_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sub, sizeof(sub), "%s/keys", dir);
	assert_int_equal(keys_init(sub, &e), OK);
	n = private_files(sub);
	assert_int_equal(n, 2 + 8 + 9 * 8 + 1);
	assert_int_equal(key_load(sub, "pair-gateway-cart.key", &first, &e), OK);
	assert_int_equal(key_load(sub, "pair-cart-cart.key", &again, &e), OK);
	assert_memory_not_equal(&first, &again, sizeof(first));
	assert_int_equal(keys_init(sub, &e), OK);
	assert_int_equal(private_files(sub), n);
	assert_int_equal(key_load(sub, "pair-gateway-cart.key", &again, &e), OK);
	assert_memory_equal(&first, &again, sizeof(first));
	assert_int_equal(keyring_load(sub, "cart", &k, &e), OK);
	keyring_free(k);
	key_wipe(&first);
	assert_memory_equal(&first, &(struct key32){ { 0 } }, sizeof(first));
	remove_tree(sub);
	remove_tree(dir);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[200];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void loaders_say_what_is_wrong(void **state)
{
	char dir[] = "/tmp/souk-keys-XXXXXX";
	struct key32 key;
	struct keyring *k = NULL;
	struct err e = { 0 };
	static char big[20000];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(key_load(dir, "cursor.key", &key, &e), E_INTERNAL);
	assert_string_equal(e.slug, "keys.missing");
	assert_non_null(strstr(e.msg, "cursor.key"));
	assert_int_equal(key_load("", "cursor.key", &key, &e), E_INVALID);
	assert_int_equal(key_load(NULL, "cursor.key", &key, &e), E_INVALID);
	put(dir, "cursor.key", "deadbeef\n");
	assert_int_equal(key_load(dir, "cursor.key", &key, &e), E_INTERNAL);
	assert_string_equal(e.slug, "keys.invalid");
	assert_null(strstr(e.msg, "deadbeef"));
	memset(big, 'a', sizeof(big) - 1);
	put(dir, "cursor.key", big);
	assert_int_equal(key_load(dir, "cursor.key", &key, &e), E_INTERNAL);
	put(dir, "cursor.key", "0000000000000000000000000000000000000000000000000000000000000000\n");
	assert_int_equal(key_load(dir, "cursor.key", &key, &e), E_INTERNAL);
	assert_int_equal(keyring_load(dir, "cart", &k, &e), E_INTERNAL);
	assert_string_equal(e.slug, "keys.missing");
	put(dir, "data-cart.key", "nonsense");
	assert_int_equal(keyring_load(dir, "cart", &k, &e), E_INTERNAL);
	assert_non_null(strstr(e.msg, "data-cart.key"));
	assert_int_equal(keys_init("/proc/nowhere/keys", &e), E_INTERNAL);
	assert_int_equal(keys_init("", &e), E_INVALID);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_vectors),
		cmocka_unit_test(hmac_vectors_of_rfc4231),
		cmocka_unit_test(base64url_vectors),
		cmocka_unit_test(base64url_refuses),
		cmocka_unit_test(base64url_is_canonical),
		cmocka_unit_test(base64_standard),
		cmocka_unit_test(comparing_and_random),
		cmocka_unit_test(seal_opens_in_its_place_only),
		cmocka_unit_test(any_changed_bit_is_noticed),
		cmocka_unit_test(null_empty_and_nul),
		cmocka_unit_test(rotation),
		cmocka_unit_test(record_of_another_implementation_opens),
		cmocka_unit_test(malformed_rings),
		cmocka_unit_test(blind_index),
		cmocka_unit_test(keys_init_is_idempotent_and_private),
		cmocka_unit_test(loaders_say_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
