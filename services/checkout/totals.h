/*
 * What a cart costs: prices, promotions, shipping, tax, commission. Pure: no I/O; the caller has looked everything up.
 *
 *	fill lines, promos, currency -> totals_goods (subtotals, discounts)
 *	choose shipping by what is left (totals_left), fill shipping -> totals_finish (tax, commission, vendors, total)
 *
 * Whatever is divided is divided by largest remainder, so the parts always add up to the whole: discounts over lines,
 * shipping over vendors (by weight, else by value), tax of one rate over the lines that bear it.
 *
 *	total = subtotal - discount + shipping + tax_added		of the order and of each vendor
 */
#ifndef SOUK_CHECKOUT_TOTALS_H
#define SOUK_CHECKOUT_TOTALS_H

#include "common/money.h"

#define TOTALS_LINES_MAX 200

struct totals_line {
	const char *variant_id, *product_id, *vendor_id;
	const char *const *category_ids;
	size_t n_categories;
	struct money unit;
	int32_t qty;
	int32_t weight_g; /* of one */
	int32_t tax_bp;
	bool tax_included; /* the price contains it */
	int32_t commission_bp;
	/* results */
	struct money subtotal, discount, tax, tax_added, total, commission;
};

enum promo_kind { PROMO_PERCENT, PROMO_FIXED, PROMO_FREE_SHIPPING, PROMO_BUY_X_GET_Y };
enum promo_no { PROMO_APPLIED = 0, PROMO_MINIMUM, PROMO_CURRENCY, PROMO_NO_MATCH, PROMO_NOT_COMBINABLE };

struct totals_promo {
	const char *id, *code, *title; /* code NULL: applies by itself */
	enum promo_kind kind;
	int32_t percent_bp; /* percent; buy_x_get_y: off the units that come with it */
	int64_t amount_minor, min_minor;
	const char *currency; /* of amount and minimum; NULL or "": neither is set */
	int32_t buy_qty, get_qty;
	const char *vendor_id; /* NULL or "": any; the next two likewise when empty. All that are set must match. */
	const char *const *product_ids;
	size_t n_products;
	const char *const *category_ids;
	size_t n_categories;
	bool combinable;
	/* results */
	enum promo_no no;
	struct money amount; /* what it took off (for free_shipping: off shipping, after totals_finish) */
};

struct totals_vendor {
	const char *vendor_id;
	struct money subtotal, discount, shipping, shipping_tax, tax, tax_added, total, commission;
};

struct totals {
	const char *currency;
	struct totals_line *lines; /* at least one, all in the currency, variants distinct */
	size_t n_lines;
	struct totals_promo *promos; /* in the order in which they apply */
	size_t n_promos;
	struct money shipping; /* in: the method's price; out: after free_shipping */
	int32_t shipping_tax_bp;
	bool shipping_tax_included;
	/* results */
	struct money subtotal, discount, shipping_tax, tax, tax_added, total;
	struct totals_vendor *vendors; /* in the order of their first lines */
	size_t n_vendors;
};

/* Amounts beyond int64 are E_RULE common.amount_range; a line of another currency E_RULE common.currency_mismatch. */
MUST_CHECK enum err_code totals_goods(struct totals *t, struct arena *a, struct err *e);
MUST_CHECK enum err_code totals_finish(struct totals *t, struct arena *a, struct err *e);
/* After totals_goods: subtotal - discount, and the weight in grams (capped at INT32_MAX). */
MUST_CHECK enum err_code totals_left(const struct totals *t, struct money *left_r, struct err *e);
int32_t totals_weight(const struct totals *t);

#endif
