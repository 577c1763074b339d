#include "services/search/search_db_index.h"

/* ---- dirty ---- */

static const struct pg_stmt dirty_add = {
	.name = "dirty_add",
	.sql = "INSERT INTO search.dirty (product_id) SELECT DISTINCT k FROM unnest($1::text[]) AS k"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};
static const struct pg_stmt dirty_vendor = {
	.name = "dirty_vendor",
	.sql = "INSERT INTO search.dirty (product_id) SELECT DISTINCT d.product_id FROM search.doc d WHERE d.vendor_id = $1"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};
static const struct pg_stmt dirty_category = {
	.name = "dirty_category",
	.sql = "INSERT INTO search.dirty (product_id) SELECT DISTINCT d.product_id FROM search.doc d"
	       " WHERE d.categories @> ARRAY[$1]::text[]"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};
static const struct pg_col dirty_cols[] = { PG_COL(dirty_row, product_id), PG_COL(dirty_row, n) };
static const struct pg_stmt dirty = {
	.name = "dirty",
	.sql = "SELECT product_id, n FROM search.dirty WHERE due_at <= now() ORDER BY due_at, product_id LIMIT $1::integer",
	.col = dirty_cols,
	.ncol = 2,
	.row_size = sizeof(struct dirty_row),
};
static const struct pg_stmt dirty_done = {
	.name = "dirty_done",
	.sql = "DELETE FROM search.dirty d USING unnest($1::text[], $2::bigint[]) AS x(id, n)"
	       " WHERE d.product_id = x.id AND d.n = x.n",
};
static const struct pg_stmt dirty_later = {
	.name = "dirty_later",
	.sql = "UPDATE search.dirty SET tries = tries + 1, due_at = now() + least(power(2, tries), 60) * interval '1 second'"
	       " WHERE product_id = ANY ($1::text[])",
};

enum err_code search_db_dirty_many(struct pg *pg, struct arena *a, const char *const *keys, size_t n, struct err *e)
{
	return pg_exec(pg, &dirty_add, PG_ARGS(pg_p_text_array(a, keys, n)), NULL, e);
}

static const struct pg_stmt dirty_one = {
	.name = "dirty_one",
	.sql = "INSERT INTO search.dirty (product_id) VALUES ($1)"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1, due_at = now(), tries = 0",
};

enum err_code search_db_dirty_add(struct pg *pg, const char *key, struct err *e)
{
	return pg_exec(pg, &dirty_one, PG_ARGS(P(key)), NULL, e);
}

static const struct pg_stmt dirty_soon = {
	.name = "dirty_soon",
	.sql = "INSERT INTO search.dirty (product_id, due_at) VALUES ($1, now() + $2::integer * interval '1 second')"
	       " ON CONFLICT (product_id) DO UPDATE SET n = dirty.n + 1",
};

enum err_code search_db_dirty_soon(struct pg *pg, const char *product_id, int32_t seconds, struct err *e)
{
	return pg_exec(pg, &dirty_soon, PG_ARGS(P(product_id), P(seconds)), NULL, e);
}

enum err_code search_db_dirty_vendor(struct pg *pg, const char *vendor_id, struct err *e)
{
	return pg_exec(pg, &dirty_vendor, PG_ARGS(P(vendor_id)), NULL, e);
}

enum err_code search_db_dirty_category(struct pg *pg, const char *category_id, struct err *e)
{
	return pg_exec(pg, &dirty_category, PG_ARGS(P(category_id)), NULL, e);
}

enum err_code search_db_dirty(struct pg *pg, struct arena *a, int32_t limit, struct dirty_row **rows_r, size_t *n_r,
			      struct err *e)
{
	return pg_rows(pg, &dirty, PG_ARGS(P(limit)), a, rows_r, n_r, e);
}

static const char **ids_of(struct arena *a, const struct dirty_row *rows, size_t n)
{
	const char **ids = arena_array(a, n + 1, sizeof(*ids));

	for (size_t i = 0; i < n; i++)
		ids[i] = rows[i].product_id;
	return ids;
}

enum err_code search_db_dirty_done(struct pg *pg, struct arena *a, const struct dirty_row *rows, size_t n, struct err *e)
{
	int64_t *times = arena_array(a, n + 1, sizeof(*times));

	for (size_t i = 0; i < n; i++)
		times[i] = rows[i].n;
	return pg_exec(pg, &dirty_done,
		       PG_ARGS(pg_p_text_array(a, ids_of(a, rows, n), n), pg_p_i64_array(a, times, n)), NULL, e);
}

