#include "services/search/search_db_feed.h"

static const struct pg_stmt note = {
	.name = "feed_note",
	.sql = "WITH t AS (UPDATE search.feed_state SET noted_seq = $2::bigint, build = CASE WHEN $3::boolean"
	       " OR noted_seq <> $2::bigint - 1 THEN 'wanted' ELSE build END WHERE one)"
	       " INSERT INTO search.feed AS f (product_id) SELECT DISTINCT k FROM unnest($1::text[]) AS k"
	       " ON CONFLICT (product_id) DO UPDATE SET n = f.n + 1, due_at = now(), tries = 0",
};

enum err_code search_db_feed_note(struct pg *pg, struct arena *a, int64_t seq, bool rebuilt, const char *const *ids,
				  size_t n, struct err *e)
{
	return pg_exec(pg, &note, PG_ARGS(pg_p_text_array(a, ids, n), P(seq), P(rebuilt)), NULL, e);
}

static const struct pg_col state_cols[] = {
	PG_COL(feed_state, ready),	PG_COL(feed_state, seq),   PG_COL(feed_state, noted_seq),
	PG_COL(feed_state, index_name), PG_COL(feed_state, build), PG_COL(feed_state, build_index),
	PG_COL(feed_state, build_after),
};
static const struct pg_stmt state = {
	.name = "feed_state",
	.sql = "SELECT s.filled OR EXISTS (SELECT 1 FROM search.doc d WHERE d.slot = s.slot) AS ready, s.seq, f.noted_seq,"
	       " f.index_name, f.build, f.build_index, f.build_after FROM search.state s, search.feed_state f"
	       " WHERE s.one AND f.one",
	.col = state_cols,
	.ncol = 7,
	.row_size = sizeof(struct feed_state),
};

enum err_code search_db_feed_state(struct pg *pg, struct arena *a, struct feed_state **row_r, struct err *e)
{
	return pg_one(pg, &state, PG_NONE, a, row_r, e);
}

/* ---- the build ---- */

static const struct pg_stmt want = {
	.name = "feed_want",
	.sql = "UPDATE search.feed_state f SET build = 'wanted', noted_seq = s.seq FROM search.state s WHERE f.one AND s.one",
};
static const struct pg_stmt start = {
	.name = "feed_start",
	.sql = "UPDATE search.feed_state SET build = 'running', build_index = $1, build_after = ''"
	       " WHERE one AND build = 'wanted'",
};
static const struct pg_stmt step = {
	.name = "feed_step",
	.sql = "UPDATE search.feed_state SET build_after = $2 WHERE one AND build = 'running' AND build_index = $1",
};
static const struct pg_stmt built = {
	.name = "feed_built",
	.sql = "UPDATE search.feed_state SET index_name = $1, build_index = '',"
	       " build = CASE WHEN build = 'running' THEN 'idle' ELSE build END WHERE one AND build_index = $1",
};

enum err_code search_db_feed_want(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &want, PG_NONE, NULL, e);
}

enum err_code search_db_feed_start(struct pg *pg, const char *index, struct err *e)
{
	return pg_exec(pg, &start, PG_ARGS(P(index)), NULL, e);
}

enum err_code search_db_feed_step(struct pg *pg, const char *index, const char *after, struct err *e)
{
	return pg_exec(pg, &step, PG_ARGS(P(index), P(after)), NULL, e);
}

enum err_code search_db_feed_built(struct pg *pg, const char *index, struct err *e)
{
	return pg_exec(pg, &built, PG_ARGS(P(index)), NULL, e);
}

/* ---- documents ---- */

static const struct pg_col doc_cols[] = {
	PG_COL(feed_doc, product_id),	PG_COL(feed_doc, n),	      PG_COL(feed_doc, seq),
	PG_COL(feed_doc, gone),		PG_COL(feed_doc, tsv),	      PG_COL(feed_doc, brand),
	PG_COL(feed_doc, brand_small),	PG_COL(feed_doc, vendor_id),  PG_COL(feed_doc, availability),
	PG_COL(feed_doc, categories),	PG_COL(feed_doc, attrs),      PG_COL(feed_doc, prices),
	PG_COL(feed_doc, len_a),	PG_COL(feed_doc, len_b),      PG_COL(feed_doc, len_c),
	PG_COL(feed_doc, len_d),	PG_COL(feed_doc, rating_x100), PG_COL(feed_doc, rating_count),
	PG_COL(feed_doc, sold_30d),	PG_COL(feed_doc, published_at),
};
#define DOC_ROW .col = doc_cols, .ncol = 20, .row_size = sizeof(struct feed_doc)
#define DOC_COLUMNS                                                                                \
	" d.tsv::text AS tsv, d.brand, lower(d.brand) AS brand_small, d.vendor_id, d.availability,"   \
	" to_json(d.categories)::text AS categories, to_json(d.attrs)::text AS attrs, d.prices::text AS prices,"  \
	" coalesce(d.len_a, 0) AS len_a, coalesce(d.len_b, 0) AS len_b, coalesce(d.len_c, 0) AS len_c,"        \
	" coalesce(d.len_d, 0) AS len_d, coalesce(d.rating_x100, 0) AS rating_x100,"                  \
	" coalesce(d.rating_count, 0) AS rating_count, coalesce(d.sold_30d, 0) AS sold_30d,"          \
	" coalesce(d.published_at, 0) AS published_at"

