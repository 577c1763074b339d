/*
 * Each defence alone: all others of its kind are taken away, by hand or by dropping the constraint, and it must suffice.
 * (The suite that plants bugs takes whole kinds away; these show that no single layer is mere decoration.)
 */
#include "tests/integration/checkout/s_cases.h"

#define CROWD 16

static void drop_constraints(const char *table, const char *const *names)
{
	for (; *names; names++)
		pg_fixture_sql(w.fx, "ALTER TABLE checkout.%s DROP CONSTRAINT %s CASCADE", table, *names);
}

struct click {
	const char *checkout_id;
	pthread_barrier_t *together;
	enum err_code code;
	char order_id[ID_LEN];
};

static void *click(void *arg)
{
	struct click *k = arg;
	struct arena *a = arena_new("click", 8u << 20);
	Checkout__V1__ConfirmOrderRequest in = CHECKOUT__V1__CONFIRM_ORDER_REQUEST__INIT;
	Checkout__V1__Order *o = NULL;
	struct err e = { 0 };

	in.checkout_id = (char *)k->checkout_id;
	pthread_barrier_wait(k->together);
	k->code = handlers_ask(&w.h, a, "ConfirmOrder", &user, &in, &o, &e);
	if (!k->code)
		snprintf(k->order_id, sizeof(k->order_id), "%s", o->id);
	arena_free(a);
	return NULL;
}

/* All confirm one paid checkout, none of them with an idempotency key. */
static void crowd_confirms(const char *checkout_id)
{
	pthread_barrier_t together;
	struct click k[CROWD];
	pthread_t t[CROWD];

	w.conf.inline_ms = 20000; /* however slow the machine */
	assert_int_equal(pthread_barrier_init(&together, NULL, CROWD), 0);
	for (int i = 0; i < CROWD; i++) {
		k[i] = (struct click){ .checkout_id = checkout_id, .together = &together };
		assert_int_equal(pthread_create(&t[i], NULL, click, &k[i]), 0);
	}
	for (int i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&together);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(k[i].code, OK);
		assert_string_equal(k[i].order_id, k[0].order_id);
	}
}

static Checkout__V1__CheckoutView *paid(void)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);

	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	return v;
}

/* The saga has forgotten how far it came, and goes all the way once more: the tables let it write nothing twice. */
static void order_uniqueness_alone(void **state)
{
	Checkout__V1__CheckoutView *v = paid();
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	for (int i = 0; i < 3; i++) {
		pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET state = 'capturing', captured = false, next_at = now(),"
				     " lease_until = '-infinity', version = version + 1 WHERE id = '%s'", v->id);
		listen_to_log();
		round_of_sweeper();
		assert_true(log_said("pg.constraint", "duplicate key")); /* it was tried */
		assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
		assert_int_equal(count("payment WHERE checkout_id =", v->id), 1);
		assert_int_equal(count("outbox WHERE type = 'order.placed' AND agg_id =", o->id), 1);
		assert_int_equal(count("ledger WHERE kind = 'sale' AND reference =", o->id), 2);
	}
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET state = 'ordered', captured = true, next_at = NULL WHERE id = '%s'", v->id);
}

/* A second live checkout of a cart cannot be written, whoever tries and however many at once. */
struct starter {
	pthread_barrier_t *together;
	Checkout__V1__StartCheckoutRequest *in;
	enum err_code code;
	char id[ID_LEN];
};

static void *start_one(void *arg)
{
	struct starter *s = arg;
	struct arena *a = arena_new("start", 8u << 20);
	Checkout__V1__CheckoutView *v = NULL;
	struct err e = { 0 };

	pthread_barrier_wait(s->together);
	s->code = handlers_ask(&w.h, a, "StartCheckout", &user, s->in, &v, &e);
	if (!s->code)
		snprintf(s->id, sizeof(s->id), "%s", v->id);
	arena_free(a);
	return NULL;
}

