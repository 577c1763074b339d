#include "services/checkout/checkout_db_rules.h"

static const struct pg_col tax_cols[] = {
	PG_COL(tax_row, region),
	PG_COL(tax_row, tax_class),
	PG_COL(tax_row, rate_bp),
	PG_COL(tax_row, included),
};
static const struct pg_stmt tax_for = {
	.name = "tax_for",
	.sql = "SELECT t.region, t.tax_class, t.rate_bp, t.included FROM checkout.tax_rate t"
	       " WHERE t.country = $1 AND t.region IN ('', $2) LIMIT 200",
	.col = tax_cols, .ncol = 4, .row_size = sizeof(struct tax_row),
};

static const struct pg_col ship_cols[] = {
	PG_COL(ship_row, id),		   PG_COL(ship_row, name),	   PG_COL(ship_row, base_minor),
	PG_COL(ship_row, per_kg_minor),	   PG_COL(ship_row, free_from_minor), PG_COL(ship_row, max_weight_g),
	PG_COL(ship_row, min_days),	   PG_COL(ship_row, max_days),
};
static const struct pg_stmt ship_for = {
	.name = "ship_for",
	.sql = "SELECT m.id, m.name, p.base_minor, p.per_kg_minor, coalesce(p.free_from_minor, -1) AS free_from_minor,"
	       " coalesce(m.max_weight_g, 0) AS max_weight_g, m.min_days, m.max_days FROM checkout.shipping_method m"
	       " JOIN checkout.shipping_price p ON p.method_id = m.id AND p.currency = $2 WHERE m.active"
	       " AND ($1 = ANY (m.countries) OR ('*' = ANY (m.countries) AND NOT EXISTS (SELECT 1"
	       " FROM checkout.shipping_method z WHERE z.active AND $1 = ANY (z.countries))))"
	       " ORDER BY m.priority, m.id LIMIT 50",
	.col = ship_cols, .ncol = 8, .row_size = sizeof(struct ship_row),
};

static const struct pg_col promo_cols[] = {
	PG_COL(promo_row, id),		 PG_COL(promo_row, code),	PG_COL(promo_row, title),
	PG_COL(promo_row, kind),	 PG_COL(promo_row, currency),	PG_COL(promo_row, vendor_id),
	PG_COL(promo_row, products),	 PG_COL(promo_row, categories), PG_COL(promo_row, amount_minor),
	PG_COL(promo_row, min_minor),	 PG_COL(promo_row, percent_bp), PG_COL(promo_row, buy_qty),
	PG_COL(promo_row, get_qty),	 PG_COL(promo_row, combinable), PG_COL(promo_row, active),
	PG_COL(promo_row, early),	 PG_COL(promo_row, late),	PG_COL(promo_row, exhausted),
	PG_COL(promo_row, used_up),
};
static const struct pg_stmt promos_for = {
	.name = "promos_for",
	.sql = "SELECT p.id, p.code, p.title, p.kind, p.currency, p.vendor_id,"
	       " array_to_string(p.product_ids, ',') AS products, array_to_string(p.category_ids, ',') AS categories,"
	       " p.amount_minor, p.min_minor, p.percent_bp, p.buy_qty, p.get_qty, p.combinable, p.active,"
	       " coalesce(p.starts_at > now(), false) AS early, coalesce(p.ends_at <= now(), false) AS late,"
	       " coalesce(p.uses >= p.max_uses, false) AS exhausted,"
	       " p.per_buyer IS NOT NULL AND coalesce((SELECT b.uses >= p.per_buyer FROM checkout.promotion_buyer b"
	       " WHERE b.promotion_id = p.id AND b.buyer = $2), false) AS used_up"
	       " FROM checkout.promotion p WHERE (p.code IS NULL AND p.active) OR p.code = ANY ($1::text[])"
	       " ORDER BY p.code IS NOT NULL, p.priority, p.id LIMIT 100",
	.col = promo_cols, .ncol = 19, .row_size = sizeof(struct promo_row),
};

enum err_code checkout_db_rules(struct pg *pg, struct arena *a, const struct rules_key *k, struct rules *rules_r,
				struct err *e)
{
	const struct pg_param tax[] = { P(k->country), P(k->region) };
	const struct pg_param ship[] = { P(k->country), P(k->currency) };
	const struct pg_param promo[] = { pg_p_text_array(a, k->codes, k->n_codes), P(k->buyer) };
	struct rules r = { 0 };
	const struct pg_read reads[] = {
		{ &tax_for, tax, 2, &r.tax, &r.n_tax },
		{ &ship_for, ship, 2, &r.ship, &r.n_ship },
		{ &promos_for, promo, 2, &r.promo, &r.n_promo },
	};

	if (pg_reads(pg, reads, ARRAY_LEN(reads), a, e))
		return e->code;
	*rules_r = r;
	return OK;
}

static const struct pg_col outcome_cols[] = { PG_COL(outcome_row, outcome) };
static const struct pg_stmt promo_take = {
	.name = "promo_take",
	.sql = "SELECT checkout.promotion_take($1, $2, $3::int, $4) AS outcome",
	.col = outcome_cols, .ncol = 1, .row_size = sizeof(struct outcome_row),
};

enum err_code checkout_db_promo_take(struct pg *pg, struct arena *a, const char *promotion_id, const char *checkout_id,
				     int32_t attempt, const char *buyer, const char **outcome_r, struct err *e)
{
	struct outcome_row *r = NULL;

	if (pg_one(pg, &promo_take, PG_ARGS(P(promotion_id), P(checkout_id), P(attempt), P(buyer)), a, &r, e))
		return e->code;
	*outcome_r = r->outcome;
	return OK;
}

static const struct pg_stmt promo_end = {
	.name = "promo_end",
	.sql = "SELECT checkout.promotion_end($1, $2::int, $3) WHERE EXISTS (SELECT 1 FROM checkout.redemption r"
	       " WHERE r.checkout_id = $1 AND r.attempt = $2::int AND r.state = 'held')",
};

enum err_code checkout_db_promo_end(struct pg *pg, const char *checkout_id, int32_t attempt, const char *state,
				    struct err *e)
{
	return pg_exec(pg, &promo_end, PG_ARGS(P(checkout_id), P(attempt), P(state)), NULL, e);
}

const struct pg_stmt *const checkout_db_rules_stmts[] = { &tax_for, &ship_for, &promos_for, &promo_take, &promo_end, NULL };
