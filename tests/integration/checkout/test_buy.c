/* Buying: the purchase and each of its unhappy ends, against the payment sandbox. */
#include "common/metrics.h"
#include "services/checkout/saga_figures.h"
#include "tests/integration/checkout/world.h"

static struct principal user;

static void schema(void **state)
{
	struct pg *pg;

	(void)state;
	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &w.e), OK);
	if (pg_check_stmts(pg, checkout_stmts, &w.e))
		fail_msg("%s", w.e.msg);
	pg_disconnect(pg);
	assert_string_equal(pg_fixture_unaudited(w.fx, "checkout"), "");
}

static void purchase(void **state)
{
	Checkout__V1__EstimateRequest est = CHECKOUT__V1__ESTIMATE_REQUEST__INIT;
	Checkout__V1__EstimateView *e = NULL;
	Checkout__V1__CheckoutView *v, *again = NULL;
	Checkout__V1__Order *o = NULL, *o2 = NULL;

	(void)state;
	est.country = (char *)"US";
	assert_int_equal(ask("EstimateCart", &user, &est, &e), OK);
	assert_int_equal(e->totals->total->amount, TOTAL);
	assert_int_equal(e->n_shipping_options, 2);
	v = start(&user, NULL);
	assert_int_equal(v->totals->total->amount, TOTAL);
	assert_int_equal(w.stock_a, 998);
	assert_true(w.reserved_s > w.conf.ttl_s); /* the goods are held until after the checkout has ended */
	/* The same again is the same checkout. */
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &again), OK);
	assert_string_equal(again->id, v->id);
	assert_int_equal(again->hdr_status, 200);
	assert_string_equal(again->payment->client_secret, v->payment->client_secret);
	/* Not paid yet. */
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.not_paid"));
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(confirm(&user, NULL, v->id, &o2), OK);
	assert_string_equal(o->id, o2->id);
	assert_string_equal(o->payment_status, "paid");
	assert_int_equal(o->n_vendor_orders, 2);
	assert_int_equal(o->vendor_orders[0]->total->amount + o->vendor_orders[1]->total->amount, TOTAL);
	intent_is(v->payment->payment_intent_id, "succeeded");
	assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
	assert_int_equal(count("outbox WHERE type = 'order.placed' AND agg_id =", o->id), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(amount_minor) FROM checkout.ledger WHERE vendor_id = '" VND1 "'"),
			 pg_fixture_i64(w.fx, "SELECT total_minor - commission_minor FROM checkout.vendor_order"
					      " WHERE vendor_id = '" VND1 "'"));
	/* The very same cart is not bought twice by a late click. */
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &again), OK);
	assert_string_equal(again->order_id, o->id);
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL + 1), &again), E_CONFLICT);
	assert_true(err_is(&last, "checkout.already_ordered"));
	/* Somebody else sees neither. */
	struct principal other = who_user(OTHER);

	assert_int_equal(confirm(&other, NULL, v->id, &o2), E_NOT_FOUND);
	/* Nothing of the person rests in the clear. */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.checkout WHERE checkout::text LIKE '%%Canary%%'"), 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.orders WHERE orders::text LIKE '%%Canary%%'"), 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.audit_log WHERE audit_log::text LIKE '%%Canary%%'"), 0);
	assert_string_equal(o->address->name, "Ada Canary");
}

static void out_of_stock(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.stock_b = 0;
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_CONFLICT);
	assert_true(err_is(&last, "inventory.out_of_stock"));
	assert_int_equal(last.n_details, 1);
	assert_string_equal(last.details[0].field, "lines." VAR_B);
	assert_int_equal(w.stock_a, 1000); /* all lines or none */
}

static void changed_price(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.price_a = 1100;
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_CONFLICT);
	assert_true(err_is(&last, "checkout.price_changed"));
	assert_string_equal(last.details[0].field, "expected_total");
	assert_int_equal(strtol(last.details[0].value, NULL, 10), TOTAL + 200);
	assert_int_equal(w.n_res, 0);
	w.price_a = -1;
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_CONFLICT);
	assert_true(err_is(&last, "checkout.not_sellable"));
}

static void bad_input(void **state)
{
	Checkout__V1__StartCheckoutRequest *in = order_of(&user, NULL, TOTAL);
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	in->address->country = (char *)"XX";
	in->address->name = NULL;
	in->shipping_method = NULL;
	assert_int_equal(ask("StartCheckout", &user, in, &v), E_INVALID);
	assert_int_equal(last.n_details, 3);
	in = order_of(&user, NULL, TOTAL);
	in->hdr_if_match = NULL;
	assert_int_equal(ask("StartCheckout", &user, in, &v), E_PRECOND_REQ);
	in = order_of(&user, NULL, TOTAL);
	in->hdr_if_match = (char *)"nonsense";
	assert_int_equal(ask("StartCheckout", &user, in, &v), E_PRECOND);
	in = order_of(&user, NULL, TOTAL);
	w.cart_version = 2;
	assert_int_equal(ask("StartCheckout", &user, in, &v), E_PRECOND);
	w.cart_version = 1;
	in->shipping_method = (char *)"shm_teleport";
	assert_int_equal(ask("StartCheckout", &user, in, &v), E_RULE);
	assert_true(err_is(&last, "checkout.shipping_unavailable"));
}

