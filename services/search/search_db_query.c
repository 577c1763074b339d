#include "services/search/search_db_query.h"

/* $3 currency, $4 category, $5 vendors, $6 brands, $7 $8 price, $9 in stock, $10 rating, $11 attributes */
#define F_CATEGORY "($4::text IS NULL OR d.categories @> ARRAY[$4::text])"
#define F_VENDOR "($5::text[] IS NULL OR d.vendor_id = ANY ($5::text[]))"
#define F_BRAND "($6::text[] IS NULL OR lower(d.brand) = ANY ($6::text[]))"
#define F_PRICE                                                                                    \
	"($7::bigint IS NULL OR (d.prices ->> $3)::bigint >= $7::bigint)"                          \
	" AND ($8::bigint IS NULL OR (d.prices ->> $3)::bigint <= $8::bigint)"
#define F_STOCK "(NOT $9::boolean OR d.availability <> 'out')"
#define F_RATING "($10::integer = 0 OR d.rating_x100 >= $10::integer * 100)"
#define F_ATTRS                                                                                    \
	"($11::text[] IS NULL OR NOT EXISTS (SELECT 1 FROM unnest($11::text[]) AS g"               \
	" WHERE NOT d.attrs && string_to_array(g, chr(31))))"
#define THE_SLOT "d.slot = (SELECT s.slot FROM search.state s WHERE s.one) AND d.lang = $1"
#define FLAG(bit, condition) bit " * ((" condition ") IS NOT TRUE)::integer"
/* The bits of enum miss. */
#define MISSED                                                                                     \
	FLAG("1", F_CATEGORY) " + " FLAG("2", F_VENDOR) " + " FLAG("4", F_BRAND) " + " FLAG("8", F_PRICE) " + " FLAG("16", F_STOCK) \
	" + " FLAG("32", F_RATING)
#define WHERE_NEAR                                                                                 \
	" FROM search.doc d CROSS JOIN LATERAL (SELECT " MISSED " AS missed) m WHERE " THE_SLOT                   \
	" AND d.tsv @@ $2::tsquery AND m.missed & (m.missed - 1) = 0 AND " F_ATTRS
#define WHERE_ALL                                                                                  \
	" FROM search.doc d WHERE " THE_SLOT " AND d.tsv @@ $2::tsquery AND " F_CATEGORY " AND " F_VENDOR " AND " F_BRAND \
	" AND " F_PRICE " AND " F_STOCK " AND " F_RATING " AND " F_ATTRS

static const struct pg_col candidate_cols[] = {
	PG_COL(candidate, product_id), PG_COL(candidate, card),	    PG_COL(candidate, tsv),
	PG_COL(candidate, availability), PG_COL(candidate, len_a),    PG_COL(candidate, len_b),
	PG_COL(candidate, len_c),	 PG_COL(candidate, len_d),    PG_COL(candidate, rating_x100),
	PG_COL(candidate, rating_count), PG_COL(candidate, sold_30d),
#define FOR_RANKING 11
	PG_COL(candidate, price),	 PG_COL(candidate, brand),    PG_COL(candidate, vendor_id),
	PG_COL(candidate, categories),	 PG_COL(candidate, attrs),
#define FOR_FACETS 16
	PG_COL(candidate, missed),
#define FOR_NEAR 17
};
#define CANDIDATE_ROW(columns) .col = candidate_cols, .ncol = (columns), .row_size = sizeof(struct candidate)
#define RANKING_COLUMNS(card, tsv)                                                                 \
	"d.product_id, " card " AS card, " tsv " AS tsv, d.availability, d.len_a, d.len_b, d.len_c, d.len_d," \
	" d.rating_x100, d.rating_count, d.sold_30d"
#define FACET_COLUMNS                                                                              \
	", coalesce((d.prices ->> $3)::bigint, -1) AS price, d.brand, d.vendor_id,"                \
	" array_to_string(d.categories, chr(31)) AS categories,"                                   \
	" CASE WHEN $13::boolean THEN array_to_string(d.attrs, chr(31)) END AS attrs"

/* Rows of an index from before cards have none until the rebuild is through. */
#define CANDIDATES(word, columns, n_columns, where, condition)                                     \
	{                                                                                          \
		.name = "candidates_" word,                                                        \
		.sql = "SELECT " RANKING_COLUMNS("d.card", "CASE WHEN d.card = '' THEN d.tsv::text END") columns where \
		       condition " LIMIT $12::integer",                                            \
		CANDIDATE_ROW(n_columns),                                                          \
	}
