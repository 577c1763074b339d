/* Reco in a database of its own, and what pages and daemons tell it. For the test programs of this folder. */
#ifndef SOUK_TEST_RECO_WORLD_H
#define SOUK_TEST_RECO_WORLD_H

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
#include "services/reco/serve.h"
#include "services/reco/visitors.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

#define UNUSED __attribute__((unused))

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

UNUSED static enum err_code tell_tx(struct pg *pg, void *arg, struct err *e)
{
	struct told *t = arg;

	return t->handler->fn(pg, w.a, &t->ev, &w.svc, e);
}

UNUSED static void tell_at(const char *type, const ProtobufCMessage *msg, int64_t at, int64_t version)
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

UNUSED static void tell(const char *type, const ProtobufCMessage *msg)
{
	tell_at(type, msg, wall_ms(), 0);
}

UNUSED static void product(const char *id, const char *vendor, const char *status, const char *variant)
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

UNUSED static void stock_at(const char *variant, const char *availability, int64_t seq)
{
	Events__V1__StockChanged m = EVENTS__V1__STOCK_CHANGED__INIT;

	m.variant_id = (char *)variant;
	m.availability = (char *)availability;
	tell_at("stock.changed", &m.base, wall_ms(), seq);
}

UNUSED static void stock(const char *variant, const char *availability)
{
	stock_at(variant, availability, 0);
}

UNUSED static void order_at(const char *order_id, const char *user, const char *const *products, size_t n, int64_t at)
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

UNUSED static void consent(const char *user, bool granted)
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

UNUSED static enum err_code send_as(const struct principal *who, const char *session, const char *agent, const struct sent *s,
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

UNUSED static Reco__V1__CollectReply *sent(const struct principal *who, const char *session, const struct sent *s, size_t n)
{
	Reco__V1__CollectReply *out = NULL;

	MUST(send_as(who, session, "Mozilla/5.0", s, n, &out, &why_));
	return out;
}

UNUSED static Reco__V1__CollectReply *view(const struct principal *who, const char *session, const char *id, const char *product)
{
	const struct sent s = { id, "view", product, 0 };

	return sent(who, session, &s, 1);
}

/* ---- reading ---- */

UNUSED static struct reco_history_row *history(const char *user, const char *session, size_t *n_r)
{
	struct reco_history_row *rows = NULL;
	struct pg *pg = NULL;

	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_history(pg, w.a, user, session, 50, &rows, n_r, &why_));
	pg_return(pg);
	return rows;
}

UNUSED static const struct reco_history_row *seen(const char *user, const char *session, const char *product)
{
	size_t n = 0;
	struct reco_history_row *rows = history(user, session, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].product_id, product) == 0)
			return &rows[i];
	return NULL;
}

UNUSED static bool shown(const char *product)
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

UNUSED static int open_world(void **state)
{
	struct key32 key;

	(void)state;
	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("reco", reco_migrations);
	w.conf = (struct reco_conf){ .consent = "opt_out", .keep_months = 25, .visitor_events = 1000, .train_events = 5000000 };
	w.svc = (struct reco_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, reco_stmts, 4), .visitors = visitors_new(),
				   .serve = serve_new() };
	w.h = (struct handlers){ reco_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 256 << 20);
	product("prd_a", "vnd_1", "published", "var_a");
	product("prd_b", "vnd_1", "published", "var_b");
	stock("var_a", "in");
	stock("var_b", "in");
	return 0;
}

UNUSED static int close_world(void **state)
{
	(void)state;
	visitors_free(w.svc.visitors);
	serve_free(w.svc.serve);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	arena_free(w.a);
	return 0;
}

#endif
