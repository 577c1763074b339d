/* From what people did to what they are shown: trained, judged, approved, deployed, served, rolled back, reported. */
#include "tests/integration/reco/shop.h"

#include <fcntl.h>
#include <pthread.h>

#include "services/reco/hot.h"

/* ---- the tests, in the order of a shop's life ---- */

/* No model: what sells, said to be a fallback; what is wrong in a request is named. */
static void test_before_any_model(void **state)
{
	Reco__V1__RecommendRequest bad = RECO__V1__RECOMMEND_REQUEST__INIT;
	const struct principal nobody = who_nobody;
	struct err e = { 0 };

	(void)state;
	assert_true(ask(&nobody, "related", item(0, 1), NULL)->n_data > 3);
	assert_true(ask(&nobody, "related", "prd_unknown", NULL)->fallback);
	assert_true(ask(&nobody, "personal", NULL, NULL)->fallback);
	assert_false(ask(&nobody, "trending", NULL, NULL)->fallback);
	assert_string_equal(ask(&nobody, "trending", NULL, NULL)->variant, "none");
	assert_int_equal(ask(&nobody, "buy_again", NULL, "s-none")->n_data, 0);
	assert_false(has(ask(&nobody, "related", item(0, 1), NULL), item(0, 1)));
	bad.type = (char *)"best";
	assert_int_equal(handlers_ask(&w.h, w.a, "Recommend", &nobody, &bad, NULL, &e), E_INVALID);
	assert_string_equal(e.details[0].field, "type");
	bad.type = (char *)"related";
	assert_int_equal(handlers_ask(&w.h, w.a, "Recommend", &nobody, &bad, NULL, &e), E_INVALID);
	bad.type = (char *)"trending";
	bad.has_limit = true;
	bad.limit = 51;
	assert_int_equal(handlers_ask(&w.h, w.a, "Recommend", &nobody, &bad, NULL, &e), E_INVALID);
}

static char first_model[64];

/* A first model waits for a person, whatever the gate thinks of it. */
static void test_first_model(void **state)
{
	const struct principal nobody = who_nobody, buyer = who_user("usr_0");
	Reco__V1__RecommendReply *r;

	(void)state;
	snprintf(first_model, sizeof(first_model), "%s", train());
	assert_string_equal(STATE(first_model), "evaluated");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT gate ->> 'passed' FROM reco.model WHERE id = '%s'", first_model), "true");
	(void)decide("DeployModel", first_model, E_CONFLICT, "reco.model_state");
	assert_string_equal(decide("ApproveModel", first_model, OK, NULL)->state, "approved");
	(void)decide("ApproveModel", first_model, E_CONFLICT, "reco.model_state");
	assert_string_equal(decide("DeployModel", first_model, OK, NULL)->state, "deployed");
	(void)decide("ApproveModel", "mdl_01jd0000000000000000000001", E_NOT_FOUND, "reco.model_unknown");
	tick();
	r = ask(&nobody, "bought_together", item(0, 1), NULL);
	assert_string_equal(r->variant, "main");
	assert_false(r->fallback);
	assert_int_equal(of_circle(r, 'x', 4), 4);
	assert_string_equal(r->data[0]->reason, "bought_together");
	assert_string_equal(r->data[0]->because, item(0, 1));
	assert_int_equal(of_circle(ask(&nobody, "related", item(1, 1), NULL), 'y', 4), 4);
	r = ask(&buyer, "personal", NULL, NULL);
	assert_false(r->fallback);
	assert_true(r->n_data > 0);
	assert_string_equal(ask(&buyer, "buy_again", NULL, NULL)->data[0]->reason, "buy_again");
	assert_true(ask(&nobody, "related", "prd_unknown", NULL)->fallback);
}

/* A view changes that visitor's lists at once. */
static void test_a_view_counts_at_once(void **state)
{
	const struct principal nobody = who_nobody;
	Reco__V1__RecommendReply *r;

	(void)state;
	assert_true(ask(&nobody, "personal", NULL, "s-new")->fallback);
	(void)view(&nobody, "s-new", "v1", item(1, 3));
	r = ask(&nobody, "personal", NULL, "s-new");
	assert_false(r->fallback);
	assert_int_equal(of_circle(r, 'y', 3), 3);
	assert_false(has(r, item(1, 3)));
	assert_string_equal(ask(&nobody, "recent", NULL, "s-new")->data[0]->product_id, item(1, 3));
}

