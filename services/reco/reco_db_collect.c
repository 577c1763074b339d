#include "services/reco/reco_db_collect.h"

#include "services/reco/reco_db_features.h"

/* ---- events ---- */

static const struct pg_col put_cols[] = { PG_COL(event_put_row, known), PG_COL(event_put_row, put) };
#define SUBJECT "coalesce(user_id, session_id)"
/* The features of one person change with the event; w is kept at one instant, so an update is one addition. */
static const struct pg_stmt event_put = {
	.name = "event_put",
	.sql = "WITH u AS (SELECT key::uuid, to_timestamp(ts / 1000.0) AS ts, kind::smallint, user_id,"
	       " session_id, product_id, order_id, request_id, placement, nullif(position, 0)::integer AS position,"
	       " qty::integer, nullif(rating, 0)::smallint AS rating"
	       " FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],"
	       " $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[]) AS i(key, ts, kind, user_id,"
	       " session_id, product_id, order_id, request_id, placement, position, qty, rating)),"
	       " k AS (SELECT u.* FROM u WHERE NOT $14::boolean"
	       " OR EXISTS (SELECT 1 FROM reco.product p WHERE p.product_id = u.product_id)),"
	       " x AS (SELECT DISTINCT ON (key) k.* FROM k ORDER BY key),"
	       " fresh AS (INSERT INTO reco.event_key (key) SELECT x.key FROM x WHERE $13::integer = 1 ORDER BY x.key"
	       " ON CONFLICT DO NOTHING RETURNING key),"
	       " ins AS (INSERT INTO reco.event (ts, key, epoch, kind, source, user_id, session_id, product_id, order_id,"
	       " request_id, placement, position, qty, rating)"
	       " SELECT x.ts, x.key, c.epoch, x.kind, $13::integer, x.user_id, x.session_id, x.product_id, x.order_id,"
	       " x.request_id, x.placement, x.position, x.qty, x.rating FROM x, reco.cluster c"
	       " WHERE $13::integer <> 1 OR x.key IN (SELECT fresh.key FROM fresh) ON CONFLICT DO NOTHING"
	       " RETURNING ts, kind, user_id, session_id, product_id, rating),"
	       " liked AS (INSERT INTO reco.user_item AS f (subject, product_id, n_view, n_cart, n_buy, rating, w, first_at,"
	       " last_at, last_view_at, last_cart_at, last_buy_at, visitor)"
	       " SELECT " SUBJECT ", product_id, count(*) FILTER (WHERE kind = 1), count(*) FILTER (WHERE kind = 4),"
	       " count(*) FILTER (WHERE kind = 5) - count(*) FILTER (WHERE kind = 7),"
	       " max(rating) FILTER (WHERE kind = 6), sum(reco.liking(kind, rating) * reco.growth(ts)), min(ts), max(ts),"
	       " max(ts) FILTER (WHERE kind IN (1, 2)), max(ts) FILTER (WHERE kind = 4), max(ts) FILTER (WHERE kind = 5),"
	       " bool_and(user_id IS NULL) FROM ins WHERE " SUBJECT " IS NOT NULL AND kind <> 3"
	       " AND NOT ($13::integer = 1 AND kind = 4 AND user_id IS NOT NULL)"
	       " GROUP BY 1, 2 ORDER BY 1, 2 ON CONFLICT (subject, product_id) DO UPDATE SET"
	       " n_view = f.n_view + excluded.n_view, n_cart = f.n_cart + excluded.n_cart,"
	       " n_buy = greatest(f.n_buy + excluded.n_buy, 0), rating = coalesce(excluded.rating, f.rating),"
	       " w = f.w + excluded.w, first_at = least(f.first_at, excluded.first_at),"
	       " last_at = greatest(f.last_at, excluded.last_at),"
	       " last_view_at = greatest(f.last_view_at, excluded.last_view_at),"
	       " last_cart_at = greatest(f.last_cart_at, excluded.last_cart_at),"
	       " last_buy_at = greatest(f.last_buy_at, excluded.last_buy_at))"
	       " SELECT (SELECT count(*) FROM k) AS known, (SELECT count(*) FROM ins) AS put",
	.col = put_cols,
	.ncol = 2,
	.row_size = sizeof(struct event_put_row),
};

