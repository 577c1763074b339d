#include "services/search/engine_os_query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

enum { NO_CATEGORY = 1, NO_VENDOR = 2, NO_BRAND = 4, NO_PRICE = 8, NO_STOCK = 16, NO_RATING = 32 };

#define PRICE_END 1000000000000LL

static const char *text_of(struct arena *a, json_t *o)
{
	char *s = o ? json_dumps(o, JSON_COMPACT) : NULL;
	const char *t = s ? arena_strdup(a, s) : NULL;

	free(s);
	json_decref(o);
	return t;
}

static void add(json_t *array, json_t *v)
{
	json_array_append_new(array, v);
}

/* ---- the index ---- */

/* Words were cut and stemmed by the daemon, so an index only splits at blanks. */
const char *os_index_json(struct arena *a, const char *writer)
{
	static const char *const keywords[] = { "product_id", "brand", "brand_small", "vendor_id", "availability",
						"categories", "attrs" };
	static const char *const numbers[] = { "rating_x100", "rating_count", "sold_30d", "published_at" };
	json_t *p = json_object();

	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		json_object_set_new(p, keywords[i], json_pack("{s:s, s:i}", "type", "keyword", "ignore_above", 1000));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		json_object_set_new(p, numbers[i], json_pack("{s:s}", "type", "long"));
	json_object_set_new(p, "title", json_pack("{s:s, s:s}", "type", "text", "analyzer", "whitespace"));
	json_object_set_new(p, "words", json_pack("{s:s, s:s}", "type", "text", "analyzer", "whitespace"));
	json_object_set_new(p, "prices", json_pack("{s:s, s:b}", "type", "object", "dynamic", 1));
	json_object_set_new(p, "rank", json_pack("{s:s, s:b}", "type", "object", "enabled", 0));
	return text_of(a, json_pack("{s:{s:i, s:s, s:s, s:s}, s:{s:{}}, s:{s:b, s:o}}", "settings", "number_of_shards", 1,
				    "auto_expand_replicas", "0-1", "refresh_interval", "500ms", "gc_deletes", "1h", "aliases",
				    writer, "mappings", "dynamic", 0, "properties", p));
}

const char *os_alias_json(struct arena *a, const char *alias, const char *index, const char *const *old, size_t n_old)
{
	json_t *actions = json_array();

	for (size_t i = 0; i < n_old; i++)
		if (strcmp(old[i], index) != 0)
			add(actions, json_pack("{s:{s:s}}", "remove_index", "index", old[i]));
	add(actions, json_pack("{s:{s:s, s:s}}", "add", "index", index, "alias", alias));
	return text_of(a, json_pack("{s:o}", "actions", actions));
}

/* ---- words ---- */

static json_t *word_json(const char *lexeme)
{
	return json_pack("{s:{s:s, s:s, s:[s, s]}}", "multi_match", "query", lexeme, "type", "most_fields", "fields",
			 "title^5", "words");
}

static json_t *unit_json(const struct unit *u)
{
	json_t *alts = json_array();

	for (size_t i = 0; i < u->n_alts; i++) {
		json_t *all = json_array();

		for (size_t k = 0; k < u->alts[i].n; k++)
			add(all, word_json(u->alts[i].lexemes[k]));
		add(alts, json_pack("{s:{s:o, s:f}}", "bool", "must", all, "boost", u->alts[i].weight));
	}
	return json_pack("{s:{s:o, s:i}}", "bool", "should", alts, "minimum_should_match", 1);
}

static json_t *words_json(const struct query *q, int stage)
{
	json_t *units = json_array();
	uint32_t which = 0;
	size_t least = 0;

	if (!query_stage_units(q, stage, &which, &least)) {
		json_decref(units);
		return NULL;
	}
	for (size_t i = 0; i < q->n; i++)
		if (which >> i & 1)
			add(units, unit_json(&q->units[i]));
	return json_pack("{s:{s:o, s:i}}", "bool", "should", units, "minimum_should_match", (int)least);
}

/* ---- filters ---- */

