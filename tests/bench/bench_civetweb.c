/*
 * The yardstick: a bare civetweb that answers every request with the bytes of a file, set up as the gateway sets it up. With a
 * third argument each request first makes an nng round trip to a thread that runs one SELECT by primary key: what an uncached
 * read cannot avoid.
 *
 *	bench_civetweb PORT BODY_FILE [DSN]
 */
#include <civetweb.h>
#include <libpq-fe.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 16, BODY_MAX = 1 << 20 };

static char reply[BODY_MAX + 512];
static size_t reply_len;
static nng_socket req, rep;
static const char *dsn;

static void need(int rv, const char *what)
{
	if (rv) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

static void *serve(void *arg)
{
	PGconn *pg = PQconnectdb(dsn);
	nng_aio *aio;
	nng_ctx ctx;

	(void)arg;
	if (PQstatus(pg) != CONNECTION_OK) {
		fprintf(stderr, "%s", PQerrorMessage(pg));
		exit(1);
	}
	PQclear(PQprepare(pg, "q", "SELECT id, payload FROM bench WHERE id = $1::int", 1, NULL));
	need(nng_ctx_open(&ctx, rep), "ctx");
	need(nng_aio_alloc(&aio, NULL, NULL), "aio");
	for (;;) {
		const char *id = "7";

		nng_ctx_recv(ctx, aio);
		nng_aio_wait(aio);
		if (nng_aio_result(aio))
			return NULL;
		nng_msg *m = nng_aio_get_msg(aio);
		PGresult *r = PQexecPrepared(pg, "q", 1, &id, NULL, NULL, 0);

		nng_msg_clear(m);
		nng_msg_append(m, PQgetvalue(r, 0, 1), (size_t)PQgetlength(r, 0, 1));
		PQclear(r);
		nng_aio_set_msg(aio, m);
		nng_ctx_send(ctx, aio);
		nng_aio_wait(aio);
	}
}

static int round_trip(void)
{
	nng_aio *aio;
	nng_ctx ctx;
	nng_msg *m;
	int ok;

	if (nng_ctx_open(&ctx, req) || nng_aio_alloc(&aio, NULL, NULL) || nng_msg_alloc(&m, 0))
		return 0;
	nng_aio_set_timeout(aio, 5000);
	nng_msg_append(m, "seven", 5);
	nng_aio_set_msg(aio, m);
	nng_ctx_send(ctx, aio);
	nng_aio_wait(aio);
	nng_ctx_recv(ctx, aio);
	nng_aio_wait(aio);
	ok = nng_aio_result(aio) == 0;
	if (ok)
		nng_msg_free(nng_aio_get_msg(aio));
	nng_aio_free(aio);
	nng_ctx_close(ctx);
	return ok;
}

static int answer(struct mg_connection *c, void *arg)
{
	(void)arg;
	if (dsn && !round_trip())
		return 0;
	mg_write(c, reply, reply_len);
	return 200;
}

int main(int argc, char **argv)
{
	const char *options[] = { "listening_ports", argv[1], "num_threads", "64", "enable_keep_alive", "yes",
				  "keep_alive_timeout_ms", "15000", "tcp_nodelay", "1", "enable_directory_listing", "no",
				  NULL };
	struct mg_callbacks callbacks = { 0 };
	static char body[BODY_MAX];
	sigset_t stop;
	FILE *f;
	int sig;

	if (argc < 3 || !(f = fopen(argv[2], "rb"))) {
		fprintf(stderr, "usage: bench_civetweb PORT BODY_FILE [DSN]\n");
		return 2;
	}
	size_t n = fread(body, 1, sizeof(body), f);

	fclose(f);
	reply_len = (size_t)snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: keep-alive\r\n\r\n", n);
	memcpy(reply + reply_len, body, n);
	reply_len += n;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	if (argc > 3) {
		nng_listener listener;
		int port;
		char url[64];

		dsn = argv[3];
		need(nng_rep0_open(&rep), "rep");
		need(nng_listener_create(&listener, rep, "tcp://127.0.0.1:0"), "listen");
		need(nng_listener_start(listener, 0), "listen");
		nng_sockaddr sa;
		need(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &sa), "address");
		port = (sa.s_in.sa_port >> 8 & 0xff) | (sa.s_in.sa_port & 0xff) << 8;
		snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
		need(nng_req0_open(&req), "req");
		need(nng_socket_set_ms(req, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), "resend");
		need(nng_dial(req, url, NULL, 0), "dial");
		for (int i = 0; i < WORKERS; i++) {
			pthread_t t;

			pthread_create(&t, NULL, serve, NULL);
		}
	}
	struct mg_context *web = mg_start(&callbacks, NULL, options);

	if (!web) {
		fprintf(stderr, "cannot listen on %s\n", argv[1]);
		return 1;
	}
	mg_set_request_handler(web, "/", answer, NULL);
	sigwait(&stop, &sig);
	return 0;
}
