/* Several peers, peers that die, freeze, drain and come back, and the names they are found by. */
#include "rpc_world.h"

#include "common/rpc_client_internal.h"

struct load {
	struct rpc_client *cl;
	const char *method, *text;
	int calls;
	bool until_stopped;
	atomic_int *stop;
	atomic_int ok, failed;
	char first_error[ERR_SLUG_LEN + ERR_MSG_LEN + 1];
};

static void *load_run(void *arg)
{
	struct load *ld = arg;
	struct answer an;
	int i;

	for (i = 0; ld->until_stopped ? !atomic_load(ld->stop) : i < ld->calls; i++) {
		ask_opts(ld->cl, ld->method, ld->text, 5000, &(struct rpc_opts){ .retry_read = false }, &an);
		if (an.rc && !atomic_load(&ld->failed))
			snprintf(ld->first_error, sizeof(ld->first_error), "%s %s", an.err.slug, an.err.msg);
		atomic_fetch_add(an.rc ? &ld->failed : &ld->ok, 1);
	}
	return NULL;
}

static void wait_connected(struct rpc_client *cl, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		WAIT_FOR(atomic_load(&cl->states[i]->pipes) > 0, 20000);
}

static void test_balance(void **state)
{
	struct local a, b;
	struct load ld = { .method = "Get", .text = "sleep 1", .calls = 100 };
	pthread_t t[8];
	char urls[300];
	int i, n;

	(void)state;
	start_local(&a, "a");
	start_local(&b, "b");
	snprintf(urls, sizeof(urls), "%s,%s", rpc_server_url(a.srv), rpc_server_url(b.srv));
	ld.cl = open_client(urls);
	wait_connected(ld.cl, 2);
	atomic_store(&a.echo.executed, 0);
	atomic_store(&b.echo.executed, 0);
	for (i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, load_run, &ld);
	for (i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&ld.failed), 0);
	n = atomic_load(&a.echo.executed);
	assert_int_equal(n + atomic_load(&b.echo.executed), 800);
	assert_in_range(n, 320, 480);
	rpc_client_close(ld.cl);
	rpc_server_stop(a.srv);
	rpc_server_stop(b.srv);
}

static void test_killed_peer(void **state)
{
	struct child a, b;
	struct rpc_client *cl;
	struct load ld = { .method = "Do", .text = "sleep 3000", .calls = 1 };
	struct answer an;
	char urls[300];
	pthread_t t;
	int runs;

	(void)state;
	spawn(&a, "a");
	spawn(&b, "b");
	snprintf(urls, sizeof(urls), "%s,%s", a.url, b.url);
	ld.cl = cl = open_client(urls);
	wait_connected(cl, 2);
	(void)executions(&a);
	(void)executions(&b);
	pthread_create(&t, NULL, load_run, &ld);
	WAIT_FOR((runs = executions(&a)) || executions(&b), 20000);
	kill(runs ? a.pid : b.pid, SIGKILL);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&ld.failed), 1);
	assert_non_null(strstr(ld.first_error, "rpc.outcome_unknown"));
	sleep_ms(150);
	/* Not executed again by the other one. */
	assert_int_equal(runs ? executions(&b) : executions(&a), 0);
	/* A read goes on at once, a keyed write may be repeated. */
	ask(cl, "Get", "id", 10000, &an);
	assert_int_equal(an.rc, OK);
	assert_string_equal(an.text, runs ? "b" : "a");
	rpc_client_close(cl);
	reap(&a);
	reap(&b);
}

