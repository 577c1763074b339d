/*
 * A gateway in this process in front of a daemon that only pretends: fake.v1.Fake, made of real messages of the
 * daemons so that every kind of field occurs. And a client that speaks HTTP byte by byte.
 */
#ifndef SOUK_TEST_GATEWAY_WORLD_H
#define SOUK_TEST_GATEWAY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "cart.pb-c.h"
#include "catalog.pb-c.h"
#include "checkout.pb-c.h"
#include "common.pb-c.h"
#include "identity.pb-c.h"

#include "common/crypto.h"
#include "common/jws.h"
#include "common/log.h"
#include "common/rpc_server.h"
#include "common/timeutil.h"
#include "gateway/serve_http.h"
#include "tests/support/pg_fixture.h"

#define ISSUER "souk-test"

/* ---- the daemon ---- */

struct fake {
	atomic_int loads, calls;
	atomic_int hold;	    /* GetProduct waits while it is set */
	char import[1 << 20];
	size_t import_len;
	int import_chunks;
	bool import_closed;
};
static struct fake fake;

#define D(m) &m##__descriptor
static const ProtobufCMethodDescriptor fake_rpcs[] = {
	{ "AddItem", D(cart__v1__add_item_request), D(cart__v1__cart_view) },
	{ "GetProduct", D(catalog__v1__get_product_request), D(catalog__v1__product) },
	{ "ImportBegin", D(catalog__v1__import_begin_request), D(catalog__v1__import) },
	{ "ImportChunk", D(catalog__v1__import_chunk_request), D(catalog__v1__import) },
	{ "ImportClose", D(catalog__v1__import_close_request), D(catalog__v1__import) },
	{ "ListProducts", D(catalog__v1__list_products_request), D(catalog__v1__list_products_reply) },
	{ "Logout", D(identity__v1__logout_request), D(identity__v1__logout_reply) },
	{ "Refresh", D(identity__v1__refresh_request), D(identity__v1__token_reply) },
	{ "SetItem", D(cart__v1__set_item_request), D(cart__v1__cart_view) },
	{ "Webhook", D(checkout__v1__webhook_request), D(checkout__v1__webhook_reply) },
};
static const unsigned fake_by_name[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
static const ProtobufCServiceDescriptor fake_descriptor = {
	.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
	.name = "fake.v1.Fake",
	.short_name = "Fake",
	.c_name = "Fake__V1__Fake",
	.package = "fake.v1",
	.n_methods = 10,
	.methods = fake_rpcs,
	.method_indices_by_name = fake_by_name,
};

RPC_HANDLER(fake_product, Catalog__V1__GetProductRequest, Catalog__V1__Product)
RPC_HANDLER(fake_products, Catalog__V1__ListProductsRequest, Catalog__V1__ListProductsReply)
RPC_HANDLER(fake_add, Cart__V1__AddItemRequest, Cart__V1__CartView)
RPC_HANDLER(fake_set, Cart__V1__SetItemRequest, Cart__V1__CartView)
RPC_HANDLER(fake_refresh, Identity__V1__RefreshRequest, Identity__V1__TokenReply)
RPC_HANDLER(fake_logout, Identity__V1__LogoutRequest, Identity__V1__LogoutReply)
RPC_HANDLER(fake_webhook, Checkout__V1__WebhookRequest, Checkout__V1__WebhookReply)
RPC_HANDLER(fake_begin, Catalog__V1__ImportBeginRequest, Catalog__V1__Import)
RPC_HANDLER(fake_chunk, Catalog__V1__ImportChunkRequest, Catalog__V1__Import)
RPC_HANDLER(fake_close, Catalog__V1__ImportCloseRequest, Catalog__V1__Import)

static enum err_code fake_product(struct call *c, const Catalog__V1__GetProductRequest *in, Catalog__V1__Product *out)
{
	int n = atomic_fetch_add(&fake.loads, 1) + 1;

	while (atomic_load(&fake.hold))
		sleep_ms(5);
	if (!strcmp(in->product_id, "missing"))
		return err_set(&c->err, E_NOT_FOUND, "common.not_found", "told so");
	if (!strcmp(in->product_id, "broken"))
		return err_set(&c->err, E_INTERNAL, "common.internal", "secret detail");
	if (!strcmp(in->product_id, "slow"))
		sleep_ms(300);
	out->id = in->product_id;
	out->title = arena_printf(c->arena, "load %d for %s", n, c->who.kind == WHO_ANONYMOUS ? "anybody" : c->who.user_id);
	out->brand = in->currency;
	out->has_version = 1;
	out->version = n;
	if (!strcmp(in->product_id, "tagged"))
		out->hdr_etag = call_str(c, "tagged-1");
	if (!strcmp(in->product_id, "brief")) {
		out->has_hdr_max_age = 1;
		out->hdr_max_age = 0;
	}
	return OK;
}

static enum err_code fake_products(struct call *c, const Catalog__V1__ListProductsRequest *in,
				   Catalog__V1__ListProductsReply *out)
{
	(void)in;
	out->next_cursor = arena_printf(c->arena, "%d", atomic_fetch_add(&fake.loads, 1) + 1);
	return OK;
}

static enum err_code fake_effect(struct pg *pg, void *arg, struct err *e)
{
	(void)pg;
	(void)arg;
	(void)e;
	return OK;
}

/* Tells what it was told: who, key, fingerprint, cart token. */
static enum err_code fake_add(struct call *c, const Cart__V1__AddItemRequest *in, Cart__V1__CartView *out)
{
	char print[SHA256_HEX_LEN] = "";

	atomic_fetch_add(&fake.calls, 1);
	if (c->fingerprint && c->idem_key && *c->idem_key)
		hex_encode(c->fingerprint, 32, print);
	out->n_coupon_codes = 5;
	out->coupon_codes = arena_array(c->arena, 5, sizeof(char *));
	out->coupon_codes[0] = arena_printf(c->arena, "%d:%s:%s:%s", (int)c->who.kind, c->who.user_id, c->who.audience,
					    c->who.vendor_id);
	out->coupon_codes[1] = arena_strdup(c->arena, c->idem_key ? c->idem_key : "");
	out->coupon_codes[2] = arena_strdup(c->arena, print);
	out->coupon_codes[3] = arena_strdup(c->arena, in->hdr_cart_token ? in->hdr_cart_token : "");
	out->coupon_codes[4] = arena_strdup(c->arena, c->request_id);
	out->id = in->variant_id;
	out->has_item_count = 1;
	out->item_count = in->qty;
	out->hdr_etag = call_str(c, "crt_1-1");
	return c->pool ? call_tx(c, CALL_TX_ONLY, fake_effect, NULL) : OK;
}

static enum err_code fake_set(struct call *c, const Cart__V1__SetItemRequest *in, Cart__V1__CartView *out)
{
	if (in->hdr_if_match && strcmp(in->hdr_if_match, "crt_1-5")) {
		err_detail(&c->err, "If-Match", "crt_1-5", "is not the current state");
		return err_set(&c->err, E_PRECOND, "cart.version", "stale");
	}
	out->id = in->line_id;
	out->hdr_etag = call_str(c, "crt_1-6");
	return OK;
}

static enum err_code fake_refresh(struct call *c, const Identity__V1__RefreshRequest *in, Identity__V1__TokenReply *out)
{
	out->access_token = in->hdr_refresh_token ? in->hdr_refresh_token : in->refresh_token;
	out->hdr_refresh_token = call_str(c, "successor");
	return OK;
}

static enum err_code fake_logout(struct call *c, const Identity__V1__LogoutRequest *in, Identity__V1__LogoutReply *out)
{
	(void)in;
	out->hdr_refresh_token = call_str(c, "");
	return OK;
}

static enum err_code fake_webhook(struct call *c, const Checkout__V1__WebhookRequest *in, Checkout__V1__WebhookReply *out)
{
	if (!in->hdr_signature || in->raw_body.len != 11 || memcmp(in->raw_body.data, "{ \"a\" : 1 }", 11))
		return err_set(&c->err, E_INVALID, "common.invalid_input", "not the exact bytes");
	out->has_received = 1;
	out->received = !strcmp(in->hdr_signature, "t=1,v1=abc");
	return OK;
}

static enum err_code fake_begin(struct call *c, const Catalog__V1__ImportBeginRequest *in, Catalog__V1__Import *out)
{
	fake.import_len = 0;
	fake.import_chunks = 0;
	fake.import_closed = false;
	out->id = call_str(c, "imp_1");
	out->format = in->format;
	return OK;
}

static enum err_code fake_chunk(struct call *c, const Catalog__V1__ImportChunkRequest *in, Catalog__V1__Import *out)
{
	(void)out;
	if (strcmp(in->import_id, "imp_1") || in->seq != fake.import_chunks || in->data.len > 256 * 1024 ||
	    fake.import_len + in->data.len > sizeof fake.import)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "wrong chunk");
	memcpy(fake.import + fake.import_len, in->data.data, in->data.len);
	fake.import_len += in->data.len;
	fake.import_chunks++;
	return OK;
}

