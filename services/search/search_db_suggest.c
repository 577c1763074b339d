#include "services/search/search_db_suggest.h"

static const struct pg_col best_cols[] = {
	PG_COL(best_row, product_id), PG_COL(best_row, title),	  PG_COL(best_row, slug),
	PG_COL(best_row, brand),      PG_COL(best_row, categories), PG_COL(best_row, sold_30d),
	PG_COL(best_row, rating_count),
};
static const struct pg_stmt best = {
	.name = "suggest_best",
	.sql = "SELECT product_id, title, slug, brand, array_to_string(categories, chr(31)) AS categories, sold_30d,"
	       " rating_count FROM search.doc WHERE slot = $1::integer AND lang = $2"
	       " AND (sold_30d, rating_count, product_id) < ($3::integer, $4::integer, $5 COLLATE \"C\")"
	       " ORDER BY sold_30d DESC, rating_count DESC, product_id DESC LIMIT $6::integer",
	.col = best_cols,
	.ncol = 7,
	.row_size = sizeof(struct best_row),
};

enum err_code search_db_best(struct pg *pg, struct arena *a, int32_t slot, const char *lang, const struct best_row *after,
			     int32_t limit, struct best_row **rows_r, size_t *n_r, struct err *e)
{
	int32_t sold = after ? after->sold_30d : INT32_MAX, ratings = after ? after->rating_count : INT32_MAX;

	return pg_rows(pg, &best,
		       PG_ARGS(P(slot), P(lang), P(sold), P(ratings), P(after ? after->product_id : "\xef\xbf\xbf"),
			       P(limit)),
		       a, rows_r, n_r, e);
}

static const struct pg_col named_cols[] = {
	PG_COL(named_row, id),
	PG_COL(named_row, slug),
	PG_COL(named_row, name),
};
static const struct pg_stmt categories = {
	.name = "suggest_categories",
	.sql = "SELECT id, slug, name FROM search.category ORDER BY id LIMIT $1::integer",
	.col = named_cols,
	.ncol = 3,
	.row_size = sizeof(struct named_row),
};

enum err_code search_db_categories(struct pg *pg, struct arena *a, int32_t limit, struct named_row **rows_r, size_t *n_r,
				   struct err *e)
{
	return pg_rows(pg, &categories, PG_ARGS(P(limit)), a, rows_r, n_r, e);
}

static const struct pg_col counted_cols[] = { PG_COL(counted_row, text), PG_COL(counted_row, n) };
static const struct pg_stmt asked = {
	.name = "suggest_asked",
	.sql = "SELECT query AS text, sum(searches)::bigint AS n FROM search.query_day"
	       " WHERE day > current_date - 30 AND lang = $1 GROUP BY query"
	       " HAVING sum(people) >= $2::integer AND count(*) >= $3::integer AND sum(empty) * 2 < sum(searches)"
	       " ORDER BY n DESC, query LIMIT $4::integer",
	.col = counted_cols,
	.ncol = 2,
	.row_size = sizeof(struct counted_row),
};
static const struct pg_stmt common_words = {
	.name = "suggest_words",
	.sql = "SELECT word AS text, df AS n FROM search.word WHERE slot = $1::integer AND lang = $2 AND df > 0"
	       " AND length(word) > 2 AND word !~ '[0-9]' ORDER BY df DESC, word LIMIT $3::integer",
	.col = counted_cols,
	.ncol = 2,
	.row_size = sizeof(struct counted_row),
};

enum err_code search_db_asked(struct pg *pg, struct arena *a, const char *lang, int32_t people, int32_t days,
			      int32_t limit, struct counted_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &asked, PG_ARGS(P(lang), P(people), P(days), P(limit)), a, rows_r, n_r, e);
}

enum err_code search_db_common_words(struct pg *pg, struct arena *a, int32_t slot, const char *lang, int32_t limit,
				     struct counted_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &common_words, PG_ARGS(P(slot), P(lang), P(limit)), a, rows_r, n_r, e);
}

const struct pg_stmt *const search_db_suggest_stmts[] = { &best, &categories, &asked, &common_words, NULL };
