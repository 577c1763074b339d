/* Provider and inventory at their worst: every call lost before or after it worked, and what the books say afterwards. */
#include "tests/integration/checkout/world.h"

static struct principal user;

static int64_t intents_of(const char *checkout_id)
{
	const char *text = "";
	json_t *list, *data;
	int64_t n = 0;

	assert_int_equal(ask_sandbox("GET", "/v1/payment_intents?limit=100", "sk", NULL, &text), 200);
	list = json_loads(text, 0, NULL);
	data = json_object_get(list, "data");
	for (size_t i = 0; i < json_array_size(data); i++)
		n += strcmp(json_string_value(json_object_get(json_object_get(json_array_get(data, i), "metadata"),
							      "checkout_id")), checkout_id) == 0;
	json_decref(list);
	return n;
}

/* 202 with the address to ask at, however the making of the intent went wrong; then exactly one intent. */
static void create_goes_wrong(void **state)
{
	static const char *const faults[] = {
		"{\"operation\":\"create\",\"kind\":\"close_after\"}",
		"{\"operation\":\"create\",\"kind\":\"close_before\",\"count\":2}",
		"{\"operation\":\"create\",\"kind\":\"error_500_unstored\",\"processed\":true,\"count\":3}",
		"{\"operation\":\"create\",\"kind\":\"conflict_409\",\"count\":2}",
		"{\"operation\":\"create\",\"kind\":\"truncate_body\",\"bytes\":20}",
		"{\"operation\":\"create\",\"kind\":\"invalid_json\"}",
		"{\"operation\":\"create\",\"kind\":\"wrong_amount\",\"amount_delta\":7}",
		"{\"operation\":\"create\",\"kind\":\"huge_body\",\"bytes\":3000000}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		Checkout__V1__CheckoutView *v = NULL;
		Checkout__V1__Order *o = NULL;
		enum err_code code;

		w.cart_seq++;
		w.conf.inline_ms = 400; /* not enough for a second try */
		fault(faults[i]);
		code = ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v);
		if (code)
			assert_int_equal(code, E_PENDING);
		if (code)
			assert_non_null(v->hdr_location);
		sweep();
		no_faults();
		sweep();
		assert_string_equal(state_of(v->id), "payment_pending");
		assert_int_equal(intents_of(v->id), 1);
		w.conf.inline_ms = 3000;
		assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
		assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	}
}

/* A stored failure is repeated for its key for ever: only when the intent is known not to exist there is another key. */
static void stored_500(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"error_500_stored\"}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	for (int i = 0; i < 3; i++)
		sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id), 1);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", v->id), 2);

	w.cart_seq++; /* the failure was stored, the intent was made nevertheless: it is found, not made again */
	fault("{\"operation\":\"create\",\"kind\":\"error_500_stored\",\"processed\":true}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	for (int i = 0; i < 3; i++)
		sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id), 1);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", v->id), 1);
}

static void settle_goes_wrong(void **state)
{
	static const char *const faults[] = {
		"{\"operation\":\"capture\",\"kind\":\"close_after\"}",
		"{\"operation\":\"capture\",\"kind\":\"close_before\",\"count\":2}",
		"{\"operation\":\"capture\",\"kind\":\"error_500_stored\"}",
		"{\"operation\":\"capture\",\"kind\":\"error_500_stored\",\"processed\":true}",
		"{\"operation\":\"capture\",\"kind\":\"error_500_unstored\",\"count\":4}",
		"{\"operation\":\"capture\",\"kind\":\"status_429\",\"count\":2}",
		"{\"operation\":\"capture\",\"kind\":\"truncate_body\",\"bytes\":5}",
		"{\"operation\":\"retrieve\",\"kind\":\"close_before\",\"count\":2}",
		"{\"operation\":\"retrieve\",\"kind\":\"error_500_unstored\",\"count\":3}",
		"{\"operation\":\"any\",\"kind\":\"conflict_409\",\"count\":3}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		Checkout__V1__CheckoutView *v;
		Checkout__V1__Order *o = NULL;
		enum err_code code;

		w.cart_seq++;
		w.conf.inline_ms = 3000;
		v = start(&user, NULL);
		assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
		fault(faults[i]);
		w.conf.inline_ms = 300;
		code = confirm(&user, NULL, v->id, &o);
		if (code && code != E_PENDING)
			fail_msg("%s: %s %s", faults[i], last.slug, last.msg);
		pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now() WHERE next_at IS NOT NULL");
		for (int k = 0; k < 4; k++) {
			sweep();
			pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now() WHERE next_at IS NOT NULL");
		}
		no_faults();
		w.conf.inline_ms = 3000;
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
		intent_is(v->payment->payment_intent_id, "succeeded");
		assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
	}
}

