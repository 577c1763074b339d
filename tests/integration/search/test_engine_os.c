/* Engine `opensearch` against a node that fails in every way: pg answers instead, and nothing is missed afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cursor.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "search.pb-c.h"
#include "services/search/dict.h"
#include "services/search/engine_os.h"
#include "services/search/feed.h"
#include "services/search/index.h"
#include "services/search/known.h"
#include "services/search/search_db_feed.h"
#include "services/search/search_db_index.h"
#include "services/search/suggest.h"
#include "tests/support/fake_search.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

extern const struct migration search_migrations[];

static struct {
	struct pg_fixture *fx;
	struct search_conf conf;
	struct search_svc svc;
	struct handlers h;
	struct arena *a, *turn; /* a: of the program; turn: of one try of something that is tried again */
	struct fake_search *node;
} w;

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct err why_ = { 0 };                                                           \
		if ((expr) != OK)                                                                  \
			fail_msg("%s: %s (%s)", #expr, why_.slug, why_.msg);                       \
	} while (0)

static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	return index_put(pg, arg, e);
}

static void put_as(const char *id, const char *title, bool visible, bool other_only, bool last)
{
	const struct pg_actor who = { "system", "" };
	Catalog__V1__ExportedProduct p = CATALOG__V1__EXPORTED_PRODUCT__INIT, *one = &p;
	struct index_batch b = { .svc = &w.svc, .arena = w.a, .products = &one, .n_products = 1, .ids = &id, .n_ids = 1,
				 .other_only = other_only, .last = last };

	p.id = p.slug = (char *)id;
	p.title = (char *)title;
	p.vendor_id = (char *)"vnd_1";
	p.vendor_name = p.vendor_slug = (char *)"shop";
	p.availability = (char *)"in";
	p.has_visible = true;
	p.visible = visible;
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, put_tx, &b, &why_));
}

static void put(const char *id, const char *title, bool visible)
{
	put_as(id, title, visible, false, false);
}

static Search__V1__SearchReply *find_in(struct arena *a, const char *q)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	Search__V1__SearchReply *out = NULL;

	in.q = (char *)q;
	MUST(handlers_ask(&w.h, a, "Search", &who_nobody, &in, &out, &why_));
	return out;
}

static Search__V1__SearchReply *find(const char *q)
{
	return find_in(w.a, q);
}

static int64_t waiting(void)
{
	return pg_fixture_i64(w.fx, "SELECT count(*) + (SELECT (build <> 'idle')::int FROM search.feed_state) FROM search.feed");
}

static void run_feed(void)
{
	arena_reset(w.turn);
	MUST(feed_run(&w.svc, w.turn, &why_));
}

/* Until the node has everything; what is put off is due at once. */
static void tell(void)
{
	for (int64_t until = mono_ms() + 60000; waiting() > 0;) {
		assert_true(mono_ms() < until);
		sleep_ms(1);
		pg_fixture_sql(w.fx, "UPDATE search.feed SET due_at = now()");
		run_feed();
	}
	MUST(known_refresh(&w.svc, w.a, &why_));
}

static int open_world(void **state)
{
	struct engine_os_conf os = { .user = "souk", .password = "a:b c", .alias = "goods", .timeout_ms = 1500 };
	struct key32 key;

	(void)state;
	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.node = fake_search_start("Basic c291azphOmIgYw==");
	os.url = fake_search_url(w.node);
	w.fx = pg_fixture_open("search", search_migrations);
	w.conf = (struct search_conf){ .lang = "en", .currency = "USD", .suggest_products = 1000, .suggest_people = 3,
				       .suggest_days = 2, .cache_s = 300, .d = { .redis_url = "" } };
	w.svc = (struct search_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, search_stmts, 4), .dict = dict_new(),
				     .known = known_new(), .suggest = suggest_new() };
	MUST(cache_open("", 1, 100, &w.svc.cache, &why_));
	MUST(engine_os_open(&os, &w.svc.os, &why_));
	w.h = (struct handlers){ search_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 1 << 30);
	w.turn = arena_new("turn", 64 << 20);
	put("prd_01", "red lamp", true);
	put("prd_02", "blue lamp", true);
	put("prd_03", "green chair", true);
	MUST(known_refresh(&w.svc, w.a, &why_));
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	assert_int_equal(fake_search_faults(w.node), 0);
	engine_os_close(w.svc.os);
	cache_close(w.svc.cache);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	dict_free(w.svc.dict);
	known_free(w.svc.known);
	suggest_free(w.svc.suggest);
	arena_free(w.a);
	arena_free(w.turn);
	fake_search_stop(w.node);
	return 0;
}

