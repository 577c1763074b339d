/* What shapes totals: tax rates, shipping methods, promotions. Reading them for a cart; taking and giving back uses. */
#ifndef SOUK_CHECKOUT_DB_RULES_H
#define SOUK_CHECKOUT_DB_RULES_H

#include "common/pg.h"

struct tax_row {
	const char *region, *tax_class;
	int32_t rate_bp;
	bool included;
};

struct ship_row {
	const char *id, *name;
	int64_t base_minor, per_kg_minor, free_from_minor; /* -1: never free */
	int32_t max_weight_g, min_days, max_days;	   /* 0: any weight */
};

struct promo_row {
	const char *id, *code, *title, *kind, *currency, *vendor_id;
	const char *products, *categories; /* comma lists */
	int64_t amount_minor, min_minor;
	int32_t percent_bp, buy_qty, get_qty;
	bool combinable, active, early, late, exhausted, used_up; /* used_up: by this buyer */
};

struct rules_key {
	const char *country, *region, *currency;
	const char *buyer; /* may be "" */
	const char *const *codes;
	size_t n_codes;
};
struct rules {
	struct tax_row *tax; /* of the country as a whole and of that region */
	/* Active methods with a price in the currency, of the zones that name the country, else of the rest of the world. */
	struct ship_row *ship;
	struct promo_row *promo; /* those that apply by themselves, then those of the codes */
	size_t n_tax, n_ship, n_promo;
};
/* What a cart is computed by, in one round trip. */
MUST_CHECK enum err_code checkout_db_rules(struct pg *, struct arena *, const struct rules_key *, struct rules *rules_r,
					   struct err *);

struct outcome_row {
	const char *outcome;
};
/* outcome: ok, known, exhausted, used, inactive. Inside a transaction; takes the promotion's row lock. */
MUST_CHECK enum err_code checkout_db_promo_take(struct pg *, struct arena *, const char *promotion_id,
						const char *checkout_id, int32_t attempt, const char *buyer,
						const char **outcome_r, struct err *);
/* state: "used" or "released". */
MUST_CHECK enum err_code checkout_db_promo_end(struct pg *, const char *checkout_id, int32_t attempt,
					       const char *state, struct err *);

extern const struct pg_stmt *const checkout_db_rules_stmts[];

#endif
