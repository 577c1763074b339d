#include "services/reco/reco_db_features.h"

#include "common/timeutil.h"

#define PAGE 20000
#define LATEST_STEP 250000
#define MS(x) "coalesce((extract(epoch FROM " x ") * 1000)::bigint, 0)"
#define AT(n) "to_timestamp(" n "::bigint / 1000.0)"
#define SUBJECT "coalesce(v.user_id, v.session_id)"

/* ---- training ---- */

static const struct pg_col event_cols[] = {
	PG_COL(reco_event, ts),		PG_COL(reco_event, kind),     PG_COL(reco_event, subject),
	PG_COL(reco_event, session_id), PG_COL(reco_event, product_id), PG_COL(reco_event, order_id),
	PG_COL(reco_event, qty),	PG_COL(reco_event, rating),   PG_COL(reco_event, weight),
	PG_COL(reco_event, key),
};
/* Pages follow (ts, key), the primary key of each partition; ts in microseconds would not fit into a double's sum. */
static const struct pg_stmt stream = {
	.name = "features_stream",
	.sql = "SELECT " MS("v.ts") " AS ts, v.kind::integer AS kind, " SUBJECT " AS subject, v.session_id, v.product_id,"
	       " v.order_id, v.qty, coalesce(v.rating, 0)::integer AS rating, reco.liking(v.kind, v.rating) AS weight,"
	       " v.key::text AS key FROM reco.event v WHERE v.ts >= " AT("$1") " AND v.ts < " AT("$2")
	       " AND (v.ts, v.key) > (" AT("$3") ", $4::uuid) AND (1 << v.kind) & $5::integer <> 0"
	       " AND (NOT $6::boolean OR " SUBJECT " IS NOT NULL) ORDER BY v.ts, v.key LIMIT $7::integer",
	.col = event_cols,
	.ncol = 10,
	.row_size = sizeof(struct reco_event),
	.flags = PG_REPLICA,
};
static const struct pg_col range_cols[] = {
	PG_COL(reco_range_row, events), PG_COL(reco_range_row, subjects), PG_COL(reco_range_row, products),
	PG_COL(reco_range_row, first),	PG_COL(reco_range_row, last),
};
static const struct pg_stmt range_count = {
	.name = "features_range",
	.sql = "SELECT count(*) AS events, count(DISTINCT " SUBJECT ") AS subjects, count(DISTINCT v.product_id) AS products, "
	       MS("min(v.ts)") " AS first, " MS("max(v.ts)") " AS last FROM reco.event v WHERE v.ts >= " AT("$1")
	       " AND v.ts < " AT("$2") " AND (1 << v.kind) & $3::integer <> 0"
	       " AND (NOT $4::boolean OR " SUBJECT " IS NOT NULL)",
	.col = range_cols,
	.ncol = 5,
	.row_size = sizeof(struct reco_range_row),
	.flags = PG_REPLICA,
};

struct latest_row {
	int64_t ts;
};
static const struct pg_col latest_cols[] = { PG_COL(latest_row, ts) };
static const struct pg_stmt latest = {
	.name = "features_latest",
	.sql = "SELECT coalesce((SELECT " MS("v.ts") " FROM reco.event v WHERE v.ts >= " AT("$1") " AND v.ts < " AT("$2")
	       " AND (1 << v.kind) & $3::integer <> 0 ORDER BY v.ts DESC OFFSET $4::integer LIMIT 1), $1::bigint) AS ts",
	.col = latest_cols,
	.ncol = 1,
	.row_size = sizeof(struct latest_row),
	.flags = PG_REPLICA,
};

/* In steps, so that no statement takes long. */
enum err_code reco_features_latest(struct pg_pool *pool, const struct reco_range *r, int32_t n, int64_t *from_r, struct err *e)
{
	struct arena *a = arena_new("latest", 1 << 20);
	struct latest_row *row = NULL;
	int64_t until = r->until;
	struct pg *pg = NULL;

	while (n > 0 && until > r->from && !e->code) {
		int32_t step = n < LATEST_STEP ? n : LATEST_STEP;

		if (pg_borrow_read(pool, mono_ms() + 30000, &pg, e))
			break;
		if (pg_one(pg, &latest, PG_ARGS(P(r->from), P(until), P(r->kinds), P(step - 1)), a, &row, e) == OK)
			until = row->ts;
		pg_return(pg);
		n -= step;
	}
	if (!e->code)
		*from_r = until;
	arena_free(a);
	return e->code;
}