struct months_row {
	int32_t n;
};
static const struct pg_col months_cols[] = { PG_COL(months_row, n) };
#define MONTHS_ROW .col = months_cols, .ncol = 1, .row_size = sizeof(struct months_row)
static const struct pg_stmt partitions_make = {
	.name = "partitions_make",
	.sql = "SELECT reco.partitions_make(to_timestamp($1::bigint / 1000.0), to_timestamp($2::bigint / 1000.0)) AS n",
	MONTHS_ROW,
};
/* Answers are as many as requests, and a report goes back ninety days. */
static const struct pg_stmt partitions_drop = {
	.name = "partitions_drop",
	.sql = "SELECT CASE WHEN $1::integer > 0 THEN reco.partitions_drop('event', $1::integer) ELSE 0 END"
	       " + reco.partitions_drop('answer', CASE WHEN $1::integer BETWEEN 1 AND 3 THEN $1::integer ELSE 4 END) AS n",
	MONTHS_ROW,
};

enum err_code reco_db_event_put(struct pg *pg, struct arena *a, enum reco_source source, bool known_only,
				const struct event_in *in, size_t n, struct event_put_row **row_r, struct err *e)
{
	const char **text[7];
	int64_t *number[5];

	for (size_t k = 0; k < 7; k++)
		text[k] = arena_array(a, n + 1, sizeof(*text[k]));
	for (size_t k = 0; k < 5; k++)
		number[k] = arena_array(a, n + 1, sizeof(*number[k]));
	for (size_t i = 0; i < n; i++) {
		const char *const t[7] = { in[i].key, in[i].user_id, in[i].session_id, in[i].product_id, in[i].order_id,
					   in[i].request_id, in[i].placement };
		const int64_t v[5] = { in[i].ts, in[i].kind, in[i].position, in[i].qty, in[i].rating };

		for (size_t k = 0; k < 7; k++)
			text[k][i] = t[k];
		for (size_t k = 0; k < 5; k++)
			number[k][i] = v[k];
	}
#define T(k) pg_p_text_array(a, text[k], n)
#define N(k) pg_p_i64_array(a, number[k], n)
	return pg_one(pg, &event_put,
		      PG_ARGS(T(0), N(0), N(1), T(1), T(2), T(3), T(4), T(5), T(6), N(2), N(3), N(4), P((int32_t)source),
			      P(known_only)),
		      a, row_r, e);
#undef T
#undef N
}

enum err_code reco_db_partitions(struct pg *pg, struct arena *a, int64_t from_ms, int64_t until_ms, struct err *e)
{
	struct months_row *row = NULL;

	return pg_one(pg, &partitions_make, PG_ARGS(P(from_ms), P(until_ms)), a, &row, e);
}

enum err_code reco_db_partitions_drop(struct pg *pg, struct arena *a, int32_t keep_months, int32_t *dropped_r,
				      struct err *e)
{
	struct months_row *row = NULL;

	if (pg_one(pg, &partitions_drop, PG_ARGS(P(keep_months)), a, &row, e))
		return e->code;
	*dropped_r = row->n;
	return OK;
}

/* ---- what is not needed any more ---- */