#define TOP  " AND d.tier = 0"
#define GOOD " AND d.tier <= 1"
static const struct pg_stmt top = CANDIDATES("top", "", FOR_RANKING, WHERE_ALL, TOP);
static const struct pg_stmt good = CANDIDATES("good", "", FOR_RANKING, WHERE_ALL, GOOD);
static const struct pg_stmt all = CANDIDATES("all", "", FOR_RANKING, WHERE_ALL, "");
static const struct pg_stmt top_facets = CANDIDATES("top_facets", FACET_COLUMNS, FOR_FACETS, WHERE_ALL, TOP);
static const struct pg_stmt good_facets = CANDIDATES("good_facets", FACET_COLUMNS, FOR_FACETS, WHERE_ALL, GOOD);
static const struct pg_stmt all_facets = CANDIDATES("all_facets", FACET_COLUMNS, FOR_FACETS, WHERE_ALL, "");
static const struct pg_stmt top_near = CANDIDATES("top_near", FACET_COLUMNS ", m.missed", FOR_NEAR, WHERE_NEAR, TOP);
static const struct pg_stmt good_near = CANDIDATES("good_near", FACET_COLUMNS ", m.missed", FOR_NEAR, WHERE_NEAR, GOOD);
static const struct pg_stmt all_near = CANDIDATES("all_near", FACET_COLUMNS ", m.missed", FOR_NEAR, WHERE_NEAR, "");
#define SORTED(word, order)                                                                        \
	{                                                                                          \
		.name = "candidates_" word,                                                        \
		.sql = "SELECT " RANKING_COLUMNS("NULL::text", "NULL::text") FACET_COLUMNS WHERE_ALL " ORDER BY " order \
		       ", d.product_id LIMIT $12::integer",                                        \
		CANDIDATE_ROW(FOR_FACETS),                                                                     \
	}
static const struct pg_stmt by_price = SORTED("price", "(d.prices ->> $3)::bigint");
static const struct pg_stmt by_price_down = SORTED("price_down", "(d.prices ->> $3)::bigint DESC NULLS LAST");
static const struct pg_stmt by_newest = SORTED("newest", "d.published_at DESC");
static const struct pg_stmt by_rating = SORTED("rating", "d.rating_x100 DESC, d.rating_count DESC");
/* Not in the order of the index of best sellers, which would be walked down for what few products have. */
static const struct pg_stmt by_best = SORTED("best", "d.sold_30d + 0 DESC");

#define FILTER_ARGS                                                                                \
	P(f->currency), P(f->category_id),                                                         \
		f->n_vendors ? pg_p_text_array(a, f->vendor_ids, f->n_vendors) : PG_NULL,          \
		f->n_brands ? pg_p_text_array(a, f->brands, f->n_brands) : PG_NULL,                \
		f->has_price_min ? P(f->price_min) : PG_NULL, f->has_price_max ? P(f->price_max) : PG_NULL, P(f->in_stock), \
		P(f->rating_min), f->n_attrs ? pg_p_text_array(a, f->attrs, f->n_attrs) : PG_NULL

enum err_code search_db_candidates(struct pg *pg, struct arena *a, const char *lang, const char *tsquery,
				   const struct filters *f, enum tier tier, int32_t limit, struct candidate **rows_r,
				   size_t *n_r, struct err *e)
{
	static const struct pg_stmt *const by_sort[] = { NULL, &by_price, &by_price_down, &by_newest, &by_rating, &by_best };
	static const struct pg_stmt *const by_tier[3][3] = { { &top, &good, &all },
							      { &top_facets, &good_facets, &all_facets },
							      { &top_near, &good_near, &all_near } };
	const struct pg_stmt *s = f->sort == SORT_RELEVANCE ? by_tier[f->near ? 2 : f->facets][tier] : by_sort[f->sort];

	if (s->ncol == FOR_RANKING)
		return pg_rows(pg, s, PG_ARGS(P(lang), P(tsquery), FILTER_ARGS, P(limit)), a, rows_r, n_r, e);
	return pg_rows(pg, s, PG_ARGS(P(lang), P(tsquery), FILTER_ARGS, P(limit), P(f->attr_facets)), a, rows_r, n_r, e);
}

static const struct pg_col hit_cols[] = {
	PG_COL(hit_row, product_id),  PG_COL(hit_row, slug),	    PG_COL(hit_row, title),
	PG_COL(hit_row, description), PG_COL(hit_row, brand),	    PG_COL(hit_row, vendor_id),
	PG_COL(hit_row, vendor_name), PG_COL(hit_row, availability), PG_COL(hit_row, image_key),
	PG_COL(hit_row, price),	      PG_COL(hit_row, compare_at),  PG_COL(hit_row, rating_x100),
	PG_COL(hit_row, rating_count), PG_COL(hit_row, published_at),
};
static const struct pg_stmt hits = {
	.name = "hits",
	.sql = "SELECT d.product_id, d.slug, d.title, d.description, d.brand, d.vendor_id, d.vendor_name, d.availability,"
	       " d.image_key, coalesce((d.prices ->> $2)::bigint, -1) AS price,"
	       " coalesce((d.compare_at ->> $2)::bigint, -1) AS compare_at, d.rating_x100, d.rating_count, d.published_at"
	       " FROM search.doc d WHERE " THE_SLOT " AND d.product_id = ANY ($3::text[]) LIMIT 200",
	.col = hit_cols,
	.ncol = 14,
	.row_size = sizeof(struct hit_row),
};

