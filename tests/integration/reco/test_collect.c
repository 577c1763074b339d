/* Behaviour on a real PostgreSQL: what pages and daemons tell, consent, erasure. */
#include "tests/integration/reco/world.h"

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

static void click_of_search(const char *session, const char *id, Reco__V1__CollectReply **out_r)
{
	Reco__V1__BehaviourEvent m = RECO__V1__BEHAVIOUR_EVENT__INIT, *list = &m;
	Reco__V1__CollectRequest in = RECO__V1__COLLECT_REQUEST__INIT;

	m.id = (char *)id;
	m.type = (char *)"click";
	m.product_id = (char *)"prd_a";
	m.request_id = (char *)"srq_0123456789abcdef01234567";
	m.placement = (char *)"search";
	m.has_position = true;
	m.position = 3;
	in.events = &list;
	in.n_events = 1;
	in.session_id = (char *)session;
	MUST(handlers_ask(&w.h, w.a, "Collect", &who_nobody, &in, out_r, &why_));
}

/* Search hears which query was clicked, and not by whom; here stays who clicked, and not after which query. */
static void test_clicks_of_searches_are_told(void **state)
{
	Reco__V1__CollectReply *r = NULL;

	(void)state;
	click_of_search("s-search", "c1", &r);
	assert_int_equal(r->accepted, 1);
	assert_int_equal(COUNT("reco.outbox WHERE type = 'search.clicked' AND position('srq_0123456789abcdef01234567' IN"
			       " encode(payload, 'escape')) > 0"), 1);
	assert_int_equal(COUNT("reco.outbox WHERE position('s-search' IN encode(payload, 'escape')) > 0"), 0);
	assert_int_equal(COUNT("reco.event WHERE session_id = 's-search' AND kind = 2 AND request_id IS NULL"), 1);
	click_of_search("s-search", "c1", &r); /* again: once */
	assert_int_equal(r->duplicates, 1);
	assert_int_equal(COUNT("reco.outbox WHERE type = 'search.clicked'"), 1);
	(void)view(&who_nobody, "s-search", "c2", "prd_a");
	assert_int_equal(COUNT("reco.outbox WHERE type = 'search.clicked'"), 1);
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
	struct reco_look look = { .placement = "p", .user_id = "usr_finn" };
	struct pg *pg = NULL;

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
	MUST(reco_features_look(pg, w.a, &look, &why_));
	pg_return(pg);
	assert_int_equal(look.n_cart, 2);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_view_is_history_at_once),
		cmocka_unit_test(test_a_batch_is_counted_once_and_bounded),
		cmocka_unit_test(test_what_cannot_be_is_refused_or_dropped),
		cmocka_unit_test(test_clicks_of_searches_are_told),
		cmocka_unit_test(test_robots_are_bounded),
		cmocka_unit_test(test_consent_is_respected),
		cmocka_unit_test(test_an_erased_user_leaves_nothing),
		cmocka_unit_test(test_orders_carts_and_reviews),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
