/* After the sale: histories, vendors, refunds, cancellations, returns, promotions, ledger, the administrators' tables. */
#include "events.pb-c.h"
#include "tests/integration/checkout/world.h"

#include "common/metrics.h"
#include "services/checkout/refund_drive.h"

static struct principal user;
static const char *const p_orders[] = { "vendor.orders" };
static const char *const p_payouts[] = { "vendor.payouts" };
static const char *const p_admin_orders[] = { "admin.orders" };
static const char *const p_refunds[] = { "admin.refunds" };
static const char *const p_reports[] = { "admin.reports" };
static const char *const p_nothing[] = { "vendor.catalog" };
static const char *const p_promotions[] = { "admin.promotions" };

static Common__V1__Money *usd(int64_t minor)
{
	struct money m;

	assert_int_equal(money_make(minor, "USD", &m, &w.e), OK);
	return money_to_pb(w.a, m);
}

static Checkout__V1__Order *order(const char *id)
{
	Checkout__V1__OrderRequest in = CHECKOUT__V1__ORDER_REQUEST__INIT;
	Checkout__V1__Order *o = NULL;

	in.order_id = (char *)id;
	assert_int_equal(ask("GetOrder", &user, &in, &o), OK);
	return o;
}

static enum err_code refund(const char *order_id, int64_t amount, const char *variant, int32_t qty, bool restock,
			    Checkout__V1__Refund **out_r)
{
	Checkout__V1__CreateRefundRequest in = CHECKOUT__V1__CREATE_REFUND_REQUEST__INIT;
	Checkout__V1__RefundLine l = CHECKOUT__V1__REFUND_LINE__INIT, *lines[] = { &l };
	struct principal admin = who_admin(p_refunds);

	in.order_id = (char *)order_id;
	in.reason = (char *)"damaged";
	in.amount = amount ? usd(amount) : NULL;
	in.has_restock = in.restock = restock;
	l.variant_id = (char *)variant;
	l.has_qty = true;
	l.qty = qty;
	if (variant) {
		in.lines = lines;
		in.n_lines = 1;
	}
	return ask("CreateRefund", &admin, &in, out_r);
}

static int64_t owed(const char *vendor)
{
	return pg_fixture_i64(w.fx, "SELECT coalesce(sum(amount_minor), 0) FROM checkout.ledger WHERE vendor_id = '%s'",
			      vendor);
}

static void history(void **state)
{
	Checkout__V1__ListOrdersRequest in = CHECKOUT__V1__LIST_ORDERS_REQUEST__INIT;
	Checkout__V1__ListOrdersReply *page = NULL;
	struct principal other = who_user(OTHER);
	const char *ids[5];
	int n = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		w.cart_seq++;
		ids[i] = buy(&other, NULL)->id;
	}
	in.has_limit = true;
	in.limit = 2;
	do {
		assert_int_equal(ask("ListOrders", &other, &in, &page), OK);
		for (size_t i = 0; i < page->n_data; i++, n++)
			assert_string_equal(page->data[i]->id, ids[4 - n]); /* newest first */
		in.cursor = page->next_cursor;
	} while (page->next_cursor);
	assert_int_equal(n, 5);
	in.cursor = (char *)"forged";
	assert_int_equal(ask("ListOrders", &other, &in, &page), E_INVALID);
	assert_int_equal(ask("ListOrders", &who_nobody, &in, &page), E_UNAUTH);
}

static void admin_finds(void **state)
{
	Checkout__V1__AdminListOrdersRequest in = CHECKOUT__V1__ADMIN_LIST_ORDERS_REQUEST__INIT;
	Checkout__V1__ListOrdersReply *page = NULL;
	struct principal admin = who_admin(p_admin_orders);
	Checkout__V1__Order *o = buy(&who_nobody, "guest-for-admin");

	(void)state;
	assert_int_equal(ask("AdminListOrders", &user, &in, &page), E_DENIED);
	in.number = o->number;
	assert_int_equal(ask("AdminListOrders", &admin, &in, &page), OK);
	assert_int_equal(page->n_data, 1);
	in.number = NULL;
	in.email = (char *)"CANARY@example.com";
	assert_int_equal(ask("AdminListOrders", &admin, &in, &page), OK);
	assert_true(page->n_data >= 1);
	in.email = (char *)"nobody@example.com";
	assert_int_equal(ask("AdminListOrders", &admin, &in, &page), OK);
	assert_int_equal(page->n_data, 0);
}