static void declined_then_paid(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_chargeDeclined"), 402);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.payment_declined"));
	assert_string_equal(last.details[0].field, "payment");
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
}

static void three_d_secure(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	Checkout__V1__Order *o = NULL;
	const char *id = v->payment->payment_intent_id;

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_authenticationRequired"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_CONFLICT);
	assert_true(err_is(&last, "checkout.not_paid"));
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%s/_authenticate", id), "pk",
				     arena_printf(w.a, "outcome=succeed&client_secret=%s", v->payment->client_secret), NULL),
			 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
}

static void guest(void **state)
{
	Checkout__V1__OrderRequest in = CHECKOUT__V1__ORDER_REQUEST__INIT;
	Checkout__V1__Order *o, *seen = NULL;

	(void)state;
	o = buy(&who_nobody, "a-guest-token");
	assert_non_null(o->order_token);
	assert_string_equal(o->email, "canary@example.com");
	in.order_id = o->id;
	assert_int_equal(ask("GetOrder", &who_nobody, &in, &seen), E_NOT_FOUND);
	in.hdr_order_token = (char *)"guess";
	assert_int_equal(ask("GetOrder", &who_nobody, &in, &seen), E_NOT_FOUND);
	in.hdr_order_token = o->order_token;
	assert_int_equal(ask("GetOrder", &who_nobody, &in, &seen), OK);
	assert_string_equal(seen->number, o->number);
	in.hdr_order_token = NULL;
	assert_int_equal(ask("GetOrder", &user, &in, &seen), E_NOT_FOUND);
}

/* ---- double clicks ---- */

struct click {
	const char *checkout_id, *pi_id;
	int n;
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
	k->code = handlers_ask(&w.h, a, "ConfirmOrder", &user, &in, &o, &e);
	if (!k->code)
		snprintf(k->order_id, sizeof(k->order_id), "%s", o->id);
	arena_free(a);
	return NULL;
}

static void many_clicks(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL);
	struct arena *a = arena_new("sweep", 16u << 20);
	struct click k[32];
	pthread_t t[32];

	(void)state;
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	for (int i = 0; i < 32; i++) {
		k[i] = (struct click){ v->id, v->payment->payment_intent_id, i, OK, "" };
		pthread_create(&t[i], NULL, click, &k[i]);
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(webhook("payment_intent.amount_capturable_updated", v->payment->payment_intent_id,
					 arena_printf(w.a, "evt_click_%d", i)), OK);
	pg_fixture_sql(w.fx, "UPDATE checkout.provider_event SET next_at = now() WHERE next_at IS NOT NULL");
	sweeper_round(&w.svc, a);
	for (int i = 0; i < 32; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 32; i++) { /* the loser gets the winner's order */
		assert_int_equal(k[i].code, OK);
		assert_string_equal(k[i].order_id, k[0].order_id);
	}
	arena_free(a);
	assert_int_equal(count("orders WHERE checkout_id =", v->id), 1);
	assert_int_equal(count("payment WHERE checkout_id =", v->id), 1);
	assert_int_equal(count("outbox WHERE type = 'order.placed' AND agg_id =", k[0].order_id), 1);
}

struct starter {
	enum err_code code;
	char id[ID_LEN];
	Checkout__V1__StartCheckoutRequest *in;
};

static void *start_one(void *arg)
{
	struct starter *s = arg;
	struct arena *a = arena_new("start", 8u << 20);
	Checkout__V1__CheckoutView *v = NULL;
	struct err e = { 0 };

	s->code = handlers_ask(&w.h, a, "StartCheckout", &user, s->in, &v, &e);
	if (!s->code)
		snprintf(s->id, sizeof(s->id), "%s", v->id);
	arena_free(a);
	return NULL;
}

static void many_starts(void **state)
{
	struct starter s[16];
	pthread_t t[16];

	(void)state;
	for (int i = 0; i < 16; i++) {
		s[i] = (struct starter){ .in = order_of(&user, NULL, TOTAL) };
		pthread_create(&t[i], NULL, start_one, &s[i]);
	}
	for (int i = 0; i < 16; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(s[i].code, OK);
		assert_string_equal(s[i].id, s[0].id);
	}
	assert_int_equal(w.stock_a, 998);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", s[0].id), 1);
}

/* ---- changing one's mind ---- */