static enum err_code page_of(struct pg_pool *pool, struct arena *a, const struct reco_range *r, int64_t after_ts,
			     const char *after_key, struct reco_event **rows_r, size_t *n_r, struct err *e)
{
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow_read(pool, mono_ms() + 30000, &pg, e))
		return e->code;
	code = pg_rows(pg, &stream,
		       PG_ARGS(P(r->from), P(r->until), P(after_ts), P(after_key), P(r->kinds), P(r->own), P((int32_t)PAGE)),
		       a, rows_r, n_r, e);
	pg_return(pg);
	return code;
}

enum err_code reco_features_stream(struct pg_pool *pool, const struct reco_range *r, int64_t after_ts,
				   const char *after_key, reco_event_fn *fn, void *arg, struct err *e)
{
	struct arena *page[2] = { arena_new("stream", 64 << 20), arena_new("stream", 64 << 20) };
	const char *key = after_key ? after_key : "00000000-0000-0000-0000-000000000000";
	int64_t ts = after_key ? after_ts : r->from - 1;
	struct reco_event *rows = NULL;
	size_t n = PAGE;

	/* Two arenas in turn: the key that the next page starts behind lives in the one before. */
	for (int turn = 0; n == PAGE && !e->code; turn = 1 - turn) {
		arena_reset(page[turn]);
		rows = NULL;
		if (page_of(pool, page[turn], r, ts, key, &rows, &n, e))
			break;
		for (size_t i = 0; i < n && !e->code; i++)
			if (fn(arg, &rows[i], e))
				break;
		if (n > 0) {
			ts = rows[n - 1].ts;
			key = rows[n - 1].key;
		}
	}
	arena_free(page[0]);
	arena_free(page[1]);
	return e->code;
}

enum err_code reco_features_count(struct pg *pg, struct arena *a, const struct reco_range *r,
				  struct reco_range_row **row_r, struct err *e)
{
	return pg_one(pg, &range_count, PG_ARGS(P(r->from), P(r->until), P(r->kinds), P(r->own)), a, row_r, e);
}

static const struct pg_col item_cols[] = {
	PG_COL(reco_item_row, subject), PG_COL(reco_item_row, product_id), PG_COL(reco_item_row, w),
	PG_COL(reco_item_row, n_view),	PG_COL(reco_item_row, n_cart),	   PG_COL(reco_item_row, n_buy),
	PG_COL(reco_item_row, rating),	PG_COL(reco_item_row, last_at),
};
/* The same sums that event_put keeps up to date, made of the events themselves. */
static const struct pg_stmt as_of = {
	.name = "features_as_of",
	.sql = "SELECT " SUBJECT " AS subject, v.product_id,"
	       " sum(reco.liking(v.kind, v.rating) * reco.growth(v.ts)) / reco.growth(" AT("$1") ") AS w,"
	       " (count(*) FILTER (WHERE v.kind = 1))::integer AS n_view,"
	       " (count(*) FILTER (WHERE v.kind = 4))::integer AS n_cart,"
	       " greatest(count(*) FILTER (WHERE v.kind = 5) - count(*) FILTER (WHERE v.kind = 7), 0)::integer AS n_buy,"
	       " coalesce(max(v.rating) FILTER (WHERE v.kind = 6), 0)::integer AS rating, " MS("max(v.ts)") " AS last_at"
	       " FROM reco.event v WHERE v.ts < " AT("$1") " AND v.kind <> 3"
	       " AND NOT (v.source = 1 AND v.kind = 4 AND v.user_id IS NOT NULL)"
	       " AND (v.user_id = $2 OR v.user_id IS NULL AND v.session_id = $2)"
	       " GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 100000",
	.col = item_cols,
	.ncol = 8,
	.row_size = sizeof(struct reco_item_row),
};

enum err_code reco_features_as_of(struct pg *pg, struct arena *a, int64_t at, const char *subject,
				  struct reco_item_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &as_of, PG_ARGS(P(at), P(subject)), a, rows_r, n_r, e);
}

