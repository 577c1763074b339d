/* S26 to S28, S32: what the provider, or somebody who says so, tells us. A hint at most, and never twice. */
#include "services/checkout/pay_signature.h"
#include "tests/integration/checkout/s_cases.h"

#define CAPTURABLE "payment_intent.amount_capturable_updated"

static const char *intent_object(const char *pi)
{
	return arena_printf(w.a, "{\"id\":\"%s\",\"object\":\"payment_intent\",\"metadata\":{}}", pi);
}

/* Refused with 400, and not a trace of it kept. */
static void forged(const char *what, const char *body, const char *signature)
{
	enum err_code code = deliver(body, signature);

	if (code != E_INVALID || !err_is(&last, "checkout.signature"))
		fail_msg("%s: %d %s", what, code, last.slug);
}

static void s26_signatures(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	const char *body, *good;
	int64_t t = wall_ms() / 1000;
	char *flipped, *many = arena_printf(w.a, "t=%lld", (long long)t);

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	body = event_of("evt_forged", CAPTURABLE, false, intent_object(v->payment->payment_intent_id));
	good = sign(SECRET, t, body);
	forged("wrong secret", body, arena_printf(w.a, "t=%lld,v1=%s", (long long)t, sign("whsec_guess", t, body)));
	forged("missing", body, NULL);
	forged("empty", body, "");
	forged("301 s old", body, arena_printf(w.a, "t=%lld,v1=%s", (long long)t - 301, sign(SECRET, t - 301, body)));
	forged("301 s ahead", body, arena_printf(w.a, "t=%lld,v1=%s", (long long)t + 310, sign(SECRET, t + 310, body)));
	forged("v0 only", body, arena_printf(w.a, "t=%lld,v0=%s", (long long)t, good));
	forged("another time", body, arena_printf(w.a, "t=%lld,v1=%s", (long long)t - 1, good));
	forged("written anew", arena_printf(w.a, "%s ", body), arena_printf(w.a, "t=%lld,v1=%s", (long long)t, good));
	for (size_t i = 0; i < strlen(body); i += 7) {
		flipped = arena_strdup(w.a, body);
		flipped[i] = (char)(flipped[i] ^ 1);
		forged("one bit", flipped, arena_printf(w.a, "t=%lld,v1=%s", (long long)t, good));
	}
	forged("no time", body, arena_printf(w.a, "v1=%s", good));
	for (int i = 0; i < PAY_SIGNATURES_MAX; i++)
		many = arena_printf(w.a, "%s,v1=%s", many, sign("whsec_guess", t, body));
	forged("nine signatures", body, arena_printf(w.a, "%s,v1=%s", many, good));
	assert_int_equal(count("provider_event WHERE id =", "evt_forged"), 0);
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	/* While a secret is replaced there are two: either will do, alone or beside the other's. */
	assert_int_equal(deliver(body, arena_printf(w.a, "t=%lld,v1=%s,v1=%s", (long long)t, sign("whsec_new", t, body), good)), OK);
	assert_int_equal(count("provider_event WHERE id =", "evt_forged"), 1);
	body = event_of("evt_old_secret", CAPTURABLE, false, intent_object(v->payment->payment_intent_id));
	assert_int_equal(deliver(body, arena_printf(w.a, "t=%lld,v1=%s", (long long)t, sign("whsec_old", t, body))), OK);
	sweep();
	assert_string_equal(state_of(v->id), "ordered");
}

/* As the sandbox sends them, so that both sides mean the same by it. */
static void s26_signed_garbage(void **state)
{
	static const char *const bodies[] = { "", "{}", "null", "[]", "{\"id\":1}", "{\"id\":\"evt_x\"", "\xff\xfe" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_int_equal(told(bodies[i]), E_INVALID);
}

static void s27_unknown_intent(void **state)
{
	(void)state;
	listen_to_log();
	assert_int_equal(webhook("payment_intent.succeeded", "pi_nobodyknows", "evt_unknown"), OK); /* 2xx, and parked */
	for (int i = 0; i < 6; i++)
		sweep();
	assert_true(log_said("ERROR", "a payment event belongs to no checkout"));
	assert_string_equal(pg_fixture_text(w.fx, "SELECT parked FROM checkout.provider_event WHERE id = 'evt_unknown'"),
			    "unknown");
	assert_int_equal(count("provider_event WHERE next_at IS NULL AND id =", "evt_unknown"), 1);
}

/* An event of the live account at a test shop, or the reverse: kept for a person to see, and nothing is done. */
static void s28_wrong_mode(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	struct pay_conf live = { w.url, "sk_live_souk", 4, 4 };

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	listen_to_log();
	assert_int_equal(told(event_of("evt_live", CAPTURABLE, true, intent_object(v->payment->payment_intent_id))), OK);
	assert_true(log_said("ERROR", "a payment event is of the other mode"));
	sweep();
	assert_string_equal(pg_fixture_text(w.fx, "SELECT parked FROM checkout.provider_event WHERE id = 'evt_live'"), "livemode");
	assert_string_equal(state_of(v->id), "payment_pending");
	pay_close(w.svc.pay);
	assert_int_equal(pay_open(&live, &w.svc.pay, &w.e), OK);
	assert_int_equal(told(event_of("evt_test", CAPTURABLE, false, intent_object(v->payment->payment_intent_id))), OK);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT parked FROM checkout.provider_event WHERE id = 'evt_test'"), "livemode");
	world_open_pay(w.url);
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(webhook(CAPTURABLE, v->payment->payment_intent_id, "evt_right_mode"), OK);
	sweep();
	assert_string_equal(state_of(v->id), "ordered");
}

/* The buyer's bank takes it up: noted at the payment and told to people; the order stands until they decide. */
static void s32_dispute(void **state)
{
	Checkout__V1__Order *o = buy(&user, NULL);
	const char *pi = pg_fixture_text(w.fx, "SELECT payment_intent_id FROM checkout.orders WHERE id = '%s'", o->id);
	const char *object;

	(void)state;
	assert_int_equal(ask_sandbox("POST", "/_sandbox/disputes", "json", arena_printf(w.a, "{\"payment_intent\":\"%s\"}", pi), NULL), 200);
	object = arena_printf(w.a, "{\"id\":\"dp_1\",\"object\":\"dispute\",\"charge\":\"ch_1\",\"payment_intent\":\"%s\",\"status\":"
				   "\"needs_response\"}", pi);
	listen_to_log();
	assert_int_equal(told(event_of("evt_dispute", "charge.dispute.created", false, object)), OK);
	assert_int_equal(told(event_of("evt_dispute", "charge.dispute.created", false, object)), OK);
	sweep();
	assert_true(log_said("ERROR", "a payment is disputed"));
	assert_int_equal(count("payment WHERE disputed_at IS NOT NULL AND pi_id =", pi), 1);
	assert_int_equal(count("provider_event WHERE next_at IS NULL AND parked IS NULL AND id =", "evt_dispute"), 1);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT payment_status FROM checkout.orders WHERE id = '%s'", o->id), "paid");
	assert_int_equal(count("refund WHERE order_id =", o->id), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(s26_signatures), TEST(s26_signed_garbage), TEST(s27_unknown_intent), TEST(s28_wrong_mode), TEST(s32_dispute),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