/* nng stops dialling for good when it had no memory for a connection: the peer gets a dialler of its own. */
static void test_dialled_anew(void **state)
{
	struct local l;
	struct rpc_client *cl;
	char url[RPC_URL_MAX];

	(void)state;
	start_local(&l, "before");
	snprintf(url, sizeof(url), "%s", rpc_server_url(l.srv));
	rpc_server_stop(l.srv);
	cl = open_client(url);
	nng_dialer_close(cl->peers[0]->dialer);
	listen_url = url;
	start_local(&l, "after");
	listen_url = "tcp://127.0.0.1:0";
	WAIT_FOR(rpc_client_up(cl), 20000);
	assert_answer(cl, "Get", "id", "after");
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

/* The process dies and another takes its address: the new one must not be given the old one's request. */
static void test_restarted_peer_does_not_run_it_again(void **state)
{
	struct child a, again;
	struct rpc_client *cl;
	struct load ld = { .method = "Do", .text = "sleep 1500", .calls = 1 };
	pthread_t t;

	(void)state;
	spawn(&a, "a");
	ld.cl = cl = open_client(a.url);
	assert_answer(cl, "Get", "warm", "warm");
	(void)executions(&a);
	pthread_create(&t, NULL, load_run, &ld);
	WAIT_FOR(executions(&a), 20000);
	kill(a.pid, SIGKILL);
	waitpid(a.pid, NULL, 0);
	spawn_at(&again, "again", a.url);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&ld.failed), 1);
	assert_non_null(strstr(ld.first_error, "rpc.outcome_unknown"));
	WAIT_FOR(rpc_client_up(cl), 20000);
	sleep_ms(100);
	assert_int_equal(executions(&again), 0);
	assert_answer(cl, "Get", "id", "again");
	rpc_client_close(cl);
	close(a.report);
	reap(&again);
}

static void *kill_when_executing(void *arg)
{
	struct child *a = arg;

	WAIT_FOR(executions(a), 20000);
	kill(a->pid, SIGKILL);
	return NULL;
}

/* What one peer may have executed is not undone by the other one's refusal to look at it. */
static void test_lost_and_then_turned_away(void **state)
{
	static const uint8_t fingerprint[32], zeros[32];
	struct rpc_keys *keys = server_keys, *wrong = rpc_keys_new("echo");
	struct child a;
	struct local b;
	struct rpc_client *cl;
	struct answer an;
	pthread_t t;
	char urls[300];

	(void)state;
	rpc_keys_add(wrong, "tester", "echo", zeros);
	spawn(&a, "a");
	server_keys = wrong;
	start_local(&b, "b");
	server_keys = keys;
	snprintf(urls, sizeof(urls), "%s,%s", a.url, rpc_server_url(b.srv));
	cl = open_client(urls);
	wait_connected(cl, 2);
	(void)executions(&a);
	pthread_create(&t, NULL, kill_when_executing, &a);
	ask_opts(cl, "Do", "sleep 5000", 8000, &(struct rpc_opts){ .idem_key = "k", .fingerprint = fingerprint }, &an);
	pthread_join(t, NULL);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "rpc.outcome_unknown");
	assert_int_equal(atomic_load(&b.echo.executed), 0);
	rpc_client_close(cl);
	reap(&a);
	rpc_server_stop(b.srv);
	rpc_keys_free(wrong);
}

static void test_keyed_write_repeats(void **state)
{
	static const uint8_t fingerprint[32];
	struct child a;
	struct local b;
	struct rpc_client *cl;
	struct answer an;
	char urls[300];
	int i;

	(void)state;
	spawn(&a, "a");
	start_local(&b, "b");
	snprintf(urls, sizeof(urls), "%s,%s", a.url, rpc_server_url(b.srv));
	cl = open_client(urls);
	wait_connected(cl, 2);
	freeze(&a);
	/* Lost at a frozen peer: the write is repeated at the other only with its key, and only as time allows. */
	for (i = 0; i < 20; i++) {
		ask_opts(cl, "Do", "id", 2000,
			 &(struct rpc_opts){ .idem_key = "k", .fingerprint = fingerprint, .timeout_ms = 300 }, &an);
		if (!an.rc)
			assert_string_equal(an.text, "b");
		else
			assert_string_equal(an.err.slug, "rpc.outcome_unknown");
	}
	/* Reads leave time for the other peer. */
	for (i = 0; i < 10; i++) {
		ask_opts(cl, "Get", "id", 4000, &(struct rpc_opts){ .retry_read = true, .timeout_ms = 4000 }, &an);
		assert_int_equal(an.rc, OK);
		assert_string_equal(an.text, "b");
	}
	rpc_client_close(cl);
	reap(&a);
	rpc_server_stop(b.srv);
}

