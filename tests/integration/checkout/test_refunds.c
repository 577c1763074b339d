/* Money given back: in parts, by hand, when the provider fails, changes its mind or is asked from eight sides at once. */
#include "tests/integration/checkout/after_sale.h"

#include "common/metrics.h"
#include "services/checkout/refund_drive.h"

static void refunds(void **state)
{
	Checkout__V1__Order *o = buy(&user, NULL);
	Checkout__V1__Refund *r = NULL;
	int64_t v1 = owed(VND1), v2 = owed(VND2);

	(void)state;
	assert_int_equal(refund(o->id, 0, VAR_A, 1, true, &r), OK); /* one of two */
	assert_string_equal(r->status, "succeeded");
	assert_int_equal(r->amount->amount, 1000);
	sweep();
	assert_int_equal(w.stock_a, 999);
	assert_int_equal(owed(VND1), v1 - 1000 + pg_fixture_i64(w.fx, "SELECT commission_minor FROM checkout.refund_share"
								      " WHERE refund_id = '%s'", r->id));
	assert_int_equal(owed(VND2), v2);
	assert_string_equal(order(o->id)->payment_status, "partially_refunded");
	assert_int_equal(refund(o->id, 0, VAR_A, 2, true, &r), E_RULE); /* only one is left */
	assert_true(err_is(&last, "refund.too_much"));
	assert_int_equal(refund(o->id, TOTAL, NULL, 0, false, &r), E_RULE);
	assert_int_equal(refund(o->id, 0, NULL, 0, false, &r), OK); /* the rest */
	assert_int_equal(r->amount->amount, TOTAL - 1000);
	assert_string_equal(order(o->id)->payment_status, "refunded");
	assert_int_equal(order(o->id)->refunded->amount, TOTAL);
	assert_int_equal(refund(o->id, 0, NULL, 0, false, &r), E_RULE);
	assert_true(err_is(&last, "refund.nothing"));
	assert_int_equal(owed(VND1) - v1 + pg_fixture_i64(w.fx, "SELECT total_minor - commission_minor FROM"
					" checkout.vendor_order WHERE vendor_id = '" VND1 "' AND order_id = '%s'", o->id), 0);
}

static void s29_refund_unknown_then_once(void **state)
{
	static const char *const faults[] = {
		"{\"operation\":\"refund\",\"kind\":\"close_after\"}",
		"{\"operation\":\"refund\",\"kind\":\"error_500_stored\",\"processed\":true}",
		"{\"operation\":\"refund\",\"kind\":\"error_500_stored\"}",
		"{\"operation\":\"refund\",\"kind\":\"error_500_unstored\",\"processed\":true,\"count\":2}",
		"{\"operation\":\"refund\",\"kind\":\"status_429\",\"count\":2}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		Checkout__V1__Refund *r = NULL;
		Checkout__V1__Order *o;
		json_t *pi;

		w.cart_seq++;
		o = buy(&user, NULL);
		fault(faults[i]);
		(void)refund(o->id, 700, NULL, 0, false, &r);
		for (int k = 0; k < 3; k++)
			sweep();
		no_faults();
		sweep();
		assert_int_equal(count("refund WHERE state = 'succeeded' AND order_id =", o->id), 1);
		pi = NULL; /* exactly one at the provider too */
		const char *text = "", *id = pg_fixture_text(w.fx, "SELECT payment_intent_id FROM checkout.orders WHERE id = '%s'",
							     o->id);

		assert_int_equal(ask_sandbox("GET", arena_printf(w.a, "/v1/refunds?payment_intent=%s", id), "sk", NULL, &text), 200);
		pi = json_loads(text, 0, NULL);
		assert_int_equal(json_array_size(json_object_get(pi, "data")), 1);
		json_decref(pi);
	}
}

static const char *intent_of(const Checkout__V1__Order *o)
{
	return pg_fixture_text(w.fx, "SELECT payment_intent_id FROM checkout.orders WHERE id = '%s'", o->id);
}

static size_t refunds_at_provider(const Checkout__V1__Order *o, const char **newest_r)
{
	const char *text = "";
	json_t *list, *data;
	size_t n;

	assert_int_equal(ask_sandbox("GET", arena_printf(w.a, "/v1/refunds?payment_intent=%s", intent_of(o)), "sk", NULL,
				     &text), 200);
	list = json_loads(text, 0, NULL);
	data = json_object_get(list, "data");
	n = json_array_size(data);
	if (newest_r)
		*newest_r = arena_strdup(w.a, json_string_value(json_object_get(json_array_get(data, 0), "id")));
	json_decref(list);
	return n;
}

