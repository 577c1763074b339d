#include "server.h"
#include "api.h"
#include "pages.h"

#include <civetweb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct server {
	struct sandbox *sb;
	struct mg_context *ctx;
	int port;
	_Atomic bool stopped;
	_Atomic uint64_t requests;
	uint64_t salt;
};

/* ---- closing on purpose ---- */

/*
 * civetweb does not give out its sockets. The connection is found by its two ends: port is ours,
 * remote_port the peer's. Rare (faults only), so a walk over the descriptors will do.
 */
static int socket_of(int port, const struct mg_request_info *ri)
{
	int fd;

	for (fd = 3; fd < 4096; fd++) {
		struct sockaddr_in6 peer,
			own; /* the ports of both families lie at the same offset */
		socklen_t a = sizeof(peer), b = sizeof(own);

		if (getpeername(fd, (struct sockaddr *)&peer, &a) ||
			getsockname(fd, (struct sockaddr *)&own, &b))
			continue;
		if ((own.sin6_family == AF_INET || own.sin6_family == AF_INET6) &&
			ntohs(own.sin6_port) == port && ntohs(peer.sin6_port) == ri->remote_port)
			return fd;
	}
	return -1;
}

static void cut(struct server *s, const struct mg_request_info *ri, bool reset)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int fd = socket_of(s->port, ri);

	if (fd >= 0 && reset)
		(void)connect(
			fd, &nobody, sizeof(nobody)); /* dissolves the connection with a RST */
	else if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	sandbox_lock(s->sb);
	s->sb->stats.closed++;
	sandbox_unlock(s->sb);
}

/* ---- answering ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 303:
		return "See Other";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 402:
		return "Payment Required";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 429:
		return "Too Many Requests";
	default:
		return "Internal Server Error";
	}
}

static void put_headers(struct text *t, const struct request *q, const struct reply *r, bool close)
{
	text_fmt(t,
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nRequest-Id: %s\r\n"
		"Cache-Control: no-store\r\nAccess-Control-Allow-Origin: "
		"*\r\nX-Content-Type-Options: nosniff\r\n",
		r->status, reason(r->status), r->type ? r->type : "application/json", r->len,
		q->request_id);
	if (r->type)
		text_str(t,
			"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
			"frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n");
	if (q->key)
		text_fmt(t, "Idempotency-Key: %s\r\n", q->key);
	if (r->replayed)
		text_str(t, "Idempotent-Replayed: true\r\n");
	if (r->should_retry)
		text_fmt(t, "Stripe-Should-Retry: %s\r\n", r->should_retry > 0 ? "true" : "false");
	if (r->retry_after)
		text_fmt(t, "Retry-After: %d\r\n", r->retry_after);
	if (r->status == 401)
		text_str(t, "WWW-Authenticate: Basic realm=\"sandbox\"\r\n");
	if (*r->location)
		text_fmt(t, "Location: %s\r\n", r->location);
	text_fmt(t, "Connection: %s\r\n\r\n", close ? "close" : "keep-alive");
}

static bool wants_close(const struct mg_connection *c, const struct mg_request_info *ri)
{
	const char *connection = mg_get_header(c, "Connection");

	if (connection)
		return strcasecmp(connection, "keep-alive") != 0;
	return !ri->http_version || strcmp(ri->http_version, "1.1") < 0;
}

static void drip(
	struct server *s, struct mg_connection *c, const struct text *t, size_t body, int64_t ms)
{
	size_t i;

	if (mg_write(c, t->data, body) <= 0)
		return;
	for (i = body; i < t->len; i++)
		if (!sandbox_sleep(s->sb, ms) || mg_write(c, t->data + i, 1) <= 0)
			return;
}

static void answer(
	struct server *s, struct mg_connection *c, const struct request *q, struct reply *r)
{
	const struct mg_request_info *ri = mg_get_request_info(c);
	struct text t = TEXT_INIT(70u << 20);
	size_t body, n;

	if (r->wire == WIRE_CLOSE || r->wire == WIRE_RESET) {
		cut(s, ri, r->wire == WIRE_RESET);
		return;
	}
	put_headers(&t, q, r, wants_close(c, ri));
	body = t.len;
	if (strcmp(ri->request_method, "HEAD"))
		text_add(&t, r->body, r->len);
	n = t.len;
	if (r->wire == WIRE_TRUNCATE)
		n = body + (r->cut >= 0 && (size_t)r->cut < r->len ? (size_t)r->cut : r->len / 2);
	if (t.data && r->wire == WIRE_DRIP)
		drip(s, c, &t, body, r->drip_ms);
	else if (t.data)
		(void)mg_write(c, t.data, n); /* head and body in one write: the peer never waits
						 for a second segment */
	if (r->wire == WIRE_TRUNCATE)
		cut(s, ri, false);
	text_free(&t);
}

