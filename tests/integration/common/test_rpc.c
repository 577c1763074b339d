/*
 * rpc_server and rpc_client together over TCP. Peers that must die or freeze are processes of their own: this program
 * started again as "server <id> [url]".
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/rpc_client.h"
#include "common/rpc_codec.h"
#include "common/rpc_peer.h"
#include "common/rpc_server.h"
#include "common/timeutil.h"
#include "support/echo.h"

extern char **environ;

/* ---- helpers ---- */

struct local { /* a server in this process */
	struct echo echo;
	struct rpc_server *srv;
};

static struct rpc_keys *server_keys, *client_keys;

static const char *listen_url = "tcp://127.0.0.1:0";

static void start_local_conf(struct local *l, const char *id, int contexts, int drain_ms, int report_fd)
{
	struct daemon_conf conf = { .listen = listen_url, .contexts = contexts, .drain_ms = drain_ms };
	struct err e = { 0 };

	memset(l, 0, sizeof(*l));
	l->echo.id = id;
	l->echo.report_fd = report_fd;
	if (rpc_server_start(&conf, "echo", echo_services, server_keys, NULL, &l->echo, &l->srv, &e))
		fail_msg("%s", e.msg);
}

static void start_local(struct local *l, const char *id)
{
	start_local_conf(l, id, 8, 0, 0);
}

static struct rpc_client *open_client(const char *urls)
{
	struct rpc_client *cl = NULL;
	struct err e = { 0 };

	if (rpc_client_open("tester", "echo", urls, 200, client_keys, &cl, &e))
		fail_msg("%s", e.msg);
	return cl;
}

struct answer {
	enum err_code rc;
	char text[128];
	size_t len;
	struct err err;
};

static void ask_opts(struct rpc_client *cl, const char *method, const char *text, int64_t timeout_ms,
		     const struct rpc_opts *opts, struct answer *an)
{
	Common__V1__Json in = COMMON__V1__JSON__INIT, *out = NULL;
	struct arena *a = arena_new("test", 8 << 20);
	struct call c;

	call_init_service(&c, "tester", a, timeout_ms);
	in.text = (char *)text;
	memset(an, 0, sizeof(*an));
	an->rc = rpc_call(cl, &c, method, &in.base, &common__v1__json__descriptor, &out, opts);
	err_copy(&an->err, &c.err);
	if (out) {
		an->len = strlen(out->text);
		snprintf(an->text, sizeof(an->text), "%s", out->text);
	}
	arena_free(a);
}

static void ask(struct rpc_client *cl, const char *method, const char *text, int64_t timeout_ms, struct answer *an)
{
	ask_opts(cl, method, text, timeout_ms, NULL, an);
}

static void assert_answer(struct rpc_client *cl, const char *method, const char *text, const char *expected)
{
	struct answer an;

	ask(cl, method, text, 5000, &an);
	if (an.rc)
		fail_msg("%s(%s): %s %s", method, text, an.err.slug, an.err.msg);
	assert_string_equal(an.text, expected);
}