static enum err_code fake_close(struct call *c, const Catalog__V1__ImportCloseRequest *in, Catalog__V1__Import *out)
{
	fake.import_closed = true;
	out->id = in->import_id;
	out->has_bytes = 1;
	out->bytes = (int64_t)fake.import_len;
	out->hdr_location = call_str(c, "/api/fake/imports/imp_1");
	return OK;
}

static const struct rpc_method fake_methods[] = {
	{ "GetProduct", fake_product_, RPC_READ, 0 },	{ "ListProducts", fake_products_, RPC_READ, 0 },
	{ "AddItem", fake_add_, RPC_WRITE | RPC_KEYED, 0 },		{ "SetItem", fake_set_, RPC_WRITE, 0 },
	{ "Refresh", fake_refresh_, RPC_WRITE, 0 },	{ "Logout", fake_logout_, RPC_WRITE, 0 },
	{ "Webhook", fake_webhook_, RPC_WRITE, 0 },	{ "ImportBegin", fake_begin_, RPC_WRITE, 0 },
	{ "ImportChunk", fake_chunk_, RPC_WRITE, (1 << 20) - 4096 },
	{ "ImportClose", fake_close_, RPC_WRITE, 0 },	{ 0 },
};
static const struct rpc_method *const fake_tables[] = { fake_methods, NULL };
static const struct rpc_service fake_services[] = { { &fake_descriptor, fake_tables }, { 0 } };

