/* What crosses between rpc_client and rpc_server, and who may ask. */
#include "rpc_world.h"

static void test_round_trip(void **state)
{
	struct local l;
	struct rpc_client *cl;
	struct answer an;

	(void)state;
	start_local(&l, "one");
	cl = open_client(rpc_server_url(l.srv));
	assert_answer(cl, "Get", "hello", "hello");
	assert_answer(cl, "echo.v1.Echo/Do", "id", "one");
	assert_true(rpc_client_up(cl));
	ask(cl, "Nothing", "x", 2000, &an);
	assert_int_equal(an.rc, E_NOT_FOUND);
	assert_string_equal(an.err.slug, "rpc.method_unknown");
	ask(cl, "Do", "pending", 2000, &an);
	assert_int_equal(an.rc, E_PENDING);
	assert_string_equal(an.text, "pending");
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_error_crosses(void **state)
{
	struct local l;
	struct rpc_client *cl;
	struct answer an;

	(void)state;
	start_local(&l, "one");
	cl = open_client(rpc_server_url(l.srv));
	ask(cl, "Do", "fail", 2000, &an);
	assert_int_equal(an.rc, E_RULE);
	assert_string_equal(an.err.slug, "echo.no_such_row"); /* a slug that this build has no row for */
	assert_int_equal(an.err.n_details, 2);
	assert_string_equal(an.err.details[0].field, "qty");
	assert_string_equal(an.err.details[0].message, "Only 3 are left.");
	assert_string_equal(an.err.details[0].value, "3");
	assert_string_equal(an.err.details[1].value, "");
	assert_int_equal(an.err.retry_after_ms, 1500);
	assert_int_equal(atomic_load(&l.echo.executed), 1);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_principal_crosses(void **state)
{
	Common__V1__Json in = COMMON__V1__JSON__INIT, *out = NULL;
	struct arena *a = arena_new("test", 1 << 20);
	struct local l;
	struct rpc_client *cl;
	struct call c;

	(void)state;
	start_local(&l, "one");
	cl = open_client(rpc_server_url(l.srv));
	call_init_service(&c, "tester", a, 2000);
	c.request_id = "request-0001";
	c.who = (struct principal){ .kind = WHO_USER, .user_id = "usr_1", .session_id = "s", .audience = "shop" };
	in.text = (char *)"who";
	assert_int_equal(rpc_call(cl, &c, "Get", &in.base, &common__v1__json__descriptor, &out, NULL), OK);
	assert_string_equal(out->text, "tester 1 usr_1  request-0001");
	assert_int_equal(rpc_call(cl, &c, "Get", &in.base, &common__v1__json__descriptor, &out,
				  &(struct rpc_opts){ .as_service = true }),
			 OK);
	assert_string_equal(out->text, "tester 2  tester request-0001");
	arena_free(a);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_deadline(void **state)
{
	struct local l;
	struct rpc_client *cl;
	struct answer an;
	int64_t start;

	(void)state;
	start_local(&l, "one");
	cl = open_client(rpc_server_url(l.srv));
	assert_answer(cl, "Get", "warm", "warm");
	ask(cl, "Get", "left", 8000, &an);
	assert_int_equal(an.rc, OK);
	assert_in_range(atoll(an.text), 4000, 8000);
	ask_opts(cl, "Get", "left", 9000, &(struct rpc_opts){ .timeout_ms = 3000 }, &an);
	assert_in_range(atoll(an.text), 1000, 3000);
	start = mono_ms();
	ask(cl, "Do", "sleep 3000", 200, &an);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "rpc.outcome_unknown");
	assert_in_range(mono_ms() - start, 190, 2800);
	ask(cl, "Do", "x", 0, &an);
	assert_string_equal(an.err.slug, "common.deadline");
	/* The context of the lost call is gone; others go on. */
	assert_answer(cl, "Get", "after", "after");
	WAIT_FOR(!atomic_load(&l.echo.running), 3000);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_sizes(void **state)
{
	const size_t max = RPC_PAYLOAD_MAX - 4; /* the field's tag and length */
	char *big = malloc(RPC_MESSAGE_MAX + 1);
	char cmd[32];
	struct local l;
	struct rpc_client *cl;
	struct answer an;

	(void)state;
	memset(big, 'a', RPC_MESSAGE_MAX);
	start_local(&l, "one");
	cl = open_client(rpc_server_url(l.srv));
	big[max] = '\0';
	ask(cl, "Get", big, 5000, &an);
	assert_int_equal(an.rc, OK);
	assert_int_equal(an.len, max);
	big[max] = 'a';
	big[max + 1] = '\0';
	ask(cl, "Get", big, 5000, &an);
	assert_int_equal(an.rc, E_TOO_LARGE);
	/* Do takes 256 KiB. */
	big[300 << 10] = '\0';
	ask(cl, "Do", big, 5000, &an);
	assert_int_equal(an.rc, E_TOO_LARGE);
	snprintf(cmd, sizeof(cmd), "big %zu", max);
	ask(cl, "Get", cmd, 5000, &an);
	assert_int_equal(an.rc, OK);
	assert_int_equal(an.len, max);
	snprintf(cmd, sizeof(cmd), "big %zu", max + 1);
	ask(cl, "Get", cmd, 5000, &an);
	assert_int_equal(an.rc, E_TOO_LARGE);
	assert_answer(cl, "Get", "alive", "alive");
	free(big);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_wrong_key_is_refused(void **state)
{
	struct rpc_keys *wrong = rpc_keys_new("tester");
	static const uint8_t zeros[32];
	struct local l;
	struct rpc_client *cl;
	struct answer an;
	struct err e = { 0 };

	(void)state;
	start_local(&l, "one");
	rpc_keys_add(wrong, "tester", "echo", zeros);
	assert_int_equal(rpc_client_open("tester", "echo", rpc_server_url(l.srv), 200, wrong, &cl, &e), OK);
	ask(cl, "Get", "id", 2000, &an);
	/* To the caller of the caller that is no refusal of what it asked for. */
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "rpc.unreachable");
	assert_int_equal(atomic_load(&l.echo.executed), 0);
	rpc_client_close(cl);
	rpc_keys_free(wrong);
	rpc_server_stop(l.srv);
}

static void remove_folder(const char *dir)
{
	struct dirent *ent;
	DIR *d = opendir(dir);

	assert_non_null(d);
	while ((ent = readdir(d)))
		if (*ent->d_name != '.')
			unlinkat(dirfd(d), ent->d_name, 0);
	closedir(d);
	rmdir(dir);
}

/* --health: the daemon's own address, its own pair key, one line. */
static void test_health(void **state)
{
	struct daemon_conf conf = { .listen = "tcp://127.0.0.1:0", .contexts = 2 };
	static const struct rpc_service none[] = { { 0 } };
	char dir[] = "/tmp/test_rpc_health.XXXXXX";
	struct rpc_keys *keys = NULL;
	struct rpc_server *srv = NULL;
	struct err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(keys_init(dir, &e), OK);
	assert_int_equal(rpc_keys_load(dir, "cart", &keys, &e), OK);
	assert_int_equal(rpc_server_start(&conf, "cart", none, keys, NULL, NULL, &srv, &e), OK);
	conf.keys_dir = dir;
	conf.listen = strdup(rpc_server_url(srv));
	assert_int_equal(rpc_health(&conf, "cart"), 0);
	rpc_server_stop(srv);
	assert_int_equal(rpc_health(&conf, "cart"), 1);
	rpc_keys_free(keys);
	free((char *)(uintptr_t)conf.listen);
	remove_folder(dir);
}

/* Only services pull events, and each under its own name: a cursor lets events be dropped. */
static void test_node_guards(void **state)
{
	Common__V1__FetchEventsRequest in = COMMON__V1__FETCH_EVENTS_REQUEST__INIT;
	Common__V1__LagRequest lag = COMMON__V1__LAG_REQUEST__INIT;
	struct arena *a = arena_new("test", 1 << 20);
	struct local l;
	struct rpc_client *cl;
	struct call c;
	void *out = NULL;

	(void)state;
	start_local(&l, "one");
	cl = open_client(rpc_server_url(l.srv));
	call_init_service(&c, "tester", a, 2000);
	in.consumer = (char *)"checkout";
	assert_int_equal(rpc_call(cl, &c, "common.v1.Node/FetchEvents", &in.base,
				  &common__v1__fetch_events_reply__descriptor, &out, NULL),
			 E_DENIED);
	in.consumer = (char *)"testers";
	assert_int_equal(rpc_call(cl, &c, "common.v1.Node/FetchEvents", &in.base,
				  &common__v1__fetch_events_reply__descriptor, &out, NULL),
			 E_DENIED);
	in.consumer = (char *)"tester";
	c.who = (struct principal){ .kind = WHO_USER, .user_id = "usr_1" };
	assert_int_equal(rpc_call(cl, &c, "common.v1.Node/FetchEvents", &in.base,
				  &common__v1__fetch_events_reply__descriptor, &out, NULL),
			 E_DENIED);
	assert_int_equal(rpc_call(cl, &c, "common.v1.Node/EventLag", &lag.base, &common__v1__lag_reply__descriptor, &out,
				  NULL),
			 E_DENIED);
	arena_free(a);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_error_crosses),
		cmocka_unit_test(test_principal_crosses),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_wrong_key_is_refused),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_node_guards),
	};

	rpc_world_begin(argc, argv);
	return cmocka_run_group_tests(tests, rpc_setup, rpc_teardown);
}