static void replaced(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL), *next = NULL;
	Checkout__V1__StartCheckoutRequest *in = order_of(&user, NULL, 2000 + 2550 + 3 * (499 + 2 * 50));

	(void)state;
	in->shipping_method = (char *)"shm_express";
	assert_int_equal(ask("StartCheckout", &user, in, &next), OK);
	assert_string_not_equal(next->id, v->id);
	assert_string_equal(state_of(v->id), "expired");
	intent_is(v->payment->payment_intent_id, "canceled");
	assert_int_equal(w.stock_a, 998);
}

static void patched(void **state)
{
	Checkout__V1__UpdateCheckoutRequest in = CHECKOUT__V1__UPDATE_CHECKOUT_REQUEST__INIT;
	Checkout__V1__CheckoutView *v = start(&user, NULL), *next = NULL;
	Checkout__V1__Order *o = NULL;
	struct money m;

	(void)state;
	in.checkout_id = v->id;
	in.hdr_if_match = v->hdr_etag;
	in.shipping_method = (char *)"shm_express";
	assert_int_equal(money_make(2000 + 2550 + 3 * (499 + 2 * 50), "USD", &m, &w.e), OK);
	in.expected_total = money_to_pb(w.a, m);
	assert_int_equal(ask("UpdateCheckout", &user, &in, &next), OK);
	assert_string_equal(next->id, v->id);
	assert_string_not_equal(next->payment->payment_intent_id, v->payment->payment_intent_id);
	intent_is(v->payment->payment_intent_id, "canceled");
	assert_int_equal(ask("UpdateCheckout", &user, &in, NULL), E_PRECOND); /* the old tag */
	assert_int_equal(pay_with(next->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(o->totals->total->amount, money_minor(m));
}

/* Paid in another tab while the address was changed: the old total stands. */
static void patched_too_late(void **state)
{
	Checkout__V1__UpdateCheckoutRequest in = CHECKOUT__V1__UPDATE_CHECKOUT_REQUEST__INIT;
	Checkout__V1__CheckoutView *v = start(&user, NULL);

	(void)state;
	in.checkout_id = v->id;
	in.hdr_if_match = v->hdr_etag;
	in.expected_total = v->totals->total;
	/* Captured without us, so that it can no longer be cancelled. */
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%s/capture",
							  v->payment->payment_intent_id), "sk", "", NULL), 200);
	assert_int_equal(ask("UpdateCheckout", &user, &in, NULL), E_CONFLICT);
	assert_true(err_is(&last, "checkout.already_ordered"));
	assert_string_equal(state_of(v->id), "ordered");
}

/* The longest checkout that may be configured still ends before its reservation. */
static void longest(void **state)
{
	(void)state;
	w.conf.ttl_s = CHECKOUT_TTL_MAX;
	start(&user, NULL);
	w.conf.ttl_s = 900;
	assert_in_range(w.reserved_s, CHECKOUT_TTL_MAX + 110, 1800);
}

/* Another checkout of the same cart was paid meanwhile: that version of the cart is not sold twice. */
static void patched_after_order(void **state)
{
	Checkout__V1__UpdateCheckoutRequest in = CHECKOUT__V1__UPDATE_CHECKOUT_REQUEST__INIT;
	Checkout__V1__StartCheckoutRequest *elsewhere = order_of(&user, NULL, TOTAL);
	Checkout__V1__CheckoutView *first = start(&user, NULL), *second = NULL;
	Checkout__V1__Order *o = NULL;

	(void)state;
	elsewhere->address->line1 = (char *)"2 Other Street";
	assert_int_equal(ask("StartCheckout", &user, elsewhere, &second), OK);
	assert_string_not_equal(second->id, first->id);
	assert_int_equal(pay_with(second->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, second->id, &o), OK);
	in.checkout_id = first->id;
	in.expected_total = first->totals->total;
	assert_int_equal(ask("UpdateCheckout", &user, &in, NULL), E_CONFLICT);
	assert_true(err_is(&last, "checkout.already_ordered"));
	assert_string_equal(last.details[0].field, "order_id");
	assert_string_equal(last.details[0].value, o->id);
	assert_string_equal(state_of(first->id), "expired");
	w.cart_version++; /* what was put into the cart since then may be bought */
	assert_int_equal(ask("UpdateCheckout", &user, &in, NULL), OK);
}

static void given_up(void **state)
{
	Checkout__V1__CheckoutRequest in = CHECKOUT__V1__CHECKOUT_REQUEST__INIT;
	Checkout__V1__CheckoutView *v = start(&user, NULL), *out = NULL;
	Checkout__V1__Order *o = NULL;

	(void)state;
	in.checkout_id = v->id;
	assert_int_equal(ask("CancelCheckout", &user, &in, &out), OK);
	assert_string_equal(out->state, "expired");
	assert_string_equal(out->reason, "abandoned");
	assert_null(out->payment->client_secret);
	assert_int_equal(w.stock_a, 1000);
	intent_is(v->payment->payment_intent_id, "canceled");
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_GONE);
}