/* Polls for at most ms. */
#define WAIT_FOR(cond, ms)                                                                                             \
	do {                                                                                                           \
		int64_t until_ = mono_ms() + (ms);                                                                     \
		bool ok_;                                                                                              \
		while (!(ok_ = (cond)) && mono_ms() < until_)                                                          \
			sleep_ms(2);                                                                                   \
		if (!ok_)                                                                                              \
			fail_msg("not within %d ms: %s", (int)(ms), #cond);                                            \
	} while (0)

struct child {
	pid_t pid;
	int report; /* a byte per execution */
	char url[128];
};

static void spawn_at(struct child *ch, const char *id, const char *url)
{
	posix_spawn_file_actions_t fa;
	int out[2], report[2];
	char *argv[] = { "test_rpc", "server", (char *)id, (char *)(uintptr_t)url, NULL };
	ssize_t n;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(report, O_CLOEXEC | O_NONBLOCK), 0);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	posix_spawn_file_actions_adddup2(&fa, report[1], 3);
	assert_int_equal(posix_spawn(&ch->pid, "/proc/self/exe", &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	close(out[1]);
	close(report[1]);
	n = read(out[0], ch->url, sizeof(ch->url) - 1);
	assert_true(n > 0);
	ch->url[n] = '\0';
	close(out[0]);
	ch->report = report[0];
}

static void spawn(struct child *ch, const char *id)
{
	spawn_at(ch, id, NULL);
}

static int executions(struct child *ch)
{
	char buf[1024];
	ssize_t n = read(ch->report, buf, sizeof(buf));

	return n > 0 ? (int)n : 0;
}

static void reap(struct child *ch)
{
	kill(ch->pid, SIGKILL);
	waitpid(ch->pid, NULL, 0);
	close(ch->report);
}

static void serve(const char *id, const char *url)
{
	static struct local l;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	server_keys = echo_keys("echo", "tester", "echo", NULL);
	listen_url = url ? url : listen_url;
	start_local_conf(&l, id, 8, 0, 3);
	printf("%s", rpc_server_url(l.srv));
	fclose(stdout);
	for (;;)
		pause();
}

/* ---- tests ---- */

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
	ask(cl, "Get", "left", 800, &an);
	assert_int_equal(an.rc, OK);
	assert_in_range(atoll(an.text), 500, 800);
	ask_opts(cl, "Get", "left", 5000, &(struct rpc_opts){ .timeout_ms = 300 }, &an);
	assert_in_range(atoll(an.text), 100, 300);
	start = mono_ms();
	ask(cl, "Do", "sleep 1500", 200, &an);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "rpc.outcome_unknown");
	assert_in_range(mono_ms() - start, 190, 1200);
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
	for (i = 0; i < 50; i++) {
		struct answer an;

		ask(ld.cl, "Get", "id", 2000, &an); /* until both are connected */
	}
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
	assert_answer(cl, "Get", "warm", "warm");
	sleep_ms(100); /* both dialled */
	(void)executions(&a);
	(void)executions(&b);
	pthread_create(&t, NULL, load_run, &ld);
	WAIT_FOR((runs = executions(&a)) || executions(&b), 2000);
	kill(runs ? a.pid : b.pid, SIGKILL);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&ld.failed), 1);
	assert_non_null(strstr(ld.first_error, "rpc.outcome_unknown"));
	sleep_ms(150);
	/* Not executed again by the other one. */
	assert_int_equal(runs ? executions(&b) : executions(&a), 0);
	/* A read goes on at once, a keyed write may be repeated. */
	ask(cl, "Get", "id", 2000, &an);
	assert_int_equal(an.rc, OK);
	assert_string_equal(an.text, runs ? "b" : "a");
	rpc_client_close(cl);
	reap(&a);
	reap(&b);
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
	WAIT_FOR(executions(&a), 2000);
	kill(a.pid, SIGKILL);
	waitpid(a.pid, NULL, 0);
	spawn_at(&again, "again", a.url);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&ld.failed), 1);
	assert_non_null(strstr(ld.first_error, "rpc.outcome_unknown"));
	WAIT_FOR(rpc_client_up(cl), 3000);
	sleep_ms(100);
	assert_int_equal(executions(&again), 0);
	assert_answer(cl, "Get", "id", "again");
	rpc_client_close(cl);
	close(a.report);
	reap(&again);
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
	assert_answer(cl, "Get", "warm", "warm");
	sleep_ms(100);
	kill(a.pid, SIGSTOP);
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
		ask_opts(cl, "Get", "id", 2000, &(struct rpc_opts){ .retry_read = true, .timeout_ms = 600 }, &an);
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
	kill(a.pid, SIGSTOP);
	for (i = 0; i < 60; i++) {
		ask_opts(cl, "Get", "id", 5000, &(struct rpc_opts){ .timeout_ms = 120 }, &an);
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
	WAIT_FOR(atomic_load(&a.echo.executed) > 50 && atomic_load(&b.echo.executed) > 50, 5000);
	rpc_server_stop(a.srv); /* under load */
	seen = atomic_load(&ld.ok);
	WAIT_FOR(atomic_load(&ld.ok) > seen + 50, 5000);
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
	WAIT_FOR(!rpc_client_up(cl), 2000);
	sleep_ms(3100); /* past the patience for a peer that is only away for a moment */
	start = mono_ms();
	ask(cl, "Do", "id", 5000, &an);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "rpc.unreachable");
	assert_true(mono_ms() - start < 1000);
	l.echo.id = "second";
	conf.listen = url;
	assert_int_equal(rpc_server_start(&conf, "echo", echo_services, server_keys, NULL, &l.echo, &l.srv, &e), OK);
	WAIT_FOR(rpc_client_up(cl), 2500);
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
	WAIT_FOR(atomic_load(&a.echo.executed) > 50, 5000);
	rpc_server_stop(a.srv);
	listen_url = url;
	start_local_conf(&b, "b", 8, 0, 0);
	listen_url = "tcp://127.0.0.1:0";
	done = atomic_load(&ld.ok);
	WAIT_FOR(atomic_load(&ld.ok) > done + 50, 5000);
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
	struct load ld = { .method = "Do", .text = "sleep 1500", .calls = 1 };
	struct answer an;
	pthread_t t[2];
	int64_t start;
	int i;

	(void)state;
	start_local_conf(&l, "one", 2, 0, 0);
	ld.cl = cl = open_client(rpc_server_url(l.srv));
	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, load_run, &ld);
	WAIT_FOR(atomic_load(&l.echo.running) == 2, 2000);
	start = mono_ms();
	ask(cl, "Get", "id", 3000, &an);
	assert_int_equal(an.rc, E_UNAVAILABLE);
	assert_string_equal(an.err.slug, "common.busy");
	assert_int_equal(an.err.retry_after_ms, 1000);
	assert_true(mono_ms() - start < 1000);
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

	ask(cl, "Get", "id", 2000, &an);
	assert_int_equal(an.rc, OK);
	return !strcmp(an.text, id);
}

