/*
 * The search on a real PostgreSQL: products put in as catalog exports them, found as people type. What finds is tested once
 * with engine pg, and once more with engine opensearch when OPENSEARCH_URL names a node.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/cursor.h"
#include "common/rpc_server.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "reco.pb-c.h"
#include "search.pb-c.h"
#include "services/search/beside.h"
#include "services/search/dict.h"
#include "services/search/engine_os.h"
#include "services/search/feed.h"
#include "services/search/index.h"
#include "services/search/known.h"
#include "services/search/search_db_index.h"
#include "services/search/suggest.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

extern const struct migration search_migrations[];

static const char *const admin_perm[] = { "admin.catalog" };

static struct {
	struct pg_fixture *fx;
	struct search_conf conf;
	struct search_svc svc;
	struct handlers h;
	struct arena *a, *turn; /* a: of the program; turn: of one try of something that is tried again */
} w;

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct err why_ = { 0 };                                                           \
		if ((expr) != OK)                                                                  \
			fail_msg("%s: %s (%s) %s", #expr, why_.slug, why_.msg, why_.n_details ? why_.details[0].field : ""); \
	} while (0)

/* ---- products ---- */

struct goods {
	const char *id, *title, *brand, *category, *description, *attributes, *code;
	int64_t price;
};
static const struct goods shop[] = {
	{ "prd_01", "Sony WH-1000XM3 wireless headphones", "Sony", "audio", "Over-ear, noise cancelling.",
	  "{\"color\":\"black\",\"battery_hours\":30}", "4548736082830", 29900 },
	{ "prd_02", "Headphone stand", "Nomad", "accessories", "Oak. Keeps headphones where they belong.",
	  "{\"color\":\"brown\"}", "NM-ST-1", 3900 },
	{ "prd_03", "Laptop sleeve 15 inch", "Nomad", "accessories", "For a laptop.", "{\"color\":\"black\"}", "NM-SL-15", 2900 },
	{ "prd_04", "ThinkPad X1 laptop", "Lenovo", "computers", "A light notebook with 16 GB.",
	  "{\"color\":\"black\",\"product_type\":\"Notebook\"}", "LEN-X1", 159900 },
	{ "prd_05", "Käsereibe <fein>", "Müller", "kitchen", "Reibt & raspelt.", "{}", "KR-1", 1500 },
	{ "prd_06", "Vinyl wallpaper", "Rasch", "home", "Ten metres.", "{\"color\":\"white\"}", "RA-77", 2500 },
	{ "prd_07", "Kitchen scissors", "Fiskars", "kitchen", "Sharp, for left and right hands.", "{}", "FI-20", 1900 },
};

static Catalog__V1__ExportedProduct *product(const struct goods *g, bool visible)
{
	Catalog__V1__ExportedProduct *p = arena_alloc(w.a, sizeof(*p));
	Catalog__V1__ExportedCategory *c = arena_alloc(w.a, sizeof(*c));
	Catalog__V1__ExportedPrice *price = arena_alloc(w.a, sizeof(*price));

	catalog__v1__exported_product__init(p);
	catalog__v1__exported_category__init(c);
	catalog__v1__exported_price__init(price);
	p->id = (char *)g->id;
	p->title = (char *)g->title;
	p->slug = (char *)g->id;
	p->brand = (char *)g->brand;
	p->description = (char *)g->description;
	p->vendor_id = (char *)"vnd_1";
	p->vendor_name = p->vendor_slug = (char *)"shop";
	p->availability = (char *)"in";
	c->id = arena_printf(w.a, "cat_%s", g->category);
	c->slug = c->name = (char *)g->category;
	p->categories = arena_dup(w.a, &c, sizeof(c));
	p->n_categories = 1;
	p->codes = arena_dup(w.a, &g->code, sizeof(g->code));
	p->n_codes = 1;
	p->attributes = arena_alloc(w.a, sizeof(*p->attributes));
	common__v1__json__init(p->attributes);
	p->attributes->text = (char *)g->attributes;
	price->price = arena_alloc(w.a, sizeof(*price->price));
	common__v1__money__init(price->price);
	price->price->amount = g->price;
	price->price->currency = (char *)"USD";
	p->prices = arena_dup(w.a, &price, sizeof(price));
	p->n_prices = 1;
	p->has_visible = true;
	p->visible = visible;
	p->published_at = 1000 + (int64_t)(g - shop);
	return p;
}

