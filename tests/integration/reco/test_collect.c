/* Behaviour on a real PostgreSQL: what pages and daemons tell, and what training and serving then read of it. */
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
#include "events.pb-c.h"
#include "reco.pb-c.h"
#include "services/reco/catalogue.h"
#include "services/reco/job.h"
#include "services/reco/reco_db_collect.h"
#include "services/reco/reco_db_features.h"
#include "services/reco/visitors.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

extern const struct migration reco_migrations[];

#define ANNA "usr_anna"
#define DAY 86400000LL

static const char *const admin_perm[] = { "admin.catalog" };

static struct {
	struct pg_fixture *fx;
	struct reco_conf conf;
	struct reco_svc svc;
	struct handlers h;
	struct arena *a;
	int events; /* told so far: ids and versions */
} w;

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct err why_ = { 0 };                                                           \
		if ((expr) != OK)                                                                  \
			fail_msg("%s: %s (%s) %s", #expr, why_.slug, why_.msg,                     \
				 why_.n_details ? why_.details[0].field : "");                     \
	} while (0)
#define COUNT(...) pg_fixture_i64(w.fx, "SELECT count(*) FROM " __VA_ARGS__)

/* ---- telling ---- */

struct told {
	const struct inbox_handler *handler;
	struct inbox_event ev;
};

static enum err_code tell_tx(struct pg *pg, void *arg, struct err *e)
{
	struct told *t = arg;

	return t->handler->fn(pg, w.a, &t->ev, &w.svc, e);
}

static void tell_at(const char *type, const ProtobufCMessage *msg, int64_t at, int64_t version)
{
	const struct pg_actor who = { "service:test", "" };
	struct told t = { .ev = { .type = type, .event_id = arena_printf(w.a, "evt_%d", ++w.events),
				  .agg_version = version ? version : w.events, .occurred_at = at, .msg = msg } };

	for (const struct inbox_handler *h = reco_inbox; h->source; h++)
		if (strcmp(h->type, type) == 0)
			t.handler = h;
	assert_non_null(t.handler);
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, tell_tx, &t, &why_));
}

static void tell(const char *type, const ProtobufCMessage *msg)
{
	tell_at(type, msg, wall_ms(), 0);
}

static void product(const char *id, const char *vendor, const char *status, const char *variant)
{
	Events__V1__ProductChanged m = EVENTS__V1__PRODUCT_CHANGED__INIT;
	Events__V1__VariantRef v = EVENTS__V1__VARIANT_REF__INIT, *list[] = { &v };

	m.product_id = (char *)id;
	m.vendor_id = (char *)vendor;
	m.status = (char *)status;
	v.variant_id = (char *)variant;
	m.variants = list;
	m.n_variants = variant ? 1 : 0;
	tell("product.changed", &m.base);
}

static void stock_at(const char *variant, const char *availability, int64_t seq)
{
	Events__V1__StockChanged m = EVENTS__V1__STOCK_CHANGED__INIT;

	m.variant_id = (char *)variant;
	m.availability = (char *)availability;
	tell_at("stock.changed", &m.base, wall_ms(), seq);
}

static void stock(const char *variant, const char *availability)
{
	stock_at(variant, availability, 0);
}

static void order_at(const char *order_id, const char *user, const char *const *products, size_t n, int64_t at)
{
	Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;
	Events__V1__OrderLine line[4], *lines[4];

	for (size_t i = 0; i < n; i++) {
		events__v1__order_line__init(&line[i]);
		line[i].product_id = (char *)products[i];
		line[i].has_qty = true;
		line[i].qty = 2;
		lines[i] = &line[i];
	}
	m.order_id = (char *)order_id;
	m.user_id = (char *)user;
	m.lines = lines;
	m.n_lines = n;
	tell_at("order.placed", &m.base, at, 1);
}

static void consent(const char *user, bool granted)
{
	Events__V1__ConsentChanged m = EVENTS__V1__CONSENT_CHANGED__INIT;

	m.user_id = (char *)user;
	m.purpose = (char *)"personalisation";
	m.has_granted = true;
	m.granted = granted;
	tell("user.consent_changed", &m.base);
}

/* ---- sending as a page does ---- */

struct sent {
	const char *id, *type, *product_id;
	int64_t at;
};

static enum err_code send_as(const struct principal *who, const char *session, const char *agent, const struct sent *s,
			     size_t n, Reco__V1__CollectReply **out_r, struct err *e)
{
	Reco__V1__CollectRequest in = RECO__V1__COLLECT_REQUEST__INIT;

	in.session_id = (char *)session;
	in.hdr_user_agent = (char *)agent;
	in.hdr_client_ip = (char *)"192.0.2.1";
	in.events = arena_array(w.a, n + 1, sizeof(*in.events));
	for (size_t i = 0; i < n; i++) {
		Reco__V1__BehaviourEvent *m = arena_alloc(w.a, sizeof(*m));

		reco__v1__behaviour_event__init(m);
		m->id = (char *)s[i].id;
		m->type = (char *)s[i].type;
		m->product_id = (char *)s[i].product_id;
		m->has_occurred_at = s[i].at > 0;
		m->occurred_at = s[i].at;
		in.events[in.n_events++] = m;
	}
	return handlers_ask(&w.h, w.a, "Collect", who, &in, out_r, e);
}

