#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "common/arena.h"
#include "common/crypto.h"
#include "common/jws.h"
#include "common/jws_keys.h"

#define NOW 1768473000

static struct jws_keys *keys;
static const char *const auds[] = { "shop", "vendor", NULL };
static const struct jws_expect expect = { .iss = "https://souk.test", .auds = auds, .now_s = NOW, .skew_s = 60 };

static int setup(void **state)
{
	(void)state;
	return jws_keys_generate("k1", &keys, NULL);
}

static int teardown(void **state)
{
	(void)state;
	jws_keys_free(keys);
	return 0;
}

#define SET(field, text) (void)snprintf(field, sizeof(field), "%s", text)

static struct jws_claims good_claims(void)
{
	struct jws_claims c = { .ver = 3, .iat = NOW - 10, .exp = NOW + 900, .n_roles = 2, .n_perms = 1 };

	SET(c.iss, "https://souk.test");
	SET(c.aud, "shop");
	SET(c.sub, "usr_01jd3k5z8q9w7x6y5t4s3r2p1n");
	SET(c.sid, "ses_1");
	SET(c.jti, "tok_1");
	SET(c.vendor_id, "vnd_1");
	SET(c.roles[0], "buyer");
	SET(c.roles[1], "vendor_owner");
	SET(c.perms[0], "vendor.catalog");
	return c;
}

static enum err_code verify(const char *token, size_t n, struct jws_claims *c)
{
	struct err e = { 0 };
	enum err_code code = jws_verify(keys, token, n, &expect, c, &e);

	assert_int_equal(code, e.code);
	assert_int_equal(e.n_details, 0);
	if (code)
		assert_true(err_is(&e, "common.token_invalid") || err_is(&e, "common.token_expired"));
	return code;
}

static void refused_text(const char *token)
{
	struct jws_claims c;

	memset(&c, 0x55, sizeof(c));
	if (verify(token, strlen(token), &c) != E_UNAUTH)
		fail_msg("accepted %.200s", token);
	assert_int_equal(c.iss[0], 0x55); /* outputs only on success */
}

/* A token of this header and payload, properly signed. */
static void raw(const char *header, const char *payload, size_t n, struct buf *t)
{
	buf_init(t, 200000);
	assert_int_equal(jws_sign_raw(keys, header, payload, n, t, NULL), OK);
}

static void refused_signed(const char *header, const char *payload)
{
	struct buf t;

	raw(header, payload, strlen(payload), &t);
	refused_text(t.data);
	buf_free(&t);
}

#define HEADER "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}"
#define BODY                                                                                       \
	"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}"

static void round_trip(void **state)
{
	struct jws_claims in = good_claims(), out;
	struct buf t;

	(void)state;
	buf_init(&t, JWS_TOKEN_MAX);
	assert_int_equal(jws_sign(keys, &in, &t, NULL), OK);
	assert_int_equal(verify(t.data, t.len, &out), OK);
	assert_memory_equal(&in, &out, sizeof(in));
	buf_free(&t);
	raw(HEADER, BODY, strlen(BODY), &t); /* what the attacks below start from is itself accepted */
	assert_int_equal(verify(t.data, t.len, &out), OK);
	assert_string_equal(out.sub, "u");
	assert_string_equal(out.sid, "");
	buf_free(&t);
}

