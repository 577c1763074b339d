/* S1 to S8, S35: the payment intent is being made, and everything that can go wrong does. One intent in the end, or none. */
#include "tests/integration/checkout/s_cases.h"

/* 201, or 202 with the address to ask at; then, once the fault is over, one intent that is paid and becomes one order. */
static void comes_right(const char *sabotage)
{
	Checkout__V1__CheckoutView *v = NULL;
	Checkout__V1__Order *o = NULL;
	enum err_code code;

	w.cart_seq++;
	w.conf.inline_ms = 400; /* not enough for a second try */
	fault(sabotage);
	code = ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v);
	if (code && (code != E_PENDING || !v->hdr_location))
		fail_msg("%s: %s %s", sabotage, last.slug, last.msg);
	books_hold();
	sweep();
	no_faults();
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id, NULL), 1);
	w.conf.inline_ms = 3000;
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
	assert_int_equal(intents_of(v->id, NULL), 1);
}

static void s1_connection_refused(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	world_open_pay("http://127.0.0.1:1");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_UNAVAILABLE);
	assert_true(err_is(&last, "checkout.provider_down"));
	assert_true(last.retry_after_ms > 0);
	assert_int_equal(w.stock_a, 1000); /* nothing half done */
	world_open_pay(w.url);
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
	assert_int_equal(intents_of(v->id, NULL), 1);
}

static void s2_request_lost(void **state)
{
	(void)state;
	comes_right("{\"operation\":\"create\",\"kind\":\"close_before\",\"count\":2}");
	comes_right("{\"operation\":\"create\",\"kind\":\"close_before\",\"reset\":true,\"count\":2}");
	comes_right("{\"operation\":\"create\",\"kind\":\"error_500_unstored\",\"count\":3}");
}

static void s3_answer_lost(void **state)
{
	(void)state;
	comes_right("{\"operation\":\"create\",\"kind\":\"close_after\"}");
	comes_right("{\"operation\":\"create\",\"kind\":\"close_after\",\"reset\":true,\"count\":3}");
	comes_right("{\"operation\":\"create\",\"kind\":\"error_500_unstored\",\"processed\":true,\"count\":3}");
	comes_right("{\"operation\":\"create\",\"kind\":\"truncate_body\",\"bytes\":20}");
	comes_right("{\"operation\":\"create\",\"kind\":\"invalid_json\"}");
	comes_right("{\"operation\":\"create\",\"kind\":\"wrong_amount\",\"amount_delta\":7}");
}

/* Slower than the buyer waits: 202 in time, and the same intent afterwards. */
static void s3_answer_too_late(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;
	int64_t began;

	(void)state;
	w.conf.inline_ms = 500;
	fault("{\"operation\":\"create\",\"kind\":\"delay_ms\",\"delay_ms\":20000}");
	began = mono_ms();
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	assert_true(mono_ms() - began < 15000);
	assert_non_null(v->hdr_location);
	sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id, NULL), 1);
}

/* A day later the provider has forgotten the key, which would make a second intent: it is looked for first. */
static void s3_answer_lost_yesterday(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"close_after\",\"count\":0}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	pg_fixture_sql(w.fx, "UPDATE checkout.payment_attempt SET created_at = created_at - interval '24 h'"
			     " WHERE checkout_id = '%s'", v->id);
	lease_runs_out(v->id);
	round_of_sweeper();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id, NULL), 1);
}

/* A stored failure is repeated for its key for ever: only when the intent is known not to exist there is another key. */
static void s4_stored_500(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"error_500_stored\"}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	for (int i = 0; i < 3; i++)
		sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_true(pg_fixture_i64(w.fx, "SELECT pi_n FROM checkout.checkout WHERE id = '%s'", v->id) == 2);
	assert_int_equal(intents_of(v->id, NULL), 1);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", v->id), 2);

	w.cart_seq++; /* the failure was stored, the intent was made nevertheless: it is found, not made again */
	fault("{\"operation\":\"create\",\"kind\":\"error_500_stored\",\"processed\":true}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	for (int i = 0; i < 3; i++)
		sweep();
	assert_string_equal(state_of(v->id), "payment_pending");
	assert_int_equal(intents_of(v->id, NULL), 1);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", v->id), 1);
}

static void s5_key_in_use(void **state)
{
	(void)state;
	comes_right("{\"operation\":\"create\",\"kind\":\"conflict_409\"}");
	comes_right("{\"operation\":\"create\",\"kind\":\"conflict_409\",\"count\":4}");
}

/* Told to wait: nothing is held for a provider that lets nobody in, and the buyer hears when to come again. */
static void s6_too_many_requests(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;
	enum err_code code;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"status_429\",\"retry_after\":7,\"count\":50}");
	code = ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v);
	if (code == E_UNAVAILABLE) {
		assert_true(last.retry_after_ms > 0);
		assert_int_equal(w.stock_a, 1000);
	} else {
		assert_int_equal(code, E_PENDING);
	}
	no_faults();
	sweep();
	w.conf.inline_ms = 3000;
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), OK);
	assert_int_equal(intents_of(v->id, NULL), 1);
}