static Reco__V1__CollectReply *sent(const struct principal *who, const char *session, const struct sent *s, size_t n)
{
	Reco__V1__CollectReply *out = NULL;

	MUST(send_as(who, session, "Mozilla/5.0", s, n, &out, &why_));
	return out;
}

static Reco__V1__CollectReply *view(const struct principal *who, const char *session, const char *id, const char *product)
{
	const struct sent s = { id, "view", product, 0 };

	return sent(who, session, &s, 1);
}

/* ---- reading ---- */

static struct reco_history_row *history(const char *user, const char *session, size_t *n_r)
{
	struct reco_history_row *rows = NULL;
	struct pg *pg = NULL;

	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_history(pg, w.a, user, session, 50, &rows, n_r, &why_));
	pg_return(pg);
	return rows;
}

static const struct reco_history_row *seen(const char *user, const char *session, const char *product)
{
	size_t n = 0;
	struct reco_history_row *rows = history(user, session, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].product_id, product) == 0)
			return &rows[i];
	return NULL;
}

static bool shown(const char *product)
{
	struct reco_product_row *rows = NULL;
	struct pg *pg = NULL;
	size_t n = 0;
	bool is;

	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_products(pg, w.a, &product, 1, "USD", &rows, &n, &why_));
	pg_return(pg);
	is = n == 1 && rows[0].shown;
	return is;
}

/* ---- pages ---- */

static void test_a_view_is_history_at_once(void **state)
{
	struct principal anna = who_user(ANNA);
	Reco__V1__CollectReply *r;
	const struct reco_history_row *row;

	(void)state;
	r = view(&anna, "s-anna", "e1", "prd_a");
	assert_int_equal(r->accepted, 1);
	row = seen(ANNA, NULL, "prd_a");
	assert_non_null(row);
	assert_int_equal(row->n_view, 1);
	assert_true(row->w > 0.99 && row->w < 1.01);
	assert_null(seen("usr_other", "s-other", "prd_a"));
	/* The same event comes again, with another time: nothing changes. */
	r = sent(&anna, "s-anna", &(struct sent){ "e1", "view", "prd_a", wall_ms() - 5000 }, 1);
	assert_int_equal(r->accepted, 0);
	assert_int_equal(r->duplicates, 1);
	assert_int_equal(seen(ANNA, NULL, "prd_a")->n_view, 1);
	/* Another visitor's event of the same id is another event. */
	assert_int_equal(view(&who_nobody, "s-bert", "e1", "prd_a")->accepted, 1);
	assert_int_equal(seen(NULL, "s-bert", "prd_a")->n_view, 1);
	/* Both in one: the visitor signed in later. */
	assert_int_equal(seen(ANNA, "s-bert", "prd_a")->n_view, 2);
}

static void test_a_batch_is_counted_once_and_bounded(void **state)
{
	struct sent many[501];
	struct err e = { 0 };
	Reco__V1__CollectReply *r;

	(void)state;
	for (size_t i = 0; i < 501; i++)
		many[i] = (struct sent){ arena_printf(w.a, "b%zu", i % 500), "impression", "prd_a", 0 };
	assert_int_equal(sent(&who_nobody, "s-batch", many, 500)->accepted, 500);
	r = sent(&who_nobody, "s-batch", many, 500);
	assert_int_equal(r->accepted, 0);
	assert_int_equal(r->duplicates, 500);
	assert_int_equal(send_as(&who_nobody, "s-batch", "", many, 501, NULL, &e), E_INVALID);
	/* An impression is counted and is no history. */
	assert_null(seen(NULL, "s-batch", "prd_a"));
	assert_int_equal(COUNT("reco.event WHERE session_id = 's-batch' AND kind = 3"), 500);
}

