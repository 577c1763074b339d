/* Counts beside the matches. */
#include <stdlib.h>
#include <string.h>

#include "services/search/engine_os.h"
#include "services/search/facet_count.h"
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

/* Vendors and categories come by their ids. */
static enum err_code name_rows(struct search *s, struct pg *pg, struct facet_row *rows, size_t n, struct err *e)
{
	const char **ids = arena_array(s->c->arena, n + 1, sizeof(*ids));
	struct label_row *labels = NULL;
	size_t n_ids = 0, n_labels = 0;

	for (size_t i = 0; i < n; i++)
		if (!rows[i].label && strcmp(rows[i].facet, "price") != 0)
			ids[n_ids++] = rows[i].value;
	if (n_ids && search_db_labels(pg, s->c->arena, ids, n_ids, &labels, &n_labels, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_labels && !rows[i].label; k++)
			if (strcmp(labels[k].id, rows[i].value) == 0)
				rows[i].label = labels[k].name;
	return OK;
}

/* ---- engine pg: counted over candidates ---- */

/* The filters but what is selected of a facet; false when nothing is. */
static bool without(struct search *s, const char *facet, struct filters *f_r)
{
	struct filters f = s->f;
	bool some = false;

	if (strcmp(facet, "brand") == 0) {
		some = f.n_brands > 0;
		f.n_brands = 0;
	} else if (strcmp(facet, "vendor") == 0) {
		some = f.n_vendors > 0;
		f.n_vendors = 0;
	} else if (strcmp(facet, "category") == 0) {
		some = f.category_id != NULL;
		f.category_id = NULL;
	} else if (strcmp(facet, "availability") == 0) {
		some = f.in_stock;
		f.in_stock = false;
	} else if (strcmp(facet, "rating") == 0) {
		some = f.rating_min > 0;
		f.rating_min = 0;
	} else if (strcmp(facet, "price") == 0) {
		some = f.has_price_min || f.has_price_max;
		f.has_price_min = f.has_price_max = false;
	} else {
		const char **attrs = arena_array(s->c->arena, f.n_attrs + 1, sizeof(*attrs));
		size_t n = 0, name = strlen(facet + 5);

		for (size_t i = 0; i < f.n_attrs; i++)
			if (strncmp(f.attrs[i], facet + 5, name) != 0 || f.attrs[i][name] != ':')
				attrs[n++] = f.attrs[i];
		some = n < f.n_attrs;
		f.attrs = attrs;
		f.n_attrs = n;
	}
	*f_r = f;
	return some;
}

bool find_filtered(const struct filters *f)
{
	return f->category_id || f->n_vendors || f->n_brands || f->has_price_min || f->has_price_max || f->in_stock || f->rating_min;
}

static int32_t miss_of(const char *facet)
{
	static const struct {
		const char *facet;
		enum miss bit;
	} bits[] = { { "category", MISS_CATEGORY }, { "vendor", MISS_VENDOR }, { "brand", MISS_BRAND },
		     { "price", MISS_PRICE },	    { "availability", MISS_STOCK }, { "rating", MISS_RATING } };

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (strcmp(bits[i].facet, facet) == 0)
			return bits[i].bit;
	return 0;
}

/* What would be found without the selection of one facet: the matches, and what missed nothing but that. */
static void add_near(struct search *s, int32_t missed, struct found *to)
{
	const struct found *f = &s->found;
	struct candidate *v = arena_array(s->c->arena, f->n + f->n_near + 1, sizeof(*v));
	bool strict = f->n_strict > 0;
	size_t n = 0;

	for (size_t i = 0; i < f->n_near && !strict; i++)
		strict = f->near[i].missed == missed && f->near[i].has_all;
	for (size_t i = 0; i < (strict ? f->n_strict : f->n); i++)
		v[n++] = f->v[i];
	for (size_t i = 0; i < f->n_near; i++)
		if (f->near[i].missed == missed && (f->near[i].has_all || !strict))
			v[n++] = f->near[i];
	*to = (struct found){ .v = v, .n = n, .n_strict = n };
}

static enum err_code count_one(struct search *s, struct pg *pg, const char *facet, struct facet_counts *to, struct err *e)
{
	int64_t docs = dict_totals(s->svc->dict).docs;
	bool near = s->found_by_pg && s->f.near && miss_of(facet);
	struct found others = s->found;
	struct filters f;

	if (without(s, facet, &f) && near) {
		add_near(s, miss_of(facet), &others);
	} else if (without(s, facet, &f) || !s->found_by_pg) {
		f.near = false;
		if (engine_pg_find(pg, s->c->arena, &s->q, &f, docs, 1, &others, e))
			return e->code;
	}
	facet_count(s->c->arena, facet, others.v, others.relaxed ? others.n : others.n_strict, to);
	return OK;
}

static enum err_code count_by_pg(struct search *s, struct pg *pg, const struct facets_wanted *w, struct facet_counts *to,
				 struct err *e)
{
	for (size_t i = 0; i < w->n_names; i++)
		if (!in_list(w->names, i, w->names[i]) && count_one(s, pg, w->names[i], to, e))
			return e->code;
	for (size_t i = 0; i < w->n_attrs; i++) {
		const char *facet = arena_printf(s->c->arena, "attr:%s", w->attrs[i]);

		if (!in_list(w->attrs, i, w->attrs[i]) && count_one(s, pg, facet, to, e))
			return e->code;
	}
	return OK;
}

/* ---- either ---- */

/* The widest stage that has anything. */
static int last_stage(const struct search *s)
{
	int last = 1;
	uint32_t units;
	size_t least;

	for (int stage = 2; stage <= 3 && s->found.relaxed; stage++)
		if (query_stage_units(&s->q, stage, &units, &least))
			last = stage;
	return last;
}

static enum err_code count(struct search *s, struct pg *pg, const struct facets_wanted *w, struct facet_counts *to,
			   struct err *e)
{
	if (s->svc->os && !s->degraded) {
		if (engine_os_facets(s->svc->os, s->c->arena, &s->q, last_stage(s), &s->f, w->attrs, w->n_attrs, &to->rows,
				     &to->n, e) == OK)
			return OK;
		err_clear(e);
		engine_os_missed(s->svc->os);
		s->degraded = true;
	}
	return count_by_pg(s, pg, w, to, e);
}

enum err_code find_facets(struct search *s, struct pg *pg, const struct facets_wanted *w, Search__V1__SearchReply *out,
			  struct err *e)
{
	struct facet_counts all = { 0 };
	const struct facet_row **sorted;

	if (s->q.n == 0)
		return OK;
	if (count(s, pg, w, &all, e) || name_rows(s, pg, all.rows, all.n, e))
		return e->code;
	out->facets = arena_array(s->c->arena, all.n + 1, sizeof(*out->facets));
	sorted = arena_array(s->c->arena, all.n + 1, sizeof(*sorted));
	for (size_t i = 0; i < all.n; i++)
		sorted[i] = &all.rows[i];
	if (all.n)
		qsort(sorted, all.n, sizeof(*sorted), by_facet);
	for (size_t i = 0; i < all.n; i++)
		if (strncmp(sorted[i]->facet, "attr:", 5) == 0 || in_list(w->names, w->n_names, sorted[i]->facet))
			add_value(s, facet_named(s, out, sorted[i]->facet, all.n), sorted[i]);
	return OK;
}
