/* Idempotency keys around the purchase: one effect for one key, whatever dies in between. */
#include "tests/integration/checkout/world.h"

static struct principal user;

/* As the dispatcher does it: the key is looked up, the handler runs, a refusal is stored. replayed: out is not filled. */
static enum err_code keyed(const char *method, const char *key, const char *body, const void *in, struct arena *a,
			   void *out_r, bool *replayed_r, struct err *e)
{
	const ProtobufCMethodDescriptor *desc =
		protobuf_c_service_descriptor_get_method_by_name(&checkout__v1__checkout__descriptor, method);
	ProtobufCMessage *out = arena_alloc(a, desc->output->sizeof_message);
	struct call c = { .arena = a, .method = method, .request_id = "req_test00001", .traceparent = "",
			  .deadline_ms = mono_ms() + 9000, .who = user, .pool = w.svc.pool, .svc = &w.svc,
			  .caller = "gateway", .idem_key = key, .out = out };
	enum idem_found found = IDEM_NEW;
	struct pg_bytes reply = { 0 };
	const struct rpc_method *m = NULL;
	uint8_t fp[SHA256_LEN];

	sha256(body, strlen(body), fp);
	c.fingerprint = fp;
	protobuf_c_message_init(desc->output, out);
	*replayed_r = false;
	if (idem_lookup(&c, "user:" USER, &found, &reply) == OK && found == IDEM_REPLAY) {
		ProtobufCAllocator al = arena_pb(a);

		*replayed_r = true;
		out = protobuf_c_message_unpack(desc->output, &al, reply.len, reply.data);
	} else if (c.err.code == OK) {
		for (const struct rpc_method *const *t = checkout_tables; *t; t++)
			for (const struct rpc_method *x = *t; x->name; x++)
				if (strcmp(x->name, method) == 0)
					m = x;
		if (m->fn(&c, in, out) && (c.err.code == E_CONFLICT || c.err.code == E_GONE || c.err.code == E_RULE))
			idem_store_refusal(&c);
	}
	*(void **)out_r = out;
	err_copy(e, &c.err);
	return c.err.code;
}

static void replayed(void **state)
{
	Checkout__V1__StartCheckoutRequest *in = order_of(&user, NULL, TOTAL);
	Checkout__V1__CheckoutView *v = NULL, *again = NULL;
	Checkout__V1__ConfirmOrderRequest ci = CHECKOUT__V1__CONFIRM_ORDER_REQUEST__INIT;
	Checkout__V1__Order *o = NULL, *o2 = NULL;
	struct err e = { 0 };
	bool re = false;

	(void)state;
	assert_int_equal(keyed("StartCheckout", "key-1", "a", in, w.a, &v, &re, &e), OK);
	assert_false(re);
	assert_non_null(v->payment->client_secret);
	assert_int_equal(keyed("StartCheckout", "key-1", "a", in, w.a, &again, &re, &e), OK);
	assert_true(re);
	assert_string_equal(again->id, v->id);
	assert_string_equal(again->payment->client_secret, v->payment->client_secret);
	assert_int_equal(again->version, v->version);
	assert_int_equal(keyed("StartCheckout", "key-1", "b", in, w.a, &again, &re, &e), E_RULE);
	assert_true(err_is(&e, "idem.key_reused"));
	/* What is stored is sealed. */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.idempotency WHERE position('Canary'::bytea"
					      " IN reply) > 0 OR position('_secret_'::bytea IN reply) > 0"), 0);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	ci.checkout_id = v->id;
	assert_int_equal(keyed("ConfirmOrder", "key-2", v->id, &ci, w.a, &o, &re, &e), OK);
	assert_false(re);
	assert_int_equal(keyed("ConfirmOrder", "key-2", v->id, &ci, w.a, &o2, &re, &e), OK);
	assert_true(re);
	assert_string_equal(o2->number, o->number);
	assert_int_equal(o2->n_vendor_orders, 2);
	assert_int_equal(keyed("ConfirmOrder", "key-3", v->id, &ci, w.a, &o2, &re, &e), OK); /* another key, the same order */
	assert_string_equal(o2->number, o->number);
}

static void refusal_replayed(void **state)
{
	Checkout__V1__StartCheckoutRequest *in = order_of(&user, NULL, TOTAL);
	Checkout__V1__CheckoutView *v = NULL;
	struct err e = { 0 };
	bool re = false;

	(void)state;
	w.stock_a = 0;
	assert_int_equal(keyed("StartCheckout", "key-r", "a", in, w.a, &v, &re, &e), E_CONFLICT);
	w.stock_a = 100;
	memset(&e, 0, sizeof(e));
	assert_int_equal(keyed("StartCheckout", "key-r", "a", in, w.a, &v, &re, &e), E_CONFLICT);
	assert_true(err_is(&e, "inventory.out_of_stock"));
	assert_int_equal(e.n_details, 1);
	assert_int_equal(keyed("StartCheckout", "key-r2", "a", in, w.a, &v, &re, &e), OK);
}

struct click {
	const char *method, *key;
	const void *in;
	enum err_code code;
	char id[ID_LEN], slug[64];
};

static void *click(void *arg)
{
	struct click *k = arg;
	struct arena *a = arena_new("click", 8u << 20);
	struct err e = { 0 };
	void *out = NULL;
	bool re;

	k->code = keyed(k->method, k->key, "same", k->in, a, &out, &re, &e);
	snprintf(k->slug, sizeof(k->slug), "%s", e.slug);
	if (!k->code && strcmp(k->method, "StartCheckout") == 0)
		snprintf(k->id, sizeof(k->id), "%s", ((Checkout__V1__CheckoutView *)out)->id);
	else if (!k->code)
		snprintf(k->id, sizeof(k->id), "%s", ((Checkout__V1__Order *)out)->id);
	arena_free(a);
	return NULL;
}