/* RFC 8037 A.4: Ed25519 signing of "Example of Ed25519 signing". */
static void vector_of_rfc8037(void **state)
{
	uint8_t seed[32];
	struct jws_keys *k = NULL;
	struct buf t;
	size_t n;

	(void)state;
	assert_true(base64url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", 43, seed, 32, &n));
	assert_int_equal(jws_keys_from_seed("k", seed, &k, NULL), OK);
	buf_init(&t, 1000);
	assert_int_equal(jws_sign_raw(k, "{\"alg\":\"EdDSA\"}", "Example of Ed25519 signing", 26, &t, NULL), OK);
	assert_string_equal(t.data, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
				    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt"
				    "9g7sVvpAr_MuM0KAg");
	buf_reset(&t);
	jws_jwks(k, &t);
	assert_non_null(strstr(t.data, "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""));
	buf_free(&t);
	jws_keys_free(k);
}

static void algorithms(void **state)
{
	static const char *const bad[] = { "none", "None", "nOnE", "", "HS256", "ES256", "RS256", "eddsa", "EdDSA ", "Ed25519" };
	char header[200], token[600], part[400];
	struct buf t;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}", bad[i]);
		refused_signed(header, BODY);
		/* and with nothing for a signature */
		(void)base64url_encode(header, strlen(header), part);
		(void)snprintf(token, sizeof(token), "%s.%s.", part, "e30");
		refused_text(token);
	}
	refused_signed("{\"kid\":\"k1\",\"typ\":\"at+jwt\"}", BODY);
	refused_signed("{\"alg\":null,\"kid\":\"k1\",\"typ\":\"at+jwt\"}", BODY);
	refused_signed("{\"alg\":[\"EdDSA\"],\"kid\":\"k1\",\"typ\":\"at+jwt\"}", BODY);
	/* HMAC with the public key document as its secret */
	buf_init(&t, 1000);
	jws_jwks(keys, &t);
	{
		static const char h[] = "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}";
		uint8_t mac[32];
		size_t n = base64url_encode(h, strlen(h), token);

		token[n++] = '.';
		n += base64url_encode(BODY, strlen(BODY), token + n);
		hmac_sha256(t.data, t.len, token, n, mac);
		token[n++] = '.';
		(void)base64url_encode(mac, 32, token + n);
		refused_text(token);
	}
	buf_free(&t);
}

static void headers(void **state)
{
	static const char *const bad[] = {
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"JWT\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"rt+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"AT+JWT\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k2\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"../k1\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1' OR '1'='1\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\\u0000\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":[\"k1\"],\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":1,\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":{\"k1\":1},\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\",\"jku\":\"https://evil.test/k\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\",\"x5u\":\"https://evil.test/k\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\",\"jwk\":{\"kty\":\"OKP\"}}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\",\"crit\":[\"exp\"]}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\",\"b64\":false}",
		"{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
		"[\"alg\",\"EdDSA\"]",
		"\"EdDSA\"",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"",
		"not json",
		"{}",
		"\xef\xbb\xbf{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}x",
	};
	char header[6000], kid[4001];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)

			refused_signed(bad[i], BODY);
	memset(kid, 'k', 4000);
	kid[4000] = '\0';
	(void)snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}", kid);
	refused_signed(header, BODY);
}

static void shapes(void **state)
{
	static const char *const bad[] = { ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", ".b.c", "a..c",
		"a.b.", "Bearer x.y.z", "\n", " " };
	/* a good token with something around it */
	static const char *const around[] = { "%s.e30", "%s.e30.e30", "%s=", "%s==", " %s", "%s\n", "Bearer %s", "%s." };
	struct arena *a = arena_new("test", 1 << 20);
	struct jws_claims c = good_claims();
	struct buf t;
	char *copy;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused_text(bad[i]);
	assert_int_equal(verify("", 0, &c), E_UNAUTH);
	assert_int_equal(verify(NULL, 0, &c), E_UNAUTH);
	raw(HEADER, BODY, strlen(BODY), &t);
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		copy = arena_printf(a, around[i], t.data);
		refused_text(copy);
	}
	copy = arena_strdup(a, t.data); /* without its third part, with and without the dot */
	strrchr(copy, '.')[1] = '\0';
	refused_text(copy);
	*strrchr(copy, '.') = '\0';
	refused_text(copy);
	arena_free(a);
	/* bytes after a NUL inside the given length */
	assert_int_equal(verify(t.data, t.len + 1, &c), E_UNAUTH);
	buf_free(&t);
}