enum err_code search_db_hits(struct pg *pg, struct arena *a, const char *lang, const char *currency,
			     const char *const *ids, size_t n_ids, struct hit_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &hits, PG_ARGS(P(lang), P(currency), pg_p_text_array(a, ids, n_ids)), a, rows_r, n_r, e);
}

struct name_row {
	const char *id;
};
static const struct pg_col name_cols[] = { PG_COL(name_row, id) };
static const struct pg_stmt category_id = {
	.name = "category_id",
	.sql = "SELECT id FROM search.category WHERE id = $1 OR slug = $1 LIMIT 1",
	.col = name_cols,
	.ncol = 1,
	.row_size = sizeof(struct name_row),
};
static const struct pg_stmt vendor_id = {
	.name = "vendor_id",
	.sql = "SELECT id FROM search.vendor WHERE id = $1 OR slug = $1 LIMIT 1",
	.col = name_cols,
	.ncol = 1,
	.row_size = sizeof(struct name_row),
};

/* $2: of these */
static const struct pg_stmt shown = {
	.name = "shown",
	.sql = "SELECT d.product_id AS id FROM search.doc d WHERE " THE_SLOT " AND d.product_id = ANY ($2::text[]) AND " F_CATEGORY
	       " AND " F_VENDOR " AND " F_BRAND " AND " F_PRICE " AND " F_STOCK " AND " F_RATING " AND " F_ATTRS " LIMIT 200",
	.col = name_cols,
	.ncol = 1,
	.row_size = sizeof(struct name_row),
};

enum err_code search_db_shown(struct pg *pg, struct arena *a, const char *lang, const char *const *ids, size_t n_ids,
			      const struct filters *f, const char ***ids_r, size_t *n_r, struct err *e)
{
	struct name_row *rows = NULL;
	size_t n = 0;

	if (pg_rows(pg, &shown, PG_ARGS(P(lang), pg_p_text_array(a, ids, n_ids), FILTER_ARGS), a, &rows, &n, e))
		return e->code;
	*ids_r = arena_array(a, n + 1, sizeof(**ids_r));
	for (size_t i = 0; i < n; i++)
		(*ids_r)[i] = rows[i].id;
	*n_r = n;
	return OK;
}

static enum err_code one_id(struct pg *pg, struct arena *a, const struct pg_stmt *s, const char *text, const char **id_r,
			    struct err *e)
{
	struct name_row *row = NULL;
	bool found = false;

	if (pg_row(pg, s, PG_ARGS(P(text)), a, &row, &found, e))
		return e->code;
	*id_r = found ? row->id : NULL;
	return OK;
}

enum err_code search_db_category_id(struct pg *pg, struct arena *a, const char *id_or_slug, const char **id_r,
				    struct err *e)
{
	return one_id(pg, a, &category_id, id_or_slug, id_r, e);
}

enum err_code search_db_vendor_id(struct pg *pg, struct arena *a, const char *id_or_slug, const char **id_r,
				  struct err *e)
{
	return one_id(pg, a, &vendor_id, id_or_slug, id_r, e);
}

/* ---- the dictionary ---- */

static const struct pg_col word_cols[] = {
	PG_COL(word_row, word),
	PG_COL(word_row, lexeme),
	PG_COL(word_row, df),
	PG_COL(word_row, seq),
};
static const struct pg_stmt words = {
	.name = "words",
	.sql = "SELECT word, lexeme, df, seq FROM search.word WHERE slot = $1::integer AND lang = $2"
	       " AND (seq, word) > ($3::bigint, $4 COLLATE \"C\") AND (df > 1 OR word !~ '[0-9]')"
	       " ORDER BY seq, word LIMIT $5::integer",
	.col = word_cols,
	.ncol = 4,
	.row_size = sizeof(struct word_row),
};
static const struct pg_col total_cols[] = {
	PG_COL(total_row, docs),  PG_COL(total_row, len_a), PG_COL(total_row, len_b),
	PG_COL(total_row, len_c), PG_COL(total_row, len_d),
};
static const struct pg_stmt totals = {
	.name = "totals",
	.sql = "SELECT docs, len_a, len_b, len_c, len_d FROM search.total WHERE slot = $1::integer AND lang = $2",
	.col = total_cols,
	.ncol = 5,
	.row_size = sizeof(struct total_row),
};

enum err_code search_db_words(struct pg *pg, struct arena *a, int32_t slot, const char *lang, int64_t seq,
			      const char *after, int32_t limit, struct word_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &words, PG_ARGS(P(slot), P(lang), P(seq), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code search_db_totals(struct pg *pg, struct arena *a, int32_t slot, const char *lang, struct total_row **row_r,
			       bool *found_r, struct err *e)
{
	return pg_row(pg, &totals, PG_ARGS(P(slot), P(lang)), a, row_r, found_r, e);
}

const struct pg_stmt *const search_db_query_stmts[] = {
	&top, &good, &all, &top_facets, &good_facets, &all_facets, &top_near, &good_near,
	&all_near, &by_price, &by_price_down, &by_newest, &by_rating, &by_best,
	&hits,	     &shown,	 &category_id, &vendor_id, &words, &totals, NULL,
};