static void test_what_cannot_be_is_refused_or_dropped(void **state)
{
	const struct sent bad[] = { { NULL, "view", "prd_a", 0 },    { "x 1", "view", "prd_a", 0 },
				    { "x2", "purchase", "prd_a", 0 }, { "x3", NULL, "prd_a", 0 },
				    { "x4", "view", NULL, 0 } };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&e);
		assert_int_equal(send_as(&who_nobody, "s-bad", "", &bad[i], 1, NULL, &e), E_INVALID);
		assert_int_equal(e.n_details, 1);
	}
	err_clear(&e);
	assert_int_equal(send_as(&who_nobody, NULL, "", &(struct sent){ "x5", "view", "prd_a", 0 }, 1, NULL, &e), E_INVALID);
	assert_string_equal(e.details[0].field, "session_id");
	assert_int_equal(view(&who_nobody, "s-bad", "x6", "prd_unknown")->dropped, 1);
	assert_int_equal(sent(&who_nobody, "s-bad", &(struct sent){ "x7", "view", "prd_a", wall_ms() - 8 * DAY }, 1)->dropped,
			 1);
	assert_int_equal(COUNT("reco.event WHERE session_id = 's-bad'"), 0);
	/* A clock that runs ahead does not move anything into the future. */
	assert_int_equal(sent(&who_nobody, "s-bad", &(struct sent){ "x8", "view", "prd_a", wall_ms() + DAY }, 1)->accepted, 1);
	assert_int_equal(COUNT("reco.event WHERE ts > now() + interval '10 minutes'"), 0);
}

static void test_robots_are_bounded(void **state)
{
	Reco__V1__CollectReply *out = NULL;
	struct sent many[60];

	(void)state;
	for (size_t i = 0; i < 60; i++)
		many[i] = (struct sent){ arena_printf(w.a, "r%zu", i), "view", "prd_b", 0 };
	MUST(send_as(&who_nobody, "s-crawl", "Mozilla/5.0 (compatible; Examplebot/2.1)", many, 5, &out, &why_));
	assert_int_equal(out->dropped, 5);
	w.conf.visitor_events = 50;
	assert_int_equal(sent(&who_nobody, "s-zeal", many, 60)->accepted, 50);
	assert_int_equal(view(&who_nobody, "s-zeal", "r99", "prd_b")->dropped, 1);
	assert_int_equal(view(&who_nobody, "s-calm", "r99", "prd_b")->accepted, 1);
	w.conf.visitor_events = 1000;
}

/* ---- consent and erasure ---- */

static void test_consent_is_respected(void **state)
{
	struct principal cora = who_user("usr_cora");
	Reco__V1__CollectRequest in = RECO__V1__COLLECT_REQUEST__INIT;
	Reco__V1__BehaviourEvent ev = RECO__V1__BEHAVIOUR_EVENT__INIT, *list[] = { &ev };
	Reco__V1__CollectReply *out = NULL;
	const char *bought[] = { "prd_b" };

	(void)state;
	/* Before the login she was a visitor in the same session. */
	view(&who_nobody, "s-cora", "c0", "prd_a");
	view(&cora, "s-cora", "c1", "prd_a");
	order_at("ord_cora", "usr_cora", bought, 1, wall_ms());
	assert_non_null(seen("usr_cora", NULL, "prd_b"));
	consent("usr_cora", false);
	assert_null(seen("usr_cora", "s-cora", "prd_a"));
	assert_int_equal(COUNT("reco.event WHERE user_id = 'usr_cora' OR session_id = 's-cora' OR order_id = 'ord_cora'"), 0);
	/* Counted it stays, as nobody's. */
	assert_int_equal(view(&cora, "s-cora", "c2", "prd_a")->accepted, 1);
	order_at("ord_cora2", "usr_cora", bought, 1, wall_ms());
	assert_null(seen("usr_cora", "s-cora", "prd_a"));
	assert_int_equal(COUNT("reco.event WHERE order_id = 'ord_cora2' OR user_id = 'usr_cora'"), 0);
	assert_true(COUNT("reco.event WHERE user_id IS NULL AND session_id IS NULL AND kind = 5") >= 2);
	consent("usr_cora", true);
	view(&cora, "s-cora", "c3", "prd_a");
	assert_int_equal(seen("usr_cora", NULL, "prd_a")->n_view, 1);
	/* A visitor says it with each batch, and then needs no session. */
	in.events = list;
	in.n_events = 1;
	in.has_consent = true;
	in.session_id = (char *)"s-private";
	in.hdr_client_ip = (char *)"192.0.2.9";
	ev.id = (char *)"p1";
	ev.type = (char *)"view";
	ev.product_id = (char *)"prd_a";
	MUST(handlers_ask(&w.h, w.a, "Collect", &who_nobody, &in, &out, &why_));
	assert_int_equal(out->accepted, 1);
	assert_int_equal(COUNT("reco.event WHERE session_id = 's-private'"), 0);
	assert_int_equal(COUNT("reco.user_item WHERE subject = 's-private'"), 0);
	/* Where a yes must come first, nobody has a profile without one. */
	w.conf.consent = "opt_in";
	cora = who_user("usr_dora");
	view(&cora, "s-dora", "d1", "prd_a");
	assert_null(seen("usr_dora", "s-dora", "prd_a"));
	consent("usr_dora", true);
	view(&cora, "s-dora", "d2", "prd_a");
	assert_non_null(seen("usr_dora", NULL, "prd_a"));
	w.conf.consent = "opt_out";
}

