/* Totals: known carts to the cent, and random ones whose parts must add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/checkout/totals.h"

static struct arena *a;
static struct err e;

static struct money m(int64_t minor)
{
	struct money x;

	assert_int_equal(money_make(minor, "EUR", &x, &e), OK);
	return x;
}

static struct totals_line line(const char *variant, const char *vendor, int64_t unit, int32_t qty)
{
	return (struct totals_line){ .variant_id = variant, .product_id = variant, .vendor_id = vendor, .unit = m(unit),
				     .qty = qty, .commission_bp = 1000 };
}

static void run(struct totals *t, int64_t shipping)
{
	struct money left;

	t->currency = "EUR";
	assert_int_equal(totals_goods(t, a, &e), OK);
	assert_int_equal(totals_left(t, &left, &e), OK);
	t->shipping = m(shipping);
	assert_int_equal(totals_finish(t, a, &e), OK);
}

static int64_t n(struct money x)
{
	return money_minor(x);
}

static void plain(void **s)
{
	struct totals_line l[] = { line("v1", "A", 1999, 2), line("v2", "B", 500, 1) };
	struct totals t = { .lines = l, .n_lines = 2 };

	(void)s;
	run(&t, 499);
	assert_int_equal(n(t.subtotal), 4498);
	assert_int_equal(n(t.discount), 0);
	assert_int_equal(n(t.total), 4997);
	assert_int_equal(t.n_vendors, 2);
	assert_int_equal(n(t.vendors[0].commission), 400); /* 10 % of 39.98, rounded */
	assert_int_equal(n(t.vendors[0].shipping), 444);   /* by value: nothing has a weight */
	assert_int_equal(n(t.vendors[1].shipping), 55);
}

static void weight_decides_shipping(void **s)
{
	struct totals_line l[] = { line("v1", "A", 10000, 1), line("v2", "B", 100, 3) };
	struct totals t = { .lines = l, .n_lines = 2 };

	(void)s;
	l[0].weight_g = 100;
	l[1].weight_g = 300;
	run(&t, 1000);
	assert_int_equal(totals_weight(&t), 1000);
	assert_int_equal(n(t.vendors[0].shipping), 100);
	assert_int_equal(n(t.vendors[1].shipping), 900);
}

static void tax_added(void **s)
{
	struct totals_line l[] = { line("v1", "A", 333, 1), line("v2", "A", 333, 1), line("v3", "A", 334, 1) };
	struct totals t = { .lines = l, .n_lines = 3, .shipping_tax_bp = 725 };

	(void)s;
	for (int i = 0; i < 3; i++)
		l[i].tax_bp = 725;
	run(&t, 500);
	assert_int_equal(n(l[0].tax) + n(l[1].tax) + n(l[2].tax), 73); /* 7.25 % of 10.00 = 72.5, not 3 times 24 */
	assert_int_equal(n(t.shipping_tax), 36);
	assert_int_equal(n(t.tax), 109);
	assert_int_equal(n(t.tax_added), 109);
	assert_int_equal(n(t.total), 1000 + 500 + 109);
}

static void tax_included(void **s)
{
	struct totals_line l[] = { line("v1", "A", 11900, 1), line("v2", "B", 10700, 1) };
	struct totals t = { .lines = l, .n_lines = 2, .shipping_tax_bp = 1900, .shipping_tax_included = true };

	(void)s;
	l[0].tax_bp = 1900;
	l[1].tax_bp = 700;
	l[0].tax_included = l[1].tax_included = true;
	run(&t, 119);
	assert_int_equal(n(l[0].tax), 1900);
	assert_int_equal(n(l[1].tax), 700);
	assert_int_equal(n(t.shipping_tax), 19);
	assert_int_equal(n(t.tax), 2619);
	assert_int_equal(n(t.tax_added), 0);
	assert_int_equal(n(t.total), 11900 + 10700 + 119);
}