/* ---- tests ---- */

static void test_before_it_has_an_index(void **state)
{
	Search__V1__SearchReply *r = find("lamp");

	(void)state;
	assert_true(r->degraded);
	assert_int_equal(r->n_data, 2);
}

static void test_told_and_found(void **state)
{
	Search__V1__SearchReply *r;
	int before;

	(void)state;
	tell();
	assert_int_equal(fake_search_indexes(w.node), 1);
	before = fake_search_requests(w.node);
	r = find("lamp");
	assert_false(r->degraded);
	assert_int_equal(r->n_data, 2);
	assert_true(fake_search_requests(w.node) > before);
	assert_true(find("red chair")->relaxed);
	put("prd_04", "brass lamp", true);
	put("prd_01", "red lamp", false);
	assert_true(waiting() > 0);
	tell();
	r = find("lamp");
	assert_false(r->degraded);
	assert_int_equal(r->n_data, 2);
	assert_true(fake_search_version(w.node, "goods", "prd_04") > 0);
	assert_true(fake_search_version(w.node, "goods", "prd_01") < 0);
	put("prd_01", "red lamp", true);
	tell();
	assert_int_equal(find("lamp")->n_data, 3);
}

/* More than an answer holds: asked for again behind the last. */
static void test_slices(void **state)
{
	(void)state;
	for (int i = 0; i < 620; i++)
		put(arena_printf(w.a, "prd_many%03d", i), "many buttons", true);
	tell();
	assert_int_equal(find("buttons")->total, 620);
	for (int i = 0; i < 620; i++)
		put(arena_printf(w.a, "prd_many%03d", i), "many buttons", false);
	tell();
	assert_int_equal(find("buttons")->total, 0);
}

static bool recovers(void)
{
	for (int64_t until = mono_ms() + 60000; mono_ms() < until; sleep_ms(5)) {
		arena_reset(w.turn);
		if (!find_in(w.turn, "lamp")->degraded)
			return true;
	}
	return false;
}

static void test_fails_in_every_way(void **state)
{
	static const enum fake_mode modes[] = { FAKE_BUSY, FAKE_TOO_MANY, FAKE_TRUNCATED, FAKE_PARTIAL, FAKE_DENIED,
						FAKE_SILENT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		int64_t started = mono_ms();
		Search__V1__SearchReply *r;

		fake_search_mode(w.node, modes[i]);
		r = find("lamp");
		assert_true(r->degraded);
		assert_int_equal(r->n_data, 3);
		assert_true(mono_ms() - started < 30000);
		fake_search_mode(w.node, FAKE_WELL);
		assert_true(recovers());
	}
}

/* After some failures in a row it is left alone: the answer needs no call. */
static void test_left_alone(void **state)
{
	int before, asked = 0;

	(void)state;
	fake_search_mode(w.node, FAKE_BUSY);
	for (int i = 0; i < 4; i++)
		assert_true(find("lamp")->degraded);
	before = fake_search_requests(w.node);
	for (int i = 0; i < 20; i++)
		assert_true(find("lamp")->degraded);
	asked = fake_search_requests(w.node) - before;
	assert_true(asked < 20); /* it is tried now and then */
	fake_search_mode(w.node, FAKE_WELL);
	assert_true(recovers());
}

static void test_catches_up(void **state)
{
	int64_t version;

	(void)state;
	fake_search_mode(w.node, FAKE_BUSY);
	put("prd_05", "paper lamp", true);
	put("prd_02", "blue lamp", false);
	for (int i = 0; i < 5; i++)
		run_feed();
	assert_true(waiting() > 0);
	assert_int_equal(find("lamp")->n_data, 3); /* pg has it all the same */
	fake_search_mode(w.node, FAKE_WELL);
	assert_true(recovers());
	tell();
	assert_true(fake_search_version(w.node, "goods", "prd_05") > 0);
	assert_true(fake_search_version(w.node, "goods", "prd_02") < 0);
	put("prd_02", "blue lamp", true);
	tell();
	version = fake_search_version(w.node, "goods", "prd_02");
	pg_fixture_sql(w.fx, "INSERT INTO search.feed (product_id) VALUES ('prd_02')"); /* once too often does no harm */
	tell();
	assert_int_equal(fake_search_version(w.node, "goods", "prd_02"), version);
}