/* ---- serving: one person ---- */

static const struct pg_col history_cols[] = {
	PG_COL(reco_history_row, product_id),	PG_COL(reco_history_row, w),
	PG_COL(reco_history_row, n_view),	PG_COL(reco_history_row, n_cart),
	PG_COL(reco_history_row, n_buy),	PG_COL(reco_history_row, rating),
	PG_COL(reco_history_row, last_at),	PG_COL(reco_history_row, last_view_at),
	PG_COL(reco_history_row, last_cart_at), PG_COL(reco_history_row, last_buy_at),
};
static const struct pg_stmt history = {
	.name = "features_history",
	.sql = "SELECT u.product_id, sum(u.w) / reco.growth(now()) AS w, sum(u.n_view)::integer AS n_view,"
	       " sum(u.n_cart)::integer AS n_cart, sum(u.n_buy)::integer AS n_buy,"
	       " coalesce(max(u.rating), 0)::integer AS rating, " MS("max(u.last_at)") " AS last_at, "
	       MS("max(u.last_view_at)") " AS last_view_at, " MS("max(u.last_cart_at)") " AS last_cart_at, "
	       MS("max(u.last_buy_at)") " AS last_buy_at FROM reco.user_item u WHERE u.subject = ANY (ARRAY[$1, $2]::text[])"
	       " GROUP BY u.product_id ORDER BY max(u.last_at) DESC, u.product_id LIMIT $3::integer",
	.col = history_cols,
	.ncol = 10,
	.row_size = sizeof(struct reco_history_row),
};
static const struct pg_col recent_cols[] = {
	PG_COL(reco_recent_row, ts),
	PG_COL(reco_recent_row, kind),
	PG_COL(reco_recent_row, product_id),
};
static const struct pg_stmt recent = {
	.name = "features_recent",
	.sql = "SELECT " MS("x.ts") " AS ts, x.kind::integer AS kind, x.product_id FROM"
	       " ((SELECT v.ts, v.key, v.kind, v.product_id FROM reco.event v WHERE v.user_id = $1"
	       " AND v.kind IN (1, 2, 4, 5) ORDER BY v.ts DESC LIMIT $3::integer) UNION"
	       " (SELECT v.ts, v.key, v.kind, v.product_id FROM reco.event v WHERE v.session_id = $2"
	       " AND v.kind IN (1, 2, 4, 5) ORDER BY v.ts DESC LIMIT $3::integer)) AS x"
	       " ORDER BY x.ts DESC, x.key LIMIT $3::integer",
	.col = recent_cols,
	.ncol = 3,
	.row_size = sizeof(struct reco_recent_row),
};
static const struct pg_col id_cols[] = { PG_COL(reco_id_row, id) };
static const struct pg_stmt in_cart = {
	.name = "features_in_cart",
	.sql = "SELECT DISTINCT v.product_id AS id FROM reco.cart c CROSS JOIN unnest(c.variant_ids) AS i(variant_id)"
	       " JOIN reco.variant v ON v.variant_id = i.variant_id"
	       " WHERE c.user_id = $1 AND v.product_id IS NOT NULL ORDER BY 1 LIMIT 500",
	.col = id_cols,
	.ncol = 1,
	.row_size = sizeof(struct reco_id_row),
};
struct withheld_row {
	bool withheld;
};
static const struct pg_col withheld_cols[] = { PG_COL(withheld_row, withheld) };
static const struct pg_stmt withheld = {
	.name = "features_withheld",
	.sql = "SELECT EXISTS (SELECT 1 FROM reco.opt_out o WHERE o.user_id = $1)"
	       " OR EXISTS (SELECT 1 FROM reco.erased d WHERE d.user_id = $1)"
	       " OR ($2::boolean AND NOT EXISTS (SELECT 1 FROM reco.opt_in i WHERE i.user_id = $1)) AS withheld",
	.col = withheld_cols,
	.ncol = 1,
	.row_size = sizeof(struct withheld_row),
};

enum err_code reco_features_history(struct pg *pg, struct arena *a, const char *user_id, const char *session_id,
				    int32_t limit, struct reco_history_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &history, PG_ARGS(P(user_id), P(session_id), P(limit)), a, rows_r, n_r, e);
}