#define ROW(method_, path_, rpc_, in_, out_, ...) { method_, path_, "fake", rpc_, D(in_), D(out_), __VA_ARGS__ }
static const struct route fake_rows[] = {
	ROW("GET", "/api/fake/products/{product_id}", "GetProduct", catalog__v1__get_product_request, catalog__v1__product,
	    .auth = AUTH_OPTIONAL, .rate = RATE_READ, .cache = CACHE_DETAIL, .gens = "product:{product_id}",
	    .flags = ROUTE_READ),
	ROW("GET", "/api/fake/products", "ListProducts", catalog__v1__list_products_request, catalog__v1__list_products_reply,
	    .auth = AUTH_OPTIONAL, .rate = RATE_READ, .cache = CACHE_LISTING, .gens = "products category:{category}",
	    .flags = ROUTE_READ),
	ROW("GET", "/api/fake/own/{product_id}", "GetProduct", catalog__v1__get_product_request, catalog__v1__product,
	    .auth = AUTH_USER, .rate = RATE_READ, .flags = ROUTE_READ),
	ROW("POST", "/api/fake/items", "AddItem", cart__v1__add_item_request, cart__v1__cart_view, .status = 201,
	    .auth = AUTH_OPTIONAL, .rate = RATE_WRITE, .required = "variant_id qty"),
	ROW("POST", "/api/fake/keyed", "AddItem", cart__v1__add_item_request, cart__v1__cart_view, .auth = AUTH_USER,
	    .rate = RATE_WRITE, .flags = ROUTE_IDEM_REQUIRED),
	ROW("PATCH", "/api/fake/items/{line_id}", "SetItem", cart__v1__set_item_request, cart__v1__cart_view,
	    .auth = AUTH_OPTIONAL, .rate = RATE_WRITE, .flags = ROUTE_IF_MATCH, .required = "qty"),
	ROW("PUT", "/api/fake/items/{line_id}", "SetItem", cart__v1__set_item_request, cart__v1__cart_view,
	    .auth = AUTH_OPTIONAL, .rate = RATE_WRITE),
	ROW("POST", "/api/vendor/fake", "AddItem", cart__v1__add_item_request, cart__v1__cart_view, .auth = AUTH_VENDOR,
	    .perm = "vendor.catalog", .rate = RATE_WRITE),
	ROW("POST", "/api/admin/fake", "AddItem", cart__v1__add_item_request, cart__v1__cart_view, .auth = AUTH_ADMIN,
	    .rate = RATE_WRITE),
	ROW("POST", "/api/auth/refresh", "Refresh", identity__v1__refresh_request, identity__v1__token_reply,
	    .rate = RATE_AUTH, .flags = ROUTE_COOKIE),
	ROW("POST", "/api/auth/logout", "Logout", identity__v1__logout_request, identity__v1__logout_reply, .status = 204,
	    .rate = RATE_AUTH, .flags = ROUTE_COOKIE),
	ROW("POST", "/api/webhooks/fake", "Webhook", checkout__v1__webhook_request, checkout__v1__webhook_reply,
	    .rate = RATE_NONE, .flags = ROUTE_RAW, .raw_header = "Stripe-Signature"),
	ROW("POST", "/api/fake/import", "ImportBegin", catalog__v1__import_begin_request, catalog__v1__import,
	    .status = 202, .auth = AUTH_USER, .rate = RATE_WRITE, .flags = ROUTE_STREAM_IMPORT),
	{ 0 },
};
static const struct route away_rows[] = {
	{ "GET", "/api/away", "away", "GetProduct", D(catalog__v1__get_product_request), D(catalog__v1__product), .status = 0 },
	{ "GET", "/api/away/list", "away", "ListProducts", D(catalog__v1__list_products_request),
	  D(catalog__v1__list_products_reply), .flags = ROUTE_READ | ROUTE_EMPTY },
	{ 0 },
};
static const struct route_service world_services[] = {
	{ "fake", &fake_descriptor, fake_rows },
	{ "away", &fake_descriptor, away_rows },
	{ "gateway", &common__v1__node__descriptor, platform_routes },
	{ 0 },
};

