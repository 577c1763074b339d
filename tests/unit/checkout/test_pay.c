/* The provider's formats: signatures, form bodies, answers. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "services/checkout/pay.h"
#include "services/checkout/pay_json.h"
#include "services/checkout/pay_signature.h"

#define NOW 1700000000

static struct arena *a;
static const char body[] = "{\"id\":\"evt_1\",\"type\":\"payment_intent.succeeded\"}";
static const char *const secrets[] = { "whsec_new", "whsec_old", NULL };

static const char *sig(const char *secret, int64_t t, const char *text)
{
	uint8_t mac[SHA256_LEN];
	char *hex = arena_alloc(a, 65);
	char *signed_text = arena_printf(a, "%lld.%s", (long long)t, text);

	hmac_sha256(secret, strlen(secret), signed_text, strlen(signed_text), mac);
	hex_encode(mac, SHA256_LEN, hex);
	return hex;
}

static enum pay_sig check(const char *header)
{
	return pay_signature_check(header, body, strlen(body), secrets, NOW);
}

#define H(...) arena_printf(a, __VA_ARGS__)

static void known_vector(void **s)
{
	static const char *const one[] = { "whsec_test_secret", NULL };
	const char *text = "{\"id\": \"evt_test\"}";

	(void)s;
	/* printf '1700000000.{"id": "evt_test"}' | openssl dgst -sha256 -hmac whsec_test_secret */
	assert_int_equal(pay_signature_check(H("t=1700000000,v1=%s", sig("whsec_test_secret", NOW, text)), text,
					     strlen(text), one, NOW), PAY_SIG_OK);
	assert_string_equal(sig("whsec_test_secret", NOW, text),
			    "e984bd41c45a1f1ef349e5b5ecd272fcc342c4d1f84f05f9f0b61cdf1e0c6470");
}

static void accepted(void **s)
{
	const char *new = sig("whsec_new", NOW, body), *old = sig("whsec_old", NOW, body);

	(void)s;
	assert_int_equal(check(H("t=%d,v1=%s", NOW, new)), PAY_SIG_OK);
	assert_int_equal(check(H("t=%d,v1=%s", NOW, old)), PAY_SIG_OK);
	assert_int_equal(check(H("t=%d,v1=%s,v1=%s", NOW, old, new)), PAY_SIG_OK);
	assert_int_equal(check(H("t=%d,v0=abc,v1=%s,v2=x", NOW, new)), PAY_SIG_OK);
	assert_int_equal(check(H("v1=%s,t=%d", new, NOW)), PAY_SIG_OK);
	assert_int_equal(check(H("t=%d,v1=%s", NOW - 300, sig("whsec_new", NOW - 300, body))), PAY_SIG_OK);
	assert_int_equal(check(H("t=%d,v1=%s", NOW + 300, sig("whsec_new", NOW + 300, body))), PAY_SIG_OK);
}

static void refused(void **s)
{
	static const char *const none[] = { "", NULL };
	const char *good = sig("whsec_new", NOW, body);
	char flipped[sizeof(body)];
	char many[2000] = "t=1700000000";

	(void)s;
	assert_int_equal(check(NULL), PAY_SIG_MISSING);
	assert_int_equal(check(""), PAY_SIG_MISSING);
	assert_int_equal(check(H("t=%d", NOW)), PAY_SIG_MISSING);
	assert_int_equal(check(H("t=%d,v0=%s", NOW, good)), PAY_SIG_MISSING); /* no downgrade */
	assert_int_equal(check(H("v1=%s", good)), PAY_SIG_MALFORMED);
	assert_int_equal(check(H("t=%d,t=%d,v1=%s", NOW, NOW, good)), PAY_SIG_MALFORMED);
	assert_int_equal(check(H("t=+%d,v1=%s", NOW, good)), PAY_SIG_MALFORMED);
	assert_int_equal(check(H("t=-1,v1=%s", good)), PAY_SIG_MALFORMED);
	assert_int_equal(check(H("t=99999999999999999999,v1=%s", good)), PAY_SIG_MALFORMED);
	assert_int_equal(check(H("t=%d,v1=%.63s", NOW, good)), PAY_SIG_MISSING);
	assert_int_equal(check(H("t=%d,v1=%s", NOW, sig("other", NOW, body))), PAY_SIG_WRONG);
	assert_int_equal(check(H("t=%d,v1=%s", NOW + 1, good)), PAY_SIG_WRONG); /* the time is signed */
	assert_int_equal(check(H("t=%d,v1=%s", NOW - 301, sig("whsec_new", NOW - 301, body))), PAY_SIG_TIME);
	assert_int_equal(check(H("t=%d,v1=%s", NOW + 301, sig("whsec_new", NOW + 301, body))), PAY_SIG_TIME);
	for (size_t i = 0; i < sizeof(body) - 1; i++) {
		memcpy(flipped, body, sizeof(body));
		flipped[i] ^= 1;
		assert_int_equal(pay_signature_check(H("t=%d,v1=%s", NOW, good), flipped, strlen(body), secrets, NOW),
				 PAY_SIG_WRONG);
	}
	for (int i = 0; i < 9; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), ",v1=%s", good);
	assert_int_equal(check(many), PAY_SIG_MALFORMED);
	assert_int_equal(pay_signature_check(H("t=%d,v1=%s", NOW, sig("", NOW, body)), body, strlen(body), none, NOW),
			 PAY_SIG_WRONG);
	assert_int_equal(pay_signature_check(H("t=%d,v1=%s", NOW, good), body, PAY_WEBHOOK_MAX + 1, secrets, NOW),
			 PAY_SIG_MALFORMED);
}