/* A column that an index holds, or that decides what it holds, makes every change of it one of all indexes. */
static void steps_in_place(void **state)
{
	(void)state;
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM pg_depend d JOIN pg_class i ON i.oid = d.objid AND i.relkind = 'i'"
					      " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
					      " WHERE d.refobjid = 'checkout.checkout'::regclass AND a.attname = ANY ('{state,why,"
					      "next_at,lease_until,expires_at,version,pi_id,pay_status,updated_at}')"),
			 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM pg_depend d JOIN pg_class i ON i.oid = d.objid AND i.relkind = 'i'"
					      " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
					      " WHERE d.refobjid = 'checkout.checkout'::regclass AND a.attname IN ('live', 'due_minute')"),
			 3);
}

static void expiry(void **state)
{
	Checkout__V1__CheckoutView *v = start(&user, NULL), *paid;
	Checkout__V1__Order *o = NULL;
	struct principal other = who_user(OTHER);

	(void)state;
	paid = start(&other, NULL);
	assert_int_equal(pay_with(paid->payment->client_secret, "pm_card_visa"), 200);
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET expires_at = now() - interval '1 s', next_at = now()"
			     " WHERE state = 'payment_pending'");
	struct arena *a = arena_new("sweep", 16u << 20);

	sweeper_round(&w.svc, a);
	arena_free(a);
	assert_string_equal(state_of(v->id), "expired");
	assert_string_equal(state_of(paid->id), "ordered"); /* the payment wins over the clock */
	intent_is(v->payment->payment_intent_id, "canceled");
	assert_int_equal(w.stock_a, 998);
	assert_int_equal(confirm(&user, NULL, v->id, &o), E_GONE);
	assert_true(err_is(&last, "checkout.expired"));
	assert_int_equal(count("outbox WHERE type = 'checkout.expired' AND agg_id =", v->id), 1);
}

static int64_t told(const char *what, const char *of)
{
	return metric_value(metric_gauge(what, "", arena_printf(w.a, "state=\"%s\"", of)));
}

/* What waits is told by state, and forgotten when it no longer waits. */
static void figures(void **state)
{
	int64_t before, others;
	Checkout__V1__CheckoutView *v;

	(void)state;
	assert_int_equal(saga_figures(&w.svc, w.a, &w.e), OK);
	before = told("souk_checkout_sagas", "payment_pending");
	others = told("souk_checkout_sagas", "reserved");
	v = start(&user, NULL);
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET begun_at = now() - interval '1 h' WHERE id = '%s'", v->id);
	assert_int_equal(saga_figures(&w.svc, w.a, &w.e), OK);
	assert_int_equal(told("souk_checkout_sagas", "payment_pending"), before + 1);
	assert_int_equal(told("souk_checkout_sagas", "reserved"), others);
	assert_in_range(told("souk_checkout_saga_oldest_seconds", "payment_pending"), 3600, 3900);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &(Checkout__V1__Order *){ NULL }), OK);
	assert_int_equal(saga_figures(&w.svc, w.a, &w.e), OK);
	assert_int_equal(told("souk_checkout_sagas", "payment_pending"), before);
	assert_in_range(told("souk_checkout_saga_oldest_seconds", "payment_pending"), 0, 3599);
}

static void nothing_to_pay(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;
	Checkout__V1__Order *o = NULL;
	Checkout__V1__StartCheckoutRequest *in;

	(void)state;
	pg_fixture_sql(w.fx, "INSERT INTO checkout.promotion (id, code, title, kind, percent_bp) VALUES"
			     " ('prm_all', 'ALL', 'Everything', 'percent', 10000)");
	pg_fixture_sql(w.fx, "INSERT INTO checkout.promotion (id, title, kind, active) VALUES"
			     " ('prm_ship', 'Free shipping', 'free_shipping', true)");
	w.coupon = "ALL";
	in = order_of(&user, NULL, 0);
	assert_int_equal(ask("StartCheckout", &user, in, &v), OK);
	assert_null(v->payment);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_string_equal(o->payment_status, "free");
	pg_fixture_sql(w.fx, "UPDATE checkout.promotion SET active = false");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema), TEST(steps_in_place), TEST(purchase),	   TEST(out_of_stock),	 TEST(changed_price),
		TEST(bad_input),	  TEST(declined_then_paid), TEST(three_d_secure), TEST(guest),		 TEST(many_clicks),
		TEST(many_starts),	  TEST(replaced),	   TEST(patched),	 TEST(patched_too_late),
		TEST(patched_after_order), TEST(longest),

		TEST(given_up),		  TEST(expiry),		   TEST(figures),	 TEST(nothing_to_pay),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