static void test_an_erased_user_leaves_nothing(void **state)
{
	struct principal emil = who_user("usr_emil");
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;
	Events__V1__CartChanged cart = EVENTS__V1__CART_CHANGED__INIT;
	char *variants[] = { (char *)"var_a" };
	const char *bought[] = { "prd_a" };

	(void)state;
	view(&emil, "s-emil", "em1", "prd_b");
	cart.cart_id = (char *)"crt_emil";
	cart.user_id = (char *)"usr_emil";
	cart.variant_ids = variants;
	cart.n_variant_ids = 1;
	tell("cart.changed", &cart.base);
	m.user_id = (char *)"usr_emil";
	tell("user.erased", &m.base);
	/* An order that was told late is nobody's. */
	order_at("ord_emil", "usr_emil", bought, 1, wall_ms());
	assert_int_equal(COUNT("reco.event WHERE user_id = 'usr_emil' OR session_id = 's-emil' OR order_id = 'ord_emil'"), 0);
	assert_int_equal(COUNT("reco.user_item WHERE subject IN ('usr_emil', 's-emil')"), 0);
	assert_int_equal(COUNT("reco.cart WHERE user_id = 'usr_emil'"), 0);
}

/* ---- what daemons tell ---- */

static void test_orders_carts_and_reviews(void **state)
{
	Events__V1__CartChanged cart = EVENTS__V1__CART_CHANGED__INIT;
	Events__V1__OrderChanged gone = EVENTS__V1__ORDER_CHANGED__INIT;
	Events__V1__OrderLine back = EVENTS__V1__ORDER_LINE__INIT, *backs[] = { &back };
	Events__V1__ReviewChanged review = EVENTS__V1__REVIEW_CHANGED__INIT;
	char *variants[] = { (char *)"var_a", (char *)"var_b" };
	const char *bought[] = { "prd_a", "prd_b" };
	struct reco_id_row *ids = NULL;
	struct pg *pg = NULL;
	size_t n = 0;

	(void)state;
	cart.cart_id = (char *)"crt_1";
	cart.user_id = (char *)"usr_finn";
	cart.variant_ids = variants;
	cart.n_variant_ids = 1;
	tell_at("cart.changed", &cart.base, wall_ms(), 2);
	cart.n_variant_ids = 2;
	tell_at("cart.changed", &cart.base, wall_ms(), 3);
	assert_int_equal(seen("usr_finn", NULL, "prd_a")->n_cart, 1);
	assert_int_equal(seen("usr_finn", NULL, "prd_b")->n_cart, 1);
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_in_cart(pg, w.a, "usr_finn", &ids, &n, &why_));
	pg_return(pg);
	assert_int_equal(n, 2);
	/* An older version that comes late changes nothing. */
	cart.n_variant_ids = 0;
	tell_at("cart.changed", &cart.base, wall_ms(), 1);
	assert_int_equal(COUNT("reco.cart WHERE cart_id = 'crt_1' AND version = 3"), 1);

	order_at("ord_finn", "usr_finn", bought, 2, wall_ms());
	assert_int_equal(seen("usr_finn", NULL, "prd_a")->n_buy, 1);
	gone.order_id = (char *)"ord_finn";
	back.product_id = (char *)"prd_a";
	back.has_qty = true;
	back.qty = 1; /* of two: it stays bought */
	gone.lines = backs;
	gone.n_lines = 1;
	tell("order.refunded", &gone.base);
	assert_int_equal(seen("usr_finn", NULL, "prd_a")->n_buy, 1);
	back.qty = 2;
	tell("order.refunded", &gone.base);
	assert_int_equal(seen("usr_finn", NULL, "prd_a")->n_buy, 0);
	assert_int_equal(seen("usr_finn", NULL, "prd_b")->n_buy, 1);
	tell("order.cancelled", &gone.base);
	assert_int_equal(seen("usr_finn", NULL, "prd_b")->n_buy, 0);
	assert_int_equal(COUNT("reco.event WHERE order_id = 'ord_finn' AND kind = 7"), 2); /* each once */

	review.review_id = (char *)"rev_1";
	review.product_id = (char *)"prd_b";
	review.user_id = (char *)"usr_finn";
	review.has_rating = true;
	review.rating = 2;
	review.status = (char *)"rejected";
	tell("review.moderated", &review.base);
	assert_int_equal(seen("usr_finn", NULL, "prd_b")->rating, 0);
	review.status = (char *)"approved";
	tell("review.moderated", &review.base);
	assert_int_equal(seen("usr_finn", NULL, "prd_b")->rating, 2);
}