/* ---- what may not be shown is not ---- */

static atomic_bool over;
static atomic_int shown_wrongly;

static void *asker(void *arg)
{
	const struct principal nobody = who_nobody;
	struct arena *a = arena_new("asker", 64 << 20);

	while (!atomic_load(&over)) {
		Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;
		Reco__V1__RecommendReply *out = NULL;
		/* Known to be sold out since before the request: it must not come. */
		int gone = atomic_load((atomic_int *)arg);

		in.type = (char *)"bought_together";
		in.product_id = (char *)"prd_x1";
		if (handlers_ask(&w.h, a, "Recommend", &nobody, &in, &out, NULL) != OK)
			atomic_fetch_add(&shown_wrongly, 1);
		for (size_t i = 0; gone && out && i < out->n_data; i++)
			if (strcmp(out->data[i]->product_id, "prd_x2") == 0 && atomic_load((atomic_int *)arg) == gone)
				atomic_fetch_add(&shown_wrongly, 1);
		arena_reset(a);
	}
	arena_free(a);
	return NULL;
}

static void test_sold_out_is_never_shown(void **state)
{
	const struct principal nobody = who_nobody, buyer = who_user("usr_0");
	Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;
	char *cart[] = { (char *)"prd_x1", (char *)"prd_x3" };
	atomic_int gone = 0; /* the number of the time it is gone; 0: it is there */
	pthread_t t[3];

	(void)state;
	w.conf.cache_s = 3600; /* what is kept is checked as well */
	w.svc.hot = hot_new();
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, asker, &gone);
	for (int round = 1; round <= 40; round++) {
		stock("var_0_2", "out");
		atomic_store(&gone, round);
		sleep_ms(5);
		atomic_store(&gone, 0);
		sleep_ms(1);
		stock("var_0_2", "in");
	}
	atomic_store(&over, true);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&shown_wrongly), 0);
	hot_free(w.svc.hot);
	w.svc.hot = NULL;
	w.conf.cache_s = 0;
	product("prd_x4", "vnd_1", "hidden", "var_0_4");
	assert_false(has(ask(&nobody, "bought_together", "prd_x1", NULL), "prd_x4"));
	product("prd_x4", "vnd_1", "published", "var_0_4");
	assert_true(has(ask(&nobody, "bought_together", "prd_x1", NULL), "prd_x4"));
	in.cart = cart;
	in.n_cart = 2;
	assert_false(has(ask_with(&buyer, in, "bought_together"), "prd_x3"));
	assert_false(has(ask_with(&buyer, in, "bought_together"), "prd_x1"));
	assert_true(of_circle(ask_with(&buyer, in, "bought_together"), 'x', 3) == 3);
}

static Reco__V1__RecommendReply *trending(const char *category, int limit)
{
	const struct principal nobody = who_nobody;
	Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;

	in.category_id = (char *)category;
	in.has_limit = true;
	in.limit = limit;
	return ask_with(&nobody, in, "trending");
}

/* What sells in a category, by its id or its name in addresses; then what sells in the shop. No vendor has all places. */
static void test_category_and_variety(void **state)
{
	static const char *const names[] = { "cat_1", "lamps" };
	struct arena *a = arena_new("count", 1 << 24);
	Reco__V1__RecommendReply *r;
	int big = 0;

	(void)state;
	MUST(job_count(&w.svc, a, &why_));
	arena_free(a);
	pg_fixture_sql(w.fx, "INSERT INTO reco.category (id, slug) VALUES ('cat_1', 'lamps')");
	pg_fixture_sql(w.fx, "UPDATE reco.product SET categories = '{cat_1,cat_0}' WHERE product_id IN ('prd_y1', 'prd_y2', 'prd_x7')");
	for (size_t i = 0; i < 2; i++) {
		r = trending(names[i], 6);
		assert_int_equal(r->n_data, 6);
		assert_false(r->fallback);
		for (int k = 0; k < 3; k++)
			assert_non_null(strstr("prd_y1 prd_y2 prd_x7", r->data[k]->product_id));
		assert_null(strstr("prd_y1 prd_y2 prd_x7", r->data[3]->product_id));
	}
	assert_true(trending("cat_none", 6)->fallback);
	pg_fixture_sql(w.fx, "UPDATE reco.product SET vendor_id = 'vnd_big' WHERE product_id LIKE 'prd_x%%'");
	pg_fixture_sql(w.fx, "UPDATE reco.product SET vendor_id = 'vnd_' || product_id WHERE product_id LIKE 'prd_y%%'");
	r = trending(NULL, 9);
	assert_int_equal(r->n_data, 9);
	for (size_t i = 0; i < r->n_data; i++)
		big += r->data[i]->product_id[4] == 'x';
	assert_int_equal(big, 3);
	pg_fixture_sql(w.fx, "UPDATE reco.product SET vendor_id = 'vnd_big', categories = '{}'");
	assert_int_equal(trending(NULL, 9)->n_data, 9); /* when nobody else has anything */
}