/* One item that is not taken holds up none of the others. */
static void test_broken_item(void **state)
{
	(void)state;
	for (int status = 400; status <= 429; status += 29) {
		fake_search_break(w.node, "prd_06", status);
		put("prd_06", "desk lamp", true);
		put("prd_07", "floor lamp", true);
		run_feed();
		assert_true(fake_search_version(w.node, "goods", "prd_07") > 0);
		assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.feed"), 1);
		assert_int_equal(pg_fixture_i64(w.fx, "SELECT tries FROM search.feed WHERE product_id = 'prd_06'"), 1);
		fake_search_break(w.node, "", 0);
		tell();
		assert_true(fake_search_version(w.node, "goods", "prd_06") > 0);
		put("prd_06", "desk lamp", false);
		put("prd_07", "floor lamp", false);
		tell();
	}
}

static Search__V1__SearchReply *find_cached(struct cache *cache, const char *q)
{
	struct cache *none = w.svc.cache;
	Search__V1__SearchReply *r;

	w.svc.cache = cache;
	r = find(q);
	w.svc.cache = none;
	return r;
}

/* An answer of pg in the engine's place is not kept; one of the engine is. */
static void test_degraded_is_not_cached(void **state)
{
	const char *url = getenv("TEST_REDIS_URL"), *q = arena_printf(w.a, "lamp zq%llx", (unsigned long long)wall_ms());
	struct cache *cache = NULL;

	(void)state;
	if (!url || !*url)
		skip();
	MUST(cache_open(url, 2, 5000, &cache, &why_));
	fake_search_mode(w.node, FAKE_BUSY);
	assert_true(find_cached(cache, q)->degraded);
	fake_search_mode(w.node, FAKE_WELL);
	assert_true(recovers());
	assert_false(find_cached(cache, q)->degraded);
	fake_search_mode(w.node, FAKE_BUSY);
	assert_false(find_cached(cache, q)->degraded);
	fake_search_mode(w.node, FAKE_WELL);
	assert_true(recovers());
	cache_close(cache);
}

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

/* A rebuild makes a new index, which takes the alias when it is whole; the old one goes. */
static void test_rebuild(void **state)
{
	const struct pg_actor who = { "system", "" };
	const char *old = arena_strdup(w.a, pg_fixture_text(w.fx, "SELECT index_name FROM search.feed_state"));

	(void)state;
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, start_tx, NULL, &why_));
	pg_fixture_sql(w.fx, "UPDATE search.state SET build = 'running'");
	put_as("prd_08", "new lamp", true, true, true);
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, swap_tx, NULL, &why_));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.feed_state WHERE build = 'wanted'"), 1);
	tell();
	assert_string_not_equal(pg_fixture_text(w.fx, "SELECT index_name FROM search.feed_state"), old);
	assert_int_equal(fake_search_indexes(w.node), 1);
	assert_int_equal(find("lamp")->n_data, 1);
	assert_false(find("lamp")->degraded);
}

/* A node that lost everything is filled again; so is one that another engine's changes went past. */
static void test_lost_and_missed(void **state)
{
	struct engine_os *os = w.svc.os;

	(void)state;
	fake_search_wipe(w.node);
	assert_true(find("lamp")->degraded);
	run_feed();
	tell();
	assert_false(find("lamp")->degraded);
	fake_search_wipe(w.node);
	put("prd_09", "glass lamp", true);
	tell();
	assert_true(fake_search_version(w.node, "goods", "prd_08") > 0);
	w.svc.os = NULL;
	put("prd_10", "stone lamp", true);
	w.svc.os = os;
	run_feed();
	tell();
	assert_int_equal(find("lamp")->n_data, 3);
	assert_false(find("lamp")->degraded);
	assert_true(fake_search_version(w.node, "goods", "prd_10") > 0);
}

static void test_settings(void **state)
{
	struct engine_os_conf good = { .url = "https://127.0.0.1:9", .alias = "goods", .timeout_ms = 100 }, bad = good;
	struct engine_os *os = NULL;
	struct err e = { 0 };

	(void)state;
	MUST(engine_os_open(&good, &os, &why_));
	engine_os_close(os);
	bad.url = "127.0.0.1:9200";
	assert_int_equal(engine_os_open(&bad, &os, &e), E_INVALID);
	bad = good;
	bad.alias = "Goods/../_all";
	assert_int_equal(engine_os_open(&bad, &os, &e), E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),	   cmocka_unit_test(test_before_it_has_an_index),
		cmocka_unit_test(test_told_and_found),	   cmocka_unit_test(test_slices),
		cmocka_unit_test(test_fails_in_every_way), cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_catches_up),	   cmocka_unit_test(test_broken_item),
		cmocka_unit_test(test_degraded_is_not_cached),
		cmocka_unit_test(test_rebuild),		   cmocka_unit_test(test_lost_and_missed),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