static const char *refund_id_at_provider(const char *order_id)
{
	return pg_fixture_text(w.fx, "SELECT coalesce(max(provider_id), '') FROM checkout.refund WHERE state = 'succeeded'"
				     " AND order_id = '%s'", order_id);
}

static void by_hand(const Checkout__V1__Order *o, int64_t amount)
{
	assert_int_equal(ask_sandbox("POST", "/v1/refunds", "sk", arena_printf(w.a, "payment_intent=%s&amount=%lld",
			 intent_of(o), (long long)amount), NULL), 200);
}

/* "Already refunded" is looked into: by us, by hand, or in parts that are not ours to book. */
static void s29_refund_known_already(void **state)
{
	Checkout__V1__Refund *r = NULL;
	Checkout__V1__Order *o = buy(&user, NULL);
	const char *id = "";

	(void)state;
	w.by_hand = true;
	fault("{\"operation\":\"refund\",\"kind\":\"close_after\",\"count\":0}"); /* made; the answer and then the key are lost */
	(void)refund(o->id, 0, NULL, 0, false, &r);
	no_faults();
	pg_fixture_sql(w.fx, "UPDATE checkout.refund SET key_n = key_n + 1 WHERE order_id = '%s'", o->id);
	sweep();
	assert_int_equal(refunds_at_provider(o, &id), 1);
	assert_string_equal(refund_id_at_provider(o->id), id);
	assert_string_equal(order(o->id)->payment_status, "refunded");

	w.cart_seq++;
	o = buy(&user, NULL);
	by_hand(o, TOTAL);
	(void)refund(o->id, 0, NULL, 0, false, &r);
	sweep();
	assert_int_equal(refunds_at_provider(o, &id), 1);
	assert_string_equal(refund_id_at_provider(o->id), id);
	assert_string_equal(order(o->id)->payment_status, "refunded");

	w.cart_seq++;
	o = buy(&user, NULL);
	by_hand(o, 700);
	by_hand(o, TOTAL - 700);
	(void)refund(o->id, 700, NULL, 0, false, &r); /* the one is this one's; the other amount is nobody's */
	(void)refund(o->id, 900, NULL, 0, false, &r);
	(void)refund(o->id, 700, NULL, 0, false, &r);
	sweep();
	assert_int_equal(count("refund WHERE state = 'succeeded' AND order_id =", o->id), 1);
	assert_int_equal(count("refund WHERE state = 'failed' AND order_id =", o->id), 2);
	assert_int_equal(order(o->id)->refunded->amount, 700);
}

/* A day later the provider knows the key no more: without a look the money would go back twice. */
static void s29_refund_of_yesterday(void **state)
{
	Checkout__V1__Refund *r = NULL;
	Checkout__V1__Order *o = buy(&user, NULL);
	const char *id = "";

	(void)state;
	fault("{\"operation\":\"refund\",\"kind\":\"close_after\",\"count\":0}");
	(void)refund(o->id, 700, NULL, 0, false, &r);
	no_faults();
	pg_fixture_sql(w.fx, "UPDATE checkout.refund SET key_n = key_n + 1, created_at = created_at - interval '24 h'"
			     " WHERE order_id = '%s'", o->id);
	sweep();
	assert_int_equal(refunds_at_provider(o, &id), 1);
	assert_string_equal(refund_id_at_provider(o->id), id);

	w.cart_seq++; /* and one that was never made is made */
	o = buy(&user, NULL);
	fault("{\"operation\":\"refund\",\"kind\":\"close_before\",\"count\":2}");
	(void)refund(o->id, 700, NULL, 0, false, &r);
	pg_fixture_sql(w.fx, "UPDATE checkout.refund SET created_at = created_at - interval '24 h' WHERE order_id = '%s'",
		       o->id);
	sweep();
	assert_int_equal(refunds_at_provider(o, NULL), 1);
	assert_int_equal(count("refund WHERE state = 'succeeded' AND order_id =", o->id), 1);
}