static void test_withheld_and_pins(void **state)
{
	const struct principal admin = who_admin(admin_perm), buyer = who_user("usr_2"), nobody = who_nobody;
	Reco__V1__CreatePinRequest pin = RECO__V1__CREATE_PIN_REQUEST__INIT;
	Events__V1__CartChanged cart = EVENTS__V1__CART_CHANGED__INIT;
	char *in_cart[] = { (char *)"var_0_5" };
	Reco__V1__RecommendReply *r;

	(void)state;
	assert_false(ask(&buyer, "personal", NULL, NULL)->fallback);
	consent("usr_2", false);
	cart.cart_id = (char *)"crt_2";
	cart.user_id = (char *)"usr_2";
	cart.variant_ids = in_cart;
	cart.n_variant_ids = 1;
	assert_true(has(ask(&buyer, "related", "prd_x1", NULL), "prd_x5"));
	tell("cart.changed", &cart.base);
	assert_false(has(ask(&buyer, "related", "prd_x1", NULL), "prd_x5")); /* a profile or not */
	assert_true(ask(&buyer, "personal", NULL, NULL)->fallback);
	assert_int_equal(ask(&buyer, "buy_again", NULL, NULL)->n_data, 0);
	pin.placement = (char *)"home";
	pin.product_id = (char *)"prd_01jd0000000000000000000001";
	pin.has_position = true;
	pin.position = 2;
	product(pin.product_id, "vnd_3", "published", "var_pin");
	stock("var_pin", "in");
	tick();
	assert_false(serve_pins(w.svc.serve)); /* nobody asks for them */
	MUST(handlers_ask(&w.h, w.a, "CreatePin", &admin, &pin, NULL, &why_));
	assert_true(serve_pins(w.svc.serve));
	Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;

	in.placement = (char *)"home";
	in.has_limit = true;
	in.limit = 4;
	r = ask_with(&nobody, in, "trending");
	assert_int_equal(r->n_data, 4);
	assert_string_equal(r->data[1]->product_id, pin.product_id);
	assert_string_equal(r->data[1]->reason, "pinned");
	serve_pins_set(w.svc.serve, false); /* as in another replica, which finds out */
	tick();
	assert_true(has(ask_with(&nobody, in, "trending"), pin.product_id));
	stock("var_pin", "out");
	assert_false(has(ask_with(&nobody, in, "trending"), pin.product_id));
}

/* A routine retrain that passes takes over by itself; a rollback brings the one before back; answers name their model. */
static void test_retrain_and_roll_back(void **state)
{
	const struct principal nobody = who_nobody;
	const char *old = ask(&nobody, "related", item(0, 1), NULL)->model_version, *second = train(), *now;

	(void)state;
	assert_string_equal(STATE(second), "deployed");
	assert_string_equal(STATE(first_model), "retired");
	assert_string_equal(ask(&nobody, "related", item(0, 1), NULL)->model_version, old);
	tick();
	now = ask(&nobody, "related", item(0, 1), NULL)->model_version;
	assert_string_not_equal(now, old);
	assert_string_equal(decide("RollbackModel", NULL, OK, NULL)->id, first_model);
	assert_string_equal(STATE(second), "retired");
	tick();
	assert_string_equal(ask(&nobody, "related", item(0, 1), NULL)->model_version, old);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM reco.model_history WHERE model_id = '%s'", first_model), 6);
}

/* ---- exchanged while it answers ---- */

struct exchange {
	atomic_bool over;
	atomic_int wrong, seen[2];
	const char *version[2];
};

