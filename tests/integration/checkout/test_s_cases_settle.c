/* S18 to S25, S33: paid, and then: cancelling, capturing and selling go wrong, the payment is not what it should be, the
 * provider is away. Never an order without its money, never money without an order or its way back. */
#include <dirent.h>

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

/* ---- S18, S19: cancelling ---- */

/* The cancel is lost, and so is every look; nothing is released before it is confirmed. */
static void s18_cancel_unknown(void **state)
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
	books_hold();
	no_faults();
	sweep();
	assert_string_equal(state_of(v->id), "expired");
	assert_int_equal(w.stock_a, 1000);
	intent_is(pi_of(v), "canceled");
}

/* Its time is over and the cancel worked, but every answer is lost: the goods stay held until it is known. */
static void s18_cancel_answer_lost(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);

	(void)state;
	fault("{\"operation\":\"cancel\",\"kind\":\"close_after\",\"count\":0}");
	fault("{\"operation\":\"retrieve\",\"kind\":\"close_before\",\"nth\":2,\"count\":0}");
	time_is_over(v->id);
	round_of_sweeper();
	assert_string_equal(state_of(v->id), "cancelling_pi");
	assert_int_equal(w.res[0].state, ST_ACTIVE);
	no_faults();
	sweep();
	assert_string_equal(state_of(v->id), "expired");
	assert_int_equal(w.stock_a, 1000);
}

/* Expiry comes too late: the provider has the money, so there is an order. */
static void s19_cancel_finds_success(void **state)
{
	Checkout__V1__UpdateCheckoutRequest in = CHECKOUT__V1__UPDATE_CHECKOUT_REQUEST__INIT;
	Checkout__V1__CheckoutView *v = paid();

	(void)state;
	captured_elsewhere(pi_of(v));
	time_is_over(v->id);
	round_of_sweeper();
	assert_string_equal(state_of(v->id), "ordered");
	assert_int_equal(w.stock_a, 998);

	w.cart_seq++; /* between the look and the cancel: the first look is lost, the cancel is refused */
	v = paid();
	captured_elsewhere(pi_of(v));
	fault("{\"operation\":\"retrieve\",\"kind\":\"close_before\",\"count\":1}");
	time_is_over(v->id);
	round_of_sweeper();
	sweep();
	assert_string_equal(state_of(v->id), "ordered");

	w.cart_seq++; /* the buyer changes the address in another tab while paying */
	v = paid();
	captured_elsewhere(pi_of(v));
	in.checkout_id = v->id;
	in.hdr_if_match = v->hdr_etag;
	in.expected_total = v->totals->total;
	assert_int_equal(ask("UpdateCheckout", &user, &in, NULL), E_CONFLICT);
	assert_true(err_is(&last, "checkout.already_ordered"));
	assert_string_equal(state_of(v->id), "ordered");
}

/* ---- S20, S21: capturing ---- */

static void s20_capture_unknown(void **state)
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
		v = paid();
		fault(faults[i]);
		w.conf.inline_ms = 300;
		code = confirm(&user, NULL, v->id, &o);
		if (code && code != E_PENDING)
			fail_msg("%s: %s %s", faults[i], last.slug, last.msg);
		books_hold();
		for (int k = 0; k < 5; k++) {
			pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now() WHERE next_at IS NOT NULL");
			sweep();
		}
		no_faults();
		w.conf.inline_ms = 3000;
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
		intent_is(pi_of(v), "succeeded");
		assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
	}
}

/* The bank refuses what it had authorised; and the authorisation ran out between paying and confirming. */
static void s21_capture_refused(void **state)
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

	w.cart_seq++;
	v = paid();
	at_provider(pi_of(v), "expire", "{}");
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_GONE);
	assert_true(err_is(&last, "checkout.payment_canceled"));
	assert_int_equal(w.stock_a, 1000);
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

/* ---- S33: ten minutes without the provider ---- */

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void s33_provider_away(void **state)
{
	Checkout__V1__EstimateRequest est = CHECKOUT__V1__ESTIMATE_REQUEST__INIT;
	Checkout__V1__EstimateView *seen = NULL;
	struct principal other = who_user(OTHER);
	Checkout__V1__CheckoutView *before = paid(), *idle, *v = NULL;
	Checkout__V1__Order *o = NULL;
	int files = 0;

	(void)state;
	idle = start(&other, NULL);
	w.conf.inline_ms = 200;
	world_open_pay("http://127.0.0.1:1");
	est.country = (char *)"US";
	for (int i = 0; i < 12; i++) { /* fifty seconds each: time passes for those who wait */
		char token[16];

		snprintf(token, sizeof(token), "guest-%d", i);
		assert_int_equal(ask("StartCheckout", &who_nobody, order_of(&who_nobody, token, TOTAL), &v), E_UNAVAILABLE);
		assert_true(last.retry_after_ms > 0);
		assert_int_equal(ask("EstimateCart", &user, &est, &seen), OK); /* what needs no provider goes on */
		assert_int_equal(w.stock_a, 996); /* the two that had begun; nothing is held for those turned away */
		pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET expires_at = expires_at - interval '50 s',"
				     " begun_at = begun_at - interval '50 s', next_at = now(), lease_until = '-infinity'"
				     " WHERE next_at IS NOT NULL");
		round_of_sweeper();
		w.n_res = 2; /* released ones are of no interest */
		if (i == 5)
			files = open_files();
	}
	assert_true(open_files() <= files + 2);
	assert_int_equal(confirm(&user, NULL, before->id, &o), E_PENDING); /* paid before: kept, and said so */
	time_is_over(idle->id);
	round_of_sweeper();
	assert_int_equal(count("checkout WHERE next_at IS NOT NULL AND id =", idle->id), 1); /* not known to be cancelled: kept */
	assert_int_equal(w.stock_a, 996);
	books_hold();
	world_open_pay(w.url);
	w.conf.inline_ms = 3000;
	sweep();
	assert_int_equal(confirm(&user, NULL, before->id, &o), OK);
	assert_string_equal(state_of(idle->id), "expired");
	assert_int_equal(w.stock_a, 998);
	w.cart_seq++;
	(void)buy(&user, NULL);
}

/* ---- inventory's calls, lost before or after they worked ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(s18_cancel_unknown),
		TEST(s18_cancel_answer_lost),
		TEST(s19_cancel_finds_success),
		TEST(s20_capture_unknown),
		TEST(s21_capture_refused),
		TEST(s22_partly_sold_out_after_payment),
		TEST(s22_captured_and_sold_out),
		TEST(s22_repaid_by_hand),
		TEST(s23_payment_differs),
		TEST(s24_payment_of_another),
		TEST(s25_payment_used_twice),
		TEST(s33_provider_away),
		TEST(stock_calls_go_wrong),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
