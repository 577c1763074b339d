/* Counts beside the matches. */
#include <stdlib.h>
#include <string.h>

#include "services/search/engine_os.h"
#include "services/search/find.h"
#include "services/search/search_db_feed.h"

static bool in_list(const char *const *v, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(v[i], text) == 0)
			return true;
	return false;
}

static bool selected(const struct search *s, const char *facet, const char *value)
{
	if (strcmp(facet, "brand") == 0)
		return in_list(s->f.brands, s->f.n_brands, value);
	if (strcmp(facet, "vendor") == 0)
		return in_list(s->f.vendor_ids, s->f.n_vendors, value);
	if (strcmp(facet, "category") == 0)
		return s->f.category_id && strcmp(s->f.category_id, value) == 0;
	if (strcmp(facet, "rating") == 0)
		return s->f.rating_min == (int32_t)strtol(value, NULL, 10);
	if (strncmp(facet, "attr:", 5) == 0)
		return in_list((const char *const *)s->in->attr, s->in->n_attr,
			       arena_printf(s->c->arena, "%s:%s", facet + 5, value));
	return false;
}

static Search__V1__Facet *facet_named(struct search *s, Search__V1__SearchReply *out, const char *name, size_t room)
{
	Search__V1__Facet *f = out->n_facets ? out->facets[out->n_facets - 1] : NULL;

	if (f && strcmp(f->name, name) == 0)
		return f;
	f = arena_alloc(s->c->arena, sizeof(*f));
	search__v1__facet__init(f);
	f->name = (char *)name;
	f->values = arena_array(s->c->arena, room, sizeof(*f->values));
	out->facets[out->n_facets++] = f;
	return f;
}

/* Buckets go 1, 2, 5, 10, 20, …: the next bound after low. */
static int64_t bucket_end(int64_t low)
{
	int64_t unit = 1;

	while (low >= unit * 10)
		unit *= 10;
	return low < 2 * unit ? 2 * unit : low < 5 * unit ? 5 * unit : 10 * unit;
}

static void add_value(struct search *s, Search__V1__Facet *f, const struct facet_row *r)
{
	Search__V1__FacetValue *v = arena_alloc(s->c->arena, sizeof(*v));

	search__v1__facet_value__init(v);
	v->value = (char *)r->value;
	v->label = (char *)(r->label ? r->label : r->value);
	v->has_count = true;
	v->count = (int32_t)r->n;
	v->has_selected = v->selected = selected(s, f->name, r->value);
	if (strcmp(f->name, "price") == 0) {
		v->has_from = v->has_to = true;
		v->from = strtoll(r->value, NULL, 10);
		v->to = bucket_end(v->from);
		v->label = NULL;
	}
	f->values[f->n_values++] = v;
}

static int by_facet(const void *a, const void *b)
{
	const struct facet_row *const *x = a, *const *y = b;
	int d = strcmp((*x)->facet, (*y)->facet);

	return d ? d : *x < *y ? -1 : *x > *y;
}

/* An index outside knows vendors and categories by their ids. */
static enum err_code name_rows(struct search *s, struct pg *pg, struct facet_row *rows, size_t n, struct err *e)
{
	const char **ids = arena_array(s->c->arena, n + 1, sizeof(*ids));
	struct label_row *labels = NULL;
	size_t n_ids = 0, n_labels = 0;

	for (size_t i = 0; i < n; i++)
		if (!rows[i].label)
			ids[n_ids++] = rows[i].value;
	if (n_ids && search_db_labels(pg, s->c->arena, ids, n_ids, &labels, &n_labels, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_labels && !rows[i].label; k++)
			if (strcmp(labels[k].id, rows[i].value) == 0)
				rows[i].label = labels[k].name;
	return OK;
}

static enum err_code count(struct search *s, struct pg *pg, const struct facets_wanted *w, const char *tsquery, int stage,
			   struct facet_row **rows_r, size_t *n_r, struct err *e)
{
	struct arena *a = s->c->arena;

	if (s->svc->os && !s->degraded) {
		if (engine_os_facets(s->svc->os, a, &s->q, stage, &s->f, w->attrs, w->n_attrs, rows_r, n_r, e) == OK)
			return name_rows(s, pg, *rows_r, *n_r, e);
		err_clear(e);
		engine_os_missed(s->svc->os);
		s->degraded = true;
	}
	return engine_pg_facets(pg, a, tsquery, s->lang, &s->f, w->attrs, w->n_attrs, rows_r, n_r, e);
}

enum err_code find_facets(struct search *s, struct pg *pg, bool relaxed, Search__V1__SearchReply *out, struct err *e)
{
	const char *tsquery = NULL;
	struct facets_wanted w;
	struct facet_row *rows = NULL;
	const struct facet_row **sorted;
	size_t n = 0;
	int last = 1;

	find_facets_wanted(s, &w);
	for (int stage = 1; stage <= 3 && (!tsquery || (relaxed && stage <= 3)); stage++) {
		const char *wider = query_stage(s->c->arena, &s->q, stage);

		if (wider) {
			tsquery = wider;
			last = stage;
		}
	}
	if (w.none || !tsquery)
		return OK;
	if (count(s, pg, &w, tsquery, last, &rows, &n, e))
		return e->code;
	out->facets = arena_array(s->c->arena, n + 1, sizeof(*out->facets));
	sorted = arena_array(s->c->arena, n + 1, sizeof(*sorted));
	for (size_t i = 0; i < n; i++)
		sorted[i] = &rows[i];
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_facet);
	for (size_t i = 0; i < n; i++)
		if (strncmp(sorted[i]->facet, "attr:", 5) == 0 || in_list(w.names, w.n_names, sorted[i]->facet))
			add_value(s, facet_named(s, out, sorted[i]->facet, n), sorted[i]);
	return OK;
}