static void *steady_asker(void *arg)
{
	const struct principal nobody = who_nobody;
	struct exchange *x = arg;
	struct arena *a = arena_new("asker", 64 << 20);

	while (!atomic_load(&x->over)) {
		Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;
		Reco__V1__RecommendReply *out = NULL;
		bool fine = false;

		in.type = (char *)"bought_together";
		in.product_id = (char *)"prd_x1";
		if (handlers_ask(&w.h, a, "Recommend", &nobody, &in, &out, NULL) == OK && !out->fallback && out->n_data > 0)
			for (int i = 0; i < 2; i++)
				if (strcmp(out->model_version, x->version[i]) == 0) {
					atomic_fetch_add(&x->seen[i], 1);
					fine = true;
				}
		if (!fine)
			atomic_fetch_add(&x->wrong, 1);
		arena_reset(a);
	}
	arena_free(a);
	return NULL;
}

/* Models take turns under requests: each is answered, by one or the other, and neither is let go while it is read. */
static void test_exchanged_under_requests(void **state)
{
	const char *second = pg_fixture_text(w.fx, "SELECT id FROM reco.model WHERE state = 'retired'"), *ids[] = { second, first_model };
	struct exchange x = { .version = { arena_strdup(w.a, pg_fixture_text(w.fx, "SELECT version FROM reco.model WHERE id = '%s'", second)),
					   arena_strdup(w.a, pg_fixture_text(w.fx, "SELECT version FROM reco.model WHERE id = '%s'", first_model)) } };
	int64_t until = mono_ms() + 60000;
	pthread_t t[3];

	(void)state;
	ids[0] = arena_strdup(w.a, second);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, steady_asker, &x);
	for (int round = 0; round < 12; round++) {
		int before = atomic_load(&x.seen[round % 2]);

		(void)decide("DeployModel", ids[round % 2], OK, NULL);
		tick();
		while (atomic_load(&x.seen[round % 2]) < before + 5 && mono_ms() < until)
			sleep_ms(1);
	}
	atomic_store(&x.over, true);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&x.wrong), 0);
	assert_true(atomic_load(&x.seen[0]) >= 30 && atomic_load(&x.seen[1]) >= 30);
}

static void deploy_share(const char *id, int share, enum err_code wanted)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__DeployModelRequest in = RECO__V1__DEPLOY_MODEL_REQUEST__INIT;

	in.model_id = (char *)id;
	in.has_share_percent = true;
	in.share_percent = share;
	assert_int_equal(handlers_ask(&w.h, w.a, "DeployModel", &admin, &in, NULL, NULL), wanted);
}

/* A share of the visitors, always the same ones. */
static void test_canary(void **state)
{
	const struct principal nobody = who_nobody;
	const char *second = pg_fixture_text(w.fx, "SELECT id FROM reco.model WHERE state = 'retired'");
	int n = 0;

	(void)state;
	deploy_share(second, 30, OK);
	tick();
	for (int i = 0; i < 200; i++) {
		const char *session = arena_printf(w.a, "s-%d", i), *one = ask(&nobody, "related", item(0, 1), session)->variant;

		assert_string_equal(ask(&nobody, "trending", NULL, session)->variant, one);
		n += strcmp(one, "canary") == 0;
	}
	assert_in_range(n, 35, 90);
	assert_string_equal(decide("RollbackModel", NULL, OK, NULL)->id, second);
	tick();
	for (int i = 0; i < 20; i++)
		assert_string_equal(ask(&nobody, "related", item(0, 1), arena_printf(w.a, "s-%d", i))->variant, "main");
}

/* A damaged file is not deployed, and never takes the place of one that answers. */
static void test_damaged_file(void **state)
{
	const struct principal nobody = who_nobody;
	const char *second = pg_fixture_text(w.fx, "SELECT id FROM reco.model WHERE state = 'retired'");
	const char *file = arena_printf(w.a, "%s/%s", models, pg_fixture_text(w.fx, "SELECT path FROM reco.model WHERE id = '%s'", second));
	const char *before = ask(&nobody, "related", item(0, 1), NULL)->model_version;
	int fd = open(file, O_WRONLY);

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, 3000), 1);
	close(fd);
	(void)decide("DeployModel", second, E_RULE, "reco.artefact_bad");
	pg_fixture_sql(w.fx, "UPDATE reco.deployment SET model_id = '%s'", second);
	tick();
	assert_string_equal(ask(&nobody, "related", item(0, 1), NULL)->model_version, before);
	pg_fixture_sql(w.fx, "UPDATE reco.deployment SET model_id = '%s'", first_model);
}