static void non_canonical_base64(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct jws_claims c;
	size_t accepted = 0;
	struct buf t;

	(void)state;
	/* 64 bytes leave 4 unused bits in the last character: of all 64 characters only the right one is taken. */
	raw(HEADER, BODY, strlen(BODY), &t);
	for (size_t i = 0; i < 64; i++) {
		t.data[t.len - 1] = alphabet[i];
		accepted += verify(t.data, t.len, &c) == OK;
	}
	assert_int_equal(accepted, 1);
	t.data[t.len - 1] = '+';
	refused_text(t.data);
	t.data[t.len - 1] = '/';
	refused_text(t.data);
	buf_free(&t);
}

static void sizes(void **state)
{
	char *big = malloc(100001), *payload = malloc(20000);
	struct jws_claims c;
	struct buf t;

	(void)state;
	memset(big, 'a', 100000);
	big[100000] = '\0';
	refused_text(big);
	big[10] = big[50000] = '.';
	refused_text(big);
	/* properly signed but larger than 8 KiB */
	memset(payload, ' ', 20000);
	memcpy(payload, BODY, strlen(BODY));
	raw(HEADER, payload, 8000, &t);
	assert_int_equal(verify(t.data, t.len, &c), E_UNAUTH);
	buf_free(&t);
	raw(HEADER, payload, 5000, &t);
	assert_int_equal(verify(t.data, t.len, &c), OK);
	buf_free(&t);
	free(big);
	free(payload);
}

static void every_bit_counts(void **state)
{
	struct jws_claims c;
	struct buf t;
	uint8_t sig[64];
	size_t n, at;

	(void)state;
	raw(HEADER, BODY, strlen(BODY), &t);
	at = (size_t)(strrchr(t.data, '.') + 1 - t.data);
	assert_true(base64url_decode(t.data + at, t.len - at, sig, 64, &n));
	for (size_t bit = 0; bit < 512; bit++) {
		sig[bit / 8] = (uint8_t)(sig[bit / 8] ^ 1u << bit % 8);
		(void)base64url_encode(sig, 64, t.data + at);
		assert_int_equal(verify(t.data, t.len, &c), E_UNAUTH);
		sig[bit / 8] = (uint8_t)(sig[bit / 8] ^ 1u << bit % 8);
	}
	(void)base64url_encode(sig, 64, t.data + at);
	assert_int_equal(verify(t.data, t.len, &c), OK);
	for (size_t i = 0; i < at; i++) { /* header and payload characters */
		char was = t.data[i];

		t.data[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(verify(t.data, t.len, &c), E_UNAUTH);
		t.data[i] = was;
	}
	buf_free(&t);
}

/* Adding the group order to S gives a second signature of the same bytes in sloppy verifiers. */
static void malleable_signature_is_refused(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
		0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 };
	struct jws_claims c;
	struct buf t;
	uint8_t sig[64];
	unsigned carry = 0;
	size_t n, at;

	(void)state;
	raw(HEADER, BODY, strlen(BODY), &t);
	at = (size_t)(strrchr(t.data, '.') + 1 - t.data);
	assert_true(base64url_decode(t.data + at, t.len - at, sig, 64, &n));
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)sig[32 + i] + order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	(void)base64url_encode(sig, 64, t.data + at);
	assert_int_equal(verify(t.data, t.len, &c), E_UNAUTH);
	memset(sig, 0, sizeof(sig));
	(void)base64url_encode(sig, 64, t.data + at);
	assert_int_equal(verify(t.data, t.len, &c), E_UNAUTH);
	buf_free(&t);
}