static void live_index_alone(void **state)
{
	pthread_barrier_t together;
	struct starter s[CROWD];
	pthread_t t[CROWD];

	(void)state;
	w.conf.inline_ms = 20000;
	assert_int_equal(pthread_barrier_init(&together, NULL, CROWD), 0);
	for (int i = 0; i < CROWD; i++) { /* no key: the idempotency table is not asked */
		s[i] = (struct starter){ .in = order_of(&user, NULL, TOTAL), .together = &together };
		assert_int_equal(pthread_create(&t[i], NULL, start_one, &s[i]), 0);
	}
	for (int i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&together);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(s[i].code, OK);
		assert_string_equal(s[i].id, s[0].id);
	}
	assert_int_equal(w.stock_a, 998);
	assert_int_equal(intents_of(s[0].id, NULL), 1);
}

/* Two refunds that exceed the payment together: the row's own CHECK says no, without any of the handlers' sums. */
static void refund_limit_alone(void **state)
{
	Checkout__V1__Order *o = buy(&user, NULL);
	struct err e = { 0 };
	struct pg *pg;

	(void)state;
	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	assert_int_not_equal(
		pg_script(pg, arena_printf(w.a, "INSERT INTO checkout.refund (id, payment_id, checkout_id, order_id, currency,"
						" amount_minor) SELECT 'rfd_' || n, p.id, p.checkout_id, '%s', p.currency,"
						" p.captured_minor - 1 FROM checkout.payment p, generate_series(1, 2) n"
						" WHERE p.checkout_id = '%s'", o->id, o->checkout_id), &e), OK);
	assert_string_equal(pg_constraint(pg), "payment_refund_limit");
	pg_disconnect(pg);
}

/* The provider's key alone: asked six times with an answer that is always lost, it makes one intent. */
static void provider_key_alone(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 300;
	fault("{\"operation\":\"list\",\"kind\":\"close_before\",\"count\":0}"); /* no looking for it */
	fault("{\"operation\":\"create\",\"kind\":\"close_after\",\"count\":6}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	for (int i = 0; i < 30 && strcmp(state_of(v->id), "payment_pending") != 0; i++)
		sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	no_faults();
	assert_int_equal(intents_of(v->id, NULL), 1);
}

/* Looking alone: the key is as good as forgotten (it repeats a stored failure), what was made is found by its metadata. */
static void provider_look_alone(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 300;
	fault("{\"operation\":\"create\",\"kind\":\"error_500_stored\",\"processed\":true}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	for (int i = 0; i < 30 && strcmp(state_of(v->id), "payment_pending") != 0; i++)
		sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id, NULL), 1);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", v->id), 1);
}

/* No unique constraint is left on orders and the vendors' ledger: the compare-and-set of the saga's row writes one
 * order. Last, for the constraints do not come back. */
static void compare_and_set_alone(void **state)
{
	static const char *const of_orders[] = { "orders_pkey", "orders_number_key", "orders_checkout_id_key",
						 "orders_payment_intent_id_key", NULL };
	static const char *const of_ledger[] = { "ledger_vendor_id_kind_reference_key", NULL };

	(void)state;
	drop_constraints("orders", of_orders);
	drop_constraints("ledger", of_ledger);
	for (int i = 0; i < 10; i++) {
		Checkout__V1__CheckoutView *v;

		w.cart_seq++;
		v = paid();
		for (int k = 0; k < 3; k++)
			assert_int_equal(webhook("payment_intent.amount_capturable_updated", v->payment->payment_intent_id,
						 arena_printf(w.a, "evt_cas_%d_%d", i, k)), OK);
		crowd_confirms(v->id);
		sweep();
		assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
		assert_int_equal(count("payment WHERE checkout_id =", v->id), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(order_uniqueness_alone), TEST(live_index_alone),	 TEST(refund_limit_alone),
		TEST(provider_key_alone),     TEST(provider_look_alone), TEST(compare_and_set_alone),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
