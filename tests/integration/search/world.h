/*
 * What the tests of the search stand on: a small shop in a database of its own, products put in as catalog exports them,
 * questions asked through the handlers. Each test file is one program and includes this once.
 */
#ifndef SOUK_TESTS_SEARCH_WORLD_H
#define SOUK_TESTS_SEARCH_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cursor.h"
#include "common/timeutil.h"
#include "search.pb-c.h"
#include "services/search/beside.h"
#include "services/search/dict.h"
#include "services/search/engine_os.h"
#include "services/search/feed.h"
#include "services/search/index.h"
#include "services/search/known.h"
#include "services/search/suggest.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

#define UNUSED __attribute__((unused)) /* not every program needs everything */

extern const struct migration search_migrations[];

UNUSED static const char *const admin_perm[] = { "admin.catalog" };

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

UNUSED static Catalog__V1__ExportedProduct *product(const struct goods *g, bool visible)
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

UNUSED static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	return index_put(pg, arg, e);
}

UNUSED static void put(const struct goods *g, bool visible)
{
	const struct pg_actor who = { "system", "" };
	Catalog__V1__ExportedProduct *p = product(g, visible);
	struct index_batch b = { .svc = &w.svc, .arena = w.a, .products = &p, .n_products = 1, .ids = &g->id, .n_ids = 1 };

	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, put_tx, &b, &why_));
}

/* Until the engine outside has everything. */
UNUSED static void tell_engine(void)
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

UNUSED static void refresh(void)
{
	if (w.svc.os)
		tell_engine();
	MUST(known_refresh(&w.svc, w.a, &why_));
}

/* ---- asking ---- */

UNUSED static Search__V1__SearchReply *ask(const Search__V1__SearchRequest *in)
{
	Search__V1__SearchReply *out = NULL;

	MUST(handlers_ask(&w.h, w.a, "Search", &who_nobody, in, &out, &why_));
	assert_false(out->degraded);
	return out;
}

UNUSED static Search__V1__SearchReply *find(const char *q)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	in.q = (char *)q;
	return ask(&in);
}

UNUSED static const char *first(const char *q)
{
	Search__V1__SearchReply *r = find(q);

	return r->n_data ? r->data[0]->id : "";
}

UNUSED static bool has(const Search__V1__SearchReply *r, const char *id)
{
	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->id, id) == 0)
			return true;
	return false;
}

UNUSED static Search__V1__SuggestReply *suggest(const char *q)
{
	Search__V1__SuggestRequest in = SEARCH__V1__SUGGEST_REQUEST__INIT;
	Search__V1__SuggestReply *out = NULL;

	in.q = (char *)q;
	MUST(handlers_ask(&w.h, w.a, "Suggest", &who_nobody, &in, &out, &why_));
	return out;
}

UNUSED static void open_engine(const char *url)
{
	struct engine_os_conf conf = { .url = url, .alias = w.conf.os_index, .timeout_ms = 10000 };

	MUST(engine_os_open(&conf, &w.svc.os, &why_));
}

UNUSED static void close_engine(void)
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

static const char *world_lang = "en"; /* of the shop's texts */

UNUSED static int open_world(void **state)
{
	struct key32 key;
	struct err e = { 0 };

	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("search", search_migrations);
	w.conf = (struct search_conf){ .lang = world_lang, .currency = "USD", .os_index = "souk-test", .cache_s = 0, .suggest_products = 1000,
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

UNUSED static int close_world(void **state)
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

UNUSED static int open_pg(void **state)
{
	*state = NULL;
	return open_world(state);
}

#endif