static void percent_and_fixed(void **s)
{
	struct totals_line l[] = { line("v1", "A", 1000, 1), line("v2", "B", 333, 1) };
	struct totals_promo p[] = {
		{ .id = "p1", .kind = PROMO_PERCENT, .percent_bp = 1000, .vendor_id = "A", .combinable = true },
		{ .id = "p2", .kind = PROMO_FIXED, .amount_minor = 100, .currency = "EUR", .combinable = true },
		{ .id = "p3", .kind = PROMO_FIXED, .amount_minor = 100, .currency = "USD", .combinable = true },
		{ .id = "p4", .kind = PROMO_PERCENT, .percent_bp = 500, .combinable = false },
		{ .id = "p5", .kind = PROMO_PERCENT, .percent_bp = 500, .min_minor = 5000, .currency = "EUR", .combinable = true },
		{ .id = "p6", .kind = PROMO_PERCENT, .percent_bp = 500, .vendor_id = "C", .combinable = true },
	};
	struct totals t = { .lines = l, .n_lines = 2, .promos = p, .n_promos = 6 };

	(void)s;
	run(&t, 0);
	assert_int_equal(n(p[0].amount), 100);
	assert_int_equal(n(p[1].amount), 100);
	assert_int_equal(p[2].no, PROMO_CURRENCY);
	assert_int_equal(p[3].no, PROMO_NOT_COMBINABLE);
	assert_int_equal(p[4].no, PROMO_MINIMUM);
	assert_int_equal(p[5].no, PROMO_NO_MATCH);
	assert_int_equal(n(t.discount), 200);
	assert_int_equal(n(l[0].discount), 173); /* 100, then 900 : 333 of the other 100 */
	assert_int_equal(n(l[1].discount), 27);
	assert_int_equal(n(t.total), 1133);
}

static void more_off_than_it_costs(void **s)
{
	struct totals_line l[] = { line("v1", "A", 1000, 1) };
	struct totals_promo p[] = {
		{ .id = "p1", .kind = PROMO_FIXED, .amount_minor = 700, .currency = "EUR", .combinable = true },
		{ .id = "p2", .kind = PROMO_FIXED, .amount_minor = 700, .currency = "EUR", .combinable = true },
		{ .id = "p3", .kind = PROMO_PERCENT, .percent_bp = 10000, .combinable = true },
	};
	struct totals t = { .lines = l, .n_lines = 1, .promos = p, .n_promos = 3 };

	(void)s;
	run(&t, 0);
	assert_int_equal(n(p[1].amount), 300);
	assert_int_equal(p[2].no, PROMO_NO_MATCH);
	assert_int_equal(n(t.total), 0);
	assert_int_equal(n(t.vendors[0].commission), 0);
}

static void exclusive(void **s)
{
	struct totals_line l[] = { line("v1", "A", 1000, 1) };
	struct totals_promo p[] = {
		{ .id = "p1", .kind = PROMO_PERCENT, .percent_bp = 1000, .combinable = false },
		{ .id = "p2", .kind = PROMO_PERCENT, .percent_bp = 1000, .combinable = true },
	};
	struct totals t = { .lines = l, .n_lines = 1, .promos = p, .n_promos = 2 };

	(void)s;
	run(&t, 0);
	assert_int_equal(n(p[0].amount), 100);
	assert_int_equal(p[1].no, PROMO_NOT_COMBINABLE);
}

static void buy_two_get_one(void **s)
{
	struct totals_line l[] = { line("v1", "A", 1000, 4), line("v2", "A", 300, 2), line("v3", "B", 100, 5) };
	struct totals_promo p[] = { { .id = "p1", .kind = PROMO_BUY_X_GET_Y, .buy_qty = 2, .get_qty = 1,
				      .percent_bp = 10000, .vendor_id = "A", .combinable = true } };
	struct totals t = { .lines = l, .n_lines = 3, .promos = p, .n_promos = 1 };

	(void)s;
	run(&t, 0);
	assert_int_equal(n(p[0].amount), 600); /* six units of A: the two cheapest */
	assert_int_equal(n(l[1].discount), 600);
	assert_int_equal(n(l[2].discount), 0);
}

static void free_shipping(void **s)
{
	struct totals_line l[] = { line("v1", "A", 1000, 1) };
	struct totals_promo p[] = { { .id = "p1", .kind = PROMO_FREE_SHIPPING, .min_minor = 1000, .currency = "EUR",
				      .combinable = true } };
	struct totals t = { .lines = l, .n_lines = 1, .promos = p, .n_promos = 1, .shipping_tax_bp = 1900 };

	(void)s;
	run(&t, 499);
	assert_int_equal(n(p[0].amount), 499);
	assert_int_equal(n(t.shipping), 0);
	assert_int_equal(n(t.shipping_tax), 0);
	assert_int_equal(n(t.total), 1000);
}