/* A refund that had succeeded comes back weeks later: the books follow. */
static void s31_refund_fails_later(void **state)
{
	Checkout__V1__WebhookRequest in = CHECKOUT__V1__WEBHOOK_REQUEST__INIT;
	Checkout__V1__Order *o = buy(&user, NULL);
	Checkout__V1__Refund *r = NULL;
	int64_t before = owed(VND1), t = wall_ms() / 1000;
	char *body, *text, hex[65];
	uint8_t mac[SHA256_LEN];

	(void)state;
	assert_int_equal(refund(o->id, 0, VAR_A, 2, false, &r), OK);
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/_sandbox/refunds/%s/fail", r->provider_refund_id), "json",
				     "{}", NULL), 200);
	body = arena_printf(w.a, "{\"id\":\"evt_%s\",\"type\":\"refund.failed\",\"livemode\":false,\"data\":{\"object\":{\"id\":\"%s\","
			    "\"object\":\"refund\"}}}", r->provider_refund_id, r->provider_refund_id);
	text = arena_printf(w.a, "%lld.%s", (long long)t, body);
	hmac_sha256(SECRET, strlen(SECRET), text, strlen(text), mac);
	hex_encode(mac, SHA256_LEN, hex);
	in.has_raw_body = true;
	in.raw_body.data = (uint8_t *)body;
	in.raw_body.len = strlen(body);
	in.hdr_signature = arena_printf(w.a, "t=%lld,v1=%s", (long long)t, hex);
	assert_int_equal(ask("PayWebhook", &who_nobody, &in, NULL), OK);
	sweep();
	assert_int_equal(count("refund WHERE state = 'failed' AND order_id =", o->id), 1);
	assert_string_equal(order(o->id)->payment_status, "paid");
	assert_int_equal(owed(VND1), before);
	assert_int_equal(refund(o->id, 0, VAR_A, 2, false, &r), OK); /* and it may be made again */
}

/* Inventory says no for good: told once and left, instead of asked for ever. What may pass is asked again. */
static void restock_refused(void **state)
{
	struct metric *refused = metric_counter(RESTOCKS_REFUSED, "", NULL);
	int64_t before = metric_value(refused);
	Checkout__V1__Refund *r = NULL;
	Checkout__V1__Order *o = buy(&user, NULL);

	(void)state;
	w.lose[OP_RESTOCK] = LOSE_REQUEST;
	w.lose_count[OP_RESTOCK] = 2;
	assert_int_equal(refund(o->id, 0, VAR_A, 1, true, &r), OK);
	sweep();
	assert_int_equal(w.stock_a, 999);
	assert_int_equal(metric_value(refused), before);
	w.by_hand = true;
	w.res[0].state = ST_RELEASED;
	assert_int_equal(refund(o->id, 0, VAR_A, 1, true, &r), OK);
	sweep();
	sweep();
	assert_int_equal(w.stock_a, 999);
	assert_int_equal(metric_value(refused), before + 1);
	assert_int_equal(count("restock WHERE next_at IS NOT NULL AND order_id =", o->id), 0);
}

struct refunder {
	const char *order_id;
	enum err_code code;
};

static void *refund_one(void *arg)
{
	struct refunder *x = arg;
	struct arena *a = arena_new("refund", 8u << 20);
	Checkout__V1__CreateRefundRequest in = CHECKOUT__V1__CREATE_REFUND_REQUEST__INIT;
	Common__V1__Money m = COMMON__V1__MONEY__INIT;
	struct principal admin = who_admin(p_refunds);
	struct err e = { 0 };

	m.has_amount = true;
	m.amount = 2000;
	m.currency = (char *)"USD";
	in.order_id = (char *)x->order_id;
	in.reason = (char *)"race";
	in.amount = &m;
	x->code = handlers_ask(&w.h, a, "CreateRefund", &admin, &in, NULL, &e);
	arena_free(a);
	return NULL;
}

static void s30_refunds_race(void **state)
{
	Checkout__V1__Order *o = buy(&user, NULL);
	struct refunder x[8];
	pthread_t t[8];
	int good = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		x[i] = (struct refunder){ o->id, OK };
		pthread_create(&t[i], NULL, refund_one, &x[i]);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], NULL);
		good += x[i].code == OK;
	}
	assert_int_equal(good, TOTAL / 2000);
	assert_true(order(o->id)->refunded->amount <= TOTAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refunds),		   TEST(s29_refund_unknown_then_once),  TEST(s29_refund_known_already), TEST(s29_refund_of_yesterday),
		TEST(s31_refund_fails_later), TEST(restock_refused), TEST(s30_refunds_race),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
