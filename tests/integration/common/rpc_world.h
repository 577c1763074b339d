/*
 * rpc_server and rpc_client together over TCP, for several test programs. Peers that must die or freeze are processes of
 * their own: the program started again as "server <id> [url]".
 */
#ifndef SOUK_TEST_RPC_WORLD_H
#define SOUK_TEST_RPC_WORLD_H

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
#include "common/compiler.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/rpc_client.h"
#include "common/rpc_codec.h"
#include "common/rpc_peer.h"
#include "common/rpc_server.h"
#include "common/timeutil.h"
#include "support/echo.h"

extern char **environ;

struct local { /* a server in this process */
	struct echo echo;
	struct rpc_server *srv;
};

static struct rpc_keys *server_keys, *client_keys;

static const char *listen_url = "tcp://127.0.0.1:0";

UNUSED static void start_local_conf(struct local *l, const char *id, int contexts, int drain_ms, int report_fd)
{
	struct daemon_conf conf = { .listen = listen_url, .contexts = contexts, .drain_ms = drain_ms };
	struct err e = { 0 };

	memset(l, 0, sizeof(*l));
	l->echo.id = id;
	l->echo.report_fd = report_fd;
	if (rpc_server_start(&conf, "echo", echo_services, server_keys, NULL, &l->echo, &l->srv, &e))
		fail_msg("%s", e.msg);
}

UNUSED static void start_local(struct local *l, const char *id)
{
	start_local_conf(l, id, 8, 0, 0);
}

UNUSED static struct rpc_client *open_client(const char *urls)
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

UNUSED static void ask_opts(struct rpc_client *cl, const char *method, const char *text, int64_t timeout_ms,
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

UNUSED static void ask(struct rpc_client *cl, const char *method, const char *text, int64_t timeout_ms, struct answer *an)
{
	ask_opts(cl, method, text, timeout_ms, NULL, an);
}

UNUSED static void assert_answer(struct rpc_client *cl, const char *method, const char *text, const char *expected)
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

UNUSED static void spawn_at(struct child *ch, const char *id, const char *url)
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

UNUSED static void spawn(struct child *ch, const char *id)
{
	spawn_at(ch, id, NULL);
}

/* It has stopped when this returns: a signal alone takes its time. */
UNUSED static void freeze(const struct child *ch)
{
	int status;

	kill(ch->pid, SIGSTOP);
	assert_int_equal(waitpid(ch->pid, &status, WUNTRACED), ch->pid);
	assert_true(WIFSTOPPED(status));
}

UNUSED static int executions(struct child *ch)
{
	char buf[1024];
	ssize_t n = read(ch->report, buf, sizeof(buf));

	return n > 0 ? (int)n : 0;
}

UNUSED static void reap(struct child *ch)
{
	kill(ch->pid, SIGKILL);
	waitpid(ch->pid, NULL, 0);
	close(ch->report);
}

UNUSED static void serve(const char *id, const char *url)
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

static int rpc_setup(void **state)
{
	(void)state;
	server_keys = echo_keys("echo", "tester", "echo", NULL);
	client_keys = echo_keys("tester", "tester", NULL);
	return 0;
}

static int rpc_teardown(void **state)
{
	(void)state;
	rpc_keys_free(server_keys);
	rpc_keys_free(client_keys);
	return 0;
}

/* First in a test program's main: does not return when the program was started as a peer. */
static void rpc_world_begin(int argc, char **argv)
{
	log_init("test", LVL_ERROR);
	if (argc >= 3 && !strcmp(argv[1], "server"))
		serve(argv[2], argv[3]);
}

#endif