static void key_of_another_kid(void **state)
{
	struct jws_keys *other = NULL, *both = NULL;
	struct buf doc, t;
	struct jws_claims c;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(jws_keys_generate("k1", &other, NULL), OK); /* same name, other key */
	buf_init(&t, JWS_TOKEN_MAX);
	assert_int_equal(jws_sign_raw(other, HEADER, BODY, strlen(BODY), &t, NULL), OK);
	refused_text(t.data);
	jws_keys_free(other);
	buf_free(&t);
	/* two live keys: each verifies its own only */
	assert_int_equal(jws_keys_generate("k2", &other, NULL), OK);
	buf_init(&doc, 4000);
	jws_jwks(keys, &doc);
	doc.len -= 2;
	buf_char(&doc, ',');
	buf_init(&t, 4000);
	jws_jwks(other, &t);
	buf_str(&doc, strstr(t.data, "{\"kty"));
	assert_int_equal(jws_keys_parse(doc.data, doc.len, &both, &e), OK);
	assert_int_equal(jws_keys_count(both), 2);
	buf_reset(&t);
	assert_int_equal(jws_sign_raw(other, "{\"alg\":\"EdDSA\",\"kid\":\"k2\",\"typ\":\"at+jwt\"}", BODY, strlen(BODY), &t,
				 NULL), OK);
	assert_int_equal(jws_verify(both, t.data, t.len, &expect, &c, &e), OK);
	buf_reset(&t);
	assert_int_equal(jws_sign_raw(other, HEADER, BODY, strlen(BODY), &t, NULL), OK); /* k2's key says it is k1 */
	assert_int_equal(jws_verify(both, t.data, t.len, &expect, &c, &e), E_UNAUTH);
	/* public keys cannot sign */
	buf_reset(&t);
	assert_int_equal(jws_sign_raw(both, HEADER, BODY, strlen(BODY), &t, &e), E_INTERNAL);
	buf_free(&t);
	buf_free(&doc);
	jws_keys_free(other);
	jws_keys_free(both);
}

static void payloads(void **state)
{
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{}",
		"x",
		"{\"iss\":\"https://souk.test\"",
		/* iss, aud */
		"{\"iss\":\"https://staging.souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":[\"https://souk.test\"],\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"admin\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":[\"shop\",\"admin\"],\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\\u0000x\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		/* sub */
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":5,\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"a\\nb\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":"
		"\"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\",\"iat\":1768472990,\"exp\":1768473900}",
		/* exp */
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":\"1768473900\"}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900.0}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1e400}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1e10}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":-1}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":null}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":99999999999999999999}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":NaN}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768472990}",
		/* iat, nbf */
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":-5,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768473100,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"nbf\":1768473061}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"nbf\":\"0\"}",
		/* the rest */
		"{\"iss\":\"https://souk.test\",\"aud\":\"admin\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"roles\":\"admin\"}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"roles\":[1]}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"roles\":"
		"[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"x\":[[[[[1]]]]]}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900}{}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"\xff\",\"iat\":1768472990,\"exp\":1768473900}",
		"{\"iss\":\"https://souk.test\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1768472990,\"exp\":1768473900,\"ver\":1.5}",
	};
	char deep[6000];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused_signed(HEADER, bad[i]);
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	refused_signed(HEADER, deep);
}

static enum err_code at_time(int64_t now, int64_t skew, struct err *e)
{
	struct jws_expect x = expect;
	struct jws_claims c;
	enum err_code code;
	struct buf t;

	x.now_s = now;
	x.skew_s = skew;
	raw(HEADER, BODY, strlen(BODY), &t); /* iat NOW - 10, exp NOW + 900 */
	code = jws_verify(keys, t.data, t.len, &x, &c, e);
	buf_free(&t);
	return code;
}

static void time_and_skew(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(at_time(NOW + 899, 0, &e), OK);
	assert_int_equal(at_time(NOW + 900, 0, &e), E_UNAUTH);
	assert_string_equal(e.slug, "common.token_expired");
	assert_int_equal(at_time(NOW + 959, 60, &e), OK);
	assert_int_equal(at_time(NOW + 960, 60, &e), E_UNAUTH);
	assert_int_equal(at_time(NOW + 961, 100000, &e), E_UNAUTH); /* never more than 60 s */
	assert_int_equal(at_time(NOW - 10, 0, &e), OK);
	assert_int_equal(at_time(NOW - 11, 0, &e), E_UNAUTH);
	assert_string_equal(e.slug, "common.token_invalid");
	assert_int_equal(at_time(NOW - 70, 60, &e), OK);
	assert_int_equal(at_time(NOW - 71, 60, &e), E_UNAUTH);
	assert_int_equal(at_time(NOW + 900, -5, &e), E_UNAUTH);
	assert_int_equal(at_time(NOW, -5, &e), OK);
}

