/* How the index is kept: what is hidden is gone, a rebuild swaps at once, popular words are sought where the best are. */
#include "integration/search/world.h"

#include <pthread.h>
#include <stdatomic.h>

#include "services/search/search_db_index.h"

static enum err_code start_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_build_start(pg, e);
}

static enum err_code swap_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_build_swap(pg, e);
}

/* What is searched stays whole while the other slot is filled, and changes at once. */
static void test_rebuild(void **state)
{
	const struct pg_actor who = { "system", "" };

	(void)state;
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, start_tx, NULL, &why_));
	for (size_t i = 0; i < ARRAY_LEN(shop); i++) {
		Catalog__V1__ExportedProduct *p = product(&shop[i], true);
		struct index_batch b = { .svc = &w.svc, .arena = w.a, .products = &p, .n_products = 1,
					 .ids = &shop[i].id, .n_ids = 1, .other_only = true };

		MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, put_tx, &b, &why_));
		refresh();
		assert_int_equal(find("laptop")->n_data, 2);
	}
	put(&shop[3], false); /* changes go to both */
	refresh();
	assert_int_equal(find("laptop")->n_data, 1);
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, swap_tx, NULL, &why_));
	assert_int_equal(find("laptop")->n_data, 1);
	refresh();
	assert_int_equal(find("laptop")->n_data, 1);
	put(&shop[3], true);
	refresh();
	assert_int_equal(find("laptop")->n_data, 2);
	assert_int_equal(dict_totals(w.svc.dict).docs, ARRAY_LEN(shop));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.word w JOIN search.state s ON s.slot = w.slot"
					      " WHERE df <> (SELECT count(*) FROM search.doc d WHERE d.slot = w.slot AND"
					      " EXISTS (SELECT 1 FROM unnest(d.words) x WHERE split_part(x, ' ', 1) = w.word))"),
			 0);
}

static enum err_code clear_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_clear(pg, e);
}

struct watcher {
	atomic_bool stop;
	atomic_int asked, wrong;
};

/* Asks all the time; every answer must be whole. */
static void *watch(void *arg)
{
	struct watcher *x = arg;
	struct arena *a = arena_new("watch", 16 << 20);

	while (!atomic_load(&x->stop)) {
		Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
		Search__V1__SearchReply *out = NULL;

		arena_reset(a);
		in.q = (char *)"laptop";
		if (handlers_ask(&w.h, a, "Search", &who_nobody, &in, &out, NULL) || out->n_data != 2 || out->relaxed ||
		    out->n_facets != 5)
			atomic_fetch_add(&x->wrong, 1);
		atomic_fetch_add(&x->asked, 1);
	}
	arena_free(a);
	return NULL;
}

/* Rebuilt again and again, emptied slots included, while queries run: none sees less than everything. */
static void test_swap_under_queries(void **state)
{
	const struct pg_actor who = { "system", "" };
	struct watcher x = { 0 };
	pthread_t thread[2];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, watch, &x), 0);
	for (int round = 0; round < 6; round++) {
		int before = atomic_load(&x.asked);

		pg_fixture_sql(w.fx, "UPDATE search.state SET build = 'wanted'");
		MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, start_tx, NULL, &why_));
		for (size_t i = 0; i < ARRAY_LEN(shop); i++) {
			Catalog__V1__ExportedProduct *p = product(&shop[i], true);
			struct index_batch b = { .svc = &w.svc, .arena = w.a, .products = &p, .n_products = 1,
						 .ids = &shop[i].id, .n_ids = 1, .other_only = true };

			MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, put_tx, &b, &why_));
		}
		MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, swap_tx, NULL, &why_));
		MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, clear_tx, NULL, &why_));
		refresh();
		for (int64_t until = mono_ms() + 20000; atomic_load(&x.asked) < before + 4 && mono_ms() < until;)
			pg_fixture_settle(w.fx);
	}
	atomic_store(&x.stop, true);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_true(atomic_load(&x.asked) > 20);
	assert_int_equal(atomic_load(&x.wrong), 0);
}

static enum err_code tiers_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_tiers(pg, e);
}

/* Copies of a product, in a tier. */
static void copies(int n, int tier, const char *brand)
{
	pg_fixture_sql(w.fx, "CREATE TEMP TABLE copy AS SELECT d.* FROM search.doc d JOIN search.state s ON s.slot = d.slot"
			     " WHERE d.product_id = 'prd_03'");
	pg_fixture_sql(w.fx, "UPDATE copy SET tier = %d, brand = '%s'", tier, brand);
	for (int i = 0; i < n; i++) {
		pg_fixture_sql(w.fx, "UPDATE copy SET product_id = 'prd_%d_%03d'", tier, i);
		pg_fixture_sql(w.fx, "INSERT INTO search.doc SELECT * FROM copy");
	}
	pg_fixture_sql(w.fx, "DROP TABLE copy");
}

