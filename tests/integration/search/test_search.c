/*
 * The search on a real PostgreSQL: products put in as catalog exports them, found as people type. What finds is tested once
 * with engine pg, and once more with engine opensearch when OPENSEARCH_URL names a node.
 */
#include "integration/search/world.h"

static void test_words(void **state)
{
	(void)state;
	assert_string_equal(first("headphones"), "prd_02"); /* the shorter title, by its stem */
	assert_string_equal(first("wireless headphone"), "prd_01");
	assert_string_equal(first("kasereibe"), "prd_05");
	assert_string_equal(first("the kitchen"), "prd_07");
	assert_int_equal(find("zzzzqqq")->n_data, 0);
	assert_int_equal(find(" -- !! ")->n_data, 0);
}

static void test_codes(void **state)
{
	(void)state;
	assert_string_equal(first("WH-1000XM3"), "prd_01");
	assert_string_equal(first("wh1000xm3"), "prd_01");
	assert_string_equal(first("4548736082830"), "prd_01");
	assert_string_equal(first("nm-sl-15"), "prd_03");
	assert_string_equal(first("NMSL15"), "prd_03");
}

static void test_typos(void **state)
{
	Search__V1__SearchReply *r;

	(void)state;
	r = find("headhpones");
	assert_true(has(r, "prd_01"));
	assert_string_equal(r->corrected_query, "headphones");
	assert_string_equal(first("scisors"), "prd_07");
	r = find("wall paper");
	assert_string_equal(r->data[0]->id, "prd_06");
	r = find("laptopsleeve");
	assert_string_equal(r->data[0]->id, "prd_03");
	assert_string_equal(r->corrected_query, "laptop sleeve");
	assert_null(find("laptop")->corrected_query);
}

static void test_relaxed(void **state)
{
	Search__V1__SearchReply *r = find("lenovo headphones");

	(void)state;
	assert_true(r->relaxed);
	assert_true(r->n_data > 0);
	assert_false(find("lenovo laptop")->relaxed);
}

static void test_filters_and_facets(void **state)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	Search__V1__SearchReply *r;
	char *brand[] = { (char *)"nomad" }, *attr[] = { (char *)"color:black" }, *facet[] = { (char *)"attr:color",
											       (char *)"brand" };

	(void)state;
	in.q = (char *)"laptop";
	in.brand = brand;
	in.n_brand = 1;
	in.facet = facet;
	in.n_facet = 2;
	r = ask(&in);
	assert_int_equal(r->n_data, 1);
	assert_string_equal(r->data[0]->id, "prd_03");
	for (size_t i = 0; i < r->n_facets; i++) {
		if (strcmp(r->facets[i]->name, "brand") == 0)
			assert_int_equal(r->facets[i]->n_values, 2); /* it ignores its own selection */
		else
			assert_int_equal(r->facets[i]->n_values, 1);
	}
	assert_int_equal(r->n_facets, 2);
	in.n_brand = in.n_facet = 0;
	in.attr = attr;
	in.n_attr = 1;
	in.category = (char *)"computers";
	r = ask(&in);
	assert_int_equal(r->n_data, 1);
	assert_string_equal(r->data[0]->id, "prd_04");
	in.category = NULL;
	in.has_price_max = true;
	in.price_max = 5000;
	assert_string_equal(ask(&in)->data[0]->id, "prd_03");
	in.currency = (char *)"EUR";
	assert_int_equal(ask(&in)->n_data, 0);
}