/* More than an answer may be, and one that comes byte by byte: cut off, and the outcome looked into. */
static void s35_answer_slow_or_endless(void **state)
{
	int64_t began = mono_ms();

	(void)state;
	comes_right("{\"operation\":\"create\",\"kind\":\"huge_body\",\"bytes\":3000000}");
	comes_right("{\"operation\":\"create\",\"kind\":\"slow_drip\",\"delay_ms\":20}");
	assert_true(mono_ms() - began < 30000); /* all of it takes minutes */
}

/* ---- S7: kill -9 in the middle of a call ---- */

/* argv: dsn, provider, cart, method, checkout, its reservation. Another process of this daemon; it is killed in its call. */
static int another_process(char **argv)
{
	const struct pg_conf conf = { .dsn = argv[0], .pool = 2, .app = "checkout", .schema = "checkout" };
	const struct stock_line lines[] = { { VAR_A, 2 }, { VAR_B, 1 } };
	Checkout__V1__ConfirmOrderRequest ci = CHECKOUT__V1__CONFIRM_ORDER_REQUEST__INIT;
	struct pg_pool *pool = NULL;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pg_pool_open(&conf, checkout_stmts, &pool, &e))
		return 1;
	snprintf(w.url, sizeof(w.url), "%s", argv[1]);
	world_daemon(pool);
	full_shelves();
	w.cart_seq = (int)strtol(argv[2], NULL, 10);
	w.conf.inline_ms = 60000;
	ci.checkout_id = argv[4];
	if (*argv[5]) {
		struct call c = { .arena = w.a };

		if (reserve_locked(&c, argv[5], lines, 2))
			return 1;
	}
	(void)handlers_ask(&w.h, w.a, argv[3], &user, *argv[4] ? (void *)&ci : (void *)order_of(&user, NULL, TOTAL), NULL, &e);
	return 0;
}

static int64_t faults_fired(void)
{
	const char *text = "";
	json_t *o;
	int64_t n;

	assert_int_equal(ask_sandbox("GET", "/_sandbox/stats", "json", NULL, &text), 200);
	o = json_loads(text, 0, NULL);
	n = json_integer_value(json_object_get(json_object_get(o, "faults"), "fired"));
	json_decref(o);
	return n;
}

static const char *reservation_of(const char *checkout_id)
{
	return pg_fixture_text(w.fx, "SELECT id || '.' || attempt FROM checkout.checkout WHERE id = '%s'", checkout_id);
}

/* Runs the method in a process that is killed while the provider holds back its answer to `operation`. */
static void killed_during(const char *method, const char *checkout_id, const char *operation, bool after_effect)
{
	const struct timespec pause = { 0, 5 * 1000 * 1000 };
	const char *key = *checkout_id ? reservation_of(checkout_id) : "", *cart = arena_printf(w.a, "%d", w.cart_seq);
	int64_t before = faults_fired(), until = mono_ms() + 60000;
	pid_t pid;

	fault(arena_printf(w.a, "{\"operation\":\"%s\",\"kind\":\"%s\",\"delay_ms\":1000%s}", operation,
			   after_effect ? "delay_ms" : "close_before", after_effect ? ",\"after\":true" : ""));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", "another", "--another", pg_fixture_dsn(w.fx), w.url, cart, method, checkout_id, key, (char *)NULL);
		_exit(127);
	}
	while (faults_fired() == before) {
		assert_true(mono_ms() < until);
		nanosleep(&pause, NULL);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	no_faults();
}

/* Inventory is a process of its own and did not die: what the killed one told it is what it knows. */
static void inventory_knows(const char *checkout_id, enum stock_state st)
{
	const struct stock_line lines[] = { { VAR_A, w.qty_a }, { VAR_B, w.qty_b } };
	const char *key = reservation_of(checkout_id);
	struct call c = { .arena = w.a };

	assert_int_equal(reserve_locked(&c, key, lines, 2), OK);
	find_res(key)->state = st;
}

