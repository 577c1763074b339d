#include <civetweb.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "gateway/http_server.h"
#include "gateway/http_stack.h"

enum { HEAD_CAP = 16384, REAP_MS = 100, CROWD_MAX = 8192 };

/* What a thread knows of its connection. Only the reaper shares it, under mu. */
struct http_conn {
	struct http_server *srv;
	struct mg_connection *mg;
	void *app_worker;
	struct http_req req;
	int fd;		/* -1 until somebody asks */
	pthread_mutex_t mu;
	bool writing; /* the deadline is that of an answer */
	bool serving; /* a request of peer:port is being handled */
	bool refused; /* the last message was answered with an error */
	char peer[48];
	int port;
	_Atomic int64_t deadline; /* 0: none */
	const char *base; /* where civetweb's buffer of this thread begins, as far as seen */
	char *stack;	  /* the lower end of the thread's */
	struct http_conn *next;
};

struct http_server {
	struct mg_context *ctx;
	struct http_handler handler;
	struct http_server_conf conf;
	pthread_mutex_t mu; /* the list */
	struct http_conn *conns;
	pthread_t reaper;
	bool reaping;
	atomic_bool stop;
	atomic_int busy;
	char error[200]; /* civetweb's last words while starting */
};

/* ---- sockets: civetweb does not tell them, so we look for the one with this peer ---- */

static bool peer_of(int fd, char text[48], int *port)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;
	const void *addr;

	if (getpeername(fd, (struct sockaddr *)&ss, &n))
		return false;
	if (ss.ss_family == AF_INET) {
		addr = &((struct sockaddr_in *)&ss)->sin_addr;
		*port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	} else if (ss.ss_family == AF_INET6) {
		addr = &((struct sockaddr_in6 *)&ss)->sin6_addr;
		*port = ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	} else {
		return false;
	}
	return inet_ntop(ss.ss_family, addr, text, 48) != NULL;
}

static bool same_port(int fd, int port)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &n))
		return false;
	return port == ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
						     : ((struct sockaddr_in *)&ss)->sin_port);
}

static int fd_end(void)
{
	struct rlimit lim;

	return !getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < CROWD_MAX ? (int)lim.rlim_cur : CROWD_MAX;
}

static int find_fd(const struct mg_request_info *ri)
{
	char peer[48];
	int port;

	for (int fd = 3, end = fd_end(); fd < end; fd++)
		if (peer_of(fd, peer, &port) && port == ri->remote_port && !strcmp(peer, ri->remote_addr) &&
		    same_port(fd, ri->server_port))
			return fd;
	return -1;
}

/* ---- connections per address ---- */

struct crowd { /* one connection, whoever serves it or not yet */
	char peer[48];
	int port, fd;
};

static int by_peer(const void *a, const void *b)
{
	return strcmp(((const struct crowd *)a)->peer, ((const struct crowd *)b)->peer);
}

static size_t list_crowd(struct http_server *s, struct crowd *list, size_t max)
{
	int port = http_server_port(s);
	size_t n = 0;

	for (int fd = 3, end = fd_end(); fd < end && n < max; fd++)
		if (peer_of(fd, list[n].peer, &list[n].port) && same_port(fd, port)) {
			list[n].fd = fd;
			n++;
		}
	qsort(list, n, sizeof *list, by_peer);
	return n;
}

/* List locked: no thread leaves meanwhile. */
static bool is_serving(struct http_server *s, const struct crowd *w)
{
	bool yes = false;

	for (struct http_conn *c = s->conns; c && !yes; c = c->next) {
		pthread_mutex_lock(&c->mu);
		yes = c->serving && c->port == w->port && !strcmp(c->peer, w->peer);
		pthread_mutex_unlock(&c->mu);
	}
	return yes;
}

/*
 * civetweb says who is there only with the first request, and those who never send one are the ones to limit: so the
 * sockets themselves are counted. Beyond the limit those without a request under way go.
 */