enum err_code search_db_dirty_later(struct pg *pg, struct arena *a, const struct dirty_row *rows, size_t n, struct err *e)
{
	return pg_exec(pg, &dirty_later, PG_ARGS(pg_p_text_array(a, ids_of(a, rows, n), n)), NULL, e);
}

/* ---- state ---- */

static const struct pg_col state_cols[] = {
	PG_COL(state_row, slot),	 PG_COL(state_row, seq),	PG_COL(state_row, filled),
	PG_COL(state_row, build),	 PG_COL(state_row, build_after), PG_COL(state_row, build_done),
	PG_COL(state_row, build_total), PG_COL(state_row, started_at), PG_COL(state_row, finished_at),
};
#define STATE_COLUMNS                                                                              \
	"slot, seq, filled, build, build_after, build_done, build_total,"                          \
	" coalesce((extract(epoch FROM started_at) * 1000)::bigint, 0) AS started_at,"             \
	" coalesce((extract(epoch FROM finished_at) * 1000)::bigint, 0) AS finished_at"
#define STATE_ROW .col = state_cols, .ncol = 9, .row_size = sizeof(struct state_row)
static const struct pg_stmt state = {
	.name = "state",
	.sql = "SELECT " STATE_COLUMNS " FROM search.state WHERE one",
	STATE_ROW,
};
static const struct pg_stmt state_next = {
	.name = "state_next",
	.sql = "UPDATE search.state SET seq = seq + 1 WHERE one RETURNING " STATE_COLUMNS,
	STATE_ROW,
};

enum err_code search_db_state(struct pg *pg, struct arena *a, struct state_row **row_r, struct err *e)
{
	return pg_one(pg, &state, PG_NONE, a, row_r, e);
}

enum err_code search_db_state_next(struct pg *pg, struct arena *a, struct state_row **row_r, struct err *e)
{
	return pg_one(pg, &state_next, PG_NONE, a, row_r, e);
}

/* ---- products ---- */

static const struct pg_stmt forget = {
	.name = "doc_forget",
	.sql = "WITH gone AS (DELETE FROM search.doc WHERE slot = $1::integer AND lang = $2 AND product_id = ANY ($3::text[])"
	       " RETURNING words, len_a, len_b, len_c, len_d),"
	       " t AS (UPDATE search.total t SET docs = t.docs - g.n, len_a = t.len_a - g.a, len_b = t.len_b - g.b,"
	       " len_c = t.len_c - g.c, len_d = t.len_d - g.d FROM (SELECT count(*) AS n, sum(len_a) AS a, sum(len_b) AS b,"
	       " sum(len_c) AS c, sum(len_d) AS d FROM gone) g WHERE g.n > 0 AND t.slot = $1::integer AND t.lang = $2),"
	       " w AS (SELECT split_part(x, ' ', 1) COLLATE \"C\" AS word, count(*) AS n FROM gone, unnest(gone.words) AS x"
	       " GROUP BY 1)"
	       " UPDATE search.word d SET df = d.df - w.n, seq = $4::bigint FROM w"
	       " WHERE d.slot = $1::integer AND d.lang = $2 AND d.word = w.word",
};
static const struct pg_stmt put = {
	.name = "doc_put",
	.sql = "INSERT INTO search.doc (slot, lang, product_id, tsv, len_a, len_b, len_c, len_d, words, title, description,"
	       " slug, brand, vendor_id, vendor_name, image_key, availability, categories, attrs, prices, compare_at,"
	       " rating_x100, rating_count, sold_30d, published_at, version, card, tier) VALUES ($1::integer, $2, $3, $4::tsvector,"
	       " $5::integer, $6::integer, $7::integer, $8::integer, $9::text[], $10, $11, $12, $13, $14, $15, $16, $17,"
	       " $18::text[], $19::text[], $20::jsonb, $21::jsonb, $22::integer, $23::integer, $24::integer, $25::bigint,"
	       " $26::bigint, $27, CASE WHEN $28::integer % 64 = 0"
	       " OR $24::integer > (SELECT max(t.sold_top) FROM search.total t WHERE t.lang = $2) THEN 0"
	       " WHEN $28::integer % 8 = 0"
	       " OR $24::integer > (SELECT max(t.sold_good) FROM search.total t WHERE t.lang = $2) THEN 1 ELSE 2 END)",
};
static const struct pg_stmt count_words = {
	.name = "doc_count",
	.sql = "WITH came AS (SELECT words, len_a, len_b, len_c, len_d FROM search.doc WHERE slot = $1::integer AND lang = $2"
	       " AND product_id = ANY ($3::text[])),"
	       " t AS (INSERT INTO search.total AS t (slot, lang, docs, len_a, len_b, len_c, len_d)"
	       " SELECT $1::integer, $2, count(*), sum(len_a), sum(len_b), sum(len_c), sum(len_d) FROM came HAVING count(*) > 0"
	       " ON CONFLICT (slot, lang) DO UPDATE SET docs = t.docs + excluded.docs, len_a = t.len_a + excluded.len_a,"
	       " len_b = t.len_b + excluded.len_b, len_c = t.len_c + excluded.len_c, len_d = t.len_d + excluded.len_d)"
	       " INSERT INTO search.word AS d (slot, lang, word, lexeme, df, seq)"
	       " SELECT $1::integer, $2, split_part(x, ' ', 1), min(split_part(x, ' ', 2)), count(*), $4::bigint"
	       " FROM came, unnest(came.words) AS x GROUP BY 3"
	       " ON CONFLICT (slot, lang, word) DO UPDATE SET df = d.df + excluded.df, seq = excluded.seq",
};