static const struct pg_stmt sweep_keys = {
	.name = "sweep_keys",
	.sql = "DELETE FROM reco.event_key WHERE key IN (SELECT k.key FROM reco.event_key k"
	       " WHERE k.at < now() - interval '8 days' LIMIT 20000)",
};
/* A user's counts last as long as he does; a visitor's session is over after a month. */
static const struct pg_stmt sweep_visitors = {
	.name = "sweep_visitors",
	.sql = "DELETE FROM reco.user_item WHERE (subject, product_id) IN (SELECT u.subject, u.product_id"
	       " FROM reco.user_item u WHERE u.last_at < now() - interval '30 days' AND u.visitor ORDER BY u.last_at LIMIT 5000)",
};
static const struct pg_stmt sweep_carts = {
	.name = "sweep_carts",
	.sql = "DELETE FROM reco.cart WHERE cart_id IN (SELECT c.cart_id FROM reco.cart c"
	       " WHERE c.changed_at < now() - interval '30 days' LIMIT 5000)",
};

enum err_code reco_db_sweep(struct pg *pg, int64_t *removed_r, struct err *e)
{
	const struct pg_stmt *const all[] = { &sweep_keys, &sweep_visitors, &sweep_carts };
	int64_t sum = 0, n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (pg_exec(pg, all[i], PG_NONE, &n, e))
			return e->code;
		sum += n;
	}
	*removed_r = sum;
	return OK;
}

/* ---- purchases ---- */

static const struct pg_col bought_cols[] = {
	PG_COL(bought_row, key),
	PG_COL(bought_row, user_id),
	PG_COL(bought_row, product_id),
	PG_COL(bought_row, qty),
};
static const struct pg_stmt bought = {
	.name = "bought",
	.sql = "SELECT v.key::text AS key, v.user_id, v.product_id, v.qty FROM reco.event v WHERE v.order_id = $1"
	       " AND v.kind = 5 AND NOT EXISTS (SELECT 1 FROM reco.event u WHERE u.order_id = $1 AND u.kind = 7"
	       " AND u.product_id = v.product_id AND u.qty = v.qty) ORDER BY v.key LIMIT 1000",
	.col = bought_cols,
	.ncol = 4,
	.row_size = sizeof(struct bought_row),
};

enum err_code reco_db_bought(struct pg *pg, struct arena *a, const char *order_id, struct bought_row **rows_r,
			     size_t *n_r, struct err *e)
{
	return pg_rows(pg, &bought, PG_ARGS(P(order_id)), a, rows_r, n_r, e);
}

/* ---- carts ---- */

static const struct pg_col variant_cols[] = { PG_COL(variant_row, variant_id), PG_COL(variant_row, product_id) };
static const struct pg_stmt cart_put = {
	.name = "cart_put",
	.sql = "WITH was AS (SELECT c.variant_ids, c.version FROM reco.cart c WHERE c.cart_id = $1),"
	       " put AS (INSERT INTO reco.cart AS c (cart_id, user_id, variant_ids, version, changed_at)"
	       " VALUES ($1, $2, $5::text[], $3::bigint, to_timestamp($4::bigint / 1000.0))"
	       " ON CONFLICT (cart_id) DO UPDATE SET user_id = excluded.user_id, variant_ids = excluded.variant_ids,"
	       " version = excluded.version, changed_at = excluded.changed_at WHERE c.version < excluded.version"
	       " RETURNING cart_id)"
	       " SELECT v.variant_id, v.product_id FROM reco.variant v WHERE v.variant_id = ANY ($5::text[])"
	       " AND v.product_id IS NOT NULL AND EXISTS (SELECT 1 FROM put)"
	       " AND NOT v.variant_id = ANY (coalesce((SELECT was.variant_ids FROM was), '{}'))"
	       " ORDER BY v.variant_id LIMIT 500",
	.col = variant_cols,
	.ncol = 2,
	.row_size = sizeof(struct variant_row),
};

enum err_code reco_db_cart_put(struct pg *pg, struct arena *a, const char *cart_id, const char *user_id, int64_t version,
			       int64_t at_ms, const char *const *variant_ids, size_t n, struct variant_row **added_r,
			       size_t *n_added_r, struct err *e)
{
	return pg_rows(pg, &cart_put,
		       PG_ARGS(P(cart_id), P(user_id), P(version), P(at_ms), pg_p_text_array(a, variant_ids, n)), a,
		       added_r, n_added_r, e);
}