static void overflow(void **s)
{
	struct totals_line l[] = { line("v1", "A", INT64_MAX / 2, 3) };
	struct totals t = { .currency = "EUR", .lines = l, .n_lines = 1 };

	(void)s;
	assert_int_equal(totals_goods(&t, a, &e), E_RULE);
	assert_true(err_is(&e, "common.amount_range"));
	memset(&e, 0, sizeof(e));
}

static uint64_t rng = 88172645463325252u;
static int64_t rnd(int64_t k)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (int64_t)(rng % (uint64_t)k);
}

static void random_carts(void **s)
{
	static const char *const vendors[] = { "A", "B", "C" };
	static const int32_t rates[] = { 0, 700, 1900, 725, 333 };

	(void)s;
	for (int round = 0; round < 20000; round++) {
		struct totals_line l[8];
		struct totals_promo p[4];
		struct totals t = { .lines = l, .promos = p, .n_lines = 1 + (size_t)rnd(8), .n_promos = (size_t)rnd(5),
				    .shipping_tax_bp = rates[rnd(5)], .shipping_tax_included = rnd(2) };
		int64_t sub = 0, disc = 0, total = 0, tax = 0, added = 0, ship = 0, off = 0, comm = 0, lcomm = 0;

		arena_reset(a);
		for (size_t i = 0; i < t.n_lines; i++) {
			l[i] = line("v", vendors[rnd(3)], rnd(10) ? rnd(20000) : 0, 1 + (int32_t)rnd(9));
			l[i].tax_bp = rates[rnd(5)];
			l[i].tax_included = rnd(2);
			l[i].weight_g = rnd(3) ? (int32_t)rnd(3000) : 0;
			l[i].commission_bp = (int32_t)rnd(3000);
		}
		for (size_t i = 0; i < t.n_promos; i++)
			p[i] = (struct totals_promo){ .id = "p", .kind = (enum promo_kind)rnd(4),
				.percent_bp = 1 + (int32_t)rnd(10000), .amount_minor = 1 + rnd(3000), .currency = "EUR",
				.buy_qty = 1 + (int32_t)rnd(3), .get_qty = 1 + (int32_t)rnd(2),
				.vendor_id = rnd(2) ? vendors[rnd(3)] : NULL, .combinable = rnd(4) };
		run(&t, rnd(2000));
		for (size_t i = 0; i < t.n_lines; i++) {
			assert_true(n(l[i].discount) >= 0 && n(l[i].discount) <= n(l[i].subtotal));
			assert_true(n(l[i].tax) >= 0 && n(l[i].commission) >= 0);
			sub += n(l[i].subtotal);
			disc += n(l[i].discount);
			lcomm += n(l[i].commission);
		}
		for (size_t i = 0; i < t.n_promos; i++)
			if (p[i].no == PROMO_APPLIED && p[i].kind != PROMO_FREE_SHIPPING)
				off += n(p[i].amount);
		for (size_t v = 0; v < t.n_vendors; v++) {
			const struct totals_vendor *x = &t.vendors[v];

			assert_int_equal(n(x->total), n(x->subtotal) - n(x->discount) + n(x->shipping) + n(x->tax_added));
			assert_true(n(x->shipping) >= 0 && n(x->commission) <= n(x->subtotal));
			total += n(x->total);
			tax += n(x->tax);
			added += n(x->tax_added);
			ship += n(x->shipping);
			comm += n(x->commission);
		}
		assert_int_equal(sub, n(t.subtotal));
		assert_int_equal(disc, n(t.discount));
		assert_int_equal(off, n(t.discount));
		assert_int_equal(total, n(t.total));
		assert_int_equal(tax, n(t.tax));
		assert_int_equal(added, n(t.tax_added));
		assert_int_equal(ship, n(t.shipping));
		assert_int_equal(comm, lcomm);
		assert_int_equal(n(t.total), n(t.subtotal) - n(t.discount) + n(t.shipping) + n(t.tax_added));
	}
}

static int begin(void **s)
{
	(void)s;
	a = arena_new("test", 1 << 20);
	return 0;
}

static int end(void **s)
{
	(void)s;
	arena_free(a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),	     cmocka_unit_test(weight_decides_shipping),
		cmocka_unit_test(tax_added),	     cmocka_unit_test(tax_included),
		cmocka_unit_test(percent_and_fixed), cmocka_unit_test(more_off_than_it_costs),
		cmocka_unit_test(exclusive),	     cmocka_unit_test(buy_two_get_one),
		cmocka_unit_test(free_shipping),     cmocka_unit_test(overflow),
		cmocka_unit_test(random_carts),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
