/* What engine `opensearch` asks, and what it makes of answers of any shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/search/engine_os_bulk.h"
#include "services/search/engine_os_query.h"
#include "services/search/engine_os_reply.h"

static struct arena *a;

static struct query three_words(void)
{
	static const char *const words[] = { "red", "desk", "lamp" };
	struct query q = { .lang = "en", .n = 3 };

	for (size_t i = 0; i < 3; i++)
		q.units[i] = (struct unit){ .word = words[i], .lexeme = words[i], .n_alts = 1, .df = 5,
					    .alts = { { .lexemes = { words[i] }, .n = 1, .weight = 1 } } };
	q.units[2].alts[1] = (struct alt){ .lexemes = { "light", "\"}]" }, .n = 2, .weight = 0.5 };
	q.units[2].n_alts = 2;
	return q;
}

static json_t *read(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	assert_non_null(o);
	return o;
}

static const json_t *at(const json_t *o, const char *path)
{
	char *copy = arena_strdup(a, path), *save = NULL;

	for (char *p = strtok_r(copy, "/", &save); p; p = strtok_r(NULL, "/", &save))
		o = json_is_array(o) ? json_array_get(o, strtoul(p, NULL, 10)) : json_object_get(o, p);
	return o;
}

static int64_t number(const json_t *o, const char *path)
{
	return json_integer_value(at(o, path));
}

static const char *text(const json_t *o, const char *path)
{
	const char *s = json_string_value(at(o, path));

	return s ? s : "";
}

static const struct filters all_filters = {
	.currency = "EUR", .category_id = "cat_1", .vendor_ids = (const char *const[]){ "vnd_1" }, .n_vendors = 1,
	.brands = (const char *const[]){ "acme", "o'neil \"x\"" }, .n_brands = 2, .has_price_min = true, .price_min = 100,
	.has_price_max = true, .price_max = 5000000000, .in_stock = true, .rating_min = 3,
	.attrs = (const char *const[]){ "color:red\x1f" "color:blue", "size:l" }, .n_attrs = 2,
};
static const struct filters no_filters = { .currency = "EUR" };

static void test_stages(void **state)
{
	struct query q = three_words();
	static const int least[] = { 3, 2, 1 };

	(void)state;
	for (int stage = 1; stage <= 3; stage++) {
		json_t *o = read(os_search_json(a, &q, stage, &no_filters, NULL));

		assert_int_equal(number(o, "query/bool/must/bool/minimum_should_match"), least[stage - 1]);
		assert_int_equal(json_array_size(at(o, "query/bool/must/bool/should")), 3);
		assert_string_equal(text(o, "query/bool/must/bool/should/0/bool/should/0/bool/must/0/multi_match/query"), "red");
		assert_string_equal(text(o, "query/bool/must/bool/should/2/bool/should/1/bool/must/1/multi_match/query"), "\"}]");
		assert_true(json_real_value(at(o, "query/bool/must/bool/should/2/bool/should/1/bool/boost")) < 1);
		json_decref(o);
	}
	q.units[1].df = 1;
	q.n = 2; /* the rarest alone */
	assert_null(os_search_json(a, &q, 2, &no_filters, NULL));
	json_t *o = read(os_search_json(a, &q, 3, &no_filters, NULL));
	assert_int_equal(json_array_size(at(o, "query/bool/must/bool/should")), 1);
	assert_string_equal(text(o, "query/bool/must/bool/should/0/bool/should/0/bool/must/0/multi_match/query"), "desk");
	json_decref(o);
	q.n = 0;
	assert_null(os_search_json(a, &q, 1, &no_filters, NULL));
	assert_null(os_facets_json(a, &q, 1, &no_filters, NULL, 0));
}

static void test_filters(void **state)
{
	struct query q = three_words();
	json_t *o = read(os_search_json(a, &q, 1, &all_filters, NULL));

	(void)state;
	assert_int_equal(json_array_size(at(o, "query/bool/filter")), 9);
	assert_string_equal(text(o, "query/bool/filter/0/term/categories"), "cat_1");
	assert_string_equal(text(o, "query/bool/filter/2/terms/brand_small/1"), "o'neil \"x\"");
	assert_int_equal(number(o, "query/bool/filter/4/range/prices.EUR/lte"), 5000000000);
	assert_string_equal(text(o, "query/bool/filter/5/bool/must_not/term/availability"), "out");
	assert_int_equal(number(o, "query/bool/filter/6/range/rating_x100/gte"), 300);
	assert_int_equal(json_array_size(at(o, "query/bool/filter/7/terms/attrs")), 2);
	assert_string_equal(text(o, "query/bool/filter/7/terms/attrs/1"), "color:blue");
	assert_string_equal(text(o, "query/bool/filter/8/terms/attrs/0"), "size:l");
	json_decref(o);
}