static void vendors(void **state)
{
	Checkout__V1__VendorOrderRequest in = CHECKOUT__V1__VENDOR_ORDER_REQUEST__INIT;
	Checkout__V1__ShipVendorOrderRequest ship = CHECKOUT__V1__SHIP_VENDOR_ORDER_REQUEST__INIT;
	Checkout__V1__ListVendorOrdersRequest list = CHECKOUT__V1__LIST_VENDOR_ORDERS_REQUEST__INIT;
	Checkout__V1__ListVendorOrdersReply *page = NULL;
	struct principal v1 = who_vendor(VND1, p_orders), v2 = who_vendor(VND2, p_orders);
	Checkout__V1__VendorOrder *vo = NULL;
	Checkout__V1__Order *o = buy(&user, NULL);
	const char *mine = o->vendor_orders[0]->id, *theirs = o->vendor_orders[1]->id;

	(void)state;
	assert_int_equal(ask("ListVendorOrders", &v1, &list, &page), OK);
	for (size_t i = 0; i < page->n_data; i++)
		assert_string_not_equal(page->data[i]->id, theirs);
	in.vendor_order_id = (char *)mine;
	assert_int_equal(ask("GetVendorOrder", &v1, &in, &vo), OK);
	assert_int_equal(vo->n_lines, 1);
	assert_string_equal(vo->lines[0]->variant_id, VAR_A);
	assert_int_equal(vo->payable->amount, vo->total->amount - vo->commission->amount);
	assert_int_equal(ask("GetVendorOrder", &v2, &in, &vo), E_NOT_FOUND); /* somebody else's is not there */
	assert_int_equal(ask("GetVendorOrder", &user, &in, &vo), E_DENIED);
	ship.vendor_order_id = (char *)mine;
	ship.carrier = (char *)"Post";
	assert_int_equal(ask("DeliverVendorOrder", &v1, &ship, &vo), E_CONFLICT);
	assert_int_equal(ask("ShipVendorOrder", &v2, &ship, &vo), E_NOT_FOUND);
	assert_int_equal(ask("ShipVendorOrder", &v1, &ship, &vo), OK);
	assert_string_equal(vo->status, "shipped");
	assert_int_equal(ask("ShipVendorOrder", &v1, &ship, &vo), E_CONFLICT);
	assert_string_equal(order(o->id)->fulfilment_status, "partial");
	assert_int_equal(ask("DeliverVendorOrder", &v1, &ship, &vo), OK);
	ship.vendor_order_id = (char *)theirs;
	assert_int_equal(ask("ShipVendorOrder", &v2, &ship, &vo), OK);
	assert_string_equal(order(o->id)->fulfilment_status, "shipped");
	assert_int_equal(ask("DeliverVendorOrder", &v2, &ship, &vo), OK);
	assert_string_equal(order(o->id)->fulfilment_status, "delivered");
	assert_string_equal(order(o->id)->status, "completed");
	assert_int_equal(count("outbox WHERE type = 'order.delivered' AND agg_id =", o->id), 1);
}

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

