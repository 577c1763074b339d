/* The feature store on a real PostgreSQL: what may be shown, days, instants, months, history from before. */
#include "tests/integration/reco/world.h"

#include <pthread.h>
#include <semaphore.h>

#include "services/reco/reco_db_catalogue.h"

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

/* ---- two at once ---- */

struct racer {
	const char *variant;
	int64_t seq;
	sem_t *told, *go; /* NULL: commits at once */
};

static enum err_code race_tx(struct pg *pg, void *arg, struct err *e)
{
	struct racer *r = arg;
	struct arena *a = arena_new("race", 1 << 20);

	enum err_code code = reco_db_stock_told(pg, a, r->variant, "out", r->seq, e);

	arena_free(a);
	if (r->told) {
		sem_post(r->told);
		sem_wait(r->go);
	}
	return code;
}

static void *race(void *arg)
{
	const struct pg_actor who = { "service:test", "" };
	struct err e = { 0 };

	return pg_tx(w.svc.pool, mono_ms() + 30000, &who, race_tx, arg, &e) ? arg : NULL;
}

/* Each of two transactions empties one variant and would still see the other's full. */
static void test_two_variants_sell_out_at_once(void **state)
{
	Events__V1__ProductChanged m = EVENTS__V1__PRODUCT_CHANGED__INIT;
	Events__V1__VariantRef v[2], *list[] = { &v[0], &v[1] };
	sem_t told, go;
	struct racer one = { "var_r0", 5001, &told, &go }, two = { "var_r1", 5001, NULL, NULL };
	pthread_t t[2];
	void *failed[2];

	(void)state;
	m.product_id = (char *)"prd_r";
	m.status = (char *)"published";
	m.variants = list;
	m.n_variants = 2;
	for (int i = 0; i < 2; i++) {
		events__v1__variant_ref__init(&v[i]);
		v[i].variant_id = arena_printf(w.a, "var_r%d", i);
		stock_at(v[i].variant_id, "in", 5000);
	}
	tell("product.changed", &m.base);
	assert_true(shown("prd_r"));
	sem_init(&told, 0, 0);
	sem_init(&go, 0, 0);
	pthread_create(&t[0], NULL, race, &one);
	sem_wait(&told);
	pthread_create(&t[1], NULL, race, &two);
	for (int64_t until = mono_ms() + 6000; mono_ms() < until;)
		if (COUNT("pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0)
			break;
	sem_post(&go);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &failed[i]);
		assert_null(failed[i]);
	}
	assert_false(shown("prd_r"));
	sem_destroy(&told);
	sem_destroy(&go);
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
	pg_fixture_sql(w.fx, "CREATE TABLE reco.answer_202002 PARTITION OF reco.answer FOR VALUES FROM ('2020-02-01Z') TO ('2020-03-01Z')");
	w.conf.keep_months = 0;
	MUST(job_months(&w.svc, w.a, &why_));
	assert_int_equal(COUNT("pg_class WHERE relname = 'answer_202002'"), 0); /* answers go, events may be kept for ever */
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
	Events__V1__UserErased gone = EVENTS__V1__USER_ERASED__INIT;
	Reco__V1__ImportHistoryReply *r;

	(void)state;
	gone.user_id = (char *)"usr_emil";
	tell("user.erased", &gone.base);
	r = import(rows, 9);
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
	struct reco_look now = { .placement = "home" };
	struct pg *pg = NULL;

	(void)state;
	product("prd_01jd0000000000000000000001", "vnd_pin", "published", "var_pin");
	in.placement = (char *)"home";
	in.product_id = (char *)"prd_01jd0000000000000000000001";
	in.has_position = true;
	in.position = 1;
	MUST(handlers_ask(&w.h, w.a, "CreatePin", &admin, &in, &pin, &why_));
	assert_int_equal(handlers_ask(&w.h, w.a, "CreatePin", &admin, &in, NULL, NULL), E_CONFLICT);
	in.position = 0;
	assert_int_equal(handlers_ask(&w.h, w.a, "CreatePin", &admin, &in, NULL, NULL), E_INVALID);
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(reco_features_look(pg, w.a, &now, &why_));
	assert_int_equal(now.n_pins, 0); /* it may not be shown yet */
	stock("var_pin", "in");
	MUST(reco_features_look(pg, w.a, &now, &why_));
	pg_return(pg);
	assert_int_equal(now.n_pins, 1);
	assert_string_equal(now.pins[0].vendor_id, "vnd_pin");
	assert_int_equal(now.n_shown, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_may_be_shown),
		cmocka_unit_test(test_two_variants_sell_out_at_once),
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
