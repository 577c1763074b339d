/* What a search request asks for. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "services/search/document.h"
#include "services/search/find.h"

#define PRICE_MAX 100000000000LL
#define LIST_MAX 50 /* values of a repeated filter */

static enum sort sort_of(struct call *c, const char *word)
{
	static const char *const words[] = { "relevance", "price", "-price", "newest", "rating", "best_selling" };

	for (size_t i = 0; word && i < ARRAY_LEN(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum sort)i;
	if (word)
		err_detail(&c->err, "sort", NULL, "must be relevance, price, -price, newest, rating or best_selling");
	return SORT_RELEVANCE;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *small(struct arena *a, const char *s)
{
	char *t = arena_strdup(a, s);

	for (char *p = t; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 32;
	return t;
}

/* Values of one name become one item: any of them will do. */
static void read_attrs(struct search *s)
{
	struct arena *a = s->c->arena;
	size_t n = s->in->n_attr, k = 0;
	const char **v = arena_array(a, n + 1, sizeof(*v)), **groups = arena_array(a, n + 1, sizeof(*groups));

	if (n > LIST_MAX)
		err_detail(&s->c->err, "attr", NULL, "at most 50 may be given");
	for (size_t i = 0; i < n; i++) {
		const char *colon = strchr(s->in->attr[i], ':');

		if (!check_text(&s->c->err, "attr", s->in->attr[i], 3, 300))
			return;
		if (!colon || colon == s->in->attr[i] || !colon[1])
			err_detail(&s->c->err, "attr", NULL, "must look like name:value");
		v[i] = small(a, s->in->attr[i]);
	}
	if (n)
		qsort(v, n, sizeof(*v), by_text);
	for (size_t i = 0; i < n; i++) {
		size_t name = strcspn(v[i], ":");

		if (k && strncmp(groups[k - 1], v[i], name + 1) == 0)
			groups[k - 1] = arena_printf(a, "%s\x1f%s", groups[k - 1], v[i]);
		else
			groups[k++] = v[i];
	}
	s->f.attrs = groups;
	s->f.n_attrs = k;
}

static void read_brands(struct search *s)
{
	const char **v = arena_array(s->c->arena, s->in->n_brand + 1, sizeof(*v));

	if (s->in->n_brand > LIST_MAX)
		err_detail(&s->c->err, "brand", NULL, "at most 50 may be given");
	if (s->in->n_vendor > LIST_MAX)
		err_detail(&s->c->err, "vendor", NULL, "at most 50 may be given");
	for (size_t i = 0; i < s->in->n_brand && i < LIST_MAX; i++)
		if (check_text(&s->c->err, "brand", s->in->brand[i], 1, 120))
			v[s->f.n_brands++] = small(s->c->arena, s->in->brand[i]);
	if (s->f.n_brands)
		qsort(v, s->f.n_brands, sizeof(*v), by_text);
	s->f.brands = v;
	for (size_t i = 0; i < s->in->n_vendor && i < LIST_MAX; i++)
		check_text(&s->c->err, "vendor", s->in->vendor[i], 1, 120);
}

static void read_ranges(struct search *s)
{
	const Search__V1__SearchRequest *in = s->in;
	struct err *e = &s->c->err;

	if (in->has_price_min)
		check_range(e, "price_min", in->price_min, 0, PRICE_MAX);
	if (in->has_price_max)
		check_range(e, "price_max", in->price_max, in->has_price_min ? in->price_min : 0, PRICE_MAX);
	if (in->has_rating_min)
		check_range(e, "rating_min", in->rating_min, 1, 5);
	check_range(e, "limit", s->limit, 1, 100);
	s->f.has_price_min = in->has_price_min;
	s->f.price_min = in->price_min;
	s->f.has_price_max = in->has_price_max;
	s->f.price_max = in->price_max;
	s->f.rating_min = in->rating_min;
	s->f.in_stock = in->in_stock;
}

static void make_key(struct search *s)
{
	struct arena *a = s->c->arena;
	char *k = arena_printf(a, "search|%s|%s|%s|%d|%d|%lld|%lld|%d|%s", s->lang, s->normal, s->f.currency,
			       (int)s->f.sort, s->f.in_stock, s->f.has_price_min ? (long long)s->f.price_min : -1LL,
			       s->f.has_price_max ? (long long)s->f.price_max : -1LL, s->f.rating_min,
			       s->in->category ? s->in->category : "");

	for (size_t i = 0; i < s->in->n_vendor; i++)
		k = arena_printf(a, "%s|v%s", k, s->in->vendor[i]);
	for (size_t i = 0; i < s->f.n_brands; i++)
		k = arena_printf(a, "%s|b%s", k, s->f.brands[i]);
	for (size_t i = 0; i < s->f.n_attrs; i++)
		k = arena_printf(a, "%s|a%s", k, s->f.attrs[i]);
	s->key = k;
}

void find_read(struct search *s)
{
	const Search__V1__SearchRequest *in = s->in;
	struct err *e = &s->c->err;

	s->lang = in->lang ? in->lang : s->svc->conf->lang;
	s->f.currency = in->currency ? in->currency : s->svc->conf->currency;
	s->limit = in->has_limit ? in->limit : 20;
	s->normal = "";
	if (in->lang && strcmp(in->lang, s->svc->conf->lang) != 0)
		err_detail(e, "lang", NULL, "the catalogue is not indexed in this language");
	if (in->currency)
		check_currency(e, "currency", in->currency);
	if (!in->q)
		err_detail(e, "q", NULL, "is required");
	else if (!utf8_valid(in->q, strlen(in->q)) || utf8_length(in->q, strlen(in->q)) > QUERY_CHARS_MAX)
		err_detail(e, "q", NULL, "must be text of at most 1000 characters");
	if (in->category)
		check_text(e, "category", in->category, 1, 120);
	s->f.sort = sort_of(s->c, in->sort);
	read_ranges(s);
	read_brands(s);
	if (!e->n_details)
		read_attrs(s);
	if (e->n_details)
		return;
	s->normal = query_normal(s->c->arena, in->q);
	make_key(s);
}

void find_facets_wanted(struct search *s, struct facets_wanted *w_r)
{
	static const char *const plain[] = { "brand", "category", "vendor", "price", "rating", "availability" };
	struct facets_wanted w = { 0 };
	struct arena *a = s->c->arena;

	w.names = arena_array(a, s->in->n_facet + ARRAY_LEN(plain), sizeof(*w.names));
	w.attrs = arena_array(a, s->in->n_facet + 1, sizeof(*w.attrs));
	if (s->in->n_facet > 20)
		err_detail(&s->c->err, "facet", NULL, "at most 20 may be given");
	for (size_t i = 0; i < s->in->n_facet; i++) {
		const char *name = s->in->facet[i];

		if (strcmp(name, "none") == 0)
			w.none = true;
		else if (strncmp(name, "attr:", 5) == 0 && check_text(&s->c->err, "facet", name, 6, 100))
			w.attrs[w.n_attrs++] = small(a, name + 5);
		else if (check_oneof(&s->c->err, "facet", name, "brand|category|vendor|price|rating|availability"))
			w.names[w.n_names++] = name;
	}
	if (!s->in->n_facet)
		for (size_t i = 0; i < ARRAY_LEN(plain); i++)
			w.names[w.n_names++] = plain[i];
	*w_r = w;
}