static void refund_goes_wrong(void **state)
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
static void refund_known(void **state)
{
	Checkout__V1__Refund *r = NULL;
	Checkout__V1__Order *o = buy(&user, NULL);
	const char *id = "";

	(void)state;
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
static void refund_of_yesterday(void **state)
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
static void refund_fails_later(void **state)
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

static void refunds_race(void **state)
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

static void cancelled(void **state)
{
	Checkout__V1__CancelOrderRequest in = CHECKOUT__V1__CANCEL_ORDER_REQUEST__INIT;
	Checkout__V1__ShipVendorOrderRequest ship = CHECKOUT__V1__SHIP_VENDOR_ORDER_REQUEST__INIT;
	struct principal v1 = who_vendor(VND1, p_orders), other = who_user(OTHER);
	Checkout__V1__Order *o = buy(&user, NULL), *out = NULL;

	(void)state;
	in.order_id = o->id;
	assert_int_equal(ask("CancelOrder", &other, &in, &out), E_NOT_FOUND);
	w.lose[OP_RESTOCK] = LOSE_ANSWER;
	w.lose_count[OP_RESTOCK] = 1;
	assert_int_equal(ask("CancelOrder", &user, &in, &out), OK);
	assert_string_equal(out->status, "cancelled");
	assert_int_equal(ask("CancelOrder", &user, &in, &out), E_CONFLICT);
	sweep();
	assert_string_equal(order(o->id)->payment_status, "refunded");
	assert_int_equal(w.stock_a, 1000);
	assert_int_equal(w.stock_b, 1000);
	assert_int_equal(count("outbox WHERE type = 'order.cancelled' AND agg_id =", o->id), 1);
	assert_int_equal(count("outbox WHERE type = 'order.refunded' AND agg_id =", o->id), 1);

	w.cart_seq++;
	o = buy(&user, NULL);
	ship.vendor_order_id = o->vendor_orders[0]->id;
	assert_int_equal(ask("ShipVendorOrder", &v1, &ship, NULL), OK);
	in.order_id = o->id;
	assert_int_equal(ask("CancelOrder", &user, &in, &out), E_CONFLICT);
	assert_true(err_is(&last, "order.not_cancellable"));
}

static void returned(void **state)
{
	Checkout__V1__CreateReturnRequest in = CHECKOUT__V1__CREATE_RETURN_REQUEST__INIT;
	Checkout__V1__DecideReturnRequest d = CHECKOUT__V1__DECIDE_RETURN_REQUEST__INIT;
	Checkout__V1__ShipVendorOrderRequest ship = CHECKOUT__V1__SHIP_VENDOR_ORDER_REQUEST__INIT;
	Checkout__V1__ReturnLine l = CHECKOUT__V1__RETURN_LINE__INIT, *lines[] = { &l };
	struct principal v1 = who_vendor(VND1, p_orders), v2 = who_vendor(VND2, p_orders);
	Checkout__V1__CreateReturnReply *r = NULL;
	Checkout__V1__Order *o = buy(&user, NULL);
	Checkout__V1__Return *ret = NULL;

	(void)state;
	in.order_id = o->id;
	in.reason = (char *)"too small";
	in.lines = lines;
	in.n_lines = 1;
	l.variant_id = (char *)VAR_A;
	l.has_qty = true;
	l.qty = 1;
	assert_int_equal(ask("CreateReturn", &user, &in, &r), E_CONFLICT);
	assert_true(err_is(&last, "order.not_delivered"));
	ship.vendor_order_id = o->vendor_orders[0]->id;
	assert_int_equal(ask("ShipVendorOrder", &v1, &ship, NULL), OK);
	assert_int_equal(ask("DeliverVendorOrder", &v1, &ship, NULL), OK);
	assert_int_equal(ask("CreateReturn", &user, &in, &r), OK);
	assert_int_equal(r->n_data, 1);
	d.return_id = r->data[0]->id;
	l.qty = 2;
	assert_int_equal(ask("CreateReturn", &user, &in, &r), E_CONFLICT);
	assert_true(err_is(&last, "order.too_many_returned"));
	assert_int_equal(ask("ApproveReturn", &v2, &d, &ret), E_NOT_FOUND);
	assert_int_equal(ask("ReceiveReturn", &v1, &d, &ret), E_CONFLICT);
	assert_int_equal(ask("ApproveReturn", &v1, &d, &ret), OK);
	assert_int_equal(ask("ReceiveReturn", &v1, &d, &ret), OK);
	assert_string_equal(ret->status, "received");
	assert_non_null(ret->refund_id);
	sweep();
	assert_int_equal(w.stock_a, 999);
	assert_int_equal(order(o->id)->refunded->amount, 1000);
	/* A rejected one may be asked for again. */
	l.qty = 1;
	assert_int_equal(ask("CreateReturn", &user, &in, &r), OK);
	d.return_id = r->data[0]->id;
	assert_int_equal(ask("RejectReturn", &v1, &d, &ret), OK);
	assert_int_equal(ask("CreateReturn", &user, &in, &r), OK);
}

static void invoice(void **state)
{
	Checkout__V1__OrderRequest in = CHECKOUT__V1__ORDER_REQUEST__INIT;
	Checkout__V1__Invoice *inv = NULL;
	Checkout__V1__StartCheckoutRequest *q;
	Checkout__V1__CheckoutView *v = NULL;
	Checkout__V1__Order *o = NULL;

	(void)state;
	q = order_of(&user, NULL, TOTAL);
	q->address->country = (char *)"DE"; /* 19 % in the price */
	assert_int_equal(ask("StartCheckout", &user, q, &v), OK);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	in.order_id = o->id;
	assert_int_equal(ask("GetInvoice", &user, &in, &inv), OK);
	assert_int_equal(inv->n_taxes, 1);
	assert_int_equal(inv->taxes[0]->rate_bp, 1900);
	assert_int_equal(inv->taxes[0]->net->amount + inv->taxes[0]->tax->amount, TOTAL);
	assert_int_equal(inv->totals->tax->amount, inv->taxes[0]->tax->amount);
	assert_string_equal(inv->bill_to->name, "Ada Canary");
}

/* ---- promotions ---- */

static Checkout__V1__Promotion *promotion(const char *code, int64_t max_uses, int32_t per_buyer)
{
	Checkout__V1__Promotion in = CHECKOUT__V1__PROMOTION__INIT, *out = NULL;
	struct principal admin = who_admin(p_promotions);

	in.code = (char *)code;
	in.title = (char *)"Ten off";
	in.kind = (char *)"percent";
	in.has_percent_bp = true;
	in.percent_bp = 1000;
	in.has_max_uses = max_uses >= 0;
	in.max_uses = max_uses;
	in.has_per_buyer = per_buyer > 0;
	in.per_buyer = per_buyer;
	assert_int_equal(ask("CreatePromotion", &admin, &in, &out), OK);
	return out;
}

#define TEN_OFF (TOTAL - 455)

struct racer {
	Checkout__V1__StartCheckoutRequest *in;
	struct principal who;
	char user[40];
	enum err_code code;
};

static void *race_start(void *arg)
{
	struct racer *x = arg;
	struct arena *a = arena_new("race", 8u << 20);
	struct err e = { 0 };

	x->code = handlers_ask(&w.h, a, "StartCheckout", &x->who, x->in, NULL, &e);
	arena_free(a);
	return NULL;
}

static void last_coupon(void **state)
{
	static struct racer x[12];
	Checkout__V1__CheckoutRequest del = CHECKOUT__V1__CHECKOUT_REQUEST__INIT;
	Checkout__V1__Promotion *p = promotion("three", 3, 0);
	pthread_t t[12];
	int good = 0;

	(void)state;
	assert_string_equal(p->code, "THREE");
	w.coupon = "THREE";
	for (int i = 0; i < 12; i++) {
		snprintf(x[i].user, sizeof(x[i].user), "usr_01jd00000000000000000001%02d", i);
		x[i].who = who_user(x[i].user);
		x[i].in = order_of(&x[i].who, NULL, TEN_OFF);
		pthread_create(&t[i], NULL, race_start, &x[i]);
	}
	for (int i = 0; i < 12; i++) {
		pthread_join(t[i], NULL);
		good += x[i].code == OK;
		assert_true(x[i].code == OK || x[i].code == E_CONFLICT);
	}
	assert_int_equal(good, 3);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT uses FROM checkout.promotion WHERE code = 'THREE'"), 3);
	/* One gives up: its use is free again. */
	for (int i = 0; i < 12; i++) {
		if (x[i].code)
			continue;
		del.checkout_id = (char *)pg_fixture_text(w.fx, "SELECT id FROM checkout.checkout WHERE user_id = '%s'"
								" AND state = 'payment_pending'", x[i].user);
		assert_int_equal(ask("CancelCheckout", &x[i].who, &del, NULL), OK);
		break;
	}
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT uses FROM checkout.promotion WHERE code = 'THREE'"), 2);
}

static void once_per_buyer(void **state)
{
	Checkout__V1__EstimateRequest est = CHECKOUT__V1__ESTIMATE_REQUEST__INIT;
	Checkout__V1__EstimateView *e = NULL;
	Checkout__V1__CheckoutView *v = NULL;
	Checkout__V1__Order *o = NULL;

	(void)state;
	promotion("ONCE", -1, 1);
	w.coupon = "ONCE";
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TEN_OFF), &v), OK);
	assert_int_equal(v->n_discounts, 1);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(o->totals->discount->amount, 455);
	w.cart_seq++;
	assert_int_equal(ask("EstimateCart", &user, &est, &e), OK);
	assert_int_equal(e->n_discounts, 0);
	assert_int_equal(e->n_coupon_problems, 1);
	assert_string_equal(e->coupon_problems[0]->reason, "USED");
	w.coupon = "NOSUCH";
	assert_int_equal(ask("EstimateCart", &user, &est, &e), OK);
	assert_string_equal(e->coupon_problems[0]->reason, "UNKNOWN");
}

