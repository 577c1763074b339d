#include "services/search/engine_os_reply.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 64
#define PLACE_DIGITS 5

static enum err_code broken(struct err *e, const char *what)
{
	return err_set(e, E_UNAVAILABLE, "search.engine", "opensearch answered %s", what);
}

enum err_code os_reply_json(const struct httpc_reply *r, json_t **o_r, struct err *e)
{
	json_error_t why;
	json_t *o;

	if (r->status < 200 || r->status > 299)
		return err_set(e, E_UNAVAILABLE, "search.engine", "opensearch answered %d", r->status);
	o = json_loadb(r->body.data ? (const char *)r->body.data : "", r->body.len, 0, &why);
	if (!json_is_object(o)) {
		json_decref(o);
		return broken(e, "what is no JSON object");
	}
	*o_r = o;
	return OK;
}

static int64_t number(const json_t *o, const char *name, int64_t none, int64_t max)
{
	const json_t *v = json_object_get(o, name);
	double d = json_number_value(v);

	if (!json_is_number(v) || !(d >= 0))
		return none;
	if (d >= (double)max)
		return max;
	return json_is_integer(v) ? json_integer_value(v) : (int64_t)d;
}

static const char *text(struct arena *a, const json_t *o, const char *name)
{
	return arena_strdup(a, json_string_value(json_object_get(o, name)));
}

static bool whole(const json_t *o)
{
	const json_t *shards = json_object_get(o, "_shards");

	return !json_is_true(json_object_get(o, "timed_out")) && number(shards, "failed", 0, 1 << 20) == 0;
}

/* ---- hits ---- */

static bool id_usable(const char *id)
{
	size_t n = id ? strlen(id) : 0;

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)id[i]) && id[i] != '_' && id[i] != '-')
			return false;
	return n > 0 && n <= ID_MAX;
}

/* Places are small numbers: what reads them counts with them. */
static bool words_usable(const char *tsv)
{
	size_t digits = 0;
	bool quoted = false;

	for (const char *p = tsv; p && *p; p++) {
		quoted ^= *p == '\'';
		digits = !quoted && isdigit((unsigned char)*p) ? digits + 1 : 0;
		if (digits > PLACE_DIGITS)
			return false;
	}
	return tsv != NULL;
}

static bool read_hit(struct arena *a, const json_t *hit, const char *currency, struct candidate *c_r)
{
	const json_t *src = json_object_get(hit, "_source"), *rank = json_object_get(src, "rank");
	struct candidate c = { .product_id = text(a, hit, "_id"), .tsv = text(a, rank, "tsv"),
			       .availability = text(a, src, "availability") };

	if (!id_usable(c.product_id) || !words_usable(c.tsv))
		return false;
	if (!c.availability)
		c.availability = "out";
	c.len_a = (int32_t)number(rank, "len_a", 0, 1000000);
	c.len_b = (int32_t)number(rank, "len_b", 0, 1000000);
	c.len_c = (int32_t)number(rank, "len_c", 0, 1000000);
	c.len_d = (int32_t)number(rank, "len_d", 0, 1000000);
	c.rating_x100 = (int32_t)number(rank, "rating_x100", 0, 500);
	c.rating_count = (int32_t)number(rank, "rating_count", 0, INT32_MAX);
	c.sold_30d = (int32_t)number(rank, "sold_30d", 0, INT32_MAX);
	c.price = number(json_object_get(src, "prices"), currency, -1, 1LL << 53);
	*c_r = c;
	return true;
}

enum err_code os_reply_hits(struct arena *a, const json_t *o, const char *currency, struct candidate **rows_r, size_t *n_r,
			    const json_t **after_r, struct err *e)
{
	const json_t *hits = json_object_get(json_object_get(o, "hits"), "hits"), *hit, *last = NULL;
	struct candidate *rows;
	size_t i, n = 0;

	if (!json_is_array(hits))
		return broken(e, "without hits");
	if (!whole(o))
		return broken(e, "for a part of the index only");
	rows = arena_array(a, json_array_size(hits) + 1, sizeof(*rows));
	json_array_foreach(hits, i, hit) {
		n += read_hit(a, hit, currency, &rows[n]);
		last = hit;
	}
	last = json_object_get(last, "sort");
	*rows_r = rows;
	*n_r = n;
	*after_r = json_is_array(last) ? last : NULL;
	return OK;
}

/* ---- facets ---- */

static const char *bucket_value(struct arena *a, const char *facet, const json_t *key)
{
	const char *s = json_string_value(key), *colon;

	if (s && strncmp(facet, "attr:", 5) == 0) {
		colon = strchr(s, ':');
		s = colon && colon[1] ? colon + 1 : NULL;
	}
	return arena_strdup(a, s);
}

static size_t read_buckets(struct arena *a, const char *facet, const json_t *buckets, struct facet_row *rows)
{
	bool names_itself = strcmp(facet, "vendor") != 0 && strcmp(facet, "category") != 0;
	const json_t *b;
	size_t i, n = 0;

	json_array_foreach(buckets, i, b) {
		const char *value = bucket_value(a, facet, json_object_get(b, "key"));
		int64_t count = number(b, "doc_count", 0, INT32_MAX);

		if (value && count > 0)
			rows[n++] = (struct facet_row){ facet, value, names_itself ? value : NULL, count };
	}
	return n;
}

static const json_t *buckets_of(const json_t *agg)
{
	const json_t *v = json_object_get(json_object_get(agg, "values"), "buckets");

	return json_is_array(v) ? v : NULL;
}

enum err_code os_reply_facets(struct arena *a, const json_t *o, struct facet_row **rows_r, size_t *n_r, struct err *e)
{
	json_t *aggs = json_object_get(o, "aggregations"), *agg;
	struct facet_row *rows;
	const char *name;
	size_t room = 0, n = 0;

	if (!json_is_object(aggs))
		return broken(e, "without aggregations");
	if (!whole(o))
		return broken(e, "for a part of the index only");
	json_object_foreach(aggs, name, agg)
		room += json_array_size(buckets_of(agg));
	rows = arena_array(a, room + 1, sizeof(*rows));
	json_object_foreach(aggs, name, agg)
		n += read_buckets(a, arena_strdup(a, name), buckets_of(agg), &rows[n]);
	*rows_r = rows;
	*n_r = n;
	return OK;
}

/* ---- bulk ---- */

static enum os_item read_item(const json_t *item)
{
	const json_t *gone = json_object_get(item, "delete"), *o = gone ? gone : json_object_get(item, "index");
	int64_t status = number(o, "status", 0, 999);
	const char *type = json_string_value(json_object_get(json_object_get(o, "error"), "type"));

	if (type && strcmp(type, "index_not_found_exception") == 0)
		return OS_ITEM_LOST;
	if ((status >= 200 && status <= 299) || status == 409 || (gone && status == 404 && !type))
		return OS_ITEM_DONE;
	if (status == 404)
		return OS_ITEM_LOST;
	return status == 429 || status >= 500 || status == 0 ? OS_ITEM_LATER : OS_ITEM_BROKEN;
}

enum err_code os_reply_bulk(struct arena *a, const json_t *o, size_t n, enum os_item **items_r, struct err *e)
{
	const json_t *items = json_object_get(o, "items");
	enum os_item *v;

	if (!json_is_array(items) || json_array_size(items) != n)
		return broken(e, "not for each item");
	v = arena_array(a, n + 1, sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i] = read_item(json_array_get(items, i));
	*items_r = v;
	return OK;
}
