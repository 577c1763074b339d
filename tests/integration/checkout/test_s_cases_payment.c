/* S22 to S25: paid, and then the goods are gone, or the payment is not what it should be. Never an order without its money,
 * never money without an order or its way back. */
#include "tests/integration/checkout/s_cases.h"

static const char *pi_of(const Checkout__V1__CheckoutView *v)
{
	return v->payment->payment_intent_id;
}

static Checkout__V1__CheckoutView *paid(void)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);

	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	return v;
}

/* ---- S22: the goods are gone although they were paid for ---- */

/* One line of two can be had no more: none is sold, the authorisation is let go. Both can: sold from what is left. */
static void s22_partly_sold_out_after_payment(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;

	(void)state;
	w.by_hand = true; /* somebody has let go of the reservation */
	w.res[0].state = ST_RELEASED;
	w.stock_a = 1;
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.stock_gone") || err_is(&last, "inventory.out_of_stock"));
	assert_string_equal(state_of(v->id), "expired");
	intent_is(pi_of(v), "canceled");
	assert_int_equal(w.stock_a, 1);

	w.cart_seq++;
	w.n_res = 0;
	w.stock_a = 10;
	v = paid();
	w.res[0].state = ST_RELEASED;
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(w.n_res, 2);
	assert_int_equal(w.res[1].state, ST_SOLD);
	w.res[0].a = w.res[0].b = 0;
}

/* Captured by itself, and the goods are gone: the money goes back, once, although the answer to that is lost. */
static void s22_captured_and_sold_out(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;

	(void)state;
	captured_elsewhere(pi_of(v));
	w.by_hand = true;
	w.res[0].state = ST_RELEASED;
	w.stock_b = 0;
	fault("{\"operation\":\"refund\",\"kind\":\"close_after\"}");
	assert_int_not_equal(confirm(&user, NULL, v->id, &o), OK);
	sweep();
	assert_string_equal(state_of(v->id), "refunded");
	assert_int_equal(count("refund WHERE state = 'succeeded' AND checkout_id =", v->id), 1);
	assert_int_equal(count("outbox WHERE type = 'checkout.refunded' AND agg_id =", v->id), 1);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.refunded"));
	provider_agrees(w.seen_intents);
}