static void thin_out(struct http_server *s, struct crowd *list)
{
	size_t n = list_crowd(s, list, CROWD_MAX), from = 0;

	pthread_mutex_lock(&s->mu);
	for (size_t i = 1; i <= n; i++) {
		size_t over;

		if (i < n && !strcmp(list[i].peer, list[from].peer))
			continue;
		over = i - from > (size_t)s->conf.conns_per_addr ? i - from - (size_t)s->conf.conns_per_addr : 0;
		if (over && s->handler.unlimited(s->handler.app, list[from].peer))
			over = 0;
		for (size_t k = from; over && k < i; k++) {
			if (is_serving(s, &list[k]))
				continue;
			shutdown(list[k].fd, SHUT_RDWR);
			over--;
		}
		from = i;
	}
	pthread_mutex_unlock(&s->mu);
}

/* ---- deadlines ---- */

static void check_deadlines(struct http_server *s)
{
	int64_t now = mono_ms();

	pthread_mutex_lock(&s->mu);
	for (struct http_conn *c = s->conns; c; c = c->next) {
		pthread_mutex_lock(&c->mu);
		if (c->deadline && now >= c->deadline && c->fd >= 0) {
			/* Wakes the thread, which closes it; after a slow body it can still say why. */
			shutdown(c->fd, c->writing ? SHUT_RDWR : SHUT_RD);
			c->deadline = 0;
		}
		pthread_mutex_unlock(&c->mu);
	}
	pthread_mutex_unlock(&s->mu);
}

static void *reap(void *arg)
{
	struct http_server *s = arg;
	struct crowd *list = malloc(CROWD_MAX * sizeof *list);

	while (!atomic_load(&s->stop)) {
		check_deadlines(s);
		if (list && s->conf.conns_per_addr && atomic_load(&s->busy) > s->conf.conns_per_addr)
			thin_out(s, list);
		sleep_ms(REAP_MS);
	}
	free(list);
	return NULL;
}

static void set_deadline(struct http_conn *c, int64_t at, bool writing)
{
	int fd = at && c->fd < 0 ? find_fd(mg_get_request_info(c->mg)) : c->fd;

	pthread_mutex_lock(&c->mu);
	c->fd = fd;
	c->deadline = at;
	c->writing = writing;
	pthread_mutex_unlock(&c->mu);
}

void http_deadline(struct http_conn *c, int64_t at)
{
	set_deadline(c, at, false);
}

static int on_connection(const struct mg_connection *mg, void **data)
{
	struct http_conn *c = mg_get_thread_pointer(mg);

	*data = NULL;
	if (!c)
		return 0;
	c->fd = -1;
	c->refused = false;
	atomic_fetch_add(&c->srv->busy, 1);
	return 0;
}

static void on_closed(const struct mg_connection *mg)
{
	struct http_conn *c = mg_get_thread_pointer(mg);

	if (!c)
		return;
	atomic_fetch_sub(&c->srv->busy, 1);
	http_stack_shed(c->stack);
}

/*
 * "*" and targets of another host: civetweb takes such a message as read and closes without asking anybody. They are
 * answered here, with the connection still open and nothing behind the message looked at.
 */
static void answer_unasked(struct http_conn *c, const struct mg_connection *mg)
{
	const struct mg_request_info *ri = mg_get_request_info(mg);
	bool options;

	if (c->refused || !ri || !ri->request_method || !ri->request_uri || !ri->http_version || ri->local_uri_raw)
		return;
	options = strcmp(ri->request_uri, "*") == 0 && strcmp(ri->request_method, "OPTIONS") == 0;
	c->mg = (struct mg_connection *)(uintptr_t)mg; /* civetweb's own; only the callback's type says const */
	c->srv->handler.error(c->app_worker, options ? 204 : 400, ri->remote_addr, c);
}

/* Called before the socket goes: from here on its number may belong to somebody else. */
static void on_close(const struct mg_connection *mg)
{
	struct http_conn *c = mg_get_thread_pointer(mg);

	if (!c)
		return;
	answer_unasked(c, mg);
	pthread_mutex_lock(&c->mu);
	c->deadline = 0;
	c->fd = -1;
	c->serving = false;
	pthread_mutex_unlock(&c->mu);
}