static json_t *terms_json(const char *field, const char *const *v, size_t n)
{
	json_t *values = json_array();

	for (size_t i = 0; i < n; i++)
		add(values, json_string(v[i]));
	return json_pack("{s:{s:o}}", "terms", field, values);
}

/* "name:value" divided by U+001F. */
static json_t *attr_json(const char *group)
{
	json_t *values = json_array();

	for (const char *p = group; *p; p += strspn(p, "\x1f")) {
		size_t n = strcspn(p, "\x1f");

		add(values, json_stringn(p, n));
		p += n;
	}
	return json_pack("{s:{s:o}}", "terms", "attrs", values);
}

static bool of_name(const char *group, const char *name)
{
	size_t n = name ? strlen(name) : 0;

	return name && strncmp(group, name, n) == 0 && group[n] == ':';
}

static json_t *filters_json(struct arena *a, const struct filters *f, unsigned without, const char *without_attr)
{
	json_t *v = json_array();
	const char *price = arena_printf(a, "prices.%s", f->currency);

	if (f->category_id && !(without & NO_CATEGORY))
		add(v, json_pack("{s:{s:s}}", "term", "categories", f->category_id));
	if (f->n_vendors && !(without & NO_VENDOR))
		add(v, terms_json("vendor_id", f->vendor_ids, f->n_vendors));
	if (f->n_brands && !(without & NO_BRAND))
		add(v, terms_json("brand_small", f->brands, f->n_brands));
	if (f->has_price_min && !(without & NO_PRICE))
		add(v, json_pack("{s:{s:{s:I}}}", "range", price, "gte", (json_int_t)f->price_min));
	if (f->has_price_max && !(without & NO_PRICE))
		add(v, json_pack("{s:{s:{s:I}}}", "range", price, "lte", (json_int_t)f->price_max));
	if (f->in_stock && !(without & NO_STOCK))
		add(v, json_pack("{s:{s:{s:{s:s}}}}", "bool", "must_not", "term", "availability", "out"));
	if (f->rating_min && !(without & NO_RATING))
		add(v, json_pack("{s:{s:{s:i}}}", "range", "rating_x100", "gte", f->rating_min * 100));
	for (size_t i = 0; i < f->n_attrs; i++)
		if (!of_name(f->attrs[i], without_attr))
			add(v, attr_json(f->attrs[i]));
	return v;
}

/* ---- candidates ---- */

static json_t *sort_json(struct arena *a, const struct filters *f)
{
	json_t *v = json_array();
	bool up = f->sort == SORT_PRICE;

	if (f->sort == SORT_PRICE || f->sort == SORT_PRICE_DOWN)
		add(v, json_pack("{s:{s:s, s:s, s:s}}", arena_printf(a, "prices.%s", f->currency), "order",
				 up ? "asc" : "desc", "missing", "_last", "unmapped_type", "long"));
	else if (f->sort == SORT_NEWEST)
		add(v, json_pack("{s:s}", "published_at", "desc"));
	else if (f->sort == SORT_BEST)
		add(v, json_pack("{s:s}", "sold_30d", "desc"));
	else if (f->sort == SORT_RATING)
		add(v, json_pack("{s:s}", "rating_x100", "desc"));
	else
		add(v, json_pack("{s:s}", "_score", "desc"));
	if (f->sort == SORT_RATING)
		add(v, json_pack("{s:s}", "rating_count", "desc"));
	add(v, json_pack("{s:s}", "product_id", "asc"));
	return v;
}

const char *os_search_json(struct arena *a, const struct query *q, int stage, const struct filters *f, const json_t *after)
{
	json_t *words = words_json(q, stage), *o;

	if (!words)
		return NULL;
	o = json_pack("{s:i, s:b, s:[s, s, s], s:o, s:{s:{s:o, s:o}}}", "size", OS_SLICE, "track_total_hits", 0, "_source",
		      "rank", "availability", "prices", "sort", sort_json(a, f), "query", "bool", "must", words, "filter",
		      filters_json(a, f, 0, NULL));
	if (after)
		json_object_set_new(o, "search_after", json_deep_copy(after));
	return text_of(a, o);
}