static void test_stuck_peer_is_ejected(void **state)
{
	struct child a;
	struct local b;
	struct rpc_client *cl;
	struct answer an;
	char urls[300];
	int i, lost = 0, from_a = 0;

	(void)state;
	spawn(&a, "a");
	start_local(&b, "b");
	snprintf(urls, sizeof(urls), "%s,%s", a.url, rpc_server_url(b.srv));
	cl = open_client(urls);
	for (i = 0; i < 100 && !from_a; i++) {
		ask(cl, "Get", "id", 2000, &an);
		from_a = !strcmp(an.text, "a");
	}
	assert_true(from_a);
	freeze(&a);
	for (i = 0; i < 60; i++) {
		ask_opts(cl, "Get", "id", 5000, &(struct rpc_opts){ .timeout_ms = 400 }, &an);
		lost += an.rc != OK;
	}
	assert_in_range(lost, 1, 2 * RPC_EJECT_AFTER);
	/* Thawed, it comes back by a probe and not at a buyer's cost. */
	kill(a.pid, SIGCONT);
	from_a = 0;
	for (i = 0; i < 600 && !from_a; i++) {
		ask_opts(cl, "Get", "id", 5000, &(struct rpc_opts){ .timeout_ms = 1000 }, &an);
		assert_int_equal(an.rc, OK);
		from_a = !strcmp(an.text, "a");
		sleep_ms(10);
	}
	assert_true(from_a);
	rpc_client_close(cl);
	reap(&a);
	rpc_server_stop(b.srv);
}