static void promotions_admin(void **state)
{
	Checkout__V1__UpdatePromotionRequest up = CHECKOUT__V1__UPDATE_PROMOTION_REQUEST__INIT;
	Checkout__V1__ListPromotionsRequest list = CHECKOUT__V1__LIST_PROMOTIONS_REQUEST__INIT;
	Checkout__V1__ListPromotionsReply *page = NULL;
	Checkout__V1__Promotion in = CHECKOUT__V1__PROMOTION__INIT, *p = promotion("ADMIN", 10, 0), *out = NULL;
	struct principal admin = who_admin(p_promotions);

	(void)state;
	in.code = (char *)"admin";
	in.title = (char *)"x";
	in.kind = (char *)"free_shipping";
	assert_int_equal(ask("CreatePromotion", &admin, &in, &out), E_CONFLICT);
	assert_true(err_is(&last, "promotion.code_taken"));
	in.kind = (char *)"magic";
	assert_int_equal(ask("CreatePromotion", &admin, &in, &out), E_INVALID);
	assert_int_equal(ask("CreatePromotion", &user, &in, &out), E_DENIED);
	up.promotion_id = p->id;
	up.hdr_if_match = p->hdr_etag;
	up.has_active = true;
	up.active = false;
	assert_int_equal(ask("UpdatePromotion", &admin, &up, &out), OK);
	assert_false(out->active);
	assert_int_equal(ask("UpdatePromotion", &admin, &up, &out), E_PRECOND);
	assert_int_equal(ask("ListPromotions", &admin, &list, &page), OK);
	assert_true(page->n_data >= 1);
}