/* Captured and given back by hand before we came to it: nothing is refunded twice, and the books name that refund. */
static void s22_repaid_by_hand(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;
	const char *text = "";
	json_t *made;

	(void)state;
	captured_elsewhere(pi_of(v));
	assert_int_equal(ask_sandbox("POST", "/v1/refunds", "sk", arena_printf(w.a, "payment_intent=%s", pi_of(v)), &text), 200);
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

/* ---- S23 to S25: a payment that is not this checkout's ---- */

static void s23_payment_differs(void **state)
{
	static const char *const altered[] = {
		"{\"amount\":1}",
		"{\"currency\":\"jpy\"}",
		"{\"metadata\":{\"checkout_id\":\"chk_01jd0000000000000000000009\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(altered); i++) {
		Checkout__V1__Order *o = NULL;
		Checkout__V1__CheckoutView *v;

		w.cart_seq++;
		v = paid();
		at_provider(pi_of(v), "tamper", altered[i]);
		listen_to_log();
		assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
		assert_true(log_said("CRITICAL", "does not match its checkout"));
		assert_true(err_is(&last, "checkout.payment_mismatch"));
		assert_int_equal(count("orders WHERE checkout_id =", v->id), 0);
		intent_is(pi_of(v), "canceled");
		assert_int_equal(w.stock_a, 1000);
	}
}

/* Captured already, and not for this checkout: no order, and the money goes back. */
static void s23_captured_payment_differs(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;

	(void)state;
	captured_elsewhere(pi_of(v));
	at_provider(pi_of(v), "tamper", "{\"metadata\":{\"checkout_id\":\"chk_01jd0000000000000000000009\"}}");
	assert_int_not_equal(confirm(&user, NULL, v->id, &o), OK);
	sweep();
	assert_string_equal(state_of(v->id), "refunded");
	assert_int_equal(count("orders WHERE checkout_id =", v->id), 0);
	assert_int_equal(count("refund WHERE state = 'succeeded' AND checkout_id =", v->id), 1);
	assert_int_equal(w.stock_a, 1000);
}

/* Who pays another's intent has paid for the other; nobody gets an order by naming somebody else's payment. */
static void s24_payment_of_another(void **state)
{
	struct principal other = who_user(OTHER);
	Checkout__V1__CheckoutView *mine = paid(), *theirs = start(&other, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(confirm(&other, NULL, mine->id, &o), E_NOT_FOUND);
	assert_int_equal(confirm(&who_nobody, NULL, mine->id, &o), E_NOT_FOUND);
	assert_int_equal(confirm(&other, NULL, theirs->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.not_paid"));
	assert_int_equal(told(event_of("evt_of_another", "payment_intent.amount_capturable_updated", false,
				       arena_printf(w.a, "{\"id\":\"%s\",\"object\":\"payment_intent\",\"metadata\":{\"checkout_id\":\"%s\"}}",
						    pi_of(mine), theirs->id))), OK); /* the intent decides, not what is said of it */
	sweep();
	assert_string_equal(state_of(mine->id), "ordered");
	assert_string_equal(state_of(theirs->id), "payment_pending");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT user_id FROM checkout.orders WHERE checkout_id = '%s'", mine->id), USER);
}

/* The statement breaks this constraint, whoever writes it. */
static void constraint_stops(const char *name, const char *sql)
{
	struct err e = { 0 };
	struct pg *pg;

	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	if (pg_script(pg, sql, &e) == OK)
		fail_msg("%s does not stop: %s", name, sql);
	assert_string_equal(pg_constraint(pg), name);
	pg_disconnect(pg);
}

/* A payment that made one order makes no second one: not by asking, and not by a hand in the tables. */
static void s25_payment_used_twice(void **state)
{
	Checkout__V1__CheckoutView *first = paid(), *second;
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(confirm(&user, NULL, first->id, &o), OK);
	w.cart_seq++;
	second = start(&user, NULL);
	assert_string_not_equal(pi_of(first), pi_of(second));
	assert_int_equal(pay_with(first->payment->client_secret, "pm_card_visa"), 400); /* it has been used */
	assert_int_equal(confirm(&user, NULL, second->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.not_paid"));
	constraint_stops("payment_attempt_pi_id_key",
			 arena_printf(w.a, "UPDATE checkout.payment_attempt SET pi_id = '%s' WHERE checkout_id = '%s'", pi_of(first),
				      second->id));
	constraint_stops("payment_pi_id_key",
			 arena_printf(w.a, "INSERT INTO checkout.payment (id, checkout_id, pi_id, currency, captured_minor) VALUES"
					   " ('pay_x', '%s', '%s', 'USD', 1)", second->id, pi_of(first)));
	constraint_stops("orders_payment_intent_id_key",
			 arena_printf(w.a, "INSERT INTO checkout.orders (id, number, checkout_id, payment_intent_id, reservation_key,"
					   " currency, subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_added_minor,"
					   " total_minor, item_count, discounts, locale, shipping_name, payment_status) VALUES"
					   " ('ord_x', 'x', '%s', '%s', 'x', 'USD', 1, 0, 0, 0, 0, 1, 1, '', 'en', 'x', 'paid')",
				      second->id, pi_of(first)));
	assert_int_equal(count("orders WHERE payment_intent_id =", pi_of(first)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(s22_partly_sold_out_after_payment),
		TEST(s22_captured_and_sold_out),
		TEST(s22_repaid_by_hand),
		TEST(s23_payment_differs),
		TEST(s23_captured_payment_differs),
		TEST(s24_payment_of_another),
		TEST(s25_payment_used_twice),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
