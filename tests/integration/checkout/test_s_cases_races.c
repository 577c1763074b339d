/* S9 to S17: buyer, webhook and clock arrive in every order, and at once. One order, or none and nothing taken. */
#include "tests/integration/checkout/s_cases.h"

#define CAPTURABLE "payment_intent.amount_capturable_updated"

static const char *some_event(void)
{
	static int n;

	return arena_printf(w.a, "evt_race_%d", n++);
}

static Checkout__V1__CheckoutView *paid(void)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);

	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	return v;
}

static const char *pi_of(const Checkout__V1__CheckoutView *v)
{
	return v->payment->payment_intent_id;
}

static void one_order(const Checkout__V1__CheckoutView *v)
{
	assert_string_equal(state_of(v->id), "ordered");
	assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
	assert_int_equal(count("payment WHERE checkout_id =", v->id), 1);
	assert_int_equal(count("outbox WHERE type = 'order.placed' AND agg_id =",
			       pg_fixture_text(w.fx, "SELECT order_id FROM checkout.checkout WHERE id = '%s'", v->id)), 1);
	intent_is(pi_of(v), "succeeded");
}

static void s9_webhook_before_confirm(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(webhook(CAPTURABLE, pi_of(v), "evt_alone"), OK);
	assert_int_equal(webhook(CAPTURABLE, pi_of(v), "evt_alone"), OK);
	assert_int_equal(count("provider_event WHERE id =", "evt_alone"), 1);
	sweep();
	one_order(v); /* the webhook alone does it */
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	one_order(v);
}

static void s10_confirm_before_webhook(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(webhook(CAPTURABLE, pi_of(v), "evt_later"), OK);
	assert_int_equal(webhook("payment_intent.succeeded", pi_of(v), "evt_late"), OK);
	sweep();
	assert_int_equal(count("provider_event WHERE next_at IS NULL AND parked IS NULL AND id =", "evt_late"), 1);
	one_order(v);
}

/* ---- S11: the buyer's request and the provider's at the same instant ---- */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUNDS 150
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 1000
#endif

static pthread_barrier_t together;

struct side {
	bool stop;
};

/* The webhook's side: its event is due at once and worked on. */
static void *provider_side(void *arg)
{
	struct side *s = arg;
	struct arena *a = arena_new("provider", 16u << 20);

	for (;;) {
		pthread_barrier_wait(&together);
		if (s->stop)
			break;
		sweeper_round(&w.svc, a);
		pthread_barrier_wait(&together);
	}
	arena_free(a);
	return NULL;
}

static void s11_confirm_and_webhook_at_once(void **state)
{
	int64_t before = pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.orders");
	struct side s = { false };
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_barrier_init(&together, NULL, 2), 0);
	assert_int_equal(pthread_create(&t, NULL, provider_side, &s), 0);
	w.stock_a = w.stock_b = 10 * ROUNDS;
	w.conf.inline_ms = 20000; /* nobody is told to come again here, however slow the machine */
	for (int i = 0; i < ROUNDS; i++) {
		Checkout__V1__CheckoutView *v;
		Checkout__V1__Order *o = NULL;

		w.cart_seq++;
		w.n_res = 0;
		v = paid();
		assert_int_equal(webhook(CAPTURABLE, pi_of(v), some_event()), OK);
		pg_fixture_sql(w.fx, "UPDATE checkout.provider_event SET next_at = now() WHERE next_at IS NOT NULL");
		pthread_barrier_wait(&together);
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK); /* the loser is answered with the winner's order */
		pthread_barrier_wait(&together);
		assert_int_equal(w.res[0].state, ST_SOLD);
		assert_int_equal(w.n_res, 1);
		if (i % 20 == 0)
			arena_reset(w.a);
	}
	s.stop = true;
	pthread_barrier_wait(&together);
	pthread_join(t, NULL);
	pthread_barrier_destroy(&together);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.orders") - before, ROUNDS);
	assert_int_equal(w.stock_a, 8 * ROUNDS);
	assert_int_equal(w.stock_b, 9 * ROUNDS);
}

/* ---- S12 ---- */

struct post {
	const char *pi, *event;
	enum err_code code;
};