static void test_what_may_be_shown(void **state)
{
	Events__V1__VendorChanged v = EVENTS__V1__VENDOR_CHANGED__INIT;

	(void)state;
	product("prd_s", "vnd_s", "published", "var_s");
	assert_false(shown("prd_s")); /* nothing is known of its stock */
	stock_at("var_s", "low", 1000);
	assert_true(shown("prd_s"));
	stock_at("var_s", "out", 1002);
	assert_false(shown("prd_s"));
	stock_at("var_s", "in", 1001); /* overtaken */
	assert_false(shown("prd_s"));
	stock_at("var_s", "in", 1003);
	assert_true(shown("prd_s"));
	product("prd_s", "vnd_s", "hidden", "var_s");
	assert_false(shown("prd_s"));
	product("prd_s", "vnd_s", "published", "var_s");
	assert_true(shown("prd_s"));
	v.vendor_id = (char *)"vnd_s";
	v.status = (char *)"suspended";
	tell("vendor.suspended", &v.base);
	assert_false(shown("prd_s"));
	v.status = (char *)"approved";
	tell("vendor.approved", &v.base);
	assert_true(shown("prd_s"));
	product("prd_s", "vnd_s", "published", NULL); /* its only variant is not sold any more */
	assert_false(shown("prd_s"));
	/* Stock that was told before the product. */
	stock("var_t", "in");
	product("prd_t", "vnd_s", "published", "var_t");
	assert_true(shown("prd_t"));
	assert_int_equal(COUNT("reco.dirty WHERE product_id IN ('prd_s', 'prd_t')"), 2);
}

struct fetched {
	Catalog__V1__ExportedProduct p;
	Inventory__V1__AvailabilityReply stock;
};

static enum err_code fetched_tx(struct pg *pg, void *arg, struct err *e)
{
	struct fetched *f = arg;

	return catalogue_put(pg, w.a, &f->p, &f->stock, e);
}

static void test_what_is_fetched(void **state)
{
	const struct pg_actor who = { "system", "" };
	Catalog__V1__ExportedCategory c = CATALOG__V1__EXPORTED_CATEGORY__INIT, *cs[] = { &c };
	Catalog__V1__ExportedPrice price = CATALOG__V1__EXPORTED_PRICE__INIT, *prices[] = { &price };
	Common__V1__Money money = COMMON__V1__MONEY__INIT;
	Inventory__V1__Availability av = INVENTORY__V1__AVAILABILITY__INIT, *avs[] = { &av };
	char *variants[] = { (char *)"var_f" };
	struct fetched f = { CATALOG__V1__EXPORTED_PRODUCT__INIT, INVENTORY__V1__AVAILABILITY_REPLY__INIT };
	struct reco_popular_row *rows = NULL;
	struct pg *pg = NULL;
	size_t n = 0;

	(void)state;
	c.id = (char *)"cat_f";
	c.slug = (char *)"frames";
	money.amount = 1999;
	money.currency = (char *)"USD";
	price.price = &money;
	av.variant_id = variants[0];
	av.state = (char *)"in";
	f.stock.data = avs;
	f.stock.n_data = 1;
	f.p.id = (char *)"prd_f";
	f.p.title = (char *)"Frame \"oak\"";
	f.p.vendor_id = (char *)"vnd_f";
	f.p.categories = cs;
	f.p.n_categories = 1;
	f.p.prices = prices;
	f.p.n_prices = 1;
	f.p.variant_ids = variants;
	f.p.n_variant_ids = 1;
	f.p.version = 50;
	f.p.visible = true;
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, fetched_tx, &f, &why_));
	assert_true(shown("prd_f"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT (prices ->> 'USD')::bigint FROM reco.product WHERE product_id = 'prd_f'"),
			 1999);
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_popular(pg, w.a, "frames", 14, 7, 10, &rows, &n, &why_)); /* nothing sold there: the newest */
	pg_return(pg);
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].product_id, "prd_f");
	/* What events told later stays. */
	stock_at("var_f", "out", 2000);
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, fetched_tx, &f, &why_));
	assert_false(shown("prd_f"));
	stock_at("var_f", "in", 2001);
	w.events = 60;
	product("prd_f", "vnd_f", "hidden", "var_f");
	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, fetched_tx, &f, &why_));
	assert_false(shown("prd_f"));
}

/* ---- features ---- */

static void count_now(void)
{
	pg_fixture_settle(w.fx);
	MUST(job_count(&w.svc, w.a, &why_));
}