/* ---- who is asking ---- */

static bool same(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n && n == strlen(b) && !CRYPTO_memcmp(a, b, n);
}

/* The key of an Authorization header, Bearer or Basic (user name). */
static void presented_key(const struct mg_connection *c, char *out, size_t len)
{
	const char *h = mg_get_header(c, "Authorization");
	unsigned char plain[400];
	size_t n;

	out[0] = '\0';
	if (h && !strncasecmp(h, "Bearer ", 7)) {
		snprintf(out, len, "%s", h + 7);
	} else if (h && !strncasecmp(h, "Basic ", 6)) {
		n = strlen(h + 6);
		if (!n || n % 4 || n > 500 ||
			EVP_DecodeBlock(plain, (const unsigned char *)h + 6, (int)n) < 0)
			return;
		plain[n / 4 * 3] = '\0';
		n = strcspn((char *)plain, ":");
		snprintf(out, len, "%.*s", (int)n, (char *)plain);
	}
}

static bool authenticated(const struct sandbox *sb, const struct mg_connection *c,
	const struct route *route, struct request *q)
{
	const char *param = form_get(q->form, "key");
	char key[256];

	presented_key(c, key, sizeof(key));
	if (route->op == OP_CONTROL || same(key, sb->conf.secret_key))
		return true;
	q->publishable = true;
	if (!route->browser || (*key && !same(key, sb->conf.publishable_key)))
		return false;
	if (param && !same(param, sb->conf.publishable_key))
		return false;
	return form_get(q->form, "client_secret");
}

/* ---- reading ---- */

/* The body within FORM_BODY_MAX, NUL-terminated. False: r answers. */
static bool read_body(struct mg_connection *c, struct text *body, struct reply *r)
{
	char part[8192];
	int n;

	while ((n = mg_read(c, part, sizeof(part))) > 0)
		text_add(body, part, (size_t)n);
	if (n >= 0 && !body->over)
		return true;
	r->unstored = true;
	if (body->over)
		reply_error(r, 413, (struct api_error){ .code = NULL },
			"The request body is too large.");
	else
		reply_error(r, 400, (struct api_error){ .code = NULL },
			"The request body cannot be read.");
	return false;
}

static bool parse_body(
	const struct mg_connection *c, struct request *q, const struct text *body, struct reply *r)
{
	const char *type = mg_get_header(c, "Content-Type"), *why = NULL,
		   *query = mg_get_request_info(c)->query_string;
	json_error_t where;

	if (query && !form_add(q->form, query, strlen(query), &why)) {
		reply_param(r, NULL, NULL, "%s", why);
		return false;
	}
	if (!body->len)
		return true;
	if (!strncmp(q->path, "/_sandbox/", 10)) {
		q->json = json_loadb(body->data, body->len, JSON_REJECT_DUPLICATES, &where);
		if (!q->json)
			reply_param(r, NULL, NULL, "The body is not JSON: %s.", where.text);
		return q->json;
	}
	if (type && strncasecmp(type, "application/x-www-form-urlencoded", 33)) {
		reply_param(r, NULL, NULL,
			"The body must be a form (application/x-www-form-urlencoded).");
		return false;
	}
	if (!form_add(q->form, body->data, body->len, &why)) {
		reply_param(r, NULL, NULL, "%s", why);
		return false;
	}
	return true;
}