enum err_code reco_features_recent(struct pg *pg, struct arena *a, const char *user_id, const char *session_id,
				   int32_t limit, struct reco_recent_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &recent, PG_ARGS(P(user_id), P(session_id), P(limit)), a, rows_r, n_r, e);
}

enum err_code reco_features_withheld(struct pg *pg, struct arena *a, const char *user_id, bool opt_in, bool *withheld_r,
				     struct err *e)
{
	struct withheld_row *row = NULL;

	if (pg_one(pg, &withheld, PG_ARGS(P(user_id), P(opt_in)), a, &row, e))
		return e->code;
	*withheld_r = row->withheld;
	return OK;
}

enum err_code reco_features_person(struct pg *pg, struct arena *a, const struct reco_who *who, int32_t limit, bool *withheld_r,
				   struct reco_history_row **rows_r, size_t *n_r, struct err *e)
{
	const struct pg_param may[] = { P(who->user_id), P(who->opt_in) },
			      did[] = { P(who->user_id), P(who->session_id), P(limit) };
	struct withheld_row *row = NULL;
	size_t n_row = 0, n = 0;
	struct pg_read reads[2];

	if (who->user_id)
		reads[n++] = (struct pg_read){ &withheld, may, 2, &row, &n_row };
	if (limit > 0)
		reads[n++] = (struct pg_read){ &history, did, 3, rows_r, n_r };
	if (n > 0 && pg_reads(pg, reads, n, a, e))
		return e->code;
	*withheld_r = n_row > 0 && row->withheld;
	return OK;
}

/* ---- serving: products ---- */

static const struct pg_col popular_cols[] = {
	PG_COL(reco_popular_row, product_id),
	PG_COL(reco_popular_row, score),
	PG_COL(reco_popular_row, n_buy),
	PG_COL(reco_popular_row, n_view),
};
#define IN_CATEGORY                                                                                \
	"($1::text IS NULL OR p.categories && (SELECT array_agg(c.id) FROM reco.category c WHERE c.id = $1 OR c.slug = $1))"
static const struct pg_stmt popular = {
	.name = "features_popular",
	.sql = "SELECT d.product_id, sum((5 * greatest(d.n_buy, 0) + 3 * d.n_cart + 0.1 * d.n_view)::double precision"
	       " * power(2.0, (d.day - current_date)::double precision / $3::double precision)) AS score,"
	       " sum(d.n_buy)::bigint AS n_buy, sum(d.n_view)::bigint AS n_view FROM reco.item_day d"
	       " JOIN reco.product p ON p.product_id = d.product_id WHERE p.shown AND d.day > current_date - $2::integer AND "
	       IN_CATEGORY " GROUP BY d.product_id ORDER BY score DESC, d.product_id LIMIT $4::integer",
	.col = popular_cols,
	.ncol = 4,
	.row_size = sizeof(struct reco_popular_row),
};
static const struct pg_stmt newest = {
	.name = "features_newest",
	.sql = "SELECT p.product_id, 0::double precision AS score, 0::bigint AS n_buy, 0::bigint AS n_view"
	       " FROM reco.product p WHERE p.shown AND " IN_CATEGORY
	       " ORDER BY p.published_at DESC, p.product_id LIMIT $2::integer",
	.col = popular_cols,
	.ncol = 4,
	.row_size = sizeof(struct reco_popular_row),
};