static void test_days_are_counted_once(void **state)
{
	const char *bought[] = { "prd_c" };
	struct reco_popular_row *rows = NULL;
	struct pg *pg = NULL;
	size_t n = 0;

	(void)state;
	count_now();
	product("prd_c", "vnd_c", "published", "var_c");
	stock("var_c", "in");
	for (int i = 0; i < 10; i++)
		order_at(arena_printf(w.a, "ord_day%d", i), "usr_gil", bought, 1, wall_ms());
	view(&who_nobody, "s-day", "day1", "prd_c");
	count_now();
	count_now();
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(n_buy)::bigint FROM reco.item_day WHERE product_id = 'prd_c'"), 10);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(qty)::bigint FROM reco.item_day WHERE product_id = 'prd_c'"), 20);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(n_view)::bigint FROM reco.item_day WHERE product_id = 'prd_c'"), 1);
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_popular(pg, w.a, NULL, 14, 7, 3, &rows, &n, &why_));
	pg_return(pg);
	assert_true(n > 0);
	assert_string_equal(rows[0].product_id, "prd_c");
	assert_int_equal(rows[0].n_buy, 10);
	/* Every event is counted, and none twice. */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(n_view)::bigint FROM reco.item_day"),
			 COUNT("reco.event WHERE kind = 1"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(n_impression)::bigint FROM reco.item_day"),
			 COUNT("reco.event WHERE kind = 3"));
}

/* An open transaction with an earlier number may still commit: the watermark waits for it. */
static void test_late_commits_are_not_passed_over(void **state)
{
	struct pg *pg = NULL;

	(void)state;
	count_now();
	MUST(pg_connect(pg_fixture_admin_dsn(w.fx), "late", &pg, &why_));
	MUST(pg_script(pg, "BEGIN; INSERT INTO reco.event (ts, key, epoch, kind, source, product_id) SELECT now(),"
			   " gen_random_uuid(), c.epoch, 1, 2, 'prd_late' FROM reco.cluster c", &why_));
	view(&who_nobody, "s-late", "late1", "prd_c");
	MUST(job_count(&w.svc, w.a, &why_));
	MUST(pg_script(pg, "COMMIT", &why_));
	pg_disconnect(pg);
	count_now();
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(n_view)::bigint FROM reco.item_day WHERE product_id = 'prd_late'"), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(n_view)::bigint FROM reco.item_day"),
			 COUNT("reco.event WHERE kind = 1"));
}

struct pages {
	int64_t until, last_ts;
	int n, views, stop_after;
	char key[64];
};

static enum err_code page_row(void *arg, const struct reco_event *row, struct err *e)
{
	struct pages *p = arg;

	assert_true(row->ts < p->until);
	assert_true(row->ts >= p->last_ts);
	p->last_ts = row->ts;
	p->views += row->kind == RECO_VIEW;
	snprintf(p->key, sizeof(p->key), "%s", row->key);
	if (++p->n == p->stop_after)
		return err_set(e, E_RETRY, "common.deadline", "stop");
	return OK;
}

static void test_nothing_past_the_instant(void **state)
{
	struct principal hugo = who_user("usr_hugo");
	int64_t now = wall_ms();
	const struct sent s[] = { { "h1", "view", "prd_a", now - 3 * DAY },
				  { "h2", "view", "prd_b", now - 2 * DAY },
				  { "h3", "view", "prd_a", now - DAY } };
	struct reco_range range = { now - 30 * DAY, now - 2 * DAY, RECO_KINDS(RECO_VIEW) | RECO_KINDS(RECO_PURCHASE), true };
	struct pages p = { .until = range.until };
	struct reco_item_row *rows = NULL;
	struct reco_range_row *sum = NULL;
	struct reco_recent_row *recent = NULL;
	struct err e = { 0 };
	struct pg *pg = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(sent(&hugo, "s-hugo", s, 3)->accepted, 3);
	MUST(reco_features_stream(w.svc.pool, &range, 0, NULL, page_row, &p, &why_));
	assert_int_equal(p.n, 1);
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_as_of(pg, w.a, now - 2 * DAY, "usr_hugo", &rows, &n, &why_));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].product_id, "prd_a");
	assert_int_equal(rows[0].n_view, 1);
	/* As of now it is what serving reads. */
	MUST(reco_features_as_of(pg, w.a, wall_ms(), "usr_hugo", &rows, &n, &why_));
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		const struct reco_history_row *h = seen("usr_hugo", NULL, rows[i].product_id);

		assert_non_null(h);
		assert_int_equal(h->n_view, rows[i].n_view);
		assert_true(h->w > rows[i].w - 1e-4 && h->w < rows[i].w + 1e-4);
	}
	MUST(reco_features_recent(pg, w.a, "usr_hugo", "s-hugo", 10, &recent, &n, &why_));
	assert_int_equal(n, 3);
	assert_int_equal(recent[0].ts, now - DAY);
	range.until = p.until = wall_ms() + 1000;
	MUST(reco_features_count(pg, w.a, &range, &sum, &why_));
	pg_return(pg);
	/* In pages and resumed it is the same. */
	p.n = p.views = 0;
	p.last_ts = 0;
	p.stop_after = 2;
	assert_int_equal(reco_features_stream(w.svc.pool, &range, 0, NULL, page_row, &p, &e), E_RETRY);
	assert_int_equal(p.n, 2);
	MUST(reco_features_stream(w.svc.pool, &range, p.last_ts, p.key, page_row, &p, &why_));
	assert_int_equal(p.n, sum->events);
}

