#include "services/search/engine.h"

#include <string.h>

#include "services/search/search_db_query.h"

#define STAGES 3

/* Ids seen so far, to give each product once though stages overlap. */
struct seen_ids {
	const char **slots;
	size_t n_slots;
};

static bool first_time(struct seen_ids *s, const char *id)
{
	size_t h = 5381;

	for (const char *p = id; *p; p++)
		h = h * 33 ^ (unsigned char)*p;
	for (size_t i = h & (s->n_slots - 1);; i = (i + 1) & (s->n_slots - 1)) {
		if (!s->slots[i])
			return s->slots[i] = id, true;
		if (strcmp(s->slots[i], id) == 0)
			return false;
	}
}

enum err_code engine_pg_find(struct pg *pg, struct arena *a, const struct query *q, const struct filters *f,
			     size_t wanted, struct found *found_r, struct err *e)
{
	struct found found = { .v = arena_array(a, STAGES * CANDIDATES_MAX, sizeof(*found.v)) };
	struct seen_ids seen = { arena_array(a, 8192, sizeof(*seen.slots)), 8192 };

	for (int stage = 1; stage <= STAGES && found.n < wanted; stage++) {
		const char *tsquery = query_stage(a, q, stage);
		struct candidate *rows = NULL;
		size_t n = 0;

		/* A sorted list has only what has all words, unless nothing has. */
		if (!tsquery || (f->sort != SORT_RELEVANCE && found.n > 0))
			continue;
		if (search_db_candidates(pg, a, q->lang, tsquery, f, CANDIDATES_MAX, &rows, &n, e))
			return e->code;
		found.relaxed |= stage > 1 && found.n == 0 && n > 0;
		found.capped |= n == CANDIDATES_MAX;
		for (size_t i = 0; i < n; i++)
			if (first_time(&seen, rows[i].product_id))
				found.v[found.n++] = rows[i];
	}
	*found_r = found;
	return OK;
}

enum err_code engine_pg_facets(struct pg *pg, struct arena *a, const char *tsquery, const char *lang,
			       const struct filters *f, const char *const *attr_names, size_t n_attr_names,
			       struct facet_row **rows_r, size_t *n_r, struct err *e)
{
	return search_db_facets(pg, a, lang, tsquery, f, attr_names, n_attr_names, rows_r, n_r, e);
}