/* Prices fall into steps of 1, 2, 5, 10, …; ratings count for each step they reach. */
static void test_buckets(void **state)
{
	Search__V1__SearchReply *r;
	size_t seen = 0;

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE search.doc SET rating_x100 = 350, rating_count = 2 WHERE product_id = 'prd_03'");
	pg_fixture_sql(w.fx, "UPDATE search.doc SET rating_x100 = 200, rating_count = 2 WHERE product_id = 'prd_04'");
	r = find("laptop");
	for (size_t i = 0; i < r->n_facets; i++) {
		const Search__V1__Facet *f = r->facets[i];

		if (strcmp(f->name, "price") == 0) {
			assert_int_equal(f->n_values, 2);
			assert_int_equal(f->values[0]->from, 2000);
			assert_int_equal(f->values[0]->to, 5000);
			assert_int_equal(f->values[1]->from, 100000);
			assert_int_equal(f->values[1]->to, 200000);
			seen++;
		}
		if (strcmp(f->name, "rating") == 0) {
			assert_int_equal(f->n_values, 3);
			assert_string_equal(f->values[0]->value, "3");
			assert_int_equal(f->values[0]->count, 1);
			assert_string_equal(f->values[2]->value, "1");
			assert_int_equal(f->values[2]->count, 2);
			seen++;
		}
	}
	assert_int_equal(seen, 2);
	pg_fixture_sql(w.fx, "UPDATE search.doc SET rating_x100 = 0, rating_count = 0");
}

static void test_sorts_and_pages(void **state)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	Search__V1__SearchReply *r;
	char seen[256] = "";

	(void)state;
	in.q = (char *)"laptop";
	in.sort = (char *)"-price";
	assert_string_equal(ask(&in)->data[0]->id, "prd_04");
	in.sort = (char *)"price";
	in.has_limit = true;
	in.limit = 1;
	do {
		r = ask(&in);
		assert_int_equal(r->n_data, 1);
		(void)strncat(seen, r->data[0]->id, sizeof(seen) - strlen(seen) - 1);
		in.cursor = r->next_cursor;
	} while (in.cursor);
	assert_string_equal(seen, "prd_03prd_04");
}

static void test_highlight(void **state)
{
	Search__V1__SearchReply *r = find("käsereibe fein");

	(void)state;
	assert_string_equal(r->data[0]->highlight->title, "<em>Käsereibe</em> &lt;<em>fein</em>&gt;");
}

static void test_synonyms_and_rules(void **state)
{
	struct principal admin = who_admin(admin_perm);
	Search__V1__CreateSynonymRequest syn = SEARCH__V1__CREATE_SYNONYM_REQUEST__INIT;
	Search__V1__CreateRuleRequest rule = SEARCH__V1__CREATE_RULE_REQUEST__INIT;
	Search__V1__DeleteRuleRequest no_rule = SEARCH__V1__DELETE_RULE_REQUEST__INIT;
	Search__V1__Rule *made = NULL;
	Search__V1__Synonym *s = NULL;
	char *words[] = { (char *)"shears" }, *brand[] = { (char *)"lenovo" };
	int64_t before;
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	Search__V1__SearchReply *r;

	(void)state;
	assert_int_equal(find("shears")->n_data, 0);
	syn.from = (char *)"shears";
	words[0] = (char *)"kitchen scissors";
	syn.words = words;
	syn.n_words = 1;
	MUST(handlers_ask(&w.h, w.a, "CreateSynonym", &admin, &syn, &s, &why_));
	refresh();
	assert_string_equal(first("shears"), "prd_07");

	rule.query = (char *)"Laptop";
	rule.action = (char *)"pin";
	rule.product_id = (char *)"prd_06";
	rule.position = 1;
	assert_int_equal(handlers_ask(&w.h, w.a, "CreateRule", &who_nobody, &rule, NULL, NULL), E_UNAUTH);
	before = known_version(w.svc.known);
	pg_fixture_sql(w.fx, "INSERT INTO search.rule (id, query, action, product_id, position) VALUES"
			     " ('rul_00000000000000000000000001', 'laptop', 'pin', 'prd_06', 1),"
			     " ('rul_00000000000000000000000002', 'laptop', 'hide', 'prd_03', 0)");
	r = find("laptop");
	assert_string_equal(r->data[0]->id, "prd_06");
	assert_true(r->data[0]->pinned && !r->data[1]->pinned);
	assert_false(has(r, "prd_03"));
	in.q = (char *)"laptop"; /* from the list that is kept, too */
	in.has_limit = true;
	in.limit = 1;
	r = ask(&in);
	in.cursor = r->next_cursor;
	assert_true(r->data[0]->pinned && !ask(&in)->data[0]->pinned);
	in.cursor = NULL;
	in.has_limit = false;
	/* A pin overrules neither the filters nor that a product is no more sold. */
	in.brand = brand;
	in.n_brand = 1;
	r = ask(&in);
	assert_int_equal(r->n_data, 1);
	assert_string_equal(r->data[0]->id, "prd_04");
	assert_int_equal(r->total, 1);
	put(&shop[5], false);
	refresh();
	r = find("laptop");
	assert_string_equal(r->data[0]->id, "prd_04");
	assert_int_equal(r->total, r->n_data);
	put(&shop[5], true);
	refresh();
	assert_string_equal(first("laptop"), "prd_06");
	assert_true(known_version(w.svc.known) != before); /* answers that are kept are not those of other rules */
	before = known_version(w.svc.known);
	pg_fixture_sql(w.fx, "UPDATE search.rule SET ends_at = now() - interval '1 s'");
	refresh();
	assert_true(known_version(w.svc.known) != before);
	assert_string_not_equal(first("laptop"), "prd_06");
	assert_true(has(find("laptop"), "prd_03"));
	rule.product_id = (char *)"prd_01jd000000000000000000000x";
	rule.has_position = true;
	MUST(handlers_ask(&w.h, w.a, "CreateRule", &admin, &rule, &made, &why_));
	no_rule.rule_id = made->id;
	assert_int_equal(handlers_ask(&w.h, w.a, "CreateRule", &admin, &rule, NULL, NULL), E_CONFLICT);
	MUST(handlers_ask(&w.h, w.a, "DeleteRule", &admin, &no_rule, NULL, &why_));
	assert_int_equal(handlers_ask(&w.h, w.a, "DeleteRule", &admin, &no_rule, NULL, NULL), E_NOT_FOUND);
}