/* n at once; all good ones name the same thing, the others were told that the first still runs. */
static const char *all_at_once(const char *method, const char *key, const void *in)
{
	static struct click k[16];
	pthread_t t[16];
	const char *id = "";
	int good = 0;

	for (int i = 0; i < 16; i++) {
		k[i] = (struct click){ method, i % 2 ? key : arena_printf(w.a, "%s-%d", key, i), in, OK, "", "" };
		pthread_create(&t[i], NULL, click, &k[i]);
	}
	for (int i = 0; i < 16; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 16; i++) {
		if (k[i].code) {
			assert_string_equal(k[i].slug, "idem.in_flight");
			continue;
		}
		good++;
		if (!*id)
			id = k[i].id;
		assert_string_equal(k[i].id, id);
	}
	assert_true(good >= 1);
	return id;
}

static void double_clicks(void **state)
{
	Checkout__V1__ConfirmOrderRequest ci = CHECKOUT__V1__CONFIRM_ORDER_REQUEST__INIT;
	const char *id = arena_strdup(w.a, all_at_once("StartCheckout", "dc-start", order_of(&user, NULL, TOTAL)));
	Checkout__V1__CheckoutRequest get = CHECKOUT__V1__CHECKOUT_REQUEST__INIT;
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	assert_int_equal(w.stock_a, 998);
	get.checkout_id = (char *)id;
	assert_int_equal(ask("GetCheckout", &user, &get, &v), OK);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	ci.checkout_id = (char *)id;
	(void)all_at_once("ConfirmOrder", "dc-confirm", &ci);
	assert_int_equal(count("orders WHERE checkout_id =", id), 1);
}

/* The process died after its first commit: the key names what was begun, and a repetition goes on with it. */
static void resumed(void **state)
{
	Checkout__V1__StartCheckoutRequest *in = order_of(&user, NULL, TOTAL);
	Checkout__V1__CheckoutView *v = NULL, *again = NULL;
	struct err e = { 0 };
	bool re = false;

	(void)state;
	w.conf.inline_ms = 300;
	fault("{\"operation\":\"create\",\"kind\":\"close_after\"}");
	fault("{\"operation\":\"create\",\"kind\":\"error_500_unstored\",\"nth\":2,\"count\":2}");
	assert_int_equal(keyed("StartCheckout", "key-d", "a", in, w.a, &v, &re, &e), E_PENDING);
	memset(&e, 0, sizeof(e));
	assert_int_equal(keyed("StartCheckout", "key-d", "a", in, w.a, &again, &re, &e), E_CONFLICT); /* still running */
	assert_true(err_is(&e, "idem.in_flight"));
	no_faults();
	w.conf.inline_ms = 3000;
	pg_fixture_sql(w.fx, "UPDATE checkout.idempotency SET lease_until = now() - interval '1 s' WHERE key = 'key-d'");
	memset(&e, 0, sizeof(e));
	assert_int_equal(keyed("StartCheckout", "key-d", "a", in, w.a, &again, &re, &e), OK);
	assert_string_equal(again->id, v->id);
	assert_string_equal(again->state, "payment_pending");
	memset(&e, 0, sizeof(e));
	assert_int_equal(keyed("StartCheckout", "key-d", "a", in, w.a, &again, &re, &e), OK);
	assert_true(re);
}

/* Nothing was begun that could be gone on with: the same key tries anew once the provider is back. */
static void resumed_after_outage(void **state)
{
	Checkout__V1__StartCheckoutRequest *in = order_of(&user, NULL, TOTAL);
	Checkout__V1__CheckoutView *v = NULL;
	struct err e = { 0 };
	bool re = false;

	(void)state;
	world_open_pay("http://127.0.0.1:1");
	assert_int_equal(keyed("StartCheckout", "key-o", "a", in, w.a, &v, &re, &e), E_UNAVAILABLE);
	world_open_pay(w.url);
	pg_fixture_sql(w.fx, "UPDATE checkout.idempotency SET lease_until = now() - interval '1 s' WHERE key = 'key-o'");
	memset(&e, 0, sizeof(e));
	assert_int_equal(keyed("StartCheckout", "key-o", "a", in, w.a, &v, &re, &e), OK);
	assert_string_equal(v->state, "payment_pending");
}

/* The key alone: a cart may have any number of live checkouts here, and one key still makes one. */
static void idempotency_alone(void **state)
{
	const char *before;
	struct click k[16];
	pthread_t t[16];
	int good = 0;

	(void)state;
	before = arena_strdup(w.a, pg_fixture_text(w.fx, "SELECT pg_get_indexdef('checkout.checkout_live'::regclass)"));
	pg_fixture_sql(w.fx, "DROP INDEX checkout.checkout_live");
	for (int i = 0; i < 16; i++) {
		k[i] = (struct click){ "StartCheckout", "alone", order_of(&user, NULL, TOTAL), OK, "", "" };
		pthread_create(&t[i], NULL, click, &k[i]);
	}
	for (int i = 0; i < 16; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 16; i++) {
		good += k[i].code == OK;
		if (k[i].code)
			assert_string_equal(k[i].slug, "idem.in_flight");
	}
	assert_true(good >= 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.checkout WHERE next_at IS NOT NULL"), 1);
	assert_int_equal(w.stock_a, 998);
	pg_fixture_sql(w.fx, "%s", before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(replayed),		TEST(refusal_replayed),	    TEST(double_clicks), TEST(resumed),
		TEST(resumed_after_outage), TEST(idempotency_alone),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