static void stock_calls_go_wrong(void **state)
{
	static const struct {
		enum remote_op op;
		enum lose lose;
	} lost_calls[] = {
		{ OP_RESERVE, LOSE_REQUEST }, { OP_RESERVE, LOSE_ANSWER }, { OP_SELL, LOSE_REQUEST }, { OP_SELL, LOSE_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lost_calls); i++) {
		Checkout__V1__CheckoutView *v = NULL;
		Checkout__V1__Order *o = NULL;
		int64_t before = w.stock_a;

		w.cart_seq++;
		w.lose[lost_calls[i].op] = lost_calls[i].lose;
		w.lose_count[lost_calls[i].op] = 2;
		(void)ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v);
		sweep();
		assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
		assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
		(void)confirm(&user, NULL, v->id, &o);
		sweep();
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
		assert_int_equal(w.stock_a, before - 2);
	}
}

/* The reservation is gone although it was paid: sold from what is left, or the authorisation is let go. */
static void stock_gone(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	w.res[0].state = ST_RELEASED;
	w.stock_a = 1;
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.stock_gone") || err_is(&last, "inventory.out_of_stock"));
	assert_string_equal(state_of(v->id), "expired");
	intent_is(v->payment->payment_intent_id, "canceled");

	w.cart_seq++;
	w.n_res = 0;
	w.stock_a = 10;
	v = start(&user, NULL);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	w.res[0].state = ST_RELEASED;
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(w.n_res, 2);

	w.cart_seq++; /* captured by itself: the money goes back, once */
	w.n_res = 0;
	w.stock_a = 2;
	v = start(&user, NULL);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%s/capture",
							  v->payment->payment_intent_id), "sk", "", NULL), 200);
	w.res[0].state = ST_RELEASED;
	fault("{\"operation\":\"refund\",\"kind\":\"close_after\"}");
	w.stock_b = 0;
	assert_int_not_equal(confirm(&user, NULL, v->id, &o), OK);
	sweep();
	assert_string_equal(state_of(v->id), "refunded");
	assert_int_equal(count("refund WHERE state = 'succeeded' AND checkout_id =", v->id), 1);
	assert_int_equal(count("outbox WHERE type = 'checkout.refunded' AND agg_id =", v->id), 1);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.refunded"));
}

/* Captured and given back by hand before we came to it: nothing is refunded twice, and the books name that refund. */
static void repaid_by_hand(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;
	const char *text = "", *pi = v->payment->payment_intent_id;
	json_t *made;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%s/capture", pi), "sk", "", NULL), 200);
	assert_int_equal(ask_sandbox("POST", "/v1/refunds", "sk", arena_printf(w.a, "payment_intent=%s", pi), &text), 200);
	w.res[0].state = ST_RELEASED;
	w.stock_b = 0;
	assert_int_not_equal(confirm(&user, NULL, v->id, &o), OK);
	sweep();
	assert_string_equal(state_of(v->id), "refunded");
	made = json_loads(text, 0, NULL);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT coalesce(max(provider_id), '') FROM checkout.refund"
					    " WHERE checkout_id = '%s'", v->id), json_string_value(json_object_get(made, "id")));
	json_decref(made);
}

/* A day later the provider has forgotten the key, which would make a second intent: it is looked for first. */
static void create_of_yesterday(void **state)
{
	struct arena *a = arena_new("round", 16u << 20);
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"close_after\",\"count\":0}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	pg_fixture_sql(w.fx, "UPDATE checkout.payment_attempt SET created_at = created_at - interval '24 h'"
			     " WHERE checkout_id = '%s'", v->id);
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now(), lease_until = '-infinity' WHERE id = '%s'", v->id);
	sweeper_round(&w.svc, a);
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id), 1);
	arena_free(a);
}