static void test_sorts(void **state)
{
	static const char *const first[] = { "_score", "prices.EUR", "prices.EUR", "published_at", "rating_x100", "sold_30d" };
	struct query q = three_words();
	struct filters f = no_filters;
	json_t *after = read("[12.5, \"prd_1\"]"), *o;

	(void)state;
	for (f.sort = SORT_RELEVANCE; f.sort <= SORT_BEST; f.sort++) {
		const json_t *sort;

		o = read(os_search_json(a, &q, 1, &f, after));
		sort = at(o, "sort");
		assert_non_null(json_object_get(json_array_get(sort, 0), first[f.sort]));
		assert_non_null(json_object_get(json_array_get(sort, json_array_size(sort) - 1), "product_id"));
		assert_true(json_equal(at(o, "search_after"), after));
		json_decref(o);
	}
	f.sort = SORT_PRICE_DOWN;
	o = read(os_search_json(a, &q, 1, &f, NULL));
	assert_null(at(o, "search_after"));
	assert_string_equal(text(o, "sort/0/prices.EUR/order"), "desc");
	assert_string_equal(text(o, "sort/0/prices.EUR/missing"), "_last");
	json_decref(o);
	json_decref(after);
}

/* Nine filters in all; a facet is under those of the others. */
static void test_facets(void **state)
{
	static const char *const names[] = { "color", "a.b*" };
	static const struct {
		const char *agg;
		size_t filters;
	} want[] = { { "brand", 8 }, { "vendor", 8 }, { "category", 8 }, { "availability", 8 }, { "rating", 8 }, { "price", 7 },
		     { "attr:color", 8 }, { "attr:a.b*", 9 } };
	struct query q = three_words();
	json_t *o = read(os_facets_json(a, &q, 1, &all_filters, names, 2)), *agg;

	(void)state;
	assert_int_equal(json_object_size(at(o, "aggs")), ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		agg = json_object_get(at(o, "aggs"), want[i].agg);
		assert_int_equal(json_array_size(at(agg, "filter/bool/filter")), want[i].filters);
	}
	agg = json_object_get(at(o, "aggs"), "attr:a.b*");
	assert_string_equal(text(agg, "aggs/values/terms/include"), "a\\.b\\*:.*");
	assert_int_equal(number(o, "aggs/price/aggs/values/range/ranges/0/from"), 0);
	assert_int_equal(number(o, "aggs/price/aggs/values/range/ranges/4/to"), 50);
	assert_string_equal(text(o, "aggs/price/aggs/values/range/ranges/4/key"), "20");
	json_decref(o);
}

static void test_bulk_lines(void **state)
{
	struct feed_doc d = { .product_id = "prd_1", .seq = 42, .tsv = "'desk':2A,30C 'lamp':3A 'led':7B", .brand = "O\"Neil",
			      .brand_small = "o\"neil", .vendor_id = "vnd_1", .availability = "in", .categories = "[\"cat_1\"]",
			      .attrs = "[]", .prices = "{\"EUR\": 1200}", .sold_30d = 3 };
	struct feed_doc gone = { .product_id = "prd_2", .seq = 43, .gone = true };
	struct buf b;
	char *save = NULL, *lines, *none;
	json_t *o;

	(void)state;
	buf_init(&b, OS_BULK_MAX);
	os_bulk_add(&b, "goods-writer", &d);
	os_bulk_add(&b, "goods-writer", &gone);
	lines = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	o = read(strtok_r(lines, "\n", &save));
	assert_int_equal(number(o, "index/version"), 42);
	assert_string_equal(text(o, "index/version_type"), "external_gte");
	json_decref(o);
	o = read(strtok_r(NULL, "\n", &save));
	assert_string_equal(text(o, "title"), "desk lamp ");
	assert_string_equal(text(o, "words"), "desk desk lamp led ");
	assert_string_equal(text(o, "rank/tsv"), d.tsv);
	assert_string_equal(text(o, "brand"), "O\"Neil");
	assert_int_equal(number(o, "prices/EUR"), 1200);
	json_decref(o);
	o = read(strtok_r(NULL, "\n", &save));
	assert_int_equal(number(o, "delete/version"), 43);
	json_decref(o);
	none = strtok_r(NULL, "\n", &save);
	assert_null(none);
}

