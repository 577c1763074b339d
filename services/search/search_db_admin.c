#include "services/search/search_db_admin.h"

static const struct pg_col synonym_cols[] = {
	PG_COL(synonym_row, id),      PG_COL(synonym_row, lang),       PG_COL(synonym_row, words),
	PG_COL(synonym_row, one_way), PG_COL(synonym_row, created_at),
};
static const struct pg_stmt synonyms = {
	.name = "synonyms",
	.sql = "SELECT id, lang, array_to_string(words, chr(31)) AS words, one_way,"
	       " (extract(epoch FROM created_at) * 1000)::bigint AS created_at FROM search.synonym WHERE id > $1"
	       " ORDER BY id LIMIT $2::integer",
	.col = synonym_cols,
	.ncol = 5,
	.row_size = sizeof(struct synonym_row),
};
static const struct pg_stmt synonym_add = {
	.name = "synonym_add",
	.sql = "INSERT INTO search.synonym (id, lang, one_way, words) VALUES ($1, $2, $3::boolean, $4::text[])",
};
static const struct pg_stmt synonym_drop = {
	.name = "synonym_drop",
	.sql = "DELETE FROM search.synonym WHERE id = $1",
};

enum err_code search_db_synonyms(struct pg *pg, struct arena *a, const char *after, int32_t limit,
				 struct synonym_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &synonyms, PG_ARGS(P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code search_db_synonym_add(struct pg *pg, struct arena *a, const char *id, const char *lang, bool one_way,
				    const char *const *words, size_t n, struct err *e)
{
	return pg_exec(pg, &synonym_add, PG_ARGS(P(id), P(lang), P(one_way), pg_p_text_array(a, words, n)), NULL, e);
}

static enum err_code drop(struct pg *pg, const struct pg_stmt *s, const char *id, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, s, PG_ARGS(P(id)), &n, e))
		return e->code;
	*found_r = n > 0;
	return OK;
}

enum err_code search_db_synonym_drop(struct pg *pg, const char *id, bool *found_r, struct err *e)
{
	return drop(pg, &synonym_drop, id, found_r, e);
}

/* ---- rules ---- */

static const struct pg_col rule_cols[] = {
	PG_COL(rule_row, id),	      PG_COL(rule_row, query),	       PG_COL(rule_row, action),
	PG_COL(rule_row, product_id), PG_COL(rule_row, position),      PG_COL(rule_row, boost_percent),
	PG_COL(rule_row, starts_at),  PG_COL(rule_row, ends_at),       PG_COL(rule_row, created_at),
};
#define RULE_COLUMNS                                                                               \
	"id, query, action, product_id, position, boost_percent,"                                  \
	" coalesce((extract(epoch FROM starts_at) * 1000)::bigint, 0) AS starts_at,"               \
	" coalesce((extract(epoch FROM ends_at) * 1000)::bigint, 0) AS ends_at,"                   \
	" (extract(epoch FROM created_at) * 1000)::bigint AS created_at"
#define RULE_ROW .col = rule_cols, .ncol = 9, .row_size = sizeof(struct rule_row)
static const struct pg_stmt rules = {
	.name = "rules",
	.sql = "SELECT " RULE_COLUMNS " FROM search.rule WHERE ($1::text IS NULL OR query = $1) AND id > $2 ORDER BY id"
	       " LIMIT $3::integer",
	RULE_ROW,
};
static const struct pg_stmt rules_now = {
	.name = "rules_now",
	.sql = "SELECT " RULE_COLUMNS " FROM search.rule WHERE query = $1 AND (starts_at IS NULL OR starts_at <= now())"
	       " AND (ends_at IS NULL OR now() < ends_at) ORDER BY position, id LIMIT 200",
	RULE_ROW,
};
struct mark_row {
	int64_t mark;
};
static const struct pg_col mark_cols[] = { PG_COL(mark_row, mark) };
static const struct pg_stmt rules_mark = {
	.name = "rules_mark",
	.sql = "SELECT coalesce(bit_xor(hashtextextended(id, 0)), 0) AS mark FROM search.rule"
	       " WHERE (starts_at IS NULL OR starts_at <= now()) AND (ends_at IS NULL OR now() < ends_at)",
	.col = mark_cols,
	.ncol = 1,
	.row_size = sizeof(struct mark_row),
};
static const struct pg_stmt rule_add = {
	.name = "rule_add",
	.sql = "INSERT INTO search.rule (id, query, action, product_id, position, boost_percent, starts_at, ends_at)"
	       " VALUES ($1, $2, $3, $4, $5::integer, $6::integer, to_timestamp(nullif($7::bigint, 0) / 1000.0),"
	       " to_timestamp(nullif($8::bigint, 0) / 1000.0))",
};
static const struct pg_stmt rule_drop = {
	.name = "rule_drop",
	.sql = "DELETE FROM search.rule WHERE id = $1",
};