static void test_months(void **state)
{
	struct err e = { 0 };

	(void)state;
	MUST(job_months(&w.svc, w.a, &why_));
	assert_int_equal(COUNT("pg_class WHERE relnamespace = 'reco'::regnamespace AND relname"
			       " = 'event_' || to_char(now() AT TIME ZONE 'UTC' + interval '2 months', 'YYYYMM')"), 1);
	pg_fixture_sql(w.fx, "SELECT reco.partitions_make('2020-01-10Z', '2020-03-10Z');"
			     "INSERT INTO reco.event (ts, key, epoch, kind, source, product_id)"
			     " VALUES ('2020-02-10Z', gen_random_uuid(), 1, 1, 3, 'prd_old')");
	assert_int_equal(COUNT("pg_class WHERE relnamespace = 'reco'::regnamespace AND relname LIKE 'event_2020%%'"
			       " AND relkind = 'r'"), 3);
	w.conf.keep_months = 0;
	MUST(job_months(&w.svc, w.a, &why_));
	assert_int_equal(COUNT("reco.event WHERE product_id = 'prd_old'"), 1);
	w.conf.keep_months = 25;
	MUST(job_months(&w.svc, w.a, &e));
	assert_int_equal(COUNT("pg_class WHERE relnamespace = 'reco'::regnamespace AND relname LIKE 'event_2020%%'"
			       " AND relkind = 'r'"), 0);
	assert_true(COUNT("reco.event") > 0);
	pg_fixture_sql(w.fx, "INSERT INTO reco.user_item (subject, product_id, first_at, last_at, visitor)"
			     " VALUES ('s-old', 'prd_a', '2020-01-01Z', '2020-01-01Z', true),"
			     " ('17850', 'prd_a', '2020-01-01Z', '2020-01-01Z', false);"
			     "INSERT INTO reco.event_key VALUES (gen_random_uuid(), now() - interval '9 days')");
	MUST(job_sweep(&w.svc, w.a, &why_));
	assert_int_equal(COUNT("reco.user_item WHERE subject = 's-old'"), 0);
	assert_int_equal(COUNT("reco.user_item WHERE subject = '17850'"), 1);
	assert_int_equal(COUNT("reco.event_key WHERE at < now() - interval '8 days'"), 0);
}

/* ---- import ---- */

static Reco__V1__ImportHistoryReply *import(Reco__V1__HistoryRow **rows, size_t n)
{
	struct principal admin = who_admin(admin_perm);
	Reco__V1__ImportHistoryRequest in = RECO__V1__IMPORT_HISTORY_REQUEST__INIT;
	Reco__V1__ImportHistoryReply *out = NULL;

	in.source = (char *)"till";
	in.rows = rows;
	in.n_rows = n;
	MUST(handlers_ask(&w.h, w.a, "ImportHistory", &admin, &in, &out, &why_));
	return out;
}

static Reco__V1__HistoryRow *past(const char *type, const char *user, const char *product_id, int64_t at)
{
	Reco__V1__HistoryRow *m = arena_alloc(w.a, sizeof(*m));

	reco__v1__history_row__init(m);
	m->type = (char *)type;
	m->user_id = (char *)user;
	m->product_id = (char *)product_id;
	m->has_occurred_at = true;
	m->occurred_at = at;
	return m;
}

static void test_history_is_imported_once(void **state)
{
	struct principal nobody = who_nobody, user = who_user(ANNA);
	Reco__V1__ImportHistoryRequest empty = RECO__V1__IMPORT_HISTORY_REQUEST__INIT;
	int64_t long_ago = wall_ms() - 300 * DAY;
	Reco__V1__HistoryRow *rows[] = { past("purchase", "17850", "85123A", long_ago),
					 past("purchase", "17850", "71053", long_ago),
					 past("purchase", "17850", "71053", long_ago),
					 past("view", NULL, "71053", long_ago),
					 past("purchase", "17850", "no such", long_ago),
					 past("purchase", "17850", "71053", wall_ms() - 3000 * DAY),
					 past("purchase", "17850", "71053", wall_ms() + DAY),
					 past("rating", "17850", "71053", long_ago),
					 past("purchase", "usr_emil", "71053", long_ago) };
	Reco__V1__ImportHistoryReply *r = import(rows, 9);

	(void)state;
	assert_int_equal(r->accepted, 3);
	assert_int_equal(r->duplicates, 1); /* the same row twice */
	assert_int_equal(r->refused, 5);
	assert_int_equal(r->n_errors, 5);
	assert_string_equal(r->errors[0]->field, "rows.3");
	assert_int_equal(import(rows, 9)->accepted, 0);
	assert_int_equal(seen("17850", NULL, "71053")->n_buy, 1);
	/* 300 days are five half-lives. */
	assert_true(seen("17850", NULL, "71053")->w < 5.0 / 31 && seen("17850", NULL, "71053")->w > 5.0 / 33);
	assert_int_equal(COUNT("reco.event WHERE user_id = 'usr_emil'"), 0);
	assert_int_equal(handlers_ask(&w.h, w.a, "ImportHistory", &nobody, &empty, NULL, NULL), E_UNAUTH);
	assert_int_equal(handlers_ask(&w.h, w.a, "ImportHistory", &user, &empty, NULL, NULL), E_DENIED);
}