/* ---- answers ---- */

static enum err_code reply_of(int status, const char *body, size_t n, json_t **o_r)
{
	const struct httpc_reply r = { .status = status, .body = { (const uint8_t *)body, n } };
	struct err e = { 0 };
	enum err_code code = os_reply_json(&r, o_r, &e);

	if (code)
		assert_string_equal(e.slug, "search.engine");
	return code;
}

static void test_no_json(void **state)
{
	static const char *const bodies[] = { "", "{", "[]", "null", "\"x\"", "{\"hits\":", "<html>", "{} {}", "\xff\xfe" };
	json_t *o = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_int_equal(reply_of(200, bodies[i], strlen(bodies[i]), &o), E_UNAVAILABLE);
	for (int status = 300; status < 600; status += 33)
		assert_int_equal(reply_of(status, "{}", 2, &o), E_UNAVAILABLE);
	assert_int_equal(reply_of(429, "{}", 2, &o), E_UNAVAILABLE);
	assert_int_equal(reply_of(503, "{}", 2, &o), E_UNAVAILABLE);
	assert_null(o);
	char *deep = arena_alloc(a, 1 << 20);

	memset(deep, '[', (1 << 20) - 1);
	assert_int_equal(reply_of(200, deep, (1 << 20) - 1, &o), E_UNAVAILABLE);
	assert_int_equal(reply_of(200, "{}", 2, &o), OK);
	json_decref(o);
}

static enum err_code hits_of(const char *body, struct candidate **rows_r, size_t *n_r, bool *more_r)
{
	const json_t *after = NULL;
	json_t *o = read(body);
	struct err e = { 0 };
	enum err_code code = os_reply_hits(a, o, "EUR", rows_r, n_r, &after, &e);

	if (more_r)
		*more_r = after != NULL;
	json_decref(o);
	return code;
}

static void test_hits(void **state)
{
	struct candidate *rows = NULL;
	size_t n = 0;
	bool more = false;

	(void)state;
	assert_int_equal(hits_of("{\"timed_out\":false,\"_shards\":{\"failed\":0},\"hits\":{\"hits\":["
				 "{\"_id\":\"prd_1\",\"_source\":{\"availability\":\"low\",\"prices\":{\"EUR\":1200},\"rank\":{\"tsv\":"
				 "\"'desk':2A\",\"len_a\":3,\"sold_30d\":7,\"rating_x100\":450}},\"sort\":[1.5,\"prd_1\"]}]}}",
				 &rows, &n, &more),
			 OK);
	assert_int_equal(n, 1);
	assert_true(more);
	assert_string_equal(rows[0].product_id, "prd_1");
	assert_string_equal(rows[0].availability, "low");
	assert_int_equal(rows[0].price, 1200);
	assert_int_equal(rows[0].len_a, 3);
	assert_int_equal(rows[0].sold_30d, 7);
}

static void test_hostile_hits(void **state)
{
	static const char *const whole_answers[] = {
		"{}", "{\"hits\":7}", "{\"hits\":{\"hits\":{}}}", "{\"hits\":{\"hits\":null}}",
		"{\"timed_out\":true,\"hits\":{\"hits\":[]}}", "{\"_shards\":{\"failed\":1},\"hits\":{\"hits\":[]}}",
		"{\"error\":{\"type\":\"x\"},\"status\":400}",
	};
	struct candidate *rows = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(whole_answers); i++)
		assert_int_equal(hits_of(whole_answers[i], &rows, &n, NULL), E_UNAVAILABLE);
	/* Each of these is left out; the last is taken with what makes sense of it. */
	assert_int_equal(
		hits_of("{\"hits\":{\"hits\":[1,null,{},{\"_id\":7},{\"_id\":\"\"},{\"_id\":\"a\\nb\",\"_source\":{\"rank\":{\"tsv\":\"\"}}},"
			"{\"_id\":\"no_source\"},{\"_id\":\"tsv\",\"_source\":{\"rank\":{\"tsv\":[1]}}},"
			"{\"_id\":\"place\",\"_source\":{\"rank\":{\"tsv\":\"'x':2147483647A\"}}},"
			"{\"_id\":\"good\",\"_source\":{\"availability\":[],\"prices\":{\"EUR\":\"1\"},\"rank\":{\"tsv\":\"'x'\","
			"\"len_a\":1e300,\"len_b\":-5,\"sold_30d\":9e18,\"rating_count\":\"many\"}},\"sort\":\"none\"}]}}",
			&rows, &n, NULL),
		OK);
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].product_id, "good");
	assert_string_equal(rows[0].availability, "out");
	assert_int_equal(rows[0].price, -1);
	assert_int_equal(rows[0].len_a, 1000000);
	assert_int_equal(rows[0].len_b, 0);
	assert_int_equal(rows[0].sold_30d, INT32_MAX);
}

