/*
 * Round trips a second through rpc_client and rpc_server, beside a bare nng REQ/REP loop with the same number of
 * contexts, threads and bytes in the same process. One run prints both and their ratio.
 *
 *	bench_rpc [contexts, default 64] [seconds, default 3]
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"
#include "common/rpc_client.h"
#include "common/rpc_codec.h"
#include "common/rpc_server.h"
#include "common/timeutil.h"
#include "../support/echo.c"

enum { MAX_THREADS = 512, REQUEST_BYTES = 330, REPLY_BYTES = 120, SAMPLES = 1 << 20 };

static atomic_bool stop;
static atomic_long done, failed;
static atomic_int n_samples;
static int32_t samples[SAMPLES]; /* microseconds */

static void sample(int64_t us)
{
	int i = atomic_fetch_add(&n_samples, 1);

	if (i < SAMPLES)
		samples[i] = (int32_t)us;
}

static void check(int rv, const char *what)
{
	if (rv) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

/* ---- bare nng ---- */

static nng_socket rep_sock, req_sock;

static void *bare_server(void *arg)
{
	static const char reply[REPLY_BYTES];
	nng_ctx ctx;
	nng_aio *aio;
	nng_msg *msg;

	(void)arg;
	check(nng_ctx_open(&ctx, rep_sock), "ctx");
	check(nng_aio_alloc(&aio, NULL, NULL), "aio");
	for (;;) {
		nng_ctx_recv(ctx, aio);
		nng_aio_wait(aio);
		if (nng_aio_result(aio))
			break;
		msg = nng_aio_get_msg(aio);
		nng_msg_clear(msg);
		nng_msg_append(msg, reply, sizeof(reply));
		nng_aio_set_msg(aio, msg);
		nng_ctx_send(ctx, aio);
		nng_aio_wait(aio);
	}
	return NULL;
}

static void *bare_client(void *arg)
{
	static const char request[REQUEST_BYTES];
	nng_ctx ctx;
	nng_aio *aio;
	nng_msg *msg;
	int64_t start;

	(void)arg;
	check(nng_ctx_open(&ctx, req_sock), "ctx");
	check(nng_aio_alloc(&aio, NULL, NULL), "aio");
	nng_aio_set_timeout(aio, 5000);
	while (!atomic_load(&stop)) {
		start = mono_us();
		nng_msg_alloc(&msg, 0);
		nng_msg_append(msg, request, sizeof(request));
		nng_aio_set_msg(aio, msg);
		nng_ctx_send(ctx, aio);
		nng_aio_wait(aio);
		check(nng_aio_result(aio), "send");
		nng_ctx_recv(ctx, aio);
		nng_aio_wait(aio);
		check(nng_aio_result(aio), "receive");
		nng_msg_free(nng_aio_get_msg(aio));
		atomic_fetch_add(&done, 1);
		sample(mono_us() - start);
	}
	return NULL;
}

static void bare_open(int threads)
{
	char url[] = "tcp://127.0.0.1:0", *real;
	nng_listener l;
	pthread_t t;
	int i;

	check(nng_rep0_open(&rep_sock), "rep");
	check(nng_listener_create(&l, rep_sock, url), "listener");
	check(nng_listener_start(l, 0), "listen");
	check(nng_listener_get_string(l, NNG_OPT_URL, &real), "url");
	check(nng_req0_open(&req_sock), "req");
	check(nng_socket_set_ms(req_sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), "resend");
	check(nng_dial(req_sock, real, NULL, 0), "dial");
	for (i = 0; i < threads; i++)
		pthread_create(&t, NULL, bare_server, NULL);
}

/* ---- ours ---- */

static struct rpc_client *client;

static void *rpc_client_thread(void *arg)
{
	struct arena *a = arena_new("bench", 1 << 20);
	Common__V1__Json in = COMMON__V1__JSON__INIT, *out;
	struct call c;
	int64_t start;

	(void)arg;
	in.text = (char *)"0123456789012345678901234567890123456789012345678901234567890123456789";
	while (!atomic_load(&stop)) {
		start = mono_us();
		call_init_service(&c, "tester", a, 5000);
		if (rpc_call(client, &c, "Get", &in.base, &common__v1__json__descriptor, &out, NULL))
			atomic_fetch_add(&failed, 1);
		else
			atomic_fetch_add(&done, 1);
		arena_reset(a);
		sample(mono_us() - start);
	}
	arena_free(a);
	return NULL;
}

/* ---- the same work without a socket: envelope, MAC, checks, dispatch, reply ---- */

static void measure_dispatch(const struct rpc_keys *server_keys, const struct rpc_keys *client_keys, struct echo *echo)
{
	enum { ROUNDS = 20000 };
	Common__V1__Request req = COMMON__V1__REQUEST__INIT;
	Common__V1__Json in = COMMON__V1__JSON__INIT;
	struct arena *a = arena_new("bench", 1 << 20);
	struct rpc_bound *bound = NULL;
	struct rpc_env env = { .self = "echo", .keys = server_keys, .svc = echo };
	struct pg_bytes bytes;
	struct err e = { 0 };
	int64_t pack_us = 0, dispatch_us = 0, t0, t1;
	int i;

	if (rpc_bind(echo_services, &bound, &e))
		exit(1);
	env.bound = bound;
	in.text = (char *)"0123456789012345678901234567890123456789012345678901234567890123456789";
	req.method = (char *)"echo.v1.Echo/Get";
	req.request_id = (char *)"req_01jd3k5e8wfx3v6q2m9t7b4c1d";
	req.caller = (char *)"tester";
	req.callee = (char *)"echo";
	req.has_deadline_ms = 1;
	req.deadline_ms = 5000;
	for (i = 0; i < ROUNDS; i++) {
		t0 = mono_us();
		if (rpc_request_pack(a, client_keys, &req, (struct rpc_body){ .msg = &in.base }, &bytes, &e))
			exit(1);
		t1 = mono_us();
		(void)rpc_dispatch(&env, a, bytes.data, bytes.len);
		dispatch_us += mono_us() - t1;
		pack_us += t1 - t0;
		arena_reset(a);
	}
	printf("no socket: pack %.1f us, dispatch %.1f us\n", (double)pack_us / ROUNDS, (double)dispatch_us / ROUNDS);
	rpc_bound_free(bound);
	arena_free(a);
}

/* ---- measuring ---- */

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

static double measure(const char *name, void *(*fn)(void *), int threads, int seconds)
{
	static pthread_t t[MAX_THREADS];
	struct rusage before, after;
	int64_t start;
	double rate, cpu;
	int i, n;

	atomic_store(&stop, false);
	for (i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, fn, NULL);
	sleep_ms(300); /* connected, arenas grown */
	atomic_store(&done, 0);
	atomic_store(&failed, 0);
	atomic_store(&n_samples, 0);
	getrusage(RUSAGE_SELF, &before);
	start = mono_us();
	sleep_ms(seconds * 1000);
	rate = (double)atomic_load(&done) * 1e6 / (double)(mono_us() - start);
	getrusage(RUSAGE_SELF, &after);
	atomic_store(&stop, true);
	for (i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	cpu = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e6 +
	      (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec);
	n = atomic_load(&n_samples) < SAMPLES ? atomic_load(&n_samples) : SAMPLES;
	qsort(samples, (size_t)n, sizeof(*samples), by_value);
	printf("%-10s %9.0f/s  p50 %6.2f ms  p99 %6.2f ms  cpu %5.1f us each  failed %ld\n", name, rate,
	       n ? samples[n / 2] / 1e3 : 0, n ? samples[(int64_t)n * 99 / 100] / 1e3 : 0, cpu / (rate * seconds),
	       atomic_load(&failed));
	return rate;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 64, seconds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 3;
	struct daemon_conf conf = { .listen = "tcp://127.0.0.1:0" };
	static struct echo echo = { .id = "bench" };
	struct rpc_keys *server_keys = echo_keys("echo", "tester", NULL), *client_keys = echo_keys("tester", "tester", NULL);
	struct rpc_server *srv;
	struct err e = { 0 };
	double bare, ours;

	if (threads < 1 || threads > MAX_THREADS || seconds < 1)
		return 2;
	log_init("bench", LVL_ERROR);
	conf.contexts = threads;
	bare_open(threads);
	if (rpc_server_start(&conf, "echo", echo_services, server_keys, NULL, &echo, &srv, &e) ||
	    rpc_client_open("tester", "echo", rpc_server_url(srv), 5000, client_keys, &client, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	printf("%d contexts, %d s each\n", threads, seconds);
	measure_dispatch(server_keys, client_keys, &echo);
	bare = measure("bare nng", bare_client, threads, seconds);
	ours = measure("rpc", rpc_client_thread, threads, seconds);
	printf("ratio rpc / bare nng: %.2f\n", ours / bare);
	fflush(stdout);
	_exit(atomic_load(&failed) ? 1 : 0); /* nng's sockets are left to the end of the process */
}