/* Impressions and clicks join the request they name. */
static void test_report(void **state)
{
	const struct principal nobody = who_nobody, admin = who_admin(admin_perm);
	Reco__V1__ReportRequest in = RECO__V1__REPORT_REQUEST__INIT;
	Reco__V1__CollectRequest tell_ = RECO__V1__COLLECT_REQUEST__INIT;
	Reco__V1__BehaviourEvent ev[5], *list[5];
	const char *lines[2];
	Reco__V1__RecommendRequest shown_ = RECO__V1__RECOMMEND_REQUEST__INIT;
	Reco__V1__ReportReply *out = NULL;
	Reco__V1__PlotReply *plot = NULL;
	Reco__V1__CollectReply *taken = NULL;
	Reco__V1__RecommendReply *r;

	(void)state;
	shown_.placement = (char *)"basket-side";
	shown_.session_id = (char *)"s-report";
	r = ask_with(&nobody, shown_, "trending");
	assert_true(r->n_data >= 3);
	for (int i = 0; i < 5; i++) {
		static const char *const types[] = { "impression", "impression", "impression", "click", "add_to_cart" };

		reco__v1__behaviour_event__init(&ev[i]);
		ev[i].id = arena_printf(w.a, "rep-%d", i);
		ev[i].type = (char *)types[i];
		ev[i].product_id = r->data[i < 3 ? i : 1]->product_id;
		ev[i].request_id = r->request_id;
		list[i] = &ev[i];
	}
	tell_.session_id = (char *)"s-report";
	tell_.hdr_user_agent = (char *)"Mozilla/5.0";
	tell_.events = list;
	tell_.n_events = 5;
	MUST(handlers_ask(&w.h, w.a, "Collect", &nobody, &tell_, &taken, &why_));
	assert_int_equal(taken->accepted, 5);
	tick();
	/* Who clicked buys it within the week, and something else as well. */
	lines[0] = r->data[1]->product_id, lines[1] = r->data[2]->product_id;
	pg_fixture_sql(w.fx, "UPDATE reco.event SET user_id = 'usr_report' WHERE request_id = '%s' AND kind = 2", r->request_id);
	order_at("ord_report", "usr_report", lines, 2, wall_ms());
	in.placement = (char *)"basket-side";
	MUST(handlers_ask(&w.h, w.a, "GetReport", &admin, &in, &out, &why_));
	assert_int_equal(out->n_data, 1);
	assert_int_equal(out->data[0]->requests, 1);
	assert_int_equal(out->data[0]->impressions, 3);
	assert_int_equal(out->data[0]->clicks, 1);
	assert_int_equal(out->data[0]->carts, 1);
	assert_int_equal(out->data[0]->orders, 1);
	assert_true(out->data[0]->ctr > 0.33 && out->data[0]->ctr < 0.34);
	assert_true(out->data[0]->ctr_low < 0.2 && out->data[0]->ctr_high > 0.6);
	assert_int_equal(out->n_days, 1);
	MUST(handlers_ask(&w.h, w.a, "GetReportPlot", &admin, &in, &plot, &why_));
	assert_string_equal(plot->hdr_content_type, "image/svg+xml");
	assert_true(memmem(plot->raw_body.data, plot->raw_body.len, "<polyline", 9) != NULL);
	assert_int_equal(handlers_ask(&w.h, w.a, "GetReport", &nobody, &in, NULL, NULL), E_UNAUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_any_model),	cmocka_unit_test(test_first_model),
		cmocka_unit_test(test_a_view_counts_at_once),	cmocka_unit_test(test_sold_out_is_never_shown),
		cmocka_unit_test(test_category_and_variety),
		cmocka_unit_test(test_withheld_and_pins),	cmocka_unit_test(test_retrain_and_roll_back),
		cmocka_unit_test(test_exchanged_under_requests),
		cmocka_unit_test(test_canary),			cmocka_unit_test(test_damaged_file),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, open_shop, close_shop);
}
