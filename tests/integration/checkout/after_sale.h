/* What the tests of the time after the sale share: the buyer, a look at an order, a refund, what a vendor is owed. */
#ifndef SOUK_TEST_AFTER_SALE_H
#define SOUK_TEST_AFTER_SALE_H

#include "tests/integration/checkout/world.h"

static struct principal user;
static const char *const p_refunds[] = { "admin.refunds" };

static inline Common__V1__Money *usd(int64_t minor)
{
	struct money m;

	assert_int_equal(money_make(minor, "USD", &m, &w.e), OK);
	return money_to_pb(w.a, m);
}

static inline Checkout__V1__Order *order(const char *id)
{
	Checkout__V1__OrderRequest in = CHECKOUT__V1__ORDER_REQUEST__INIT;
	Checkout__V1__Order *o = NULL;

	in.order_id = (char *)id;
	assert_int_equal(ask("GetOrder", &user, &in, &o), OK);
	return o;
}

static inline enum err_code refund(const char *order_id, int64_t amount, const char *variant, int32_t qty, bool restock,
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

static inline int64_t owed(const char *vendor)
{
	return pg_fixture_i64(w.fx, "SELECT coalesce(sum(amount_minor), 0) FROM checkout.ledger WHERE vendor_id = '%s'",
			      vendor);
}

#endif