static void test_hidden_is_gone(void **state)
{
	(void)state;
	put(&shop[6], false);
	refresh();
	assert_false(has(find("scissors"), "prd_07"));
	put(&shop[6], true);
	refresh();
	assert_true(has(find("scissors"), "prd_07"));
}

static void test_hostile(void **state)
{
	static const char *const queries[] = { "' OR 1=1 --", "a & | ! ( ) <-> :* 'b", "%%%___***", "\"unbalanced 'quotes",
					       "\x01\x02\x7f", "\xf0\x9f\x98\x80 \xf0\x9f\x91\x8d", "\xe2\x80\xae desrever",
					       "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a" };
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	char *long_one = arena_alloc(w.a, 12001);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		(void)find(queries[i]);
		(void)suggest(queries[i]);
	}
	memset(long_one, 'x', 999);
	(void)find(long_one);
	(void)suggest(long_one);
	memset(long_one, 'x', 12000);
	in.q = long_one;
	assert_int_equal(handlers_ask(&w.h, w.a, "Search", &who_nobody, &in, NULL, NULL), E_INVALID);
}

static void test_audited(void **state)
{
	(void)state;
	assert_string_equal(pg_fixture_unaudited(w.fx, "search"), "");
}

static int open_os(void **state)
{
	*state = getenv("OPENSEARCH_URL");
	return open_world(state);
}

int main(void)
{
	const char *url = getenv("OPENSEARCH_URL");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_typos),
		cmocka_unit_test(test_relaxed),
		cmocka_unit_test(test_filters_and_facets),
		cmocka_unit_test(test_sorts_and_pages),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_highlight),
		cmocka_unit_test(test_synonyms_and_rules),
		cmocka_unit_test(test_hidden_is_gone),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_audited),
	};

	const struct CMUnitTest engine[] = {
		cmocka_unit_test(test_words),		  cmocka_unit_test(test_codes),
		cmocka_unit_test(test_typos),		  cmocka_unit_test(test_relaxed),
		cmocka_unit_test(test_filters_and_facets), cmocka_unit_test(test_sorts_and_pages),
		cmocka_unit_test(test_highlight),	  cmocka_unit_test(test_synonyms_and_rules),
		cmocka_unit_test(test_hidden_is_gone),	  cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_audited),
	};
	int failed = cmocka_run_group_tests(tests, open_pg, close_world);

	if (!url || !*url) {
		print_message("engine opensearch: not run: OPENSEARCH_URL names no node\n");
		return failed;
	}
	return failed + cmocka_run_group_tests(engine, open_os, close_world);
}