static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	return index_put(pg, arg, e);
}

static void put(const struct goods *g, bool visible)
{
	const struct pg_actor who = { "system", "" };
	Catalog__V1__ExportedProduct *p = product(g, visible);
	struct index_batch b = { .svc = &w.svc, .arena = w.a, .products = &p, .n_products = 1, .ids = &g->id, .n_ids = 1 };

	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, put_tx, &b, &why_));
}

/* Until the engine outside has everything. */
static void tell_engine(void)
{
	const struct os_call now = { .method = "POST", .path = arena_printf(w.a, "/%s/_refresh", w.conf.os_index) };
	json_t *o = NULL;
	int status = 0;

	for (int64_t until = mono_ms() + 60000; pg_fixture_i64(w.fx, "SELECT (f.build <> 'idle' OR f.noted_seq <> s.seq OR"
								     " EXISTS (SELECT 1 FROM search.feed))::int"
								     " FROM search.feed_state f, search.state s");) {
		assert_true(mono_ms() < until);
		arena_reset(w.turn);
		MUST(feed_run(&w.svc, w.turn, &why_));
	}
	MUST(engine_os_call(w.svc.os, w.a, &now, 20000, &status, &o, &why_));
	assert_int_equal(status, 200);
	json_decref(o);
}

static void refresh(void)
{
	if (w.svc.os)
		tell_engine();
	MUST(known_refresh(&w.svc, w.a, &why_));
}

/* ---- asking ---- */

static Search__V1__SearchReply *ask(const Search__V1__SearchRequest *in)
{
	Search__V1__SearchReply *out = NULL;

	MUST(handlers_ask(&w.h, w.a, "Search", &who_nobody, in, &out, &why_));
	assert_false(out->degraded);
	return out;
}

static Search__V1__SearchReply *find(const char *q)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	in.q = (char *)q;
	return ask(&in);
}

static const char *first(const char *q)
{
	Search__V1__SearchReply *r = find(q);

	return r->n_data ? r->data[0]->id : "";
}

static bool has(const Search__V1__SearchReply *r, const char *id)
{
	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->id, id) == 0)
			return true;
	return false;
}

static void open_engine(const char *url)
{
	struct engine_os_conf conf = { .url = url, .alias = w.conf.os_index, .timeout_ms = 10000 };

	MUST(engine_os_open(&conf, &w.svc.os, &why_));
}

static void close_engine(void)
{
	struct os_call drop = { .method = "DELETE" };
	const char *name = pg_fixture_text(w.fx, "SELECT index_name FROM search.feed_state");
	json_t *o = NULL;
	int status = 0;

	drop.path = arena_printf(w.a, "/%s", name);
	MUST(engine_os_call(w.svc.os, w.a, &drop, 20000, &status, &o, &why_));
	json_decref(o);
	engine_os_close(w.svc.os);
}