/* ---- the world ---- */

static struct world {
	struct pg_fixture *pg; /* for idempotency keys; NULL: none */
	struct pg_pool *pool;
	struct rpc_server *srv;
	struct rpc_keys *server_keys, *client_keys;
	struct jws_keys *signing;
	struct gateway gw;
	struct gateway_front *front;
	int port;
	bool stale; /* gateway_up: identity has not been heard of */
} w;

UNUSED static struct gw_conf world_conf(void)
{
	const char *redis = getenv("TEST_REDIS_URL");

	return (struct gw_conf){
		.listen = "127.0.0.1:0", .redis_url = redis ? redis : "", .resolve_ms = 500, .threads = 24,
		.header_ms = 600, .keep_alive_ms = 600, .body_ms = 600, .rpc_ms = 3000,
		.conns_per_addr = 0, .inflight_max = 16, .import_max_mib = 1, .import_idle_ms = 1000,
		.import_total_s = 10, .trusted_proxies = "", .cors_origins = "https://shop.example",
		.cookie_secure = true, .cache = true, .hsts_s = 31536000, .token_issuer = ISSUER, .cache_mib = 4,
		.cache_local_ms = 5000,
	};
}

UNUSED static void gateway_up(const struct gw_conf *conf)
{
	struct gw_conf c = *conf;
	struct buf jwks;
	struct err e = { 0 };

	c.url[0] = rpc_server_url(w.srv);
	if (gateway_open(&w.gw, &c, world_services, w.client_keys, &e) || gateway_start(&w.gw, &w.front, &e))
		fail_msg("%s", e.msg);
	buf_init(&jwks, 65536);
	jws_jwks(w.signing, &jwks);
	assert_int_equal(auth_set_keys(w.gw.auth, jwks.data, jwks.len, &e), OK);
	if (!w.stale)
		auth_mark_fresh(w.gw.auth);
	buf_free(&jwks);
	w.port = gateway_port(w.front);
}