static const struct pg_stmt page = {
	.name = "feed_page",
	.sql = "SELECT d.product_id, 0::bigint AS n, s.seq, false AS gone," DOC_COLUMNS
	       " FROM search.state s JOIN search.doc d ON d.slot = s.slot AND d.lang = $1 WHERE s.one"
	       " AND d.product_id > $2 ORDER BY d.product_id LIMIT $3::integer",
	DOC_ROW,
};
static const struct pg_stmt due = {
	.name = "feed_due",
	.sql = "SELECT f.product_id, f.n, s.seq, d.product_id IS NULL AS gone," DOC_COLUMNS
	       " FROM search.state s CROSS JOIN (SELECT product_id, n FROM search.feed WHERE due_at <= now()"
	       " ORDER BY due_at, product_id LIMIT $2::integer) f"
	       " LEFT JOIN search.doc d ON d.slot = s.slot AND d.lang = $1 AND d.product_id = f.product_id WHERE s.one"
	       " LIMIT $2::integer",
	DOC_ROW,
};

enum err_code search_db_feed_page(struct pg *pg, struct arena *a, const char *lang, const char *after, int32_t limit,
				  struct feed_doc **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(lang), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code search_db_feed_due(struct pg *pg, struct arena *a, const char *lang, int32_t limit, struct feed_doc **rows_r,
				 size_t *n_r, struct err *e)
{
	return pg_rows(pg, &due, PG_ARGS(P(lang), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt done = {
	.name = "feed_done",
	.sql = "DELETE FROM search.feed f USING unnest($1::text[], $2::bigint[]) AS x(id, n)"
	       " WHERE f.product_id = x.id AND f.n = x.n",
};
static const struct pg_stmt later = {
	.name = "feed_later",
	.sql = "INSERT INTO search.feed AS f (product_id, due_at, tries)"
	       " SELECT DISTINCT k, now() + interval '1 second', 1 FROM unnest($1::text[]) AS k"
	       " ON CONFLICT (product_id) DO UPDATE SET tries = f.tries + 1,"
	       " due_at = now() + least(power(2, f.tries), 300) * interval '1 second'",
};

enum err_code search_db_feed_done(struct pg *pg, struct arena *a, const char *const *ids, const int64_t *times, size_t n,
				  struct err *e)
{
	return pg_exec(pg, &done, PG_ARGS(pg_p_text_array(a, ids, n), pg_p_i64_array(a, times, n)), NULL, e);
}

enum err_code search_db_feed_later(struct pg *pg, struct arena *a, const char *const *ids, size_t n, struct err *e)
{
	return pg_exec(pg, &later, PG_ARGS(pg_p_text_array(a, ids, n)), NULL, e);
}

/* ---- names ---- */

static const struct pg_col label_cols[] = { PG_COL(label_row, id), PG_COL(label_row, name) };
static const struct pg_stmt labels = {
	.name = "labels",
	.sql = "SELECT id, name FROM search.category WHERE id = ANY ($1::text[])"
	       " UNION ALL SELECT id, name FROM search.vendor WHERE id = ANY ($1::text[]) LIMIT 500",
	.col = label_cols,
	.ncol = 2,
	.row_size = sizeof(struct label_row),
};

enum err_code search_db_labels(struct pg *pg, struct arena *a, const char *const *ids, size_t n, struct label_row **rows_r,
			       size_t *n_r, struct err *e)
{
	return pg_rows(pg, &labels, PG_ARGS(pg_p_text_array(a, ids, n)), a, rows_r, n_r, e);
}

const struct pg_stmt *const search_db_feed_stmts[] = {
	&note, &state, &want, &start, &step, &built, &page, &due, &done, &later, &labels, NULL,
};