static void mismatch(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/_sandbox/intents/%s/tamper",
							  v->payment->payment_intent_id), "json", "{\"amount\":1}", NULL), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.payment_mismatch"));
	intent_is(v->payment->payment_intent_id, "canceled");
	assert_int_equal(w.stock_a, 1000);
}

static void capture_refused(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_sandbox_capture_fails"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.capture_failed"));
	assert_string_equal(state_of(v->id), "cancelled");
	assert_int_equal(w.stock_a, 1000);
	assert_int_equal(count("outbox WHERE type = 'checkout.payment_failed' AND agg_id =", v->id), 1);

	w.cart_seq++; /* the authorisation ran out between pay and confirm */
	v = start(&user, NULL);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/_sandbox/intents/%s/expire",
							  v->payment->payment_intent_id), "json", "{}", NULL), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_GONE);
	assert_true(err_is(&last, "checkout.payment_canceled"));
	assert_int_equal(w.stock_a, 1000);
}

/* The cancel is lost, twice; nothing is released before it is confirmed. */
static void cancel_unknown(void **state)
{
	Checkout__V1__CheckoutRequest in = CHECKOUT__V1__CHECKOUT_REQUEST__INIT;
	Checkout__V1__CheckoutView *v = start(&user, NULL), *out = NULL;

	(void)state;
	w.conf.inline_ms = 300;
	fault("{\"operation\":\"cancel\",\"kind\":\"error_500_unstored\",\"count\":1}");
	fault("{\"operation\":\"retrieve\",\"kind\":\"error_500_unstored\",\"nth\":2,\"count\":30}");
	in.checkout_id = v->id;
	assert_int_equal(ask("CancelCheckout", &user, &in, &out), E_PENDING);
	assert_int_equal(w.stock_a, 998);
	assert_int_equal(w.res[0].state, ST_ACTIVE);
	no_faults();
	sweep();
	assert_string_equal(state_of(v->id), "expired");
	assert_int_equal(w.stock_a, 1000);
	intent_is(v->payment->payment_intent_id, "canceled");
}

static void provider_down(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	world_open_pay("http://127.0.0.1:1");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_UNAVAILABLE);
	assert_true(err_is(&last, "checkout.provider_down"));
	assert_true(last.retry_after_ms > 0);
	assert_int_equal(w.stock_a, 1000); /* nothing half done */
	world_open_pay(w.url);
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
}

/* A slow provider holds up nobody for longer than the inline budget. */
static void provider_slow(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;
	int64_t began;

	(void)state;
	w.conf.inline_ms = 500;
	fault("{\"operation\":\"create\",\"kind\":\"delay_ms\",\"delay_ms\":2500}");
	began = mono_ms();
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	assert_true(mono_ms() - began < 2000);
	assert_non_null(v->hdr_location);
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id), 1);
}

/* Killed after the step was stored and before it was carried out: the stored state says what to do. */
static void crash_everywhere(void **state)
{
	static const char *const crash[] = { "reserving", "pi_creating", "selling", "capturing" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(crash); i++) {
		Checkout__V1__CheckoutView *v;
		Checkout__V1__Order *o = NULL;

		w.cart_seq++;
		v = start(&user, NULL);
		assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
		pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET state = '%s', sold = %s, has_pi = %s WHERE id = '%s'",
			       crash[i], i == 3 ? "true" : "false", i < 2 ? "false" : "true", v->id);
		if (i == 3) {
			pthread_mutex_lock(&w.mu);
			w.res[w.n_res - 1].state = ST_SOLD;
			pthread_mutex_unlock(&w.mu);
		}
		sweep();
		if (i == 0) { /* a second intent would be a second payment: the first attempt's key gave the first intent */
			assert_string_equal(state_of(v->id), "payment_pending");
			continue;
		}
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
		assert_int_equal(intents_of(v->id), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_goes_wrong),    TEST(stored_500),	  TEST(settle_goes_wrong),
		TEST(stock_calls_go_wrong), TEST(stock_gone),	  TEST(mismatch),
		TEST(repaid_by_hand),	    TEST(create_of_yesterday),
		TEST(capture_refused),	    TEST(cancel_unknown), TEST(provider_down),
		TEST(provider_slow),	    TEST(crash_everywhere),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
