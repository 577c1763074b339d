#include "gateway/serve_http.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/timeutil.h"
#include "gateway/http_mute.h"

enum { ARENA_MAX = 8 << 20, ANSWER_MAX = 16 << 20, LAST_MS = 2000 };

struct gateway_front {
	struct gateway *gw;
	struct http_server *http;
	struct doorbell_listener *bell[GW_SERVICES_MAX];
};

static void *worker_open(void *app)
{
	struct gw_worker *w = calloc(1, sizeof *w);

	if (!w)
		abort();
	w->gw = app;
	w->arena = arena_new("request", ARENA_MAX);
	buf_init(&w->out, ANSWER_MAX);
	return w;
}

static void worker_close(void *p)
{
	struct gw_worker *w = p;

	arena_free(w->arena);
	buf_free(&w->out);
	free(w);
}

static bool unlimited(void *app, const char *addr)
{
	struct gateway *gw = app;

	return networks_has(gw->proxies, addr);
}

/* On the listener's thread: identity's rings hasten revocations, those of all others drop what they name. */
static void rung(const struct doorbell_ring *ring, void *arg)
{
	struct gateway *gw = arg;

	if (ring->gap)
		respcache_flush(gw->respcache);
	for (size_t i = 0; i < ring->n_changed; i++)
		gateway_changed(gw, ring->changed[i]);
	if (!ring->heartbeat && !strcmp(ring->source, "identity"))
		auth_hurry(gw->auth);
}

static enum err_code listen_bells(struct gateway_front *f, struct err *e)
{
	struct gateway *gw = f->gw;

	for (size_t i = 0; gw->services[i].name && i < GW_SERVICES_MAX; i++) {
		if (!gw->conf.bell[i] || !*gw->conf.bell[i] || !gw->client[i])
			continue;
		if (doorbell_listen(gw->conf.bell[i], gw->conf.resolve_ms, rung, gw, &f->bell[i], e))
			return e->code;
	}
	return OK;
}

enum err_code gateway_start(struct gateway *gw, struct gateway_front **f_r, struct err *e)
{
	struct gateway_front *f = calloc(1, sizeof *f);
	struct http_server_conf conf = { .listen = gw->conf.listen, .threads = gw->conf.threads,
					 .header_ms = gw->conf.header_ms,
					 .keep_alive_ms = gw->conf.keep_alive_ms,
					 .conns_per_addr = gw->conf.conns_per_addr };
	struct http_handler h = { .app = gw, .worker_open = worker_open, .worker_close = worker_close,
				  .handle = gw_handle, .error = gw_http_error, .unlimited = unlimited };

	if (!f)
		abort();
	f->gw = gw;
	if (listen_bells(f, e) || http_server_start(&conf, &h, &f->http, e)) {
		gateway_stop(f, 0);
		return e->code;
	}
	*f_r = f;
	return OK;
}

int gateway_port(const struct gateway_front *f)
{
	return http_server_port(f->http);
}

int gateway_busy(const struct gateway_front *f)
{
	return http_server_busy(f->http);
}

/* Those who have connected are served before the port is closed. */
static void serve_the_last(struct http_server *s)
{
	int64_t end = mono_ms() + LAST_MS;
	int port = http_server_port(s), calm = 0;

	http_mute(port);
	while (calm < 3 && mono_ms() < end) {
		calm = http_knocks(port) || http_server_busy(s) > 0 ? 0 : calm + 1;
		sleep_ms(20);
	}
}

void gateway_stop(struct gateway_front *f, int drain_ms)
{
	int64_t end = mono_ms() + drain_ms;

	if (!f)
		return;
	atomic_store(&f->gw->draining, true);
	while (f->http && mono_ms() < end)
		sleep_ms(50);
	if (f->http && drain_ms > 0)
		serve_the_last(f->http);
	http_server_stop(f->http);
	for (size_t i = 0; i < GW_SERVICES_MAX; i++)
		if (f->bell[i])
			doorbell_unlisten(f->bell[i]);
	free(f);
}

/* ---- --health ---- */

/* "8080", "127.0.0.1:8080", "[::]:8080", "0.0.0.0:8080" -> where to connect. */
static void target_of(const char *listen, char host[64], char port[8])
{
	const char *colon = strrchr(listen, ':');
	size_t n = colon ? (size_t)(colon - listen) : 0;

	snprintf(port, 8, "%s", colon ? colon + 1 : listen);
	if (n > 1 && listen[0] == '[') {
		listen++;
		n -= 2;
	}
	snprintf(host, 64, "%.*s", (int)n, listen);
	if (!*host || !strcmp(host, "0.0.0.0"))
		snprintf(host, 64, "127.0.0.1");
	else if (!strcmp(host, "::"))
		snprintf(host, 64, "::1");
}

static int ask(int fd)
{
	static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	struct timeval limit = { .tv_sec = 3 };
	char answer[32] = "";
	int status = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0 || recv(fd, answer, sizeof answer - 1, MSG_WAITALL) < 12)
		return 0;
	return sscanf(answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

int gateway_health(const char *listen)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai = NULL;
	char host[64], port[8];
	int fd = -1, status = 0;

	target_of(listen, host, port);
	if (!getaddrinfo(host, port, &hints, &ai)) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !connect(fd, ai->ai_addr, ai->ai_addrlen))
			status = ask(fd);
		freeaddrinfo(ai);
	}
	if (fd >= 0)
		close(fd);
	printf("gateway at %s: %s (%d)\n", listen, status == 200 ? "ready" : status ? "not ready" : "no answer", status);
	return status == 200 ? 0 : 1;
}