static int open_world(void **state)
{
	struct key32 key;
	struct err e = { 0 };

	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("search", search_migrations);
	w.conf = (struct search_conf){ .lang = "en", .currency = "USD", .os_index = "souk-test", .cache_s = 0, .suggest_products = 1000,
					 .suggest_people = 3, .suggest_days = 2, .d = { .redis_url = "" } };
	w.svc = (struct search_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, search_stmts, 4), .dict = dict_new(),
				     .known = known_new(), .suggest = suggest_new(), .beside = beside_new() };
	assert_int_equal(cache_open("", 1, 100, &w.svc.cache, &e), OK);
	if (*state)
		open_engine(*state);
	w.h = (struct handlers){ search_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 256 << 20);
	w.turn = arena_new("turn", 64 << 20);
	for (size_t i = 0; i < ARRAY_LEN(shop); i++)
		put(&shop[i], true);
	refresh();
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	if (w.svc.os)
		close_engine();
	cache_close(w.svc.cache);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	dict_free(w.svc.dict);
	known_free(w.svc.known);
	suggest_free(w.svc.suggest);
	beside_free(w.svc.beside);
	arena_free(w.a);
	arena_free(w.turn);
	return 0;
}

/* ---- tests ---- */

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
	char *words[] = { (char *)"shears" };

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
	pg_fixture_sql(w.fx, "INSERT INTO search.rule (id, query, action, product_id, position) VALUES"
			     " ('rul_00000000000000000000000001', 'laptop', 'pin', 'prd_06', 1),"
			     " ('rul_00000000000000000000000002', 'laptop', 'hide', 'prd_03', 0)");
	assert_string_equal(first("laptop"), "prd_06");
	assert_false(has(find("laptop"), "prd_03"));
	pg_fixture_sql(w.fx, "UPDATE search.rule SET ends_at = now() - interval '1 s'");
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

static void test_report(void **state)
{
	struct principal admin = who_admin(admin_perm);
	Search__V1__ReportRequest in = SEARCH__V1__REPORT_REQUEST__INIT;
	Search__V1__ReportReply *r = NULL;

	(void)state;
	(void)find("nothing like that xyzzyx");
	(void)find("mail eve@example.com 00491701234567");
	MUST(known_flush(&w.svc, w.a, &why_));
	in.kind = (char *)"empty";
	MUST(handlers_ask(&w.h, w.a, "GetReport", &admin, &in, &r, &why_));
	assert_true(r->n_data > 0);
	for (size_t i = 0; i < r->n_data; i++) {
		assert_true(r->data[i]->empty > 0);
		assert_null(strstr(r->data[i]->query, "00491701234567"));
	}
}

/* ---- events ---- */

static void ask_as(const char *q, const char *address)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	in.q = (char *)q;
	in.hdr_client_ip = (char *)address;
	(void)ask(&in);
}

struct tell {
	const char *type;
	const ProtobufCMessage *msg;
};

static enum err_code tell_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct tell *t = arg;
	struct inbox_event ev = { .event_id = "evt_1", .agg_type = "", .agg_id = "", .type = t->type, .msg = t->msg };

	for (const struct inbox_handler *h = search_inbox; h->type; h++)
		if (strcmp(h->type, t->type) == 0)
			return h->fn(pg, w.a, &ev, &w.svc, e);
	return err_set(e, E_INTERNAL, "common.internal", "nobody hears %s", t->type);
}

static void tell(const char *type, const ProtobufCMessage *msg)
{
	const struct pg_actor who = { "system", "" };
	struct tell t = { type, msg };

	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, tell_tx, &t, &why_));
}

static const Search__V1__ReportRow *reported(const char *kind, const char *query)
{
	struct principal admin = who_admin(admin_perm);
	Search__V1__ReportRequest in = SEARCH__V1__REPORT_REQUEST__INIT;
	Search__V1__ReportReply *r = NULL;

	in.kind = (char *)kind;
	in.has_limit = true;
	in.limit = 500;
	MUST(handlers_ask(&w.h, w.a, "GetReport", &admin, &in, &r, &why_));
	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->query, query) == 0)
			return r->data[i];
	return NULL;
}