static void *post_one(void *arg)
{
	struct post *p = arg;
	struct arena *a = arena_new("post", 4u << 20);
	char body[400], text[500], hex[SHA256_HEX_LEN], head[120];
	Checkout__V1__WebhookRequest in = CHECKOUT__V1__WEBHOOK_REQUEST__INIT;
	const struct principal nobody = who_nobody;
	int64_t t = wall_ms() / 1000;
	uint8_t mac[SHA256_LEN];
	struct err e = { 0 };

	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"type\":\"" CAPTURABLE "\",\"livemode\":false,\"data\":{\"object\":{\"id\":\"%s\","
		 "\"object\":\"payment_intent\"}}}", p->event, p->pi);
	snprintf(text, sizeof(text), "%lld.%s", (long long)t, body);
	hmac_sha256(SECRET, strlen(SECRET), text, strlen(text), mac);
	hex_encode(mac, SHA256_LEN, hex);
	snprintf(head, sizeof(head), "t=%lld,v1=%s", (long long)t, hex);
	in.has_raw_body = true;
	in.raw_body.data = (uint8_t *)body;
	in.raw_body.len = strlen(body);
	in.hdr_signature = head;
	p->code = handlers_ask(&w.h, a, "PayWebhook", &nobody, &in, NULL, &e);
	arena_free(a);
	return NULL;
}

/* One event five times at once: kept once. Five events of one change at once: one order. */
static void s12_webhook_five_times(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	struct arena *a = arena_new("sweep", 16u << 20);
	struct post p[10];
	pthread_t t[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		p[i] = (struct post){ pi_of(v), i < 5 ? "evt_fivefold" : some_event(), OK };
		assert_int_equal(pthread_create(&t[i], NULL, post_one, &p[i]), 0);
	}
	for (int i = 0; i < 10; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(p[i].code, OK);
	}
	assert_int_equal(count("provider_event WHERE id =", "evt_fivefold"), 1);
	assert_int_equal(count("provider_event WHERE object_id =", pi_of(v)), 6);
	pg_fixture_sql(w.fx, "UPDATE checkout.provider_event SET next_at = now() WHERE next_at IS NOT NULL");
	sweeper_round(&w.svc, a);
	arena_free(a);
	one_order(v);
}

/* An event of ours that overtakes the answer which tells us of its intent, and one that claims what is not so yet. */
static void s13_events_too_early(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;
	Checkout__V1__Order *o = NULL;
	const char *pi = NULL;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"close_after\",\"count\":0}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	no_faults();
	assert_int_equal(intents_of(v->id, &pi), 1);
	assert_int_equal(told(event_of("evt_early", "payment_intent.succeeded", false,
				       arena_printf(w.a, "{\"id\":\"%s\",\"object\":\"payment_intent\",\"metadata\":{\"checkout_id\":\"%s\"}}",
						    pi, v->id))), OK);
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending"); /* found by it; but "succeeded" it is not */
	assert_int_equal(count("orders WHERE checkout_id =", v->id), 0);
	assert_int_equal(webhook("payment_intent.succeeded", pi, "evt_early_too"), OK);
	assert_int_equal(webhook("payment_intent.processing", pi, "evt_early_three"), OK);
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	w.conf.inline_ms = 3000;
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	one_order(v);
}

/* Failed, then paid, and the news of the failure comes last. */
static void s14_stale_failure(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_chargeDeclined"), 402);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(webhook("payment_intent.payment_failed", pi_of(v), "evt_stale1"), OK); /* after "authorised" */
	sweep();
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(webhook("payment_intent.payment_failed", pi_of(v), "evt_stale2"), OK); /* after "ordered" */
	assert_int_equal(webhook("payment_intent.canceled", pi_of(v), "evt_stale3"), OK);
	sweep();
	one_order(v);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT payment_status FROM checkout.orders WHERE id = '%s'", o->id), "paid");
}

/* The client vanished and the webhook is lost: the sweeper asks by itself, within a minute. */
static void s15_nobody_tells(void **state)
{
	Checkout__V1__CheckoutView *v = paid();

	(void)state;
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.checkout WHERE id = '%s'"
					      " AND next_at <= now() + interval '60 s'", v->id), 1);
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now() WHERE id = '%s'", v->id);
	round_of_sweeper();
	one_order(v);
}

static void reopen(void)
{
	pg_pool_close(w.svc.pool);
	w.svc.pool = pg_fixture_pool(w.fx, checkout_stmts, 12);
	idem_seal_with(w.svc.pool, w.svc.ring);
	w.h.pool = w.svc.pool;
	world_open_pay(w.url);
}