UNUSED static void gateway_down(void)
{
	gateway_stop(w.front, 0);
	gateway_close(&w.gw);
}

UNUSED static int world_open_with(const struct gw_conf *conf)
{
	struct daemon_conf d = { .listen = "tcp://127.0.0.1:0", .contexts = 16, .drain_ms = 0 };
	uint8_t key[32] = { 1 };
	struct err e = { 0 };

	log_set_level(getenv("TEST_VERBOSE") ? LVL_DEBUG : LVL_CRITICAL);
	w.server_keys = rpc_keys_new("fake");
	rpc_keys_add(w.server_keys, "gateway", "fake", key);
	w.client_keys = rpc_keys_new("gateway");
	rpc_keys_add(w.client_keys, "gateway", "fake", key);
	if (rpc_server_start(&d, "fake", fake_services, w.server_keys, w.pool, NULL, &w.srv, &e) ||
	    jws_keys_generate("test-1", &w.signing, &e))
		fail_msg("%s", e.msg);
	gateway_up(conf);
	return 0;
}

UNUSED static int world_close(void **state)
{
	(void)state;
	gateway_down();
	rpc_server_stop(w.srv);
	if (w.pool)
		pg_pool_close(w.pool);
	pg_fixture_close(w.pg);
	rpc_keys_free(w.server_keys);
	rpc_keys_free(w.client_keys);
	jws_keys_free(w.signing);
	return 0;
}

/* ---- tokens ---- */

UNUSED static char *token_of(const char *user, const char *sid, const char *aud, const char *perm, int64_t exp_in)
{
	struct jws_claims c = { .iat = wall_ms() / 1000, .exp = wall_ms() / 1000 + exp_in, .ver = 1 };
	static char out[4][1600];
	static atomic_uint at;
	struct buf b;
	struct err e = { 0 };

	snprintf(c.iss, sizeof c.iss, ISSUER);
	snprintf(c.aud, sizeof c.aud, "%s", aud);
	snprintf(c.sub, sizeof c.sub, "%s", user);
	snprintf(c.sid, sizeof c.sid, "%s", sid);
	snprintf(c.jti, sizeof c.jti, "%s-%s", sid, aud);
	if (!strcmp(aud, "vendor"))
		snprintf(c.vendor_id, sizeof c.vendor_id, "vnd_1");
	if (perm) {
		snprintf(c.perms[0], sizeof c.perms[0], "%s", perm);
		c.n_perms = 1;
	}
	buf_init(&b, 8192);
	if (jws_sign(w.signing, &c, &b, &e))
		fail_msg("%s", e.msg);
	unsigned i = atomic_fetch_add(&at, 1) % 4;

	snprintf(out[i], sizeof out[0], "Authorization: Bearer %s\r\n", buf_cstr(&b));
	buf_free(&b);
	return out[i];
}

/* ---- a client ---- */

struct answer {
	int status;
	size_t head_len, len;
	bool closed; /* the gateway ended the connection */
	char text[300000];
	char *body;
	char fields[8][700]; /* what header_of gave last */
	unsigned n_fields;
};

UNUSED static int dial(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)w.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (struct sockaddr *)&sa, sizeof sa))
		fail_msg("connect: %s", strerror(errno));
	return fd;
}

UNUSED static bool put(int fd, const void *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		at += (size_t)k;
	}
	return true;
}