static void form(void **s)
{
	struct pay_pair p[] = { { "b", "1 & 2=3%" }, { "a[x]", "ü" }, { "B", "" } };

	(void)s;
	assert_string_equal(pay_form(a, p, 3), "B=&a[x]=%C3%BC&b=1%20%26%202%3D3%25");
	assert_string_equal(pay_create_params(a, "chk_1", "ord_1", 2, 1999, "USD"),
			    "amount=1999&capture_method=manual&currency=usd&metadata[attempt]=2&metadata[checkout_id]=chk_1"
			    "&metadata[order_id]=ord_1&payment_method_types[0]=card");
}

static bool read_reply(const char *text, struct pay_reply *r, const char **kind)
{
	return pay_json_reply(a, text, strlen(text), r, kind);
}

static void answers(void **s)
{
	struct pay_reply r = { 0 };
	const char *kind;

	(void)s;
	assert_true(read_reply("{\"object\":\"payment_intent\",\"id\":\"pi_1\",\"status\":\"requires_capture\",\"amount\":5,"
			       "\"currency\":\"eur\",\"metadata\":{\"checkout_id\":\"chk_1\",\"attempt\":\"3\"}}", &r, &kind));
	assert_string_equal(kind, "payment_intent");
	assert_string_equal(r.intent.id, "pi_1");
	assert_int_equal(r.intent.status, PI_CAPTURABLE);
	assert_int_equal(r.intent.attempt, 3);
	assert_true(read_reply("{\"error\":{\"code\":\"payment_intent_unexpected_state\",\"message\":\"no\",\"payment_intent\":"
			       "{\"object\":\"payment_intent\",\"id\":\"pi_2\",\"status\":\"succeeded\"}}}", &r, &kind));
	assert_string_equal(r.code, "payment_intent_unexpected_state");
	assert_int_equal(r.intent.status, PI_SUCCEEDED);
	assert_true(read_reply("{\"object\":7,\"id\":{}}", &r, &kind)); /* wrong types are nothing, not a crash */
	assert_string_equal(r.intent.id, "");
	assert_true(read_reply("{\"object\":\"payment_intent\",\"id\":null,\"amount\":\"x\",\"status\":[]}", &r, &kind));
	assert_string_equal(r.intent.id, "");
	assert_int_equal(r.intent.amount, 0);
	assert_false(read_reply("{\"object\":\"payment_intent\",\"id\":\"pi_1\"", &r, &kind));
	assert_false(read_reply("[1]", &r, &kind));
	assert_false(read_reply("", &r, &kind));
}

static void events(void **s)
{
	struct pay_event ev;
	const char *text = "{\"id\":\"evt_1\",\"type\":\"charge.refunded\",\"livemode\":false,\"data\":{\"object\":{\"id\":\"ch_1\","
			   "\"object\":\"charge\",\"payment_intent\":\"pi_9\",\"metadata\":{\"checkout_id\":\"chk_7\"}}}}";

	(void)s;
	assert_true(pay_json_event(a, text, strlen(text), &ev));
	assert_string_equal(ev.intent_id, "pi_9");
	assert_string_equal(ev.checkout_id, "chk_7");
	assert_false(ev.livemode);
	assert_false(pay_json_event(a, "{\"id\":1}", 8, &ev));
	assert_false(pay_json_event(a, "nonsense", 8, &ev));
}

static int begin(void **s)
{
	(void)s;
	a = arena_new("test", 1 << 20);
	return 0;
}

static int end(void **s)
{
	(void)s;
	arena_free(a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_vector), cmocka_unit_test(accepted), cmocka_unit_test(refused),
		cmocka_unit_test(form),		cmocka_unit_test(answers),  cmocka_unit_test(events),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