static void secrets_stay_out_of_messages(void **state)
{
	struct err e = { 0 };
	struct jws_claims c;

	(void)state;
	assert_int_equal(jws_verify(keys, "SECRET.TOKEN.VALUE", 18, &expect, &c, &e), E_UNAUTH);
	assert_null(strstr(e.msg, "SECRET"));
	assert_null(strstr(e.msg, "TOKEN"));
}

/* ---- keys ---- */

static void weak_points(void **state)
{
	static const char *const weak[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	};
	char doc[300], x[64];
	struct jws_keys *k = NULL;
	uint8_t p[32];

	(void)state;
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		assert_true(hex_decode(weak[i], 64, p));
		assert_false(jws_point_ok(p));
		(void)base64url_encode(p, 32, x);
		(void)snprintf(doc, sizeof(doc), "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"w\",\"x\":\"%s\"}]}", x);
		assert_int_equal(jws_keys_parse(doc, strlen(doc), &k, NULL), E_INTERNAL);
	}
	assert_null(k);
	assert_true(jws_point_ok(keys->key[0].x));
}

#define X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define JWK(kid, x) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"kid\":\"" kid "\",\"x\":\"" x "\"}"

static void key_documents(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"null",
		"{\"keys\":{}}",
		"{\"keys\":[]}",
		"{\"keys\":[1]}",
		"{\"keys\":[{}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"x\",\"e\":\"AQAB\"}]}", /* nothing usable */
		"{\"keys\":[" JWK("a", X) "," JWK("a", X) "]}",
		"{\"keys\":[" JWK("../a", X) "]}",
		"{\"keys\":[" JWK("", X) "]}",
		"{\"keys\":[" JWK("a", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR") "]}",
		"{\"keys\":[" JWK("a", X "A") "]}",
		"{\"keys\":[" JWK("a", X "=") "]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X "\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"alg\":\"HS256\",\"x\":\"" X "\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"use\":\"enc\",\"x\":\"" X "\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"d\":\"" X "\",\"x\":\"" X "\"}]}",
		"{\"keys\":[" JWK("a", X) "],\"keys\":[]}",
		"{\"keys\":[[[[[[[[]]]]]]]]}",
	};
	static const char good[] = "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\"},{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"\"}," JWK("a", X) "]}";
	struct jws_keys *k = NULL;
	char *many = malloc(70000);
	struct buf doc;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (jws_keys_parse(bad[i], strlen(bad[i]), &k, NULL) == OK)
			fail_msg("accepted %s", bad[i]);
	assert_null(k);
	memset(many, ' ', 70000);
	assert_int_equal(jws_keys_parse(many, 70000, &k, NULL), E_INVALID);
	buf_init(&doc, 70000);
	buf_str(&doc, "{\"keys\":[" JWK("k0", X));
	for (int i = 1; i <= JWS_KEYS_MAX; i++)
		buf_fmt(&doc, "," JWK("k%d", X), i);
	buf_str(&doc, "]}");
	assert_int_equal(jws_keys_parse(doc.data, doc.len, &k, NULL), E_INTERNAL); /* one too many */
	buf_free(&doc);
	free(many);
	assert_int_equal(jws_keys_parse(good, strlen(good), &k, NULL), OK);
	assert_int_equal(jws_keys_count(k), 1);
	jws_keys_free(k);
	jws_keys_free(NULL);
	assert_int_equal(jws_keys_count(NULL), 0);
}

static void age(const char *dir, const char *kid, int64_t seconds)
{
	struct utimbuf t;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/signing-%s.pem", dir, kid);
	t.actime = t.modtime = time(NULL) - seconds;
	assert_int_equal(utime(path, &t), 0);
}