/* Its lease has run out. The dead one's call may hold its key for a moment yet: asked again, never with another key. */
static void taken_up(const char *checkout_id, const char *until_state)
{
	const struct timespec pause = { 0, 50 * 1000 * 1000 };

	for (int i = 0; i < 600 && strcmp(state_of(checkout_id), until_state) != 0; i++) {
		lease_runs_out(checkout_id);
		round_of_sweeper();
		nanosleep(&pause, NULL);
	}
	assert_string_equal(state_of(checkout_id), until_state);
}

static const char *only_live(void)
{
	return arena_strdup(w.a, pg_fixture_text(w.fx, "SELECT id FROM checkout.checkout WHERE next_at IS NOT NULL"));
}

static void s7_killed_before_the_call_works(void **state)
{
	const char *id;

	(void)state;
	killed_during("StartCheckout", "", "create", false);
	id = only_live();
	assert_string_equal(state_of(id), "pi_creating"); /* key and parameters are stored */
	assert_int_equal(count("payment_attempt WHERE pi_id IS NULL AND checkout_id =", id), 1);
	inventory_knows(id, ST_ACTIVE);
	taken_up(id, "payment_pending");
	assert_int_equal(intents_of(id, NULL), 1);
}

static void s7_killed_before_the_answer_is_stored(void **state)
{
	const char *id;

	(void)state;
	killed_during("StartCheckout", "", "create", true);
	id = only_live();
	assert_string_equal(state_of(id), "pi_creating");
	inventory_knows(id, ST_ACTIVE);
	taken_up(id, "payment_pending");
	assert_int_equal(intents_of(id, NULL), 1);
	assert_int_equal(count("payment_attempt WHERE checkout_id =", id), 1);
}

static void s7_killed_while_capturing(void **state)
{
	Checkout__V1__Order *o = NULL;

	(void)state;
	for (int after = 0; after < 2; after++) {
		Checkout__V1__CheckoutView *v;

		w.cart_seq++;
		v = start(&user, NULL);
		assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
		killed_during("ConfirmOrder", v->id, "capture", after);
		assert_string_equal(state_of(v->id), "selling"); /* from where it finds back to the same capture */
		w.res[w.n_res - 1].state = ST_SOLD; /* what the killed process told inventory */
		books_hold();
		taken_up(v->id, "ordered"); /* although the client never comes again */
		assert_int_equal(confirm(&user, NULL, v->id, &o), OK);
		intent_is(v->payment->payment_intent_id, "succeeded");
	}
}

/* A bug of ours would show here: somebody is told, and no new key hides it. */
static void s8_key_with_other_parameters(void **state)
{
	Checkout__V1__CheckoutView *v = NULL;

	(void)state;
	w.conf.inline_ms = 400;
	fault("{\"operation\":\"create\",\"kind\":\"close_after\",\"count\":0}");
	assert_int_equal(ask("StartCheckout", &user, order_of(&user, NULL, TOTAL), &v), E_PENDING);
	no_faults();
	pg_fixture_sql(w.fx, "UPDATE checkout.payment_attempt SET params = replace(params, 'usd', 'eur') WHERE checkout_id = '%s'",
		       v->id);
	listen_to_log();
	lease_runs_out(v->id);
	sweep();
	assert_true(log_said("CRITICAL", "an idempotency key was used with other parameters"));
	assert_int_equal(count("payment_attempt WHERE checkout_id =", v->id), 1);
	assert_int_equal(intents_of(v->id, NULL), 1);
	assert_string_equal(state_of(v->id), "expired"); /* nobody was given its secret: nothing can be paid on it */
	assert_int_equal(w.stock_a, 1000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(s1_connection_refused),
		TEST(s2_request_lost),
		TEST(s3_answer_lost),
		TEST(s3_answer_too_late),
		TEST(s3_answer_lost_yesterday),
		TEST(s4_stored_500),
		TEST(s5_key_in_use),
		TEST(s6_too_many_requests),
		TEST(s7_killed_before_the_call_works),
		TEST(s7_killed_before_the_answer_is_stored),
		TEST(s7_killed_while_capturing),
		TEST(s8_key_with_other_parameters),
		TEST(s35_answer_slow_or_endless),
	};

	user = who_user(USER);
	if (argc == 8 && strcmp(argv[1], "--another") == 0)
		return another_process(argv + 2);
	return cmocka_run_group_tests(tests, world_begin, world_end);
}
