/* gateway/http_fields.c, http_addr.c: keys, tags, cookies, origins, addresses, languages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/http_fields.h"

static void key(const char *value, const char *want)
{
	char out[IDEM_KEY_MAX + 1];
	struct err e = { 0 };

	if (!want) {
		if (idem_key_parse(value, out, &e) != E_INVALID)
			fail_msg("accepted %s", value);
		assert_string_equal(e.slug, "idem.key_invalid");
		return;
	}
	if (idem_key_parse(value, out, &e))
		fail_msg("refused %s", value);
	assert_string_equal(out, want);
}

static void idempotency_keys(void **state)
{
	char longest[IDEM_KEY_MAX + 1], longer[IDEM_KEY_MAX + 2];

	(void)state;
	memset(longest, 'k', IDEM_KEY_MAX);
	longest[IDEM_KEY_MAX] = '\0';
	memset(longer, 'k', IDEM_KEY_MAX + 1);
	longer[IDEM_KEY_MAX + 1] = '\0';
	key("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324");
	key("\"8e03978e\"", "8e03978e");
	key("\"a b\\\"c\\\\\"", "a b\"c\\");
	key("\"x\"  ", "x");
	key(longest, longest);
	key(longer, NULL);
	key("", NULL);
	key("\"\"", NULL);
	key("\"", NULL);
	key("\"a", NULL);
	key("\"a\"b", NULL);
	key("\"a\\n\"", NULL);
	key("a b", NULL);
	key("a,b", NULL);
	key("a\xc3\xa4", NULL);
	key("\"a\xc3\xa4\"", NULL);
	key("a\"b", NULL);
}

static void fingerprints(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	idem_fingerprint("POST", "/x", "body", 4, a);
	idem_fingerprint("POST", "/x", "body", 4, b);
	assert_memory_equal(a, b, 32);
	idem_fingerprint("POST", "/x", "bodz", 4, b);
	assert_memory_not_equal(a, b, 32);
	idem_fingerprint("PUT", "/x", "body", 4, b);
	assert_memory_not_equal(a, b, 32);
	idem_fingerprint("POST", "/xb", "ody", 3, b);
	assert_memory_not_equal(a, b, 32);
}

static void match(const char *value, const char *want)
{
	char out[ETAG_MAX];
	struct err e = { 0 };

	if (!want) {
		assert_int_equal(if_match_parse(value, out, &e), E_INVALID);
		return;
	}
	assert_int_equal(if_match_parse(value, out, &e), OK);
	assert_string_equal(out, want);
}

static void if_match(void **state)
{
	(void)state;
	match("\"crt_1-5\"", "crt_1-5");
	match("crt_1-5", "crt_1-5");
	match("*", "*");
	match("W/\"crt_1-5\"", "W/");
	match("", NULL);
	match("\"\"", NULL);
	match("\"a\", \"b\"", NULL);
	match("\"a b\"", NULL);
}

static void if_none_match(void **state)
{
	(void)state;
	assert_true(none_match_hit("\"a\"", "\"a\""));
	assert_true(none_match_hit("W/\"a\"", "\"a\""));
	assert_true(none_match_hit("\"a\"", "W/\"a\""));
	assert_true(none_match_hit("\"x\", W/\"a\" , \"y\"", "\"a\""));
	assert_true(none_match_hit("*", "\"a\""));
	assert_false(none_match_hit("\"b\"", "\"a\""));
	assert_false(none_match_hit("", "\"a\""));
	assert_false(none_match_hit("a", "\"a\""));
	assert_false(none_match_hit("\"x,\"a\"", "\"b\""));
	assert_false(none_match_hit("\"ab\"", "\"a\""));
}

static void cookies(void **state)
{
	const struct cookie_conf secure = { .name = "__Host-souk_rt", .secure = true, .max_age_s = 604800 };
	const struct cookie_conf plain = { .name = "souk_rt", .secure = false, .max_age_s = 60 };
	char out[256];

	(void)state;
	assert_true(cookie_get("a=b; __Host-souk_rt=tok-en_1; c=d", "__Host-souk_rt", out, sizeof out));
	assert_string_equal(out, "tok-en_1");
	assert_true(cookie_get("__Host-souk_rt=x", "__Host-souk_rt", out, sizeof out));
	assert_false(cookie_get("x__Host-souk_rt=x", "__Host-souk_rt", out, sizeof out));
	assert_false(cookie_get("__Host-souk_rt=", "__Host-souk_rt", out, sizeof out));
	assert_false(cookie_get("__Host-souk_rt=a; __Host-souk_rt=b", "__Host-souk_rt", out, sizeof out));
	assert_false(cookie_get("__Host-souk_rt=a\"b", "__Host-souk_rt", out, sizeof out));
	assert_false(cookie_get("__Host-souk_rt=abc", "__Host-souk_rt", out, 3));
	assert_false(cookie_get(NULL, "__Host-souk_rt", out, sizeof out));
	cookie_set(&secure, "abc", out, sizeof out);
	assert_string_equal(out, "__Host-souk_rt=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800; Secure");
	cookie_set(&secure, "", out, sizeof out);
	assert_string_equal(out, "__Host-souk_rt=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure");
	cookie_set(&plain, "a\r\nX: y", out, sizeof out);
	assert_string_equal(out, "souk_rt=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
}

static void origins(void **state)
{
	static const char *const evil[] = { "https://evil.example", "null", "", "https://shop.example.evil.com",
					    "https://shop.exampl", "http://shop.example", "https://shop.example:8443",
					    "https://SHOP.example", "https://shop.example/", "https://xshop.example", "*" };
	struct origins *o;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(origins_parse("https://shop.example, http://localhost:3000", &o, &e), OK);
	assert_true(origin_allowed(o, "https://shop.example"));
	assert_true(origin_allowed(o, "http://localhost:3000"));
	assert_false(origin_allowed(o, NULL));
	for (size_t i = 0; i < ARRAY_LEN(evil); i++)
		if (origin_allowed(o, evil[i]))
			fail_msg("%s allowed", evil[i]);
	origins_free(o);
	assert_int_equal(origins_parse("", &o, &e), OK);
	assert_false(origin_allowed(o, ""));
	origins_free(o);
	assert_int_equal(origins_parse("*", &o, &e), E_INVALID);
	assert_int_equal(origins_parse("https://a b", &o, &e), E_INVALID);
	assert_int_equal(origins_parse("null", &o, &e), E_INVALID);
	assert_true(origin_is_own("http://localhost:8080", "localhost:8080"));
	assert_true(origin_is_own("https://shop.example", "shop.example"));
	assert_false(origin_is_own("https://shop.example.evil", "shop.example"));
	assert_false(origin_is_own("null", "null"));
	assert_false(origin_is_own(NULL, "a"));
}

static void client(const struct networks *n, const char *peer, const char *xff, const char *want)
{
	char out[ADDR_MAX];

	client_address(n, peer, xff, out);
	assert_string_equal(out, want);
}

static void forwarded(void **state)
{
	struct networks *n, *none;
	struct err e = { 0 };
	char out[ADDR_MAX];

	(void)state;
	assert_int_equal(networks_parse("10.0.0.0/8, ::1, 2001:db8::/32 192.168.1.1", &n, &e), OK);
	assert_int_equal(networks_parse("", &none, &e), OK);
	client(none, "1.2.3.4", "9.9.9.9", "1.2.3.4");
	client(n, "1.2.3.4", "9.9.9.9", "1.2.3.4"); /* the peer is nobody's proxy */
	client(n, "10.1.1.1", "9.9.9.9", "9.9.9.9");
	client(n, "10.1.1.1", "6.6.6.6, 9.9.9.9, 10.2.2.2", "9.9.9.9"); /* 6.6.6.6 is what the client claims */
	client(n, "10.1.1.1", NULL, "10.1.1.1");
	client(n, "10.1.1.1", "garbage", "10.1.1.1");
	client(n, "10.1.1.1", "9.9.9.9, garbage", "10.1.1.1");
	client(n, "10.1.1.1", "10.3.3.3", "10.3.3.3");
	client(n, "::1", "2001:db8::5, 2a00::1", "2a00::1");
	client(n, "192.168.1.2", "9.9.9.9", "192.168.1.2");
	client(n, "::ffff:10.1.1.1", "9.9.9.9", "9.9.9.9");
	networks_free(n);
	networks_free(none);
	assert_int_equal(networks_parse("10.0.0.0/33", &n, &e), E_INVALID);
	assert_int_equal(networks_parse("10.0.0.0/", &n, &e), E_INVALID);
	assert_int_equal(networks_parse("shop.example", &n, &e), E_INVALID);
	client_bucket("1.2.3.4", out);
	assert_string_equal(out, "1.2.3.4");
	client_bucket("2001:db8:1:2:3:4:5:6", out);
	assert_string_equal(out, "2001:db8:1:2::");
	client_bucket("x", out);
	assert_string_equal(out, "unknown");
}

static void language(const char *header, const char *want)
{
	char out[16];

	best_language(header, out);
	assert_string_equal(out, want);
}

static void languages(void **state)
{
	(void)state;
	language("de-AT, en;q=0.8", "de-at");
	language("en;q=0.3, fr;q=0.9, de;q=0.85", "fr");
	language("en;q=0, de;q=0.001", "de");
	language("*", "");
	language(NULL, "");
	language("", "");
	language(";;;,,,q=1", "q");
	language("x-verylonglanguagetag-indeed", "x-verylonglangu");
}

static void problems(void **state)
{
	(void)state;
	assert_true(wants_problem("application/problem+json"));
	assert_true(wants_problem("text/html, application/problem+json;q=0.9"));
	assert_false(wants_problem("application/json"));
	assert_false(wants_problem(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idempotency_keys), cmocka_unit_test(fingerprints), cmocka_unit_test(if_match),
		cmocka_unit_test(if_none_match),    cmocka_unit_test(cookies),	    cmocka_unit_test(origins),
		cmocka_unit_test(forwarded),	    cmocka_unit_test(languages),    cmocka_unit_test(problems),
	};

	return cmocka_run_group_tests_name("gateway header fields", tests, NULL, NULL);
}