/* ---- facets ---- */

static void add_facet(json_t *aggs, const char *name, json_t *filter, json_t *values)
{
	json_object_set_new(aggs, name, json_pack("{s:{s:{s:o}}, s:{s:o}}", "filter", "bool", "filter", filter, "aggs",
						  "values", values));
}

static json_t *counts_json(const char *field, int size, const char *include)
{
	json_t *terms = json_pack("{s:s, s:i, s:[{s:s}, {s:s}]}", "field", field, "size", size, "order", "_count", "desc",
				  "_key", "asc");

	if (include)
		json_object_set_new(terms, "include", json_string(include));
	return json_pack("{s:o}", "terms", terms);
}

/* Buckets go 1, 2, 5, 10, 20, …; the first takes what is free, too. */
static json_t *price_json(struct arena *a, const struct filters *f)
{
	static const int64_t steps[] = { 1, 2, 5, 10 };
	json_t *ranges = json_array();

	for (int64_t unit = 1; unit < PRICE_END; unit *= 10)
		for (size_t i = 0; i + 1 < ARRAY_LEN(steps); i++) {
			int64_t low = unit * steps[i];

			add(ranges, json_pack("{s:s, s:I, s:I}", "key", arena_printf(a, "%lld", (long long)low), "from",
					      (json_int_t)(low == 1 ? 0 : low), "to", (json_int_t)(unit * steps[i + 1])));
		}
	return json_pack("{s:{s:s, s:o}}", "range", "field", arena_printf(a, "prices.%s", f->currency), "ranges", ranges);
}

static json_t *rating_json(struct arena *a)
{
	json_t *ranges = json_array();

	for (int stars = 4; stars >= 1; stars--)
		add(ranges, json_pack("{s:s, s:i}", "key", arena_printf(a, "%d", stars), "from", stars * 100));
	return json_pack("{s:{s:s, s:o}}", "range", "field", "rating_x100", "ranges", ranges);
}

/* All values of one attribute: the name as a regular expression that means itself. */
static const char *include_text(struct arena *a, const char *name)
{
	struct buf b;
	const char *s;

	buf_init(&b, 1024);
	for (const char *p = name; *p; p++) {
		if ((unsigned char)*p < 0x80 && !isalnum((unsigned char)*p) && *p != '_')
			buf_char(&b, '\\');
		buf_char(&b, *p);
	}
	buf_str(&b, ":.*");
	s = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return s;
}

const char *os_facets_json(struct arena *a, const struct query *q, int stage, const struct filters *f,
			   const char *const *attr_names, size_t n_attr_names)
{
	json_t *words = words_json(q, stage), *aggs;

	if (!words)
		return NULL;
	aggs = json_object();
	add_facet(aggs, "brand", filters_json(a, f, NO_BRAND, NULL), counts_json("brand", OS_VALUES, NULL));
	add_facet(aggs, "vendor", filters_json(a, f, NO_VENDOR, NULL), counts_json("vendor_id", OS_VALUES, NULL));
	add_facet(aggs, "category", filters_json(a, f, NO_CATEGORY, NULL), counts_json("categories", OS_VALUES, NULL));
	add_facet(aggs, "availability", filters_json(a, f, NO_STOCK, NULL), counts_json("availability", 3, NULL));
	add_facet(aggs, "rating", filters_json(a, f, NO_RATING, NULL), rating_json(a));
	add_facet(aggs, "price", filters_json(a, f, NO_PRICE, NULL), price_json(a, f));
	for (size_t i = 0; i < n_attr_names; i++)
		add_facet(aggs, arena_printf(a, "attr:%s", attr_names[i]), filters_json(a, f, 0, attr_names[i]),
			  counts_json("attrs", OS_ATTR_VALUES, include_text(a, attr_names[i])));
	return text_of(a, json_pack("{s:i, s:b, s:o, s:o}", "size", 0, "track_total_hits", 0, "query", words, "aggs", aggs));
}