static void click(const char *search_id, int32_t position)
{
	Events__V1__SearchClicked m = EVENTS__V1__SEARCH_CLICKED__INIT;
	Events__V1__SearchClick c = EVENTS__V1__SEARCH_CLICK__INIT, *list = &c;

	c.search_id = (char *)search_id;
	c.product_id = (char *)"prd_03";
	c.has_position = true;
	c.position = position;
	m.clicks = &list;
	m.n_clicks = 1;
	tell("search.clicked", &m.base);
}

static void test_clicks(void **state)
{
	const Search__V1__ReportRow *row;
	const char *id;

	(void)state;
	id = find("Laptop SLEEVE 15")->search_id;
	assert_string_equal(find("laptop  sleeve 15")->search_id, id); /* of the query, not of who asks */
	assert_string_not_equal(find("laptop")->search_id, id);
	click(id, 1); /* before the log knows of the query */
	MUST(known_clicks(&w.svc, w.a, &why_));
	MUST(known_flush(&w.svc, w.a, &why_));
	assert_non_null(reported("unclicked", "laptop sleeve 15"));
	click(id, 4);
	click(id, 0);
	click("srq_of_nothing", 1);
	click("' OR 1=1", 1);
	MUST(known_clicks(&w.svc, w.a, &why_));
	MUST(known_clicks(&w.svc, w.a, &why_));
	row = reported("top", "laptop sleeve 15");
	assert_int_equal(row->searches, 2);
	assert_int_equal(row->clicks, 2);
	assert_true(row->click_rate > 0.99 && row->click_rate < 1.01);
	assert_true(row->click_position > 2.49 && row->click_position < 2.51);
	assert_null(reported("unclicked", "laptop sleeve 15"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.click"), 1);
}

/* Whoever asked stands nowhere; an erased user's queries go with those that nobody else made. */
static void test_an_erased_user_leaves_nothing(void **state)
{
	struct principal eve = who_user("usr_01jd000000000000000000000e");
	Events__V1__UserErased gone = EVENTS__V1__USER_ERASED__INIT;
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	(void)state;
	in.q = (char *)"present for eve example of elm street";
	MUST(handlers_ask(&w.h, w.a, "Search", &eve, &in, NULL, &why_));
	in.q = (char *)"kitchen scissors sharp";
	MUST(handlers_ask(&w.h, w.a, "Search", &eve, &in, NULL, &why_));
	ask_as("kitchen scissors sharp", "192.0.2.9");
	MUST(known_flush(&w.svc, w.a, &why_));
	assert_non_null(reported("top", "present for eve example of elm street"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.query_day q WHERE q::text LIKE '%%usr_01jd%%'"), 0);
	gone.user_id = (char *)eve.user_id;
	tell("user.erased", &gone.base);
	assert_null(reported("top", "present for eve example of elm street"));
	assert_non_null(reported("top", "kitchen scissors sharp"));
}

/* ---- recommendations ---- */

static atomic_int reco_delay_ms, reco_asked;

/* Stands for every method of reco. */
static enum err_code fake_reco(struct call *c, const ProtobufCMessage *in, ProtobufCMessage *out)
{
	const Reco__V1__RecommendRequest *q = (const void *)in;
	Reco__V1__RecommendReply *r = (void *)out;
	Reco__V1__Recommendation *one;

	if (in->descriptor != &reco__v1__recommend_request__descriptor || c->who.kind != WHO_SERVICE)
		return err_set(&c->err, E_DENIED, "common.denied", "nobody is recommended to");
	atomic_fetch_add(&reco_asked, 1);
	for (int64_t until = mono_ms() + atomic_load(&reco_delay_ms); mono_ms() < until;)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	one = arena_alloc(c->arena, sizeof(*one));
	reco__v1__recommendation__init(one);
	one->product_id = arena_printf(c->arena, "%s-%s-%zu", q->type, q->product_id ? q->product_id : "", q->n_exclude);
	r->data = arena_dup(c->arena, &one, sizeof(one));
	r->n_data = 1;
	return OK;
}

static struct rpc_server *start_reco(struct rpc_keys *keys)
{
	static struct rpc_method methods[64];
	static const struct rpc_method *const tables[] = { methods, NULL };
	static const struct rpc_service services[] = { { &reco__v1__reco__descriptor, tables }, { 0 } };
	const struct daemon_conf conf = { .listen = "tcp://127.0.0.1:0", .contexts = 4 };
	struct rpc_server *server = NULL;

	for (unsigned i = 0; i < reco__v1__reco__descriptor.n_methods; i++)
		methods[i] = (struct rpc_method){ reco__v1__reco__descriptor.methods[i].name, fake_reco, RPC_READ, 0 };
	MUST(rpc_server_start(&conf, "reco", services, keys, NULL, NULL, &server, &why_));
	return server;
}

/* In time they stand beside the matches; late, the answer comes without, and for a while nobody waits again. */
static void test_recommendations(void **state)
{
	struct rpc_keys *keys = rpc_keys_new("reco"), *ours = rpc_keys_new("search");
	struct rpc_server *server;
	uint8_t key[32] = { 1 };
	int asked, bare = 0;

	(void)state;
	rpc_keys_add(keys, "search", "reco", key);
	rpc_keys_add(ours, "search", "reco", key);
	server = start_reco(keys);
	MUST(rpc_client_open("search", "reco", rpc_server_url(server), 60000, ours, &w.svc.reco, &why_));
	w.conf.reco_ms = 1000;
	for (int64_t until = mono_ms() + 30000; find("laptop sleeve")->n_recommendations == 0 && mono_ms() < until;)
		sleep_ms(20);
	assert_string_equal(find("laptop sleeve")->recommendations[0], "related-prd_03-1");
	assert_string_equal(find("zzzzqqq")->recommendations[0], "trending--0");
	atomic_store(&reco_delay_ms, 300);
	w.conf.reco_ms = 30;
	asked = atomic_load(&reco_asked);
	for (int i = 0; i < 10; i++) {
		Search__V1__SearchReply *r = find("laptop");

		assert_int_equal(r->n_data, 2);
		bare += r->n_recommendations == 0;
	}
	assert_int_equal(bare, 10);
	assert_in_range(atomic_load(&reco_asked) - asked, 1, 3);
	w.conf.reco_ms = 0;
	rpc_client_close(w.svc.reco);
	w.svc.reco = NULL;
	rpc_server_stop(server);
	rpc_keys_free(keys);
	rpc_keys_free(ours);
}

/* ---- suggestions ---- */

static Search__V1__SuggestReply *suggest(const char *q)
{
	Search__V1__SuggestRequest in = SEARCH__V1__SUGGEST_REQUEST__INIT;
	Search__V1__SuggestReply *out = NULL;

	in.q = (char *)q;
	MUST(handlers_ask(&w.h, w.a, "Suggest", &who_nobody, &in, &out, &why_));
	return out;
}

static bool suggests(const char *q, const char *kind, const char *text)
{
	Search__V1__SuggestReply *r = suggest(q);

	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->kind, kind) == 0 && strcmp(r->data[i]->text, text) == 0)
			return true;
	return false;
}

static void test_suggest(void **state)
{
	Search__V1__SuggestRequest in = SEARCH__V1__SUGGEST_REQUEST__INIT;
	Search__V1__SuggestReply *r;

	(void)state;
	MUST(suggest_load(&w.svc, &why_));
	assert_true(suggests("lap", "product", "ThinkPad X1 laptop"));
	assert_true(suggests("lap", "query", "laptop")); /* a word of the catalogue */
	assert_true(suggests("len", "brand", "Lenovo"));
	assert_true(suggests("kitch", "category", "kitchen"));
	assert_true(suggests("wh1000", "product", "Sony WH-1000XM3 wireless headphones"));
	assert_true(suggests("laptop lenov", "product", "ThinkPad X1 laptop") == false); /* titles alone */
	assert_true(suggests("headphones son", "product", "Sony WH-1000XM3 wireless headphones"));
	r = suggest("headhpo");
	assert_string_equal(r->corrected_query, "headpho");
	assert_true(suggests("headhpo", "product", "Headphone stand"));
	assert_true(suggests("wireles headpohnes", "product", "Sony WH-1000XM3 wireless headphones"));
	assert_int_equal(suggest("zzzz")->n_data, 0);
	assert_int_equal(suggest("")->n_data, 0);
	put(&shop[3], false);
	MUST(suggest_load(&w.svc, &why_));
	assert_int_equal(suggest("thinkp")->n_data, 0);
	assert_false(suggests("comp", "category", "computers")); /* nothing is in it */
	put(&shop[3], true);
	refresh();
	in.q = (char *)"lap";
	in.has_limit = true;
	in.limit = 21;
	assert_int_equal(handlers_ask(&w.h, w.a, "Suggest", &who_nobody, &in, NULL, NULL), E_INVALID);
}

/* A query is shown to others only when several people made it on several days. */
static void test_suggest_keeps_secrets(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		ask_as("kitchen scissors left", "192.0.2.1");
	ask_as("laptop sleeve black", "192.0.2.1");
	ask_as("laptop sleeve black", "192.0.2.2");
	ask_as("laptop sleeve black", "192.0.2.3");
	MUST(known_flush(&w.svc, w.a, &why_));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT people FROM search.query_day WHERE query = 'kitchen scissors left'"), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT people FROM search.query_day WHERE query = 'laptop sleeve black'"), 3);
	MUST(suggest_load(&w.svc, &why_));
	assert_false(suggests("laptop sl", "query", "laptop sleeve black")); /* one day */
	pg_fixture_sql(w.fx, "INSERT INTO search.query_day (day, lang, query, searches, empty, people) VALUES"
			     " (current_date - 1, 'en', 'laptop sleeve black', 1, 0, 1),"
			     " (current_date - 1, 'en', 'kitchen scissors left', 90, 0, 1),"
			     " (current_date - 1, 'en', 'laptop of eve example', 90, 0, 90),"
			     " (current_date - 2, 'en', 'laptop of eve example', 90, 0, 90),"
			     " (current_date - 1, 'en', 'laptop cheap', 90, 80, 90), (current_date - 2, 'en', 'laptop cheap', 9, 9, 9)");
	MUST(suggest_load(&w.svc, &why_));
	assert_true(suggests("laptop sl", "query", "laptop sleeve black"));
	assert_true(suggests("slee", "query", "laptop sleeve black"));
	assert_false(suggests("kitchen sc", "query", "kitchen scissors left")); /* one person */
	assert_false(suggests("laptop", "query", "laptop of eve example"));    /* words of no product */
	assert_false(suggests("laptop", "query", "laptop cheap"));	       /* mostly nothing found */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.query_day q WHERE q::text LIKE '%%192.0.2%%'"), 0);
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

static int open_pg(void **state)
{
	*state = NULL;
	return open_world(state);
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
		cmocka_unit_test(test_words),	     cmocka_unit_test(test_codes),
		cmocka_unit_test(test_typos),	     cmocka_unit_test(test_relaxed),
		cmocka_unit_test(test_filters_and_facets), cmocka_unit_test(test_sorts_and_pages),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_highlight),    cmocka_unit_test(test_synonyms_and_rules),
		cmocka_unit_test(test_hidden_is_gone), cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_swap_under_queries),
		cmocka_unit_test(test_suggest),	     cmocka_unit_test(test_suggest_keeps_secrets),
		cmocka_unit_test(test_recommendations), cmocka_unit_test(test_clicks),	     cmocka_unit_test(test_an_erased_user_leaves_nothing),
		cmocka_unit_test(test_report),	     cmocka_unit_test(test_hostile),
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
