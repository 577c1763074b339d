/* What suggestions are made from, in schema search. */
#ifndef SOUK_SEARCH_DB_SUGGEST_H
#define SOUK_SEARCH_DB_SUGGEST_H

#include "common/pg.h"

struct best_row {
	const char *product_id, *title, *slug, *brand;
	const char *categories; /* ids, divided by U+001F */
	int32_t sold_30d, rating_count;
};
/* Those that sell first, behind the row after (NULL: from the first). */
MUST_CHECK enum err_code search_db_best(struct pg *, struct arena *, int32_t slot, const char *lang,
					const struct best_row *after, int32_t limit, struct best_row **rows_r, size_t *n_r,
					struct err *);
struct named_row {
	const char *id, *slug, *name;
};
MUST_CHECK enum err_code search_db_categories(struct pg *, struct arena *, int32_t limit, struct named_row **rows_r,
					      size_t *n_r, struct err *);
struct counted_row {
	const char *text;
	int64_t n;
};
/* Queries of the last 30 days that found something and were made by so many people, on so many days, most asked first. */
MUST_CHECK enum err_code search_db_asked(struct pg *, struct arena *, const char *lang, int32_t people, int32_t days,
					 int32_t limit, struct counted_row **rows_r, size_t *n_r, struct err *);
/* Words without digits in most products. */
MUST_CHECK enum err_code search_db_common_words(struct pg *, struct arena *, int32_t slot, const char *lang, int32_t limit,
						struct counted_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const search_db_suggest_stmts[];

#endif