static void tax_and_shipping(void **state)
{
	Checkout__V1__TaxRate t = CHECKOUT__V1__TAX_RATE__INIT, *tr = NULL;
	Checkout__V1__TaxRateRequest del = CHECKOUT__V1__TAX_RATE_REQUEST__INIT;
	Checkout__V1__ShippingMethod m = CHECKOUT__V1__SHIPPING_METHOD__INIT, *sm = NULL;
	Checkout__V1__UpdateShippingMethodRequest up = CHECKOUT__V1__UPDATE_SHIPPING_METHOD_REQUEST__INIT;
	Checkout__V1__ShippingPrice price = CHECKOUT__V1__SHIPPING_PRICE__INIT, *prices[] = { &price };
	Checkout__V1__EstimateRequest est = CHECKOUT__V1__ESTIMATE_REQUEST__INIT;
	Checkout__V1__ShippingMethodRequest dm = CHECKOUT__V1__SHIPPING_METHOD_REQUEST__INIT;
	Checkout__V1__EstimateView *e = NULL;
	struct principal admin = who_admin(p_promotions);
	char *countries[] = { (char *)"NZ" };

	(void)state;
	t.country = (char *)"NZ";
	t.name = (char *)"GST";
	t.has_rate_bp = true;
	t.rate_bp = 1500;
	assert_int_equal(ask("CreateTaxRate", &admin, &t, &tr), OK);
	assert_int_equal(ask("CreateTaxRate", &admin, &t, &tr), E_CONFLICT);
	m.zone = (char *)"NZ";
	m.name = (char *)"Sheep";
	m.countries = countries;
	m.n_countries = 1;
	m.prices = prices;
	m.n_prices = 1;
	price.currency = (char *)"USD";
	price.has_flat = true;
	price.flat = 100;
	assert_int_equal(ask("CreateShippingMethod", &admin, &m, &sm), OK);
	est.country = (char *)"NZ";
	assert_int_equal(ask("EstimateCart", &user, &est, &e), OK);
	assert_int_equal(e->n_shipping_options, 1); /* a zone of its own: not the rest of the world */
	assert_int_equal(e->totals->shipping->amount, 100);
	assert_int_equal(e->totals->tax_added->amount, (4550 * 15 + 50) / 100 + 15);
	up.shipping_method_id = sm->id;
	up.has_active = true;
	up.active = false;
	assert_int_equal(ask("UpdateShippingMethod", &admin, &up, &sm), OK);
	assert_int_equal(sm->n_prices, 1);
	assert_int_equal(ask("EstimateCart", &user, &est, &e), OK);
	assert_int_equal(e->n_shipping_options, 2);
	dm.shipping_method_id = sm->id;
	assert_int_equal(ask("DeleteShippingMethod", &admin, &dm, NULL), OK);
	del.tax_rate_id = (char *)pg_fixture_text(w.fx, "SELECT id FROM checkout.tax_rate WHERE country = 'NZ'");
	assert_int_equal(ask("DeleteTaxRate", &admin, &del, NULL), OK);
	assert_int_equal(ask("DeleteTaxRate", &admin, &del, NULL), E_NOT_FOUND);
}