static Search__V1__SearchReply *of_brand(const char *brand)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	char *brands[] = { (char *)brand };

	in.q = (char *)"sleeve";
	in.brand = brands;
	in.n_brand = 1;
	return ask(&in);
}

/* A word of a million products is sought among the best, and among all when these have too few. */
static void test_tiers(void **state)
{
	const struct dict_totals before = dict_totals(w.svc.dict);
	struct dict_totals many = before;
	Search__V1__SearchReply *r;

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE search.doc SET tier = 2");
	copies(260, 0, "Toplight");
	copies(30, 1, "Goodman");
	copies(30, 2, "Lastname");
	assert_int_equal(find("sleeve")->total, 321); /* few products: all are looked at */
	many.docs = 1000000;
	dict_set_totals(w.svc.dict, &many);
	dict_put(w.svc.dict, "sleeve", "sleev", 900000);
	r = find("sleeve");
	assert_int_equal(r->total, 260);
	assert_true(r->total_capped);
	r = of_brand("lastname");
	assert_int_equal(r->total, 30);
	assert_false(r->total_capped);
	for (size_t i = 0; i < r->n_facets; i++)
		if (strcmp(r->facets[i]->name, "brand") == 0)
			assert_string_equal(r->facets[i]->values[0]->value, "Toplight"); /* without its own selection */
	dict_put(w.svc.dict, "sleeve", "sleev", 30000); /* plenty to expect in the second tier, not in the first */
	assert_int_equal(find("sleeve")->total, 290);
	dict_put(w.svc.dict, "sleeve", "sleev", 3000); /* few enough to look at all */
	assert_int_equal(find("sleeve")->total, 321);
	dict_put(w.svc.dict, "sleeve", "sleev", 1);
	dict_set_totals(w.svc.dict, &before);
	pg_fixture_sql(w.fx, "DELETE FROM search.doc WHERE brand IN ('Toplight', 'Goodman', 'Lastname')");
}

/* What sells more than most is put into a tier for it. */
static void test_best_sellers_are_in_a_tier(void **state)
{
	const struct pg_actor who = { "system", "" };

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE search.doc SET sold_30d = right(product_id, 1)::int");
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, tiers_tx, NULL, &why_));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT t.sold_good FROM search.total t JOIN search.state s USING (slot)"), 7);
	pg_fixture_sql(w.fx, "UPDATE search.total SET sold_top = -1");
	put(&shop[0], true);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT tier FROM search.doc WHERE product_id = 'prd_01'"), 0);
	pg_fixture_sql(w.fx, "UPDATE search.total SET sold_top = 9, sold_good = -1");
	put(&shop[0], true);
	assert_true(pg_fixture_i64(w.fx, "SELECT tier FROM search.doc WHERE product_id = 'prd_01'") <= 1);
	pg_fixture_sql(w.fx, "UPDATE search.total SET sold_top = NULL, sold_good = NULL");
	put(&shop[0], true);
}

/* Until the rebuild after an upgrade is through, rows are ranked by their tsvector, and in the same order. */
static void test_rows_without_a_card(void **state)
{
	const char *const queries[] = { "headphones", "laptop", "kitchen scissors", "black laptop sleeve" };
	const char *order[4] = { 0 };

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
			Search__V1__SearchReply *r = find(queries[i]);
			char *ids = arena_strdup(w.a, "");

			for (size_t k = 0; k < r->n_data; k++)
				ids = arena_printf(w.a, "%s %s", ids, r->data[k]->id);
			if (round == 0)
				order[i] = ids;
			assert_string_not_equal(ids, "");
			assert_string_equal(ids, order[i]);
		}
		assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.doc WHERE card = ''"), round ? ARRAY_LEN(shop) : 0);
		pg_fixture_sql(w.fx, "UPDATE search.doc SET card = ''");
	}
	for (size_t i = 0; i < ARRAY_LEN(shop); i++)
		put(&shop[i], true);
}

static void test_audited(void **state)
{
	(void)state;
	assert_string_equal(pg_fixture_unaudited(w.fx, "search"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_swap_under_queries),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_best_sellers_are_in_a_tier),
		cmocka_unit_test(test_rows_without_a_card),
		cmocka_unit_test(test_audited),
	};

	return cmocka_run_group_tests(tests, open_pg, close_world);
}