enum err_code search_db_forget(struct pg *pg, struct arena *a, int32_t slot, const char *lang, int64_t seq,
			       const char *const *ids, size_t n, struct err *e)
{
	return pg_exec(pg, &forget, PG_ARGS(P(slot), P(lang), pg_p_text_array(a, ids, n), P(seq)), NULL, e);
}

enum err_code search_db_count(struct pg *pg, struct arena *a, int32_t slot, const char *lang, int64_t seq,
			      const char *const *ids, size_t n, struct err *e)
{
	return pg_exec(pg, &count_words, PG_ARGS(P(slot), P(lang), pg_p_text_array(a, ids, n), P(seq)), NULL, e);
}

enum err_code search_db_put(struct pg *pg, struct arena *a, int32_t slot, const struct document *d, struct err *e)
{
	const Catalog__V1__ExportedProduct *p = d->src;

	return pg_exec(pg, &put,
		       PG_ARGS(P(slot), P(d->lang), P(d->product_id), P(d->tsv), P(d->len[FIELD_TITLE]),
			       P(d->len[FIELD_NAMES]), P(d->len[FIELD_TEXT]), P(d->len[FIELD_ATTRS]),
			       pg_p_text_array(a, d->words, d->n_words), P(p->title ? p->title : ""), P(d->description),
			       P(p->slug ? p->slug : ""), P(p->brand), P(p->vendor_id ? p->vendor_id : ""),
			       P(p->vendor_name ? p->vendor_name : ""), P(p->image_key),
			       P(p->availability ? p->availability : "out"),
			       pg_p_text_array(a, d->categories, d->n_categories), pg_p_text_array(a, d->attrs, d->n_attrs),
			       P(d->prices), P(d->compare_at), P(p->rating_x100), P(p->rating_count), P(p->sold_30d),
			       P(p->published_at), P(p->version), P(d->card), P(d->sample)),
		       NULL, e);
}

static const struct pg_stmt category_put = {
	.name = "category_put",
	.sql = "INSERT INTO search.category AS c (id, slug, name) VALUES ($1, $2, $3)"
	       " ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, name = excluded.name"
	       " WHERE (c.slug, c.name) IS DISTINCT FROM (excluded.slug, excluded.name)",
};
static const struct pg_stmt vendor_put = {
	.name = "vendor_put",
	.sql = "INSERT INTO search.vendor AS v (id, slug, name) VALUES ($1, $2, $3)"
	       " ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, name = excluded.name"
	       " WHERE (v.slug, v.name) IS DISTINCT FROM (excluded.slug, excluded.name)",
};

enum err_code search_db_category_put(struct pg *pg, const char *id, const char *slug, const char *name, struct err *e)
{
	return pg_exec(pg, &category_put, PG_ARGS(P(id), P(slug), P(name)), NULL, e);
}

enum err_code search_db_vendor_put(struct pg *pg, const char *id, const char *slug, const char *name, struct err *e)
{
	return pg_exec(pg, &vendor_put, PG_ARGS(P(id), P(slug), P(name)), NULL, e);
}

/* ---- tiers ---- */

