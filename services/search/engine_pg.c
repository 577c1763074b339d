#include "services/search/engine.h"
#include "services/search/search_db_query.h"

struct pg_stage {
	struct pg *pg;
	struct arena *a;
	const struct query *q;
	const struct filters *f;
};

static enum err_code fetch(void *arg, int stage, struct candidate **rows_r, size_t *n_r, struct err *e)
{
	struct pg_stage *s = arg;

	return search_db_candidates(s->pg, s->a, s->q->lang, query_stage(s->a, s->q, stage), s->f, CANDIDATES_MAX, rows_r,
				    n_r, e);
}

enum err_code engine_pg_find(struct pg *pg, struct arena *a, const struct query *q, const struct filters *f,
			     size_t wanted, struct found *found_r, struct err *e)
{
	struct pg_stage s = { pg, a, q, f };

	return engine_stages(a, q, f, wanted, fetch, &s, found_r, e);
}

enum err_code engine_pg_facets(struct pg *pg, struct arena *a, const char *tsquery, const char *lang,
			       const struct filters *f, const char *const *attr_names, size_t n_attr_names,
			       struct facet_row **rows_r, size_t *n_r, struct err *e)
{
	return search_db_facets(pg, a, lang, tsquery, f, attr_names, n_attr_names, rows_r, n_r, e);
}