static void test_names_grow_and_age(void **state)
{
	struct fake_dns dns = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct local a, b;
	struct rpc_client *cl;
	struct err e = { 0 };
	int i;

	(void)state;
	start_local(&a, "a");
	start_local(&b, "b");
	set_dns(&dns, 1, rpc_server_url(a.srv), "");
	assert_int_equal(rpc_client_open_with("tester", "echo", "tcp://echo:7000", 100, client_keys, fake_lookup, &dns, &cl,
					      &e),
			 OK);
	assert_answer(cl, "Get", "id", "a");
	set_dns(&dns, 2, rpc_server_url(a.srv), rpc_server_url(b.srv)); /* scale-out */
	WAIT_FOR(answered_by(cl, "b"), 2000);
	set_dns(&dns, -1, "", ""); /* a broken resolver takes nobody away */
	sleep_ms(1500);
	WAIT_FOR(answered_by(cl, "a"), 1000);
	WAIT_FOR(answered_by(cl, "b"), 1000);
	set_dns(&dns, 1, rpc_server_url(b.srv), ""); /* a has gone from DNS: no longer asked after 12 rounds */
	sleep_ms(1800);
	atomic_store(&a.echo.executed, 0);
	for (i = 0; i < 40; i++)
		assert_true(answered_by(cl, "b"));
	assert_int_equal(atomic_load(&a.echo.executed), 0);
	rpc_client_close(cl);
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
	assert_int_equal(an.rc, E_DENIED);
	assert_string_equal(an.err.slug, "rpc.untrusted");
	assert_int_equal(atomic_load(&l.echo.executed), 0);
	rpc_client_close(cl);
	rpc_keys_free(wrong);
	rpc_server_stop(l.srv);
}

/* ---- garbage on the port ---- */

static int connect_raw(const char *url)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void send_raw(const char *url, const void *p, size_t n)
{
	int fd = connect_raw(url);
	char sink[64];
	struct timeval tv = { .tv_usec = 100000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)!send(fd, p, n, MSG_NOSIGNAL);
	(void)!recv(fd, sink, sizeof(sink), 0);
	(void)!recv(fd, sink, sizeof(sink), 0);
	close(fd);
}

static void test_garbage_on_the_port(void **state)
{
	static const uint8_t req_hello[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 }, pub_hello[8] = { 0, 'S', 'P', 0, 0, 0x20 };
	uint8_t buf[64];
	struct local l;
	struct rpc_client *cl;
	const char *url;
	int i;

	(void)state;
	start_local(&l, "one");
	url = rpc_server_url(l.srv);
	cl = open_client(url);
	for (i = 0; i < 20; i++) { /* connections that say nothing, or say HTTP */
		close(connect_raw(url));
		send_raw(url, "GET / HTTP/1.1\r\n\r\n", i < 2 ? 18 : 0);
	}
	send_raw(url, pub_hello, sizeof(pub_hello)); /* another protocol */
	memcpy(buf, req_hello, 8);
	memcpy(buf + 8, "\0\0\0\0\300\0\0\0", 8); /* a message of 3 GiB is announced */
	send_raw(url, buf, 16);
	memcpy(buf + 8, "\0\0\0\0\0\0\0\002ab", 10); /* too short for a request id */
	send_raw(url, buf, 18);
	memcpy(buf + 8, "\0\0\0\0\0\0\0\014\200\0\0\1garbage!", 20); /* a request that is no envelope */
	send_raw(url, buf, 28);
	assert_answer(cl, "Get", "alive", "alive");
	assert_int_equal(atomic_load(&l.echo.executed), 1);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_many_clients_leave(void **state)
{
	struct local l;
	struct rpc_client *cl;
	int i;

	(void)state;
	start_local(&l, "one");
	for (i = 0; i < 20; i++) {
		cl = open_client(rpc_server_url(l.srv));
		assert_answer(cl, "Get", "x", "x");
		rpc_client_close(cl);
	}
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

static int setup(void **state)
{
	(void)state;
	server_keys = echo_keys("echo", "tester", "echo", NULL);
	client_keys = echo_keys("tester", "tester", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_keys_free(server_keys);
	rpc_keys_free(client_keys);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_error_crosses),
		cmocka_unit_test(test_principal_crosses),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_killed_peer),
		cmocka_unit_test(test_restarted_peer_does_not_run_it_again),
		cmocka_unit_test(test_keyed_write_repeats),
		cmocka_unit_test(test_stuck_peer_is_ejected),
		cmocka_unit_test(test_drain_loses_nothing),
		cmocka_unit_test(test_restart_is_found),
		cmocka_unit_test(test_restart_under_load),
		cmocka_unit_test(test_stuck_server_refuses),
		cmocka_unit_test(test_names_grow_and_age),
		cmocka_unit_test(test_comma_list_with_dead_entry),
		cmocka_unit_test(test_wrong_key_is_refused),
		cmocka_unit_test(test_garbage_on_the_port),
		cmocka_unit_test(test_many_clients_leave),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_node_guards),
	};

	log_init("test", LVL_ERROR);
	if (argc >= 3 && !strcmp(argv[1], "server"))
		serve(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, setup, teardown);
}