enum err_code search_db_rules(struct pg *pg, struct arena *a, const char *query, const char *after, int32_t limit,
			      struct rule_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &rules, PG_ARGS(P(query), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code search_db_rules_now(struct pg *pg, struct arena *a, const char *query, struct rule_row **rows_r,
				  size_t *n_r, struct err *e)
{
	return pg_rows(pg, &rules_now, PG_ARGS(P(query)), a, rows_r, n_r, e);
}

enum err_code search_db_rules_mark(struct pg *pg, struct arena *a, int64_t *mark_r, struct err *e)
{
	struct mark_row *row = NULL;

	if (pg_one(pg, &rules_mark, PG_NONE, a, &row, e))
		return e->code;
	*mark_r = row->mark;
	return OK;
}

enum err_code search_db_rule_add(struct pg *pg, const struct rule_row *r, struct err *e)
{
	return pg_exec(pg, &rule_add,
		       PG_ARGS(P(r->id), P(r->query), P(r->action), P(r->product_id), P(r->position), P(r->boost_percent),
			       P(r->starts_at), P(r->ends_at)),
		       NULL, e);
}

enum err_code search_db_rule_drop(struct pg *pg, const char *id, bool *found_r, struct err *e)
{
	return drop(pg, &rule_drop, id, found_r, e);
}

/* ---- the query log ---- */

static const struct pg_stmt log_add = {
	.name = "log_add",
	.sql = "INSERT INTO search.query_day AS q (id, lang, query, searches, empty, people)"
	       " VALUES ($1, $2, $3, $4::bigint, $5::bigint, $6::bigint)"
	       " ON CONFLICT (day, lang, query) DO UPDATE SET searches = q.searches + excluded.searches,"
	       " empty = q.empty + excluded.empty, people = q.people + excluded.people,"
	       " id = excluded.id",
};
static const struct pg_stmt click = {
	.name = "click",
	.sql = "INSERT INTO search.click AS c (id, clicks, positions) VALUES ($1, 1, $2::integer)"
	       " ON CONFLICT (id, day) DO UPDATE SET clicks = c.clicks + 1, positions = c.positions + excluded.positions",
};
static const struct pg_stmt clicks_count = {
	.name = "clicks_count",
	.sql = "WITH c AS (DELETE FROM search.click c USING search.query_day q WHERE q.id = c.id AND q.day = c.day"
	       " RETURNING c.id, c.day, c.clicks, c.positions), old AS (DELETE FROM search.click WHERE day < current_date - 1)"
	       " UPDATE search.query_day q SET clicks = q.clicks + c.clicks, positions = q.positions + c.positions FROM c"
	       " WHERE q.id = c.id AND q.day = c.day",
};
static const struct pg_stmt log_forget = {
	.name = "log_forget",
	.sql = "DELETE FROM search.query_day WHERE people < 2",
};
static const struct pg_col report_cols[] = {
	PG_COL(report_row, query), PG_COL(report_row, lang),   PG_COL(report_row, searches),
	PG_COL(report_row, empty), PG_COL(report_row, clicks),
	PG_COL(report_row, positions),
};
static const struct pg_stmt report = {
	.name = "report",
	.sql = "SELECT query, lang, sum(searches)::bigint AS searches, sum(empty)::bigint AS empty,"
	       " sum(clicks)::bigint AS clicks, sum(positions)::bigint AS positions FROM search.query_day"
	       " WHERE day > current_date - $1::integer GROUP BY query, lang"
	       " HAVING CASE $2::integer WHEN 0 THEN true WHEN 1 THEN sum(empty) > 0"
	       " ELSE sum(clicks) = 0 AND sum(searches) > sum(empty) END"
	       " ORDER BY CASE $2::integer WHEN 1 THEN sum(empty) WHEN 2 THEN sum(searches) - sum(empty) ELSE sum(searches) END"
	       " DESC, query LIMIT $3::integer",
	.col = report_cols,
	.ncol = 6,
	.row_size = sizeof(struct report_row),
};

enum err_code search_db_log(struct pg *pg, const char *id, const char *lang, const char *query, int64_t searches,
			    int64_t empty, int64_t people, struct err *e)
{
	return pg_exec(pg, &log_add, PG_ARGS(P(id), P(lang), P(query), P(searches), P(empty), P(people)), NULL, e);
}

enum err_code search_db_click(struct pg *pg, const char *id, int32_t position, struct err *e)
{
	return pg_exec(pg, &click, PG_ARGS(P(id), P(position)), NULL, e);
}

enum err_code search_db_clicks_count(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &clicks_count, PG_NONE, NULL, e);
}

enum err_code search_db_log_forget(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &log_forget, PG_NONE, NULL, e);
}

enum err_code search_db_report(struct pg *pg, struct arena *a, int32_t days, enum report_kind kind, int32_t limit,
			       struct report_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &report, PG_ARGS(P(days), P((int32_t)kind), P(limit)), a, rows_r, n_r, e);
}

const struct pg_stmt *const search_db_admin_stmts[] = {
	&synonyms, &synonym_add, &synonym_drop, &rules, &rules_now, &rules_mark, &rule_add, &rule_drop, &log_add,
	&click,	   &clicks_count, &log_forget, &report, NULL,
};