/* ---- administrators ---- */

static void test_pins_and_status(void **state)
{
	struct principal admin = who_admin(admin_perm);
	Reco__V1__CreatePinRequest in = RECO__V1__CREATE_PIN_REQUEST__INIT;
	Reco__V1__DeletePinRequest drop = RECO__V1__DELETE_PIN_REQUEST__INIT;
	Reco__V1__ListPinsRequest list = RECO__V1__LIST_PINS_REQUEST__INIT;
	Reco__V1__StatusRequest ask = RECO__V1__STATUS_REQUEST__INIT;
	Reco__V1__Pin *pin = NULL;
	Reco__V1__ListPinsReply *pins = NULL;
	Reco__V1__Status *status = NULL;
	struct reco_pin_row *now = NULL;
	struct pg *pg = NULL;
	size_t n = 0;

	(void)state;
	in.placement = (char *)"home";
	in.product_id = (char *)"prd_01jd0000000000000000000001";
	in.has_position = true;
	in.position = 1;
	MUST(handlers_ask(&w.h, w.a, "CreatePin", &admin, &in, &pin, &why_));
	assert_int_equal(handlers_ask(&w.h, w.a, "CreatePin", &admin, &in, NULL, NULL), E_CONFLICT);
	in.position = 0;
	assert_int_equal(handlers_ask(&w.h, w.a, "CreatePin", &admin, &in, NULL, NULL), E_INVALID);
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_pins(pg, w.a, "home", NULL, &now, &n, &why_));
	pg_return(pg);
	assert_int_equal(n, 1);
	MUST(handlers_ask(&w.h, w.a, "ListPins", &admin, &list, &pins, &why_));
	assert_int_equal(pins->n_data, 1);
	drop.pin_id = pins->data[0]->id;
	MUST(handlers_ask(&w.h, w.a, "DeletePin", &admin, &drop, NULL, &why_));
	assert_int_equal(handlers_ask(&w.h, w.a, "DeletePin", &admin, &drop, NULL, NULL), E_NOT_FOUND);
	MUST(handlers_ask(&w.h, w.a, "GetStatus", &admin, &ask, &status, &why_));
	assert_true(status->products > 0 && status->last_event_at > 0);
	assert_int_equal(handlers_ask(&w.h, w.a, "GetStatus", &who_nobody, &ask, NULL, NULL), E_UNAUTH);
	assert_string_equal(pg_fixture_unaudited(w.fx, "reco"), "");
}

static int open_world(void **state)
{
	struct key32 key;

	(void)state;
	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("reco", reco_migrations);
	w.conf = (struct reco_conf){ .consent = "opt_out", .keep_months = 25, .visitor_events = 1000 };
	w.svc = (struct reco_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, reco_stmts, 4), .visitors = visitors_new() };
	w.h = (struct handlers){ reco_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 256 << 20);
	product("prd_a", "vnd_1", "published", "var_a");
	product("prd_b", "vnd_1", "published", "var_b");
	stock("var_a", "in");
	stock("var_b", "in");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	visitors_free(w.svc.visitors);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	arena_free(w.a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_view_is_history_at_once),
		cmocka_unit_test(test_a_batch_is_counted_once_and_bounded),
		cmocka_unit_test(test_what_cannot_be_is_refused_or_dropped),
		cmocka_unit_test(test_robots_are_bounded),
		cmocka_unit_test(test_consent_is_respected),
		cmocka_unit_test(test_an_erased_user_leaves_nothing),
		cmocka_unit_test(test_orders_carts_and_reviews),
		cmocka_unit_test(test_what_may_be_shown),
		cmocka_unit_test(test_what_is_fetched),
		cmocka_unit_test(test_days_are_counted_once),
		cmocka_unit_test(test_late_commits_are_not_passed_over),
		cmocka_unit_test(test_nothing_past_the_instant),
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_history_is_imported_once),
		cmocka_unit_test(test_pins_and_status),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