static void payouts(void **state)
{
	Checkout__V1__CreatePayoutRequest in = CHECKOUT__V1__CREATE_PAYOUT_REQUEST__INIT;
	Checkout__V1__BalanceRequest b = CHECKOUT__V1__BALANCE_REQUEST__INIT;
	struct principal admin = who_admin(p_refunds), v2 = who_vendor(VND2, p_payouts);
	Checkout__V1__LedgerEntry *entry = NULL;
	Checkout__V1__BalanceReply *bal = NULL;
	int64_t all;

	(void)state;
	(void)buy(&user, NULL);
	all = owed(VND2);
	assert_int_equal(ask("GetBalance", &v2, &b, &bal), OK);
	assert_int_equal(bal->data[0]->owed->amount, all);
	in.vendor_id = (char *)VND2;
	in.reference = (char *)"transfer-1";
	in.amount = usd(all + 1);
	assert_int_equal(ask("CreatePayout", &admin, &in, &entry), E_RULE);
	in.amount = usd(all - 1);
	assert_int_equal(ask("CreatePayout", &admin, &in, &entry), OK);
	assert_int_equal(entry->amount->amount, 1 - all);
	in.amount = usd(1);
	assert_int_equal(ask("CreatePayout", &admin, &in, &entry), E_CONFLICT);
	assert_true(err_is(&last, "payout.exists"));
	assert_int_equal(owed(VND2), 1);
}

/* ---- reports ---- */

static void make_reports(void)
{
	struct arena *a = arena_new("job", 1 << 20);
	struct err e = { 0 };

	for (const struct timer_job *j = checkout_jobs; j->name; j++)
		if (strcmp(j->name, "reports") == 0 && j->fn(&w.svc, a, &e))
			fail_msg("%s %s", e.slug, e.msg);
	arena_free(a);
}