/* ---- threads ---- */

static void *on_thread(const struct mg_context *ctx, int type)
{
	struct http_server *s = mg_get_user_data(ctx);
	struct http_conn *c;

	if (type != 1)
		return NULL;
	c = calloc(1, sizeof *c);
	if (!c)
		abort();
	c->srv = s;
	c->fd = -1;
	c->stack = http_stack_low();
	pthread_mutex_init(&c->mu, NULL);
	c->app_worker = s->handler.worker_open(s->handler.app);
	pthread_mutex_lock(&s->mu);
	c->next = s->conns;
	s->conns = c;
	pthread_mutex_unlock(&s->mu);
	return c;
}

static void on_thread_end(const struct mg_context *ctx, int type, void *p)
{
	struct http_server *s = mg_get_user_data(ctx);
	struct http_conn *c = p;

	if (type != 1 || !c)
		return;
	pthread_mutex_lock(&s->mu);
	for (struct http_conn **at = &s->conns; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	pthread_mutex_unlock(&s->mu);
	s->handler.worker_close(c->app_worker);
	pthread_mutex_destroy(&c->mu);
	free(c);
}

/* ---- requests ---- */

static bool take_over(struct http_req *r, const struct mg_request_info *ri)
{
	http_req_clear(r);
	r->method = ri->request_method;
	r->path = ri->local_uri_raw;
	r->query = ri->query_string;
	r->version = ri->http_version;
	r->remote_addr = ri->remote_addr;
	/* An absolute form is legal, but nothing in front of us sends it. */
	if (r->path != ri->request_uri)
		r->path = "*";
	for (int i = 0; i < ri->num_headers; i++)
		if (!http_req_add(r, ri->http_headers[i].name, ri->http_headers[i].value))
			return false;
	return true;
}

/*
 * Each message is moved to the start of the thread's buffer, so one that begins elsewhere had blank lines before it:
 * legal, useless, and it would make the end of the buffer unknown.
 */
static bool at_base(struct http_conn *c, const char *method)
{
	if (!c->base || method < c->base)
		c->base = method;
	return method == c->base && !((uintptr_t)method % 16);
}

static void set_serving(struct http_conn *c, const struct mg_request_info *ri, bool on)
{
	pthread_mutex_lock(&c->mu);
	c->serving = on;
	if (on && (c->port != ri->remote_port || strcmp(c->peer, ri->remote_addr))) {
		snprintf(c->peer, sizeof c->peer, "%s", ri->remote_addr);
		c->port = ri->remote_port;
	}
	pthread_mutex_unlock(&c->mu);
}

static int on_request(struct mg_connection *mg)
{
	struct http_conn *c = mg_get_thread_pointer(mg);
	const struct mg_request_info *ri = mg_get_request_info(mg);
	struct err e;
	int status;

	c->mg = mg;
	set_serving(c, ri, true);
	e.code = OK;
	e.n_details = 0;
	/* The list of headers is complete only if the raw bytes say so; the guard itself runs in the handler. */
	if (!at_base(c, ri->request_method) || !take_over(&c->req, ri) ||
	    (strcmp(c->req.path, "*") && http_guard_raw(&c->req, HEAD_CAP, &e))) {
		http_close(c);
		c->srv->handler.error(c->app_worker, ri->num_headers > HTTP_HEADERS_MAX ? 431 : 400, ri->remote_addr, c);
		status = 400;
	} else {
		status = c->srv->handler.handle(c->app_worker, &c->req, c);
	}
	if (c->deadline)
		http_deadline(c, 0);
	set_serving(c, ri, false);
	return status;
}

static int on_error(struct mg_connection *mg, int status, const char *text)
{
	struct http_conn *c = mg_get_thread_pointer(mg);
	const struct mg_request_info *ri = mg_get_request_info(mg);

	(void)text;
	if (!c || !ri)
		return 1;
	c->mg = mg;
	c->refused = true;
	http_close(c);
	c->srv->handler.error(c->app_worker, status, ri->remote_addr, c);
	return 0;
}

static int on_log(const struct mg_connection *mg, const char *text)
{
	const struct mg_context *ctx = mg ? mg_get_context(mg) : NULL;
	struct http_server *s = ctx ? mg_get_user_data(ctx) : NULL;

	if (s && !s->ctx)
		snprintf(s->error, sizeof s->error, "%s", text);
	log_msg(LVL_DEBUG, "civetweb", LF_S("text", text));
	return 1;
}

int http_body(struct http_conn *c, void *buf, size_t cap)
{
	size_t got = 0;

	while (got < cap) {
		int n = mg_read(c->mg, (char *)buf + got, cap - got);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (int)got;
}

bool http_send(struct http_conn *c, const void *p, size_t n)
{
	/* A big answer may fill the socket; a peer that does not read must not keep the thread. */
	if (n > 65536)
		set_deadline(c, mono_ms() + 30000, true);
	return mg_write(c->mg, p, n) == (int)n;
}

void http_close(struct http_conn *c)
{
	mg_disable_connection_keep_alive(c->mg);
}

bool http_crowded(const struct http_conn *c)
{
	return atomic_load_explicit(&c->srv->busy, memory_order_relaxed) * 10 > c->srv->conf.threads * 9;
}

int http_server_port(const struct http_server *s)
{
	struct mg_server_port ports[4];
	int n = mg_get_server_ports(s->ctx, 4, ports);

	return n > 0 ? ports[0].port : 0;
}

int http_server_busy(const struct http_server *s)
{
	return atomic_load(&((struct http_server *)(uintptr_t)s)->busy);
}

/* ---- life ---- */

static struct mg_context *start(struct http_server *s)
{
	static const struct mg_callbacks callbacks = {
		.begin_request = on_request,
		.http_error = on_error,
		.log_message = on_log,
		.init_thread = on_thread,
		.exit_thread = on_thread_end,
		.init_connection = on_connection,
		.connection_close = on_close,
		.connection_closed = on_closed,
	};
	char threads[16], header[16], keep[16], cap[16];
	const char *options[] = {
		"listening_ports", s->conf.listen,
		"num_threads", threads,
		"request_timeout_ms", header,
		"keep_alive_timeout_ms", keep,
		"max_request_size", cap,
		"enable_keep_alive", "yes",
		"tcp_nodelay", "1",
		"connection_queue", "256",
		"listen_backlog", "1024",
		"decode_url", "no",
		"enable_auth_domain_check", "no",
		"enable_directory_listing", "no",
		"access_control_allow_origin", "",
		"access_control_allow_methods", "",
		"access_control_allow_headers", "",
		NULL,
	};

	snprintf(threads, sizeof threads, "%d", s->conf.threads);
	snprintf(header, sizeof header, "%d", s->conf.header_ms);
	snprintf(keep, sizeof keep, "%d", s->conf.keep_alive_ms);
	snprintf(cap, sizeof cap, "%d", HEAD_CAP);
	return mg_start(&callbacks, s, options);
}

enum err_code http_server_start(const struct http_server_conf *conf, const struct http_handler *h,
				struct http_server **s_r, struct err *e)
{
	struct http_server *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, E_INTERNAL, "common.internal", "out of memory");
	s->conf = *conf;
	s->handler = *h;
	pthread_mutex_init(&s->mu, NULL);
	mg_init_library(0);
	s->ctx = start(s);
	if (!s->ctx) {
		enum err_code rc = err_set(e, E_UNAVAILABLE, "common.unavailable", "cannot listen on %s: %s",
					   conf->listen, s->error[0] ? s->error : strerror(errno));
		free(s);
		return rc;
	}
	s->reaping = !pthread_create(&s->reaper, NULL, reap, s);
	*s_r = s;
	return OK;
}

void http_server_stop(struct http_server *s)
{
	if (!s)
		return;
	mg_stop(s->ctx);
	atomic_store(&s->stop, true);
	if (s->reaping)
		pthread_join(s->reaper, NULL);
	pthread_mutex_destroy(&s->mu);
	mg_exit_library();
	free(s);
}