static void base_url(const struct sandbox *sb, const struct mg_connection *c, char *out, size_t len)
{
	const char *host = mg_get_header(c, "Host");

	if (!*sb->conf.public_url && host && *host && strlen(host) < 200 &&
		!host[strspn(host,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]_")])
		snprintf(out, len, "http://%s", host);
	else
		snprintf(out, len, "%s", sandbox_base(sb));
}

static bool key_ok(const struct mg_connection *c, struct request *q, struct reply *r)
{
	const char *p;

	if (strcmp(q->method, "POST") || strncmp(q->path, "/v1/", 4))
		return true;
	q->key = mg_get_header(c, "Idempotency-Key");
	if (!q->key)
		return true;
	for (p = q->key; *p > ' ' && *p < 0x7f; p++)
		;
	if (p != q->key && !*p && p - q->key <= 255)
		return true;
	q->key = NULL;
	reply_param(r, NULL, NULL, "An idempotency key has 1 to 255 visible characters.");
	return false;
}

/* ---- one request ---- */

static void run(struct server *s, struct mg_connection *c, struct request *q,
	const struct text *body, struct reply *r)
{
	const struct route *route;
	bool other;

	if (!parse_body(c, q, body, r) || !key_ok(c, q, r))
		return;
	if (page_run(s->sb, q, r))
		return;
	route = api_route(q->method, q->path, q, &other);
	if (!route) {
		reply_error(r, other ? 405 : 404, (struct api_error){ .code = NULL },
			"Unrecognized request URL (%s: %s).", q->method, q->path);
		return;
	}
	q->op = route->op;
	if (!authenticated(s->sb, c, route, q)) {
		reply_error(
			r, 401, (struct api_error){ .code = NULL }, "Invalid API key provided.");
		return;
	}
	api_run(s->sb, route, q, r);
}

static void count(struct server *s, int status)
{
	sandbox_lock(s->sb);
	if (status >= 100 && status < 600)
		s->sb->stats.by_class[status / 100]++;
	sandbox_unlock(s->sb);
}

static bool preflight(struct mg_connection *c, const struct mg_request_info *ri)
{
	static const char allow[] =
		"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\n"
		"Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Allow-Headers: "
		"Authorization, Content-Type, Idempotency-Key\r\nContent-Length: 0\r\n\r\n";

	if (strcmp(ri->request_method, "OPTIONS"))
		return false;
	(void)mg_write(c, allow, sizeof(allow) - 1);
	return true;
}

static int handle(struct mg_connection *c, void *arg)
{
	struct server *s = arg;
	const struct mg_request_info *ri = mg_get_request_info(c);
	struct form form = { .n = 0 };
	struct request q = { .method = ri->request_method, .path = ri->local_uri, .form = &form };
	struct reply r = { .cut = -1 };
	struct text body = TEXT_INIT(FORM_BODY_MAX);
	struct rng rng = { .state = s->salt +
				    atomic_fetch_add(&s->requests, 1) * 0x632be59bd9b4e019u };

	if (preflight(c, ri))
		return 204;
	rng.state = rng_next(&rng);
	rng_id(&rng, "req_", 14, q.request_id);
	base_url(s->sb, c, q.base_url, sizeof(q.base_url));
	if (read_body(c, &body, &r)) {
		if (strchr(ri->request_uri, '%') &&
			(!ri->query_string || strchr(ri->request_uri, '%') < ri->query_string))
			reply_error(&r, 404, (struct api_error){ .code = NULL },
				"Unrecognized request URL.");
		else
			run(s, c, &q, &body, &r);
	}
	answer(s, c, &q, &r);
	count(s, r.status);
	text_free(&body);
	form_free(&form);
	json_decref(q.json);
	reply_free(&r);
	return r.status ? r.status : 200;
}

static int quiet(const struct mg_connection *c, const char *message)
{
	(void)c;
	(void)message;
	return 1;
}

bool server_start(struct sandbox *sb, struct server **s_r, int *port_r, char *why, size_t why_len)
{
	char threads[16];
	const char *options[] = { "listening_ports", sb->conf.listen, "num_threads", threads,
		"enable_keep_alive", "yes", "keep_alive_timeout_ms", "30000", "request_timeout_ms",
		"10000", "tcp_nodelay", "1", "listen_backlog", "500", NULL };
	struct mg_callbacks callbacks = { .log_message = quiet };
	struct mg_server_port port[2];
	struct server *s = calloc(1, sizeof(*s));
	struct rng rng;

	snprintf(threads, sizeof(threads), "%d", sb->conf.threads);
	snprintf(why, why_len, "cannot listen on %s", sb->conf.listen);
	if (!s)
		return false;
	s->sb = sb;
	rng_seed(&rng, 0);
	s->salt = rng.state;
	s->ctx = mg_start(&callbacks, s, options);
	if (!s->ctx || mg_get_server_ports(s->ctx, 2, port) < 1) {
		server_stop(s);
		return false;
	}
	s->port = *port_r = port[0].port;
	snprintf(sb->base_url, sizeof(sb->base_url), "http://%.*s:%d",
		(int)strcspn(sb->conf.listen, ":"), sb->conf.listen, s->port);
	mg_set_request_handler(s->ctx, "**", handle, s);
	*s_r = s;
	return true;
}

/*
 * civetweb looks at its stop flag only every two seconds unless somebody connects. Until the
 * server has stopped, somebody does.
 */
static void *knock(void *arg)
{
	struct server *s = arg;
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timespec pause = { .tv_nsec = 20000000 };

	while (!atomic_load(&s->stopped)) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd >= 0) {
			(void)connect(fd, (struct sockaddr *)&to, sizeof(to));
			close(fd);
		}
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void server_stop(struct server *s)
{
	pthread_t visitor;
	bool visited;

	if (s && s->ctx) {
		visited = !pthread_create(&visitor, NULL, knock, s);
		mg_stop(s->ctx);
		atomic_store(&s->stopped, true);
		if (visited)
			pthread_join(visitor, NULL);
	}
	free(s);
}
