#include "services/reco/reco_db_serve.h"

#include <string.h>

#include "services/reco/serve.h"

/*
 * Items travel as one text per answer, divided by blanks: ids have none. Who was erased or took back his consent while the
 * answer waited is not named.
 */
static const struct pg_stmt answers_put = {
	.name = "answers_put",
	.sql = "INSERT INTO reco.answer (request_id, type, placement, variant, model_version, fallback, subject, items)"
	       " SELECT i.request_id, i.type, i.placement, i.variant, i.version, i.fallback = 1,"
	       " CASE WHEN EXISTS (SELECT 1 FROM reco.erased x WHERE x.user_id = i.subject)"
	       " OR EXISTS (SELECT 1 FROM reco.opt_out o WHERE o.user_id = i.subject) THEN NULL ELSE i.subject END,"
	       " string_to_array(i.items, ' ') FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],"
	       " $6::bigint[], $7::text[], $8::text[]) AS i(request_id, type, placement, variant, version, fallback, subject,"
	       " items) ON CONFLICT DO NOTHING",
};

enum err_code reco_db_answers_put(struct pg *pg, struct arena *a, const struct answered *in, size_t n, struct err *e)
{
	const char **text[7];
	int64_t *fallback = arena_array(a, n + 1, sizeof(*fallback));

	for (size_t k = 0; k < 7; k++)
		text[k] = arena_array(a, n + 1, sizeof(*text[k]));
	for (size_t i = 0; i < n; i++) {
		size_t len = 1;
		char *items;

		for (size_t k = 0; k < in[i].n; k++)
			len += strlen(in[i].items[k]) + 1;
		items = arena_alloc(a, len);
		for (size_t k = 0, at = 0; k < in[i].n; k++) {
			if (k)
				items[at++] = ' ';
			memcpy(items + at, in[i].items[k], strlen(in[i].items[k]));
			at += strlen(in[i].items[k]);
		}
		text[0][i] = in[i].request_id, text[1][i] = in[i].type, text[2][i] = in[i].placement;
		text[3][i] = in[i].variant, text[4][i] = in[i].version, text[5][i] = in[i].subject, text[6][i] = items;
		fallback[i] = in[i].fallback;
	}
#define T(k) pg_p_text_array(a, text[k], n)
	return pg_exec(pg, &answers_put, PG_ARGS(T(0), T(1), T(2), T(3), T(4), pg_p_i64_array(a, fallback, n), T(5), T(6)), NULL,
		       e);
#undef T
}

struct pins_row {
	bool there;
};
static const struct pg_col pins_cols[] = { PG_COL(pins_row, there) };
static const struct pg_stmt has_pins = {
	.name = "has_pins",
	.sql = "SELECT EXISTS (SELECT 1 FROM reco.pin LIMIT 1) AS there",
	.col = pins_cols,
	.ncol = 1,
	.row_size = sizeof(struct pins_row),
};

enum err_code reco_db_has_pins(struct pg *pg, struct arena *a, bool *pins_r, struct err *e)
{
	struct pins_row *row = NULL;

	if (pg_one(pg, &has_pins, PG_NONE, a, &row, e))
		return e->code;
	*pins_r = row->there;
	return OK;
}

/* ---- report ---- */

#define WHAT_CAME                                                                                                  \
	"WITH a AS (SELECT DISTINCT ON (r.request_id) r.request_id, r.ts, r.placement, r.variant, r.model_version, r.fallback" \
	" FROM reco.answer r WHERE r.ts > now() - make_interval(days => $1::integer) AND ($2::text IS NULL OR r.placement = $2)" \
	" AND ($3::text IS NULL OR r.variant = $3) AND ($4::text IS NULL OR r.model_version = $4) ORDER BY r.request_id),"  \
	" v AS (SELECT e.request_id, count(*) FILTER (WHERE e.kind = 3) AS impressions,"                                  \
	" count(*) FILTER (WHERE e.kind = 2) AS clicks, count(*) FILTER (WHERE e.kind = 4) AS carts,"                      \
	" count(*) FILTER (WHERE e.kind = 2 AND e.user_id IS NOT NULL AND EXISTS (SELECT 1 FROM reco.event b"              \
	" WHERE b.user_id = e.user_id AND b.product_id = e.product_id AND b.kind = 5 AND b.ts >= e.ts"                     \
	" AND b.ts < e.ts + interval '7 days')) AS orders"                                                                 \
	" FROM reco.event e WHERE e.ts > now() - make_interval(days => $1::integer) AND e.request_id IS NOT NULL"          \
	" AND e.source = 1 GROUP BY 1)"
