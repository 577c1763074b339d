/* After the sale: histories, vendors, cancellations, returns, promotions, ledger, the administrators' tables. */
#include "events.pb-c.h"
#include "tests/integration/checkout/after_sale.h"

static const char *const p_orders[] = { "vendor.orders" };
static const char *const p_payouts[] = { "vendor.payouts" };
static const char *const p_admin_orders[] = { "admin.orders" };
static const char *const p_reports[] = { "admin.reports" };
static const char *const p_nothing[] = { "vendor.catalog" };
static const char *const p_promotions[] = { "admin.promotions" };

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
	/* Who hears of it hears which units. */
	assert_int_equal(count("outbox WHERE type = 'order.refunded' AND position('" VAR_A "'::bytea IN payload) > 0"
			       " AND agg_id =", o->id), 1);
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
		TEST(history),	   TEST(admin_finds),	   TEST(vendors),	   TEST(cancelled),	TEST(returned),
		TEST(invoice),	   TEST(last_coupon),	   TEST(once_per_buyer),   TEST(promotions_admin),
		TEST(tax_and_shipping), TEST(payouts), TEST(reports),	   TEST(schema_alone),	TEST(erased),
	};

	user = who_user(USER);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