static int64_t vendor_sum(const char *column)
{
	return pg_fixture_i64(w.fx, "SELECT sum(%s) FROM checkout.vendor_order WHERE vendor_id = '" VND1 "'", column);
}

static void reports(void **state)
{
	Checkout__V1__ReportRequest in = CHECKOUT__V1__REPORT_REQUEST__INIT;
	struct principal admin = who_admin(p_reports), v1 = who_vendor(VND1, p_payouts), other = who_vendor(VND2, p_nothing);
	Checkout__V1__ProductReport *products = NULL;
	Checkout__V1__VendorReport *vendors_ = NULL;
	Checkout__V1__SalesReport *s = NULL;
	Checkout__V1__Refund *r = NULL;
	Checkout__V1__Order *o;
	int64_t all;

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE checkout.report_state SET done_id = 0; DELETE FROM checkout.sales_day; DELETE FROM checkout.product_day");
	o = buy(&user, NULL);
	make_reports();
	make_reports(); /* again: nothing is counted twice */
	assert_int_equal(ask("VendorSalesReport", &v1, &in, &s), OK);
	assert_int_equal(s->n_data, 1);
	assert_int_equal(s->data[0]->orders, vendor_sum("1"));
	assert_int_equal(s->data[0]->total->amount, vendor_sum("total_minor"));
	assert_int_equal(s->data[0]->commission->amount, vendor_sum("commission_minor"));
	all = s->data[0]->refunded->amount;
	assert_int_equal(refund(o->id, 0, VAR_A, 1, false, &r), OK);
	make_reports();
	assert_int_equal(ask("VendorSalesReport", &v1, &in, &s), OK);
	assert_int_equal(s->data[0]->refunded->amount, all + r->amount->amount);
	assert_int_equal(ask("AdminSalesReport", &admin, &in, &s), OK);
	assert_int_equal(s->data[0]->total->amount,
			 pg_fixture_i64(w.fx, "SELECT sum(total_minor) FROM checkout.vendor_order"));
	assert_int_equal(ask("VendorProductReport", &v1, &in, &products), E_INVALID); /* of which currency? */
	in.currency = (char *)"USD";
	assert_int_equal(ask("VendorProductReport", &v1, &in, &products), OK);
	assert_int_equal(products->n_data, 1); /* nobody else's */
	assert_string_equal(products->data[0]->vendor_id, VND1);
	assert_int_equal(products->data[0]->sales->amount, vendor_sum("subtotal_minor - discount_minor"));
	assert_int_equal(ask("AdminProductReport", &admin, &in, &products), OK);
	assert_int_equal(products->n_data, pg_fixture_i64(w.fx, "SELECT count(DISTINCT product_id) FROM checkout.order_line"));
	assert_int_equal(ask("AdminVendorReport", &admin, &in, &vendors_), OK);
	assert_int_equal(vendors_->n_data, 2);
	assert_true(vendors_->data[0]->total->amount >= vendors_->data[1]->total->amount);
	in.to = (char *)"2020-01-31";
	assert_int_equal(ask("AdminVendorReport", &admin, &in, &vendors_), OK);
	assert_int_equal(vendors_->n_data, 0);
	assert_string_equal(vendors_->from, "2020-01-02");
	in.from = (char *)"2018-01-31";
	assert_int_equal(ask("AdminVendorReport", &admin, &in, &vendors_), E_INVALID); /* too long */
	in.from = (char *)"2020-02-30";
	in.to = NULL;
	assert_int_equal(ask("AdminVendorReport", &admin, &in, &vendors_), E_INVALID);
	in.from = NULL;
	assert_int_equal(ask("AdminVendorReport", &v1, &in, &vendors_), E_DENIED);
	assert_int_equal(ask("VendorSalesReport", &other, &in, &s), E_DENIED);
	assert_int_equal(ask("VendorSalesReport", &user, &in, &s), E_DENIED);
}