static void drain_under_load(int drain_ms)
{
	struct local a, b;
	atomic_int stop = 0;
	struct load ld = { .method = "Do", .text = "sleep 2", .until_stopped = true, .stop = &stop };
	pthread_t t[6];
	char urls[300];
	int i, seen;

	start_local_conf(&a, "a", 8, drain_ms, 0);
	start_local(&b, "b");
	snprintf(urls, sizeof(urls), "%s,%s", rpc_server_url(a.srv), rpc_server_url(b.srv));
	ld.cl = open_client(urls);
	for (i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, load_run, &ld);
	WAIT_FOR(atomic_load(&a.echo.executed) > 50 && atomic_load(&b.echo.executed) > 50, 20000);
	rpc_server_stop(a.srv); /* under load */
	seen = atomic_load(&ld.ok);
	WAIT_FOR(atomic_load(&ld.ok) > seen + 50, 20000);
	atomic_store(&stop, 1);
	for (i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	if (atomic_load(&ld.failed))
		fail_msg("%d lost, first: %s", atomic_load(&ld.failed), ld.first_error);
	assert_int_equal(atomic_load(&ld.ok), atomic_load(&a.echo.executed) + atomic_load(&b.echo.executed));
	rpc_client_close(ld.cl);
	rpc_server_stop(b.srv);
}

static void test_drain_loses_nothing(void **state)
{
	(void)state;
	drain_under_load(150); /* the flag in the replies moves the callers away */
	drain_under_load(0);   /* no time for that: what is refused goes to the other one */
}

static void test_restart_is_found(void **state)
{
	struct daemon_conf conf = { .contexts = 4 };
	struct local l;
	struct rpc_client *cl;
	struct answer an;
	struct err e = { 0 };
	char url[160];
	int64_t start;

	(void)state;
	start_local(&l, "first");
	snprintf(url, sizeof(url), "%s", rpc_server_url(l.srv));
	cl = open_client(url);
	assert_answer(cl, "Get", "id", "first");
	rpc_server_stop(l.srv);
	WAIT_FOR(!rpc_client_up(cl), 20000);
	sleep_ms(3100); /* past the patience for a peer that is only away for a moment */
	start = mono_ms();
	ask(cl, "Do", "id", 5000, &an);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "rpc.unreachable");
	assert_true(mono_ms() - start < 2500); /* and not that patience of 3 s again */
	l.echo.id = "second";
	conf.listen = url;
	assert_int_equal(rpc_server_start(&conf, "echo", echo_services, server_keys, NULL, &l.echo, &l.srv, &e), OK);
	WAIT_FOR(rpc_client_up(cl), 20000);
	assert_answer(cl, "Get", "id", "second");
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

/* The only server there is goes and comes back, under load: its callers wait and lose nothing. */
static void test_restart_under_load(void **state)
{
	struct local a, b;
	atomic_int stop = 0;
	struct load ld = { .method = "Do", .text = "sleep 2", .until_stopped = true, .stop = &stop };
	char url[160];
	pthread_t t[6];
	int i, done;

	(void)state;
	start_local_conf(&a, "a", 8, 50, 0);
	snprintf(url, sizeof(url), "%s", rpc_server_url(a.srv));
	ld.cl = open_client(url);
	for (i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, load_run, &ld);
	WAIT_FOR(atomic_load(&a.echo.executed) > 50, 20000);
	rpc_server_stop(a.srv);
	listen_url = url;
	start_local_conf(&b, "b", 8, 0, 0);
	listen_url = "tcp://127.0.0.1:0";
	done = atomic_load(&ld.ok);
	WAIT_FOR(atomic_load(&ld.ok) > done + 50, 20000);
	atomic_store(&stop, 1);
	for (i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	if (atomic_load(&ld.failed))
		fail_msg("%d lost, first: %s", atomic_load(&ld.failed), ld.first_error);
	assert_int_equal(atomic_load(&ld.ok), atomic_load(&a.echo.executed) + atomic_load(&b.echo.executed));
	rpc_client_close(ld.cl);
	rpc_server_stop(b.srv);
}

static void test_stuck_server_refuses(void **state)
{
	struct local l;
	struct rpc_client *cl;
	struct load ld = { .method = "Do", .text = "sleep 4000", .calls = 1 };
	struct answer an;
	pthread_t t[2];
	int64_t start;
	int i;

	(void)state;
	start_local_conf(&l, "one", 2, 0, 0);
	ld.cl = cl = open_client(rpc_server_url(l.srv));
	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, load_run, &ld);
	WAIT_FOR(atomic_load(&l.echo.running) == 2, 20000);
	start = mono_ms();
	ask(cl, "Get", "id", 3000, &an);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "common.busy");
	assert_int_equal(an.err.retry_after_ms, 1000);
	assert_true(mono_ms() - start < 3000);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_answer(cl, "Get", "id", "one");
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

/* ---- names ---- */

struct fake_dns {
	pthread_mutex_t lock;
	char urls[4][RPC_URL_MAX];
	int n; /* -1: broken */
};

static int fake_lookup(const char *host, const char *port, struct rpc_addr *out, size_t max, void *arg)
{
	struct fake_dns *d = arg;
	int i, n;

	(void)host;
	(void)port;
	pthread_mutex_lock(&d->lock);
	n = d->n;
	for (i = 0; i < n && i < 4 && (size_t)i < max; i++)
		snprintf(out[i].url, RPC_URL_MAX, "%s", d->urls[i]);
	pthread_mutex_unlock(&d->lock);
	return n;
}

static void set_dns(struct fake_dns *d, int n, const char *one, const char *two)
{
	pthread_mutex_lock(&d->lock);
	d->n = n;
	snprintf(d->urls[0], RPC_URL_MAX, "%s", one);
	snprintf(d->urls[1], RPC_URL_MAX, "%s", two);
	pthread_mutex_unlock(&d->lock);
}

static bool answered_by(struct rpc_client *cl, const char *id)
{
	struct answer an;

	ask(cl, "Get", "id", 20000, &an);
	if (an.rc)
		fail_msg("%s %s", an.err.slug, an.err.msg);
	return !strcmp(an.text, id);
}

static bool always_by(struct rpc_client *cl, const char *id)
{
	for (int i = 0; i < 40; i++)
		if (!answered_by(cl, id))
			return false;
	return true;
}

static void test_names_grow_and_age(void **state)
{
	struct fake_dns dns = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct local a, b;
	struct rpc_client *cl;
	struct err e = { 0 };

	(void)state;
	start_local(&a, "a");
	start_local(&b, "b");
	set_dns(&dns, 1, rpc_server_url(a.srv), "");
	assert_int_equal(rpc_client_open_with("tester", "echo", "tcp://echo:7000", 100, client_keys, fake_lookup, &dns, &cl,
					      &e),
			 OK);
	assert_answer(cl, "Get", "id", "a");
	set_dns(&dns, 2, rpc_server_url(a.srv), rpc_server_url(b.srv)); /* scale-out */
	WAIT_FOR(answered_by(cl, "b"), 20000);
	set_dns(&dns, -1, "", ""); /* a broken resolver takes nobody away */
	sleep_ms(1500);
	WAIT_FOR(answered_by(cl, "a"), 20000);
	WAIT_FOR(answered_by(cl, "b"), 20000);
	set_dns(&dns, 1, rpc_server_url(b.srv), ""); /* a has gone from DNS: no longer asked after 12 rounds */
	WAIT_FOR(always_by(cl, "b"), 20000);
	atomic_store(&a.echo.executed, 0);
	assert_true(always_by(cl, "b"));
	assert_int_equal(atomic_load(&a.echo.executed), 0);
	rpc_client_close(cl);
	rpc_server_stop(a.srv);
	rpc_server_stop(b.srv);
}

/* An address that is no longer named may still be at work: its answers are waited for. */
static void test_gone_peer_answers(void **state)
{
	struct fake_dns dns = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct local a, b;
	struct load ld = { .method = "Do", .text = "sleep 4000", .calls = 1 };
	struct err e = { 0 };
	pthread_t t;

	(void)state;
	start_local(&a, "a");
	start_local(&b, "b");
	set_dns(&dns, 1, rpc_server_url(a.srv), "");
	assert_int_equal(rpc_client_open_with("tester", "echo", "tcp://echo:7000", 100, client_keys, fake_lookup, &dns,
					      &ld.cl, &e),
			 OK);
	pthread_create(&t, NULL, load_run, &ld);
	WAIT_FOR(atomic_load(&a.echo.running) == 1, 20000);
	set_dns(&dns, 1, rpc_server_url(b.srv), "");
	WAIT_FOR(atomic_load(&ld.cl->states[0]->gone), 20000);
	pthread_join(t, NULL);
	if (atomic_load(&ld.failed))
		fail_msg("lost: %s", ld.first_error);
	WAIT_FOR(!atomic_load(&ld.cl->states[0]->pipes), 20000); /* and left alone afterwards */
	rpc_client_close(ld.cl);
	rpc_server_stop(a.srv);
	rpc_server_stop(b.srv);
}

static void test_comma_list_with_dead_entry(void **state)
{
	struct local a;
	struct rpc_client *cl;
	char urls[300];
	int i;

	(void)state;
	start_local(&a, "a");
	snprintf(urls, sizeof(urls), "tcp://127.0.0.1:1, %s", rpc_server_url(a.srv));
	cl = open_client(urls);
	for (i = 0; i < 20; i++)
		assert_answer(cl, "Get", "id", "a");
	rpc_client_close(cl);
	rpc_server_stop(a.srv);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_killed_peer),
		cmocka_unit_test(test_dialled_anew),
		cmocka_unit_test(test_restarted_peer_does_not_run_it_again),
		cmocka_unit_test(test_keyed_write_repeats),
		cmocka_unit_test(test_lost_and_then_turned_away),
		cmocka_unit_test(test_stuck_peer_is_ejected),
		cmocka_unit_test(test_drain_loses_nothing),
		cmocka_unit_test(test_restart_is_found),
		cmocka_unit_test(test_restart_under_load),
		cmocka_unit_test(test_stuck_server_refuses),
		cmocka_unit_test(test_names_grow_and_age),
		cmocka_unit_test(test_gone_peer_answers),
		cmocka_unit_test(test_comma_list_with_dead_entry),
	};

	rpc_world_begin(argc, argv);
	return cmocka_run_group_tests(tests, rpc_setup, rpc_teardown);
}