static const struct pg_col report_cols[] = {
	PG_COL(report_row, placement),	 PG_COL(report_row, variant), PG_COL(report_row, version), PG_COL(report_row, requests),
	PG_COL(report_row, fallbacks),	 PG_COL(report_row, impressions), PG_COL(report_row, clicks), PG_COL(report_row, carts),
	PG_COL(report_row, orders),
};
static const struct pg_stmt report = {
	.name = "report",
	.sql = WHAT_CAME " SELECT a.placement, a.variant, a.model_version AS version, count(*) AS requests,"
	       " count(*) FILTER (WHERE a.fallback) AS fallbacks, coalesce(sum(v.impressions), 0)::bigint AS impressions,"
	       " coalesce(sum(v.clicks), 0)::bigint AS clicks, coalesce(sum(v.carts), 0)::bigint AS carts,"
	       " coalesce(sum(v.orders), 0)::bigint AS orders FROM a LEFT JOIN v USING (request_id) GROUP BY 1, 2, 3"
	       " ORDER BY 1, 2, 3 LIMIT 500",
	.col = report_cols,
	.ncol = 9,
	.row_size = sizeof(struct report_row),
	.flags = PG_REPLICA,
};
static const struct pg_col day_cols[] = {
	PG_COL(report_day_row, day),	PG_COL(report_day_row, variant), PG_COL(report_day_row, impressions),
	PG_COL(report_day_row, clicks), PG_COL(report_day_row, carts),	 PG_COL(report_day_row, orders),
};
static const struct pg_stmt report_days = {
	.name = "report_days",
	.sql = WHAT_CAME " SELECT to_char(a.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, a.variant,"
	       " coalesce(sum(v.impressions), 0)::bigint AS impressions, coalesce(sum(v.clicks), 0)::bigint AS clicks,"
	       " coalesce(sum(v.carts), 0)::bigint AS carts, coalesce(sum(v.orders), 0)::bigint AS orders"
	       " FROM a LEFT JOIN v USING (request_id) GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 300",
	.col = day_cols,
	.ncol = 6,
	.row_size = sizeof(struct report_day_row),
	.flags = PG_REPLICA,
};

enum err_code reco_db_report(struct pg *pg, struct arena *a, int32_t days, const char *placement, const char *variant,
			     const char *version, struct report_row **rows_r, size_t *n_r, struct report_day_row **days_r,
			     size_t *n_days_r, struct err *e)
{
	const struct pg_param p[] = { P(days), P(placement), P(variant), P(version) };
	const struct pg_read reads[] = { { &report, p, 4, rows_r, n_r }, { &report_days, p, 4, days_r, n_days_r } };

	return pg_reads(pg, reads, 2, a, e);
}

/* ---- the canary ---- */

static const struct pg_col canary_cols[] = {
	PG_COL(canary_counts, shown), PG_COL(canary_counts, clicked), PG_COL(canary_counts, main_shown),
	PG_COL(canary_counts, main_clicked),
};
/*
 * A part of the visitors, the same of both models, when there are more answers than can be looked at in a second or two:
 * buckets of visitors, each of which an index leads to, so many as hold about $4 answers, and at least 8 of the 1024. How many
 * there are is guessed from these 8. Lists that no model has a part in say nothing of either; where one had nothing to say,
 * that counts. An event may come with an older time of its page's clock. Both are put in one pile and sorted: a join would be at
 * the mercy of a guess.
 */
static const struct pg_stmt canary_counts = {
	.name = "canary_counts",
	.sql = "WITH n AS (SELECT count(*) * 128 AS answers FROM reco.answer r WHERE r.subject IS NOT NULL"
	       " AND (hashtext(r.subject) & 1023) = ANY ('{0,1,2,3,4,5,6,7}'::integer[])"
	       " AND r.ts >= to_timestamp($1::bigint / 1000.0)),"
	       " b AS (SELECT array(SELECT generate_series(0, greatest(8, least(1024, 1024 * $4::bigint / greatest(n.answers, 1)))"
	       "::integer - 1)) AS bucket FROM n),"
	       " u AS (SELECT r.request_id, r.subject, r.model_version = $3 AS canary, NULL::boolean AS clicked"
	       " FROM reco.answer r WHERE r.ts >= to_timestamp($1::bigint / 1000.0) AND r.subject IS NOT NULL"
	       " AND (hashtext(r.subject) & 1023) = ANY ((SELECT b.bucket FROM b)::integer[])"
	       " AND (r.variant, r.model_version) IN (('main', $2), ('canary', $3))"
	       " AND r.type IN ('related', 'bought_together', 'also_viewed', 'personal')"
	       " UNION ALL SELECT e.request_id, NULL, NULL, e.kind = 2 FROM reco.event e"
	       " WHERE e.ts >= to_timestamp($1::bigint / 1000.0) - interval '1 hour' AND e.request_id IS NOT NULL"
	       " AND e.kind IN (2, 3) AND e.source = 1"
	       " AND (hashtext(coalesce(e.user_id, e.session_id)) & 1023) = ANY ((SELECT b.bucket FROM b)::integer[])),"
	       " g AS (SELECT max(u.subject) AS subject, bool_or(u.canary) AS canary, bool_or(u.clicked) AS clicked FROM u"
	       " GROUP BY u.request_id HAVING max(u.subject) IS NOT NULL AND bool_or(u.clicked) IS NOT NULL),"
	       " s AS (SELECT g.canary, g.subject, bool_or(g.clicked) AS clicked FROM g GROUP BY 1, 2)"
	       " SELECT count(*) FILTER (WHERE s.canary) AS shown, count(*) FILTER (WHERE s.canary AND s.clicked) AS clicked,"
	       " count(*) FILTER (WHERE NOT s.canary) AS main_shown,"
	       " count(*) FILTER (WHERE NOT s.canary AND s.clicked) AS main_clicked FROM s",
	.col = canary_cols,
	.ncol = 4,
	.row_size = sizeof(struct canary_counts),
	.flags = PG_REPLICA,
};

enum err_code reco_db_canary_counts(struct pg *pg, struct arena *a, int64_t since, const char *main_version,
				    const char *canary_version, int32_t answers, struct canary_counts *counts_r, struct err *e)
{
	struct canary_counts *row = NULL;

	if (pg_one(pg, &canary_counts, PG_ARGS(P(since), P(main_version), P(canary_version), P(answers)),
		   a, &row, e))
		return e->code;
	*counts_r = *row;
	return OK;
}

const struct pg_stmt *const reco_db_serve_stmts[] = { &answers_put, &has_pins, &report, &report_days, &canary_counts, NULL };