/* ---- people ---- */

static const struct pg_stmt yes_add = {
	.name = "consent_yes_add",
	.sql = "INSERT INTO reco.opt_in (user_id) VALUES ($1) ON CONFLICT DO NOTHING",
};
static const struct pg_stmt yes_drop = {
	.name = "consent_yes_drop",
	.sql = "DELETE FROM reco.opt_in WHERE user_id = $1",
};
static const struct pg_stmt no_add = {
	.name = "consent_no_add",
	.sql = "INSERT INTO reco.opt_out (user_id) VALUES ($1) ON CONFLICT DO NOTHING",
};
static const struct pg_stmt no_drop = {
	.name = "consent_no_drop",
	.sql = "DELETE FROM reco.opt_out WHERE user_id = $1",
};
static const struct pg_stmt erased_add = {
	.name = "erased_add",
	.sql = "INSERT INTO reco.erased (user_id) VALUES ($1) ON CONFLICT DO NOTHING",
};
/* Also of the sessions he was a visitor in: features first, while the events still tell which those were. */
static const struct pg_stmt forget_items = {
	.name = "forget_items",
	.sql = "DELETE FROM reco.user_item WHERE subject = $1 OR subject IN"
	       " (SELECT v.session_id FROM reco.event v WHERE v.user_id = $1 AND v.session_id IS NOT NULL)",
};
static const struct pg_stmt forget_answers = {
	.name = "forget_answers",
	.sql = "UPDATE reco.answer SET subject = NULL WHERE subject = $1 OR subject IN"
	       " (SELECT v.session_id FROM reco.event v WHERE v.user_id = $1 AND v.session_id IS NOT NULL)",
};
static const struct pg_stmt forget_sessions = {
	.name = "forget_sessions",
	.sql = "UPDATE reco.event SET session_id = NULL WHERE user_id IS NULL AND session_id IN"
	       " (SELECT v.session_id FROM reco.event v WHERE v.user_id = $1 AND v.session_id IS NOT NULL)",
};
static const struct pg_stmt forget_events = {
	.name = "forget_events",
	.sql = "UPDATE reco.event SET user_id = NULL, session_id = NULL, order_id = NULL WHERE user_id = $1",
};
static const struct pg_stmt forget_carts = {
	.name = "forget_carts",
	.sql = "DELETE FROM reco.cart WHERE user_id = $1",
};

static enum err_code run_all(struct pg *pg, const struct pg_stmt *const *all, size_t n, const char *user_id,
			     struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (pg_exec(pg, all[i], PG_ARGS(P(user_id)), NULL, e))
			return e->code;
	return OK;
}

enum err_code reco_db_consent(struct pg *pg, const char *user_id, bool granted, struct err *e)
{
	const struct pg_stmt *const yes[] = { &yes_add, &no_drop }, *const no[] = { &no_add, &yes_drop };

	return run_all(pg, granted ? yes : no, 2, user_id, e);
}

enum err_code reco_db_erased_add(struct pg *pg, const char *user_id, struct err *e)
{
	const struct pg_stmt *const all[] = { &erased_add, &yes_drop, &no_drop };

	return run_all(pg, all, 3, user_id, e);
}

enum err_code reco_db_forget(struct pg *pg, const char *user_id, struct err *e)
{
	const struct pg_stmt *const all[] = { &forget_items, &forget_answers, &forget_sessions, &forget_events,
					      &forget_carts };

	return run_all(pg, all, 5, user_id, e);
}

/* ---- the watermark ---- */

static const struct pg_col counted_cols[] = { PG_COL(counted_row, events), PG_COL(counted_row, more) };
/*
 * Whole transactions at a time, in the order (epoch, xid), and only those before the oldest one that still runs: what
 * commits late is not passed over. Pages' add_to_cart is not counted, the carts themselves tell.
 */