static void test_facet_rows(void **state)
{
	json_t *o = read("{\"aggregations\":{\"brand\":{\"values\":{\"buckets\":[{\"key\":\"Acme\",\"doc_count\":3},"
			 "{\"key\":7,\"doc_count\":1},{\"key\":\"None\",\"doc_count\":0},{\"key\":\"Bad\",\"doc_count\":\"2\"}]}},"
			 "\"category\":{\"values\":{\"buckets\":[{\"key\":\"cat_1\",\"doc_count\":2}]}},"
			 "\"attr:color\":{\"values\":{\"buckets\":[{\"key\":\"color:red:ish\",\"doc_count\":4},{\"key\":\"color\","
			 "\"doc_count\":1}]}},\"odd\":{\"values\":[]},\"none\":3}}");
	struct facet_row *rows = NULL;
	struct err e = { 0 };
	size_t n = 0;
	json_t *bad = read("{\"aggregations\":[]}");

	(void)state;
	assert_int_equal(os_reply_facets(a, o, &rows, &n, &e), OK);
	json_decref(o);
	assert_int_equal(n, 3);
	assert_string_equal(rows[0].value, "Acme");
	assert_string_equal(rows[0].label, "Acme");
	assert_string_equal(rows[1].facet, "category");
	assert_null(rows[1].label);
	assert_string_equal(rows[2].value, "red:ish");
	assert_int_equal(rows[2].n, 4);
	assert_int_equal(os_reply_facets(a, bad, &rows, &n, &e), E_UNAVAILABLE);
	json_decref(bad);
}

static void test_bulk_items(void **state)
{
	static const enum os_item want[] = { OS_ITEM_DONE, OS_ITEM_DONE, OS_ITEM_DONE, OS_ITEM_LATER, OS_ITEM_LATER,
					     OS_ITEM_BROKEN, OS_ITEM_LOST, OS_ITEM_LATER, OS_ITEM_LATER };
	json_t *o = read("{\"errors\":true,\"items\":[{\"index\":{\"status\":201}},{\"index\":{\"status\":409,\"error\":{\"type\":"
			 "\"version_conflict_engine_exception\"}}},{\"delete\":{\"status\":404,\"result\":\"not_found\"}},"
			 "{\"index\":{\"status\":429}},{\"index\":{\"status\":503}},{\"index\":{\"status\":400,\"error\":{\"type\":"
			 "\"mapper_parsing_exception\"}}},{\"delete\":{\"status\":404,\"error\":{\"type\":"
			 "\"index_not_found_exception\"}}},7,{\"index\":{\"status\":\"201\"}}]}");
	enum os_item *items = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(os_reply_bulk(a, o, ARRAY_LEN(want), &items, &e), OK);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(items[i], want[i]);
	assert_int_equal(os_reply_bulk(a, o, 3, &items, &e), E_UNAVAILABLE);
	json_decref(o);
	o = read("{\"items\":{}}");
	assert_int_equal(os_reply_bulk(a, o, 0, &items, &e), E_UNAVAILABLE);
	json_decref(o);
}

static int open_arena(void **state)
{
	(void)state;
	a = arena_new("test", 64 << 20);
	return 0;
}

static int close_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stages),	    cmocka_unit_test(test_filters), cmocka_unit_test(test_sorts),
		cmocka_unit_test(test_facets),	    cmocka_unit_test(test_bulk_lines), cmocka_unit_test(test_no_json),
		cmocka_unit_test(test_hits),	    cmocka_unit_test(test_hostile_hits), cmocka_unit_test(test_facet_rows),
		cmocka_unit_test(test_bulk_items),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