enum err_code reco_features_popular(struct pg *pg, struct arena *a, const char *category, int32_t days,
				    double half_life_days, int32_t limit, struct reco_popular_row **rows_r, size_t *n_r,
				    struct err *e)
{
	if (pg_rows(pg, &popular, PG_ARGS(P(category), P(days), P(half_life_days), P(limit)), a, rows_r, n_r, e))
		return e->code;
	return *n_r ? OK : pg_rows(pg, &newest, PG_ARGS(P(category), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_col product_cols[] = {
	PG_COL(reco_product_row, product_id),	PG_COL(reco_product_row, vendor_id),
	PG_COL(reco_product_row, title),	PG_COL(reco_product_row, brand),
	PG_COL(reco_product_row, categories),	PG_COL(reco_product_row, shown),
	PG_COL(reco_product_row, price),	PG_COL(reco_product_row, rating_x100),
	PG_COL(reco_product_row, rating_count), PG_COL(reco_product_row, published_at),
};
#define PRODUCT_COLUMNS                                                                            \
	"p.product_id, p.vendor_id, p.title, p.brand, array_to_string(p.categories, chr(31)) AS categories, p.shown,"
#define PRODUCT_REST " p.rating_x100, p.rating_count, p.published_at FROM reco.product p"
#define PRODUCT_ROW .col = product_cols, .ncol = 10, .row_size = sizeof(struct reco_product_row)
static const struct pg_stmt products = {
	.name = "features_products",
	.sql = "SELECT " PRODUCT_COLUMNS " coalesce((p.prices ->> $2)::bigint, -1) AS price," PRODUCT_REST
	       " WHERE p.product_id = ANY ($1::text[]) LIMIT 5000",
	PRODUCT_ROW,
};
static const struct pg_stmt all_products = {
	.name = "features_all_products",
	.sql = "SELECT " PRODUCT_COLUMNS " coalesce((SELECT min(j.value::bigint) FROM jsonb_each_text(p.prices) AS j), -1)"
	       " AS price," PRODUCT_REST " WHERE p.product_id > $1 ORDER BY p.product_id LIMIT $2::integer",
	PRODUCT_ROW,
};

enum err_code reco_features_products(struct pg *pg, struct arena *a, const char *const *ids, size_t n,
				     const char *currency, struct reco_product_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &products, PG_ARGS(pg_p_text_array(a, ids, n), P(currency ? currency : "USD")), a, rows_r, n_r, e);
}

enum err_code reco_features_all_products(struct pg *pg, struct arena *a, const char *after, int32_t limit,
					 struct reco_product_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &all_products, PG_ARGS(P(after), P(limit)), a, rows_r, n_r, e);
}

/* ---- serving: the last look ---- */

static const struct pg_col shown_cols[] = { PG_COL(reco_shown_row, product_id), PG_COL(reco_shown_row, vendor_id) };
static const struct pg_stmt shown = {
	.name = "features_shown",
	.sql = "SELECT p.product_id, p.vendor_id FROM reco.product p WHERE p.product_id = ANY ($1::text[]) AND p.shown LIMIT 1000",
	.col = shown_cols,
	.ncol = 2,
	.row_size = sizeof(struct reco_shown_row),
};
static const struct pg_col pin_cols[] = { PG_COL(reco_pin_row, product_id), PG_COL(reco_pin_row, vendor_id),
					  PG_COL(reco_pin_row, position) };
static const struct pg_stmt pins_now = {
	.name = "features_pins",
	.sql = "SELECT p.product_id, s.vendor_id, p.position FROM reco.pin p JOIN reco.product s USING (product_id)"
	       " WHERE p.placement = $1 AND s.shown AND (p.for_product_id IS NULL OR p.for_product_id = $2)"
	       " AND (p.starts_at IS NULL OR p.starts_at <= now()) AND (p.ends_at IS NULL OR now() < p.ends_at)"
	       " ORDER BY p.position, p.for_product_id NULLS LAST, p.id LIMIT 50",
	.col = pin_cols,
	.ncol = 3,
	.row_size = sizeof(struct reco_pin_row),
};

enum err_code reco_features_look(struct pg *pg, struct arena *a, struct reco_look *l, struct err *e)
{
	const struct pg_param named[] = { pg_p_text_array(a, l->ids, l->n_ids) }, place[] = { P(l->placement), P(l->product_id) },
			      whose[] = { P(l->user_id) };
	struct pg_read reads[3] = { { &shown, named, 1, &l->shown, &l->n_shown } };
	size_t n = 1;

	if (l->placement)
		reads[n++] = (struct pg_read){ &pins_now, place, 2, &l->pins, &l->n_pins };
	if (l->user_id)
		reads[n++] = (struct pg_read){ &in_cart, whose, 1, &l->cart, &l->n_cart };
	return pg_reads(pg, reads, n, a, e);
}

const struct pg_stmt *const reco_db_features_stmts[] = {
	&stream,  &latest,      &range_count, &as_of,	  &history,	 &recent,   &in_cart, &withheld,
	&popular, &newest,	&products, &all_products, &shown,  &pins_now, NULL,
};