/* More bytes, or false at the end or after ms. */
UNUSED static bool more(int fd, struct answer *a, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t k;

	if (a->len + 1 >= sizeof a->text || poll(&p, 1, ms) <= 0)
		return false;
	k = recv(fd, a->text + a->len, sizeof a->text - 1 - a->len, 0);
	if (k <= 0) {
		a->closed = true;
		return false;
	}
	a->len += (size_t)k;
	a->text[a->len] = '\0';
	return true;
}

/* NULL when there is none; the text stays until eight more were asked for. */
UNUSED static const char *header_of(struct answer *a, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(a->text, "\r\n"); p && p < a->body - 2; p = strstr(p, "\r\n")) {
		p += 2;
		if (!strncasecmp(p, name, n) && p[n] == ':') {
			char *out = a->fields[a->n_fields++ % 8];

			snprintf(out, sizeof a->fields[0], "%.*s", (int)strcspn(p + n + 2, "\r"), p + n + 2);
			return out;
		}
	}
	return NULL;
}

/* One answer from the connection; rest: bytes behind it are moved to the front of *next (may be NULL). */
UNUSED static void receive(int fd, struct answer *a, bool head_only)
{
	size_t want = 0;
	char *end;

	a->len = 0;
	a->closed = false;
	a->status = 0;
	a->text[0] = '\0';
	while (!(end = strstr(a->text, "\r\n\r\n")))
		if (!more(fd, a, 8000))
			return;
	a->head_len = (size_t)(end - a->text) + 4;
	a->body = a->text + a->head_len;
	assert_int_equal(sscanf(a->text, "HTTP/1.1 %d ", &a->status), 1);
	if (!head_only && header_of(a, "Content-Length"))
		want = (size_t)atol(header_of(a, "Content-Length"));
	while (a->len < a->head_len + want)
		if (!more(fd, a, 8000))
			return;
}

UNUSED static bool ends(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, ms) == 1 && recv(fd, &c, 1, 0) <= 0;
}

/* Every refusal has the one body. */
UNUSED static void check_error(struct answer *a, int status, const char *word)
{
	json_error_t je;
	json_t *j, *err;

	if (a->status != status)
		fail_msg("%d instead of %d: %s", a->status, status, a->text);
	j = json_loads(a->body, 0, &je);
	if (!j)
		fail_msg("no JSON: %s", a->text);
	err = json_object_get(j, "error");
	assert_true(json_is_object(err));
	assert_true(json_is_array(json_object_get(err, "details")));
	assert_non_null(json_string_value(json_object_get(err, "timestamp")));
	assert_string_equal(json_string_value(json_object_get(err, "request_id")), header_of(a, "X-Request-Id"));
	if (word)
		assert_string_equal(json_string_value(json_object_get(err, "code")), word);
	json_decref(j);
}

static pthread_key_t answer_key;
UNUSED static void make_answer_key(void)
{
	pthread_key_create(&answer_key, free);
}

/* One per thread; not thread-local as such, because the stacks of civetweb's threads would have to hold it. */
UNUSED static struct answer *my_answer(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct answer *a;

	pthread_once(&once, make_answer_key);
	a = pthread_getspecific(answer_key);
	if (!a) {
		a = calloc(1, sizeof *a);
		pthread_setspecific(answer_key, a);
	}
	return a;
}

/* A request on a connection of its own. headers: "A: b\r\n…" or "". body may be NULL. */
UNUSED static struct answer *ask(const char *method, const char *target, const char *headers, const char *body)
{
	struct answer *a = my_answer();
	char *text;
	int fd = dial(), n;

	n = asprintf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s", method, target, headers,
		     body && !strcasestr(headers, "Content-Type") ? "Content-Type: application/json\r\n" : "");
	assert_true(n > 0);
	put(fd, text, (size_t)n);
	free(text);
	if (body) {
		n = asprintf(&text, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
		put(fd, text, (size_t)n);
		free(text);
	} else {
		put(fd, "\r\n", 2);
	}
	receive(fd, a, !strcmp(method, "HEAD"));
	close(fd);
	return a;
}

UNUSED static struct answer *get(const char *target, const char *headers)
{
	return ask("GET", target, headers, NULL);
}

#endif