/* The schema alone holds, whatever the code does. */
static bool refused(const char *sql)
{
	struct err e = { 0 };
	struct pg *pg;
	bool no;

	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	no = pg_script(pg, sql, &e) != OK;
	pg_disconnect(pg);
	return no;
}

static void schema_alone(void **state)
{
	Checkout__V1__Order *o = buy(&user, NULL);

	(void)state;
#define SQL(...) arena_printf(w.a, __VA_ARGS__)
	assert_true(refused(SQL("UPDATE checkout.orders SET total_minor = 1 WHERE id = '%s'", o->id)));
	assert_true(refused(SQL("DELETE FROM checkout.orders WHERE id = '%s'", o->id)));
	assert_true(refused("UPDATE checkout.ledger SET amount_minor = 1"));
	assert_true(refused("DELETE FROM checkout.ledger"));
	assert_true(refused("DELETE FROM checkout.audit_log"));
	assert_true(refused(SQL("UPDATE checkout.payment SET captured_minor = 9 WHERE checkout_id = '%s'", o->checkout_id)));
	assert_true(refused(SQL("INSERT INTO checkout.refund (id, payment_id, checkout_id, order_id, currency, amount_minor)"
				" SELECT 'rfd_x', id, checkout_id, '%s', 'USD', captured_minor + 1 FROM checkout.payment"
				" WHERE checkout_id = '%s'", o->id, o->checkout_id)));
	assert_true(refused(SQL("INSERT INTO checkout.orders SELECT 'ord_x', 'x', checkout_id, 'pi_x', reservation_key, user_id,"
				" email_index, currency, subtotal_minor, discount_minor, shipping_minor, tax_minor,"
				" tax_added_minor, total_minor, 0, item_count, discounts, person, locale, shipping_name"
				" FROM checkout.orders WHERE id = '%s'", o->id)));
	assert_true(refused(SQL("UPDATE checkout.checkout SET state = 'expired' WHERE id = '%s'", o->checkout_id)));
	assert_true(refused("UPDATE checkout.promotion SET max_uses = 0, uses = 1"));
	assert_false(refused("SELECT 1"));
}

static enum err_code erase_tx(struct pg *pg, void *arg, struct err *e)
{
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;
	const struct inbox_event ev = { .source = "identity", .type = "user.erased", .msg = &m.base };

	(void)arg;
	m.user_id = (char *)OTHER;
	return checkout_inbox[0].fn(pg, w.a, &ev, &w.svc, e);
}

static void erased(void **state)
{
	const struct pg_actor who = { "service:checkout", "req_test" };
	Checkout__V1__OrderRequest in = CHECKOUT__V1__ORDER_REQUEST__INIT;
	struct principal other = who_user(OTHER);
	Checkout__V1__Order *o = buy(&other, NULL), *seen = NULL;

	(void)state;
	assert_int_equal(pg_tx(w.svc.pool, mono_ms() + 5000, &who, erase_tx, NULL, &w.e), OK);
	assert_int_equal(count("orders WHERE person IS NOT NULL AND user_id =", OTHER), 0);
	assert_int_equal(count("checkout WHERE person IS NOT NULL AND next_at IS NULL AND user_id =", OTHER), 0);
	in.order_id = o->id;
	assert_int_equal(ask("GetOrder", &other, &in, &seen), OK); /* the books stay, without a name */
	assert_null(seen->address);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(history),	 TEST(admin_finds),	   TEST(vendors),      TEST(refunds),	   TEST(refund_goes_wrong), TEST(refund_known), TEST(restock_refused),
		TEST(refund_of_yesterday),
		TEST(refund_fails_later), TEST(refunds_race), TEST(cancelled), TEST(returned),	   TEST(invoice),
		TEST(last_coupon), TEST(once_per_buyer),   TEST(promotions_admin), TEST(tax_and_shipping),
		TEST(payouts),	 TEST(reports),	   TEST(schema_alone),	   TEST(erased),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
