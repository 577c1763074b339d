/* S18 to S21, S33: cancelling, capturing and selling go wrong, or the provider is away altogether. */
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

static void *one_sweep(void *arg)
{
	(void)arg;
	round_of_sweeper();
	return NULL;
}

/* Between the look and the cancel the buyer pays: the cancel is refused, and what it says is what happened. */
static void s19_payment_overtakes_cancel(void **state)
{
	const struct timespec pause = { 0, 2 * 1000 * 1000 };
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	int64_t until = mono_ms() + 60000;
	pthread_t t;

	(void)state;
	fault("{\"operation\":\"cancel\",\"kind\":\"delay_ms\",\"delay_ms\":1500}");
	time_is_over(v->id);
	assert_int_equal(pthread_create(&t, NULL, one_sweep, NULL), 0);
	while (strcmp(state_of(v->id), "cancelling_pi") != 0 && mono_ms() < until)
		nanosleep(&pause, NULL);
	if (pay_with(v->payment->client_secret, "pm_card_visa") == 200)
		(void)ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%s/capture", pi_of(v)), "sk", "", NULL);
	pthread_join(t, NULL);
	sweep();
	if (strcmp(state_of(v->id), "ordered") == 0) {
		intent_is(pi_of(v), "succeeded");
		assert_int_equal(w.stock_a, 998);
	} else { /* this machine took longer than the provider */
		assert_string_equal(state_of(v->id), "expired");
		intent_is(pi_of(v), "canceled");
		assert_int_equal(w.stock_a, 1000);
	}
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
		TEST(s19_payment_overtakes_cancel),
		TEST(s20_capture_unknown),
		TEST(s21_capture_refused),
		TEST(s33_provider_away),
		TEST(stock_calls_go_wrong),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