static const struct pg_stmt count_next = {
	.name = "count_next",
	.sql = "WITH mark AS (SELECT m.epoch, m.xid FROM reco.watermark m WHERE m.name = 'item_day' FOR UPDATE),"
	       " now_at AS (SELECT c.epoch, pg_snapshot_xmin(pg_current_snapshot()) AS xid FROM reco.cluster c),"
	       " ahead AS (SELECT v.epoch, v.xid FROM reco.event v, mark, now_at"
	       " WHERE (v.epoch, v.xid) >= (mark.epoch, mark.xid) AND (v.epoch, v.xid) < (now_at.epoch, now_at.xid)"
	       " ORDER BY v.epoch, v.xid OFFSET $1::integer LIMIT 1),"
	       " upto AS (SELECT n.epoch, n.xid, EXISTS (SELECT 1 FROM ahead) AS more FROM now_at n"
	       " WHERE NOT EXISTS (SELECT 1 FROM ahead a, mark WHERE (a.epoch, a.xid) > (mark.epoch, mark.xid))"
	       " UNION ALL SELECT a.epoch, a.xid, true FROM ahead a, mark WHERE (a.epoch, a.xid) > (mark.epoch, mark.xid)"
	       " LIMIT 1),"
	       " rows AS (SELECT v.ts, v.product_id, v.kind, v.source, v.qty FROM reco.event v, mark, upto"
	       " WHERE (v.epoch, v.xid) >= (mark.epoch, mark.xid) AND (v.epoch, v.xid) < (upto.epoch, upto.xid)),"
	       " put AS (INSERT INTO reco.item_day AS d (day, product_id, n_impression, n_click, n_view, n_cart, n_buy, qty)"
	       " SELECT (r.ts AT TIME ZONE 'UTC')::date, r.product_id, count(*) FILTER (WHERE r.kind = 3),"
	       " count(*) FILTER (WHERE r.kind = 2), count(*) FILTER (WHERE r.kind = 1),"
	       " count(*) FILTER (WHERE r.kind = 4 AND r.source <> 1),"
	       " count(*) FILTER (WHERE r.kind = 5) - count(*) FILTER (WHERE r.kind = 7),"
	       " coalesce(sum(CASE r.kind WHEN 5 THEN r.qty WHEN 7 THEN -r.qty END), 0)"
	       " FROM rows r GROUP BY 1, 2 ORDER BY 1, 2 ON CONFLICT (day, product_id) DO UPDATE SET"
	       " n_impression = d.n_impression + excluded.n_impression, n_click = d.n_click + excluded.n_click,"
	       " n_view = d.n_view + excluded.n_view, n_cart = d.n_cart + excluded.n_cart,"
	       " n_buy = d.n_buy + excluded.n_buy, qty = d.qty + excluded.qty),"
	       " moved AS (UPDATE reco.watermark m SET epoch = upto.epoch, xid = upto.xid,"
	       " at = CASE WHEN upto.more THEN m.at ELSE now() END FROM upto WHERE m.name = 'item_day'"
	       " AND (m.at < now() - interval '5 seconds' OR upto.more OR EXISTS (SELECT 1 FROM rows)))"
	       " SELECT (SELECT count(*) FROM rows) AS events, coalesce((SELECT upto.more FROM upto), false) AS more",
	.col = counted_cols,
	.ncol = 2,
	.row_size = sizeof(struct counted_row),
};

enum err_code reco_db_count(struct pg *pg, struct arena *a, int32_t limit, struct counted_row **row_r, struct err *e)
{
	return pg_one(pg, &count_next, PG_ARGS(P(limit)), a, row_r, e);
}

const struct pg_stmt *const reco_db_collect_stmts[] = {
	&event_put,	 &partitions_make, &partitions_drop, &sweep_keys,     &sweep_visitors, &sweep_carts,
	&bought,	 &cart_put,	   &yes_add,	     &yes_drop,	      &no_add,	       &no_drop,
	&erased_add,	 &forget_items,	   &forget_answers,  &forget_sessions, &forget_events, &forget_carts,
	&count_next,	 NULL,
};