static void files_and_rotation(void **state)
{
	char dir[] = "/tmp/souk-jws-XXXXXX", kid[JWS_KID_MAX], path[300], second[JWS_KID_MAX] = "99991231T000000-deadbeef";
	char from[300];
	struct jws_keys *k = NULL;
	struct jws_claims in = good_claims(), out;
	struct err e = { 0 };
	struct stat st;
	struct buf t;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(jws_keys_load(dir, &k, &e), E_INTERNAL);
	assert_string_equal(e.slug, "keys.missing");
	assert_int_equal(jws_key_ensure(dir, &e), OK);
	assert_int_equal(jws_key_ensure(dir, &e), OK);
	assert_int_equal(jws_keys_load(dir, &k, &e), OK);
	assert_int_equal(jws_keys_count(k), 1); /* ensure made one, not two */
	SET(kid, k->key[0].kid);
	(void)snprintf(path, sizeof(path), "%s/signing-%s.pem", dir, kid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	buf_init(&t, JWS_TOKEN_MAX);
	assert_int_equal(jws_sign(k, &in, &t, &e), OK);
	assert_int_equal(jws_verify(k, t.data, t.len, &expect, &out, &e), OK);
	jws_keys_free(k);
	/* A second, younger key: published at once, signs only after an hour; the first still verifies. */
	(void)snprintf(from, sizeof(from), "%s/from", dir);
	assert_int_equal(mkdir(from, 0700), 0);
	{
		char made[JWS_KID_MAX], src[400];

		assert_int_equal(jws_key_create(from, made, &e), OK);
		(void)snprintf(src, sizeof(src), "%s/signing-%s.pem", from, made);
		(void)snprintf(path, sizeof(path), "%s/signing-%s.pem", dir, second);
		assert_int_equal(rename(src, path), 0);
		assert_int_equal(rmdir(from), 0);
	}
	age(dir, kid, 90000);
	assert_int_equal(jws_keys_load(dir, &k, &e), OK);
	assert_int_equal(jws_keys_count(k), 2);
	assert_string_equal(k->key[k->current].kid, kid);
	jws_keys_free(k);
	age(dir, second, 3601);
	assert_int_equal(jws_keys_load(dir, &k, &e), OK);
	assert_string_equal(k->key[k->current].kid, second);
	assert_int_equal(jws_verify(k, t.data, t.len, &expect, &out, &e), OK);
	jws_keys_free(k);
	/* Retired: its tokens are refused. */
	(void)snprintf(path, sizeof(path), "%s/signing-%s.pem", dir, kid);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(jws_keys_load(dir, &k, &e), OK);
	assert_int_equal(jws_verify(k, t.data, t.len, &expect, &out, &e), E_UNAUTH);
	jws_keys_free(k);
	buf_free(&t);
	/* A file that is no key is a clear error, not a shorter list. */
	(void)snprintf(path, sizeof(path), "%s/signing-broken.pem", dir);
	{
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		assert_true(fputs("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
	k = NULL;
	assert_int_equal(jws_keys_load(dir, &k, &e), E_INTERNAL);
	assert_null(k);
	assert_non_null(strstr(e.msg, "broken"));
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/signing-%s.pem", dir, second);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static void signing_refuses_what_would_not_verify(void **state)
{
	struct jws_claims c = good_claims();
	struct err e = { 0 };
	struct buf t;

	(void)state;
	buf_init(&t, 50);
	assert_int_equal(jws_sign(keys, &c, &t, &e), E_TOO_LARGE);
	buf_free(&t);
	buf_init(&t, JWS_TOKEN_MAX);
	c.n_perms = JWS_PERMS_MAX + 1;
	assert_int_equal(jws_sign(keys, &c, &t, &e), E_INTERNAL);
	buf_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(vector_of_rfc8037),
		cmocka_unit_test(algorithms),
		cmocka_unit_test(headers),
		cmocka_unit_test(shapes),
		cmocka_unit_test(non_canonical_base64),
		cmocka_unit_test(sizes),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(malleable_signature_is_refused),
		cmocka_unit_test(key_of_another_kid),
		cmocka_unit_test(payloads),
		cmocka_unit_test(time_and_skew),
		cmocka_unit_test(secrets_stay_out_of_messages),
		cmocka_unit_test(weak_points),
		cmocka_unit_test(key_documents),
		cmocka_unit_test(files_and_rotation),
		cmocka_unit_test(signing_refuses_what_would_not_verify),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
