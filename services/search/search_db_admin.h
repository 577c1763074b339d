/* Synonyms, rules of merchandising, the query log, in schema search. */
#ifndef SOUK_SEARCH_DB_ADMIN_H
#define SOUK_SEARCH_DB_ADMIN_H

#include "common/pg.h"

struct synonym_row {
	const char *id, *lang, *words; /* words: divided by U+001F */
	bool one_way;
	int64_t created_at;
};
MUST_CHECK enum err_code search_db_synonyms(struct pg *, struct arena *, const char *after, int32_t limit,
					    struct synonym_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code search_db_synonym_add(struct pg *, struct arena *, const char *id, const char *lang, bool one_way,
					       const char *const *words, size_t n, struct err *);
MUST_CHECK enum err_code search_db_synonym_drop(struct pg *, const char *id, bool *found_r, struct err *);

struct rule_row {
	const char *id, *query, *action, *product_id;
	int32_t position, boost_percent;
	int64_t starts_at, ends_at, created_at; /* 0: open */
};
/* query NULL: of all queries. */
MUST_CHECK enum err_code search_db_rules(struct pg *, struct arena *, const char *query, const char *after, int32_t limit,
					 struct rule_row **rows_r, size_t *n_r, struct err *);
/* Those that hold now. */
MUST_CHECK enum err_code search_db_rules_now(struct pg *, struct arena *, const char *query, struct rule_row **rows_r,
					     size_t *n_r, struct err *);
/* Another number when other rules are in effect. */
MUST_CHECK enum err_code search_db_rules_mark(struct pg *, struct arena *, int64_t *mark_r, struct err *);
MUST_CHECK enum err_code search_db_rule_add(struct pg *, const struct rule_row *, struct err *);
MUST_CHECK enum err_code search_db_rule_drop(struct pg *, const char *id, bool *found_r, struct err *);

struct report_row {
	const char *query, *lang;
	int64_t searches, empty, clicks, positions;
};
enum report_kind { REPORT_TOP, REPORT_EMPTY, REPORT_UNCLICKED };
MUST_CHECK enum err_code search_db_log(struct pg *, const char *id, const char *lang, const char *query, int64_t searches,
				       int64_t empty, int64_t people, struct err *);
MUST_CHECK enum err_code search_db_click(struct pg *, const char *id, int32_t position, struct err *);
/* Clicks of queries in the log are added to them; those of others are forgotten after a day. */
MUST_CHECK enum err_code search_db_clicks_count(struct pg *, struct err *);
/* Queries that no two people made. */
MUST_CHECK enum err_code search_db_log_forget(struct pg *, struct err *);
MUST_CHECK enum err_code search_db_report(struct pg *, struct arena *, int32_t days, enum report_kind, int32_t limit,
					  struct report_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const search_db_admin_stmts[];

#endif
