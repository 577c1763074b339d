/* What shapes totals: tax rates, shipping methods, promotions. Reading them for a cart; taking and giving back uses. */
#ifndef SOUK_CHECKOUT_DB_RULES_H
#define SOUK_CHECKOUT_DB_RULES_H

#include "common/pg.h"

struct tax_row {
	const char *region, *tax_class;
	int32_t rate_bp;
	bool included;
};
/* Rates of the country as a whole and of that region. */
MUST_CHECK enum err_code checkout_db_tax_for(struct pg *, struct arena *, const char *country, const char *region,
					     struct tax_row **rows_r, size_t *n_r, struct err *);

struct ship_row {
	const char *id, *name;
	int64_t base_minor, per_kg_minor, free_from_minor; /* -1: never free */
	int32_t max_weight_g, min_days, max_days;	   /* 0: any weight */
};
/* Active methods with a price in the currency, of the zones that name the country, else of the rest of the world. */
MUST_CHECK enum err_code checkout_db_ship_for(struct pg *, struct arena *, const char *country, const char *currency,
					      struct ship_row **rows_r, size_t *n_r, struct err *);

struct promo_row {
	const char *id, *code, *title, *kind, *currency, *vendor_id;
	const char *products, *categories; /* comma lists */
	int64_t amount_minor, min_minor;
	int32_t percent_bp, buy_qty, get_qty;
	bool combinable, active, early, late, exhausted, used_up; /* used_up: by this buyer */
};
/* Those that apply by themselves, then those of the codes; buyer may be "". */
MUST_CHECK enum err_code checkout_db_promos_for(struct pg *, struct arena *, const char *const *codes, size_t n,
						const char *buyer, struct promo_row **rows_r, size_t *n_r, struct err *);

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