#define SOLD_BY_THE(share) "coalesce(max(h.sold) FILTER (WHERE h.up_to > k.docs / " share "), 0)"
static const struct pg_stmt tiers = {
	.name = "tiers",
	.sql = "UPDATE search.total t SET sold_top = x.top, sold_good = x.good FROM search.state s"
	       " JOIN search.total k ON k.slot = s.slot CROSS JOIN LATERAL (SELECT " SOLD_BY_THE("64") " AS top,"
	       " " SOLD_BY_THE("8") " AS good FROM (SELECT d.sold_30d AS sold, sum(count(*)) OVER (ORDER BY d.sold_30d DESC) AS up_to"
	       " FROM search.doc d WHERE d.slot = k.slot AND d.lang = k.lang AND d.sold_30d > 0 GROUP BY d.sold_30d) h) x"
	       " WHERE s.one AND t.slot = k.slot AND t.lang = k.lang",
};

enum err_code search_db_tiers(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &tiers, PG_NONE, NULL, e);
}

/* ---- rebuild ---- */

static const struct pg_stmt build_want = {
	.name = "build_want",
	.sql = "UPDATE search.state SET build = 'wanted', build_done = 0, build_total = 0, started_at = now()"
	       " WHERE one AND build = 'idle'",
};
static const struct pg_stmt build_start = {
	.name = "build_start",
	.sql = "UPDATE search.state SET build = 'running', build_after = '', build_done = 0, started_at = now()"
	       " WHERE one AND build = 'wanted'",
};
static const struct pg_stmt build_step = {
	.name = "build_step",
	.sql = "UPDATE search.state SET build_after = $1, build_done = $2::bigint, build_total = $3::bigint WHERE one",
};
static const struct pg_stmt build_swap = {
	.name = "build_swap",
	.sql = "UPDATE search.state SET slot = 1 - slot, build = 'idle', filled = true, finished_at = now() WHERE one",
};
struct cleared_row {
	bool done;
};
static const struct pg_col cleared_cols[] = { PG_COL(cleared_row, done) };
static const struct pg_stmt clear = {
	.name = "clear_slot",
	.sql = "SELECT search.clear_slot() IS NOT NULL AS done",
	.col = cleared_cols,
	.ncol = 1,
	.row_size = sizeof(struct cleared_row),
};
struct documents_row {
	int64_t n;
};
static const struct pg_col documents_cols[] = { PG_COL(documents_row, n) };
static const struct pg_stmt documents = {
	.name = "documents",
	.sql = "SELECT coalesce(max(t.docs), 0)::bigint AS n FROM search.total t JOIN search.state s ON s.slot = t.slot",
	.col = documents_cols,
	.ncol = 1,
	.row_size = sizeof(struct documents_row),
};

enum err_code search_db_build_want(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &build_want, PG_NONE, NULL, e);
}

enum err_code search_db_clear(struct pg *pg, struct err *e)
{
	struct arena *a = arena_new("clear", 4096);
	struct cleared_row *row = NULL;
	enum err_code code = pg_one(pg, &clear, PG_NONE, a, &row, e);

	arena_free(a);
	return code;
}

enum err_code search_db_build_start(struct pg *pg, struct err *e)
{
	if (search_db_clear(pg, e))
		return e->code;
	return pg_exec(pg, &build_start, PG_NONE, NULL, e);
}

enum err_code search_db_build_step(struct pg *pg, const char *after, int64_t done, int64_t total, struct err *e)
{
	return pg_exec(pg, &build_step, PG_ARGS(P(after), P(done), P(total)), NULL, e);
}

enum err_code search_db_build_swap(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &build_swap, PG_NONE, NULL, e);
}

enum err_code search_db_documents(struct pg *pg, struct arena *a, int64_t *n_r, struct err *e)
{
	struct documents_row *row = NULL;

	if (pg_one(pg, &documents, PG_NONE, a, &row, e))
		return e->code;
	*n_r = row->n;
	return OK;
}

const struct pg_stmt *const search_db_index_stmts[] = {
	&dirty_add, &dirty_one, &dirty_soon,	   &dirty_vendor, &dirty_category, &dirty,	  &dirty_done, &dirty_later,
	&state,	    &state_next,   &forget,	  &put,		   &count_words,  &category_put, &vendor_put,
	&build_want, &build_start, &build_step,	  &build_swap,	   &clear,	  &documents,  &tiers, NULL,
};