/* Told 200: kept, whatever happens to the process. Not told 200, for the database was away: the provider sends it again. */
static void s16_webhook_during_restart(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	const char *ours = pg_fixture_text(w.fx, "SELECT current_database()");

	(void)state;
	assert_int_equal(webhook(CAPTURABLE, pi_of(v), "evt_restart"), OK);
	reopen();
	sweep();
	one_order(v);

	w.cart_seq++;
	v = paid();
	pg_fixture_sql(w.fx, "ALTER ROLE souk_checkout IN DATABASE %s SET default_transaction_read_only = on", ours);
	reopen();
	assert_int_not_equal(webhook(CAPTURABLE, pi_of(v), "evt_again"), OK);
	pg_fixture_sql(w.fx, "ALTER ROLE souk_checkout IN DATABASE %s RESET default_transaction_read_only", ours);
	reopen();
	assert_int_equal(count("provider_event WHERE id =", "evt_again"), 0);
	assert_int_equal(webhook(CAPTURABLE, pi_of(v), "evt_again"), OK);
	sweep();
	one_order(v);
}

/* ---- S17: the clock against the payment ---- */

struct clockwork {
	_Atomic bool stop;
};

static void nap(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	if (ms > 0)
		nanosleep(&t, NULL);
}

static void *sweeps(void *arg)
{
	struct clockwork *k = arg;
	struct arena *a = arena_new("sweeps", 16u << 20);

	while (!k->stop) {
		sweeper_round(&w.svc, a);
		nap(2);
	}
	arena_free(a);
	return NULL;
}

/* Paid `offset` ms after the checkout's time is over, with the sweeper at work. Whether it became an order. */
static bool paid_around_expiry(int offset, bool told_at_once)
{
	Checkout__V1__CheckoutView *v;
	Checkout__V1__Order *o = NULL;
	struct clockwork k = { false };
	const char *state;
	enum err_code code;
	pthread_t t;
	int status;

	w.cart_seq++;
	w.n_res = 0;
	w.stock_a = w.stock_b = 10;
	v = start(&user, NULL);
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET expires_at = clock_timestamp() + interval '60 ms',"
			     " next_at = clock_timestamp() + interval '60 ms' WHERE id = '%s'", v->id);
	assert_int_equal(pthread_create(&t, NULL, sweeps, &k), 0);
	nap(60 + offset);
	status = pay_with(v->payment->client_secret, "pm_card_visa");
	if (told_at_once)
		assert_int_equal(webhook(CAPTURABLE, pi_of(v), some_event()), OK);
	code = confirm(&user, NULL, v->id, &o);
	nap(20);
	k.stop = true;
	pthread_join(t, NULL);
	sweep();
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now() WHERE id = '%s' AND next_at IS NOT NULL", v->id);
	round_of_sweeper();
	state = state_of(v->id);
	if (strcmp(state, "ordered") == 0) {
		assert_int_equal(status, 200);
		one_order(v);
		assert_int_equal(w.stock_a, 8);
		assert_true(code == OK || code == E_PENDING || code == E_CONFLICT || code == E_GONE);
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
		return true;
	}
	assert_string_equal(state, "expired");
	assert_int_not_equal(code, OK); /* nobody was told of an order */
	intent_is(pi_of(v), "canceled");
	assert_int_equal(w.stock_a, 10);
	assert_int_equal(count("payment WHERE checkout_id =", v->id), 0);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_GONE);
	return false;
}

static void s17_expiry_against_payment(void **state)
{
	int orders = 0, n = 0;

	(void)state;
	for (int offset = -50; offset <= 50; offset += 4, n++) {
		orders += paid_around_expiry(offset, n % 2);
		books_hold();
	}
	print_message("%d of %d payments won against the clock\n", orders, n);
}

/* The two ends of it, where only one thing can be right. */
static void s17_paid_then_expired(void **state)
{
	Checkout__V1__CheckoutView *v = paid();

	(void)state;
	time_is_over(v->id);
	round_of_sweeper();
	one_order(v); /* the payment wins over the clock */
}

static void s17_expired_then_paid(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	time_is_over(v->id);
	round_of_sweeper();
	assert_string_equal(state_of(v->id), "expired");
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 400);
	assert_int_equal(w.stock_a, 1000);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(s9_webhook_before_confirm), TEST(s10_confirm_before_webhook),
		TEST(s12_webhook_five_times),	 TEST(s13_events_too_early),	   TEST(s14_stale_failure),
		TEST(s15_nobody_tells),		 TEST(s16_webhook_during_restart), TEST(s17_expiry_against_payment),
		TEST(s17_paid_then_expired),	 TEST(s17_expired_then_paid),	   TEST(s11_confirm_and_webhook_at_once),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
