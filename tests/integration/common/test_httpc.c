/* The http client against a small server of our own that misbehaves by path; and TLS with certificates made here. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/httpc.h"
#include "common/httpc_addr.h"
#include "common/log.h"
#include "common/timeutil.h"

/* ---- the server ---- */

static int listen_fd, port;
static atomic_int connections, requests;
static atomic_bool held; /* /hold waits while it is set */
static struct arena *arena;

static bool say(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool read_request(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n + 1 < size && (got = recv(fd, buf + n, size - 1 - n, 0)) > 0) {
		n += (size_t)got;
		buf[n] = '\0';
		if (strstr(buf, "\r\n\r\n"))
			return true;
	}
	return false;
}

static bool answer(int fd, const char *path, int nth)
{
	int i;

	if (!strncmp(path, "/ok", 3))
		return say(fd, "HTTP/1.1 100 Continue\r\nRetry-After: 99\r\n\r\nHTTP/1.1 201 Created\r\nRequest-Id: req_7\r\n"
			       "Stripe-Should-Retry: false\r\nContent-Length: 5\r\n\r\nhello");
	if (!strncmp(path, "/busy", 5))
		return say(fd, "HTTP/1.1 503 Busy\r\nretry-after:  2 \r\nContent-Length: 0\r\n\r\n");
	if (!strncmp(path, "/move", 5))
		return say(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	if (!strncmp(path, "/half", 5))
		return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this") && false;
	if (!strncmp(path, "/big", 4)) {
		say(fd, "HTTP/1.1 200 OK\r\n\r\n");
		for (i = 0; i < 4096 && say(fd, "0123456789abcdef0123456789abcdef"); i++)
			;
		return false;
	}
	if (!strncmp(path, "/drip", 5)) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		for (i = 0; i < 200 && say(fd, "x"); i++)
			sleep_ms(20);
		return false;
	}
	if (!strncmp(path, "/hold", 5)) {
		while (atomic_load(&held))
			sleep_ms(5);
		return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	}
	if (!strncmp(path, "/once", 5)) /* a kept connection that dies under the second request */
		return nth == 1 && say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	return false; /* /drop */
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg, n = 0;
	char buf[8192], *path;

	while (read_request(fd, buf, sizeof(buf))) {
		atomic_fetch_add(&requests, 1);
		path = strchr(buf, ' ');
		if (!path || !answer(fd, path + 1, ++n))
			break;
	}
	close(fd);
	return NULL;
}

static void *accept_loop(void *arg)
{
	pthread_t t;
	int fd;

	(void)arg;
	while ((fd = accept(listen_fd, NULL, NULL)) >= 0) {
		atomic_fetch_add(&connections, 1);
		if (!pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd))
			pthread_detach(t);
	}
	return NULL;
}

static int listen_local(int *port_r)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port_r = ntohs(sa.sin_port);
	return fd;
}

/* ---- calls ---- */

static struct httpc *open_http(struct httpc_conf conf)
{
	struct httpc *h = NULL;
	struct err e = { 0 };

	conf.max_handles = conf.max_handles ? conf.max_handles : 2;
	if (httpc_open(&conf, &h, &e))
		fail_msg("%s", e.msg);
	return h;
}

static const char *url_of(const char *path)
{
	return arena_printf(arena, "http://127.0.0.1:%d%s", port, path);
}

static enum err_code fetch(struct httpc *h, const char *method, const char *url, int64_t timeout_ms,
			   struct httpc_reply *r, struct err *e)
{
	static const char *const headers[] = { "X-Test: 1", NULL };
	const struct httpc_request req = { .method = method, .url = url, .headers = headers, .timeout_ms = timeout_ms,
					   .max_reply = 64 << 10 };

	err_clear(e);
	return httpc_do(h, &req, arena, r, e);
}

#define ASSERT_FAILS(h, method, url, ms, expected_slug)                                                                \
	do {                                                                                                           \
		struct httpc_reply r_;                                                                                 \
		struct err e_ = { 0 };                                                                                 \
		assert_int_equal(fetch(h, method, url, ms, &r_, &e_), E_UNAVAILABLE);                                  \
		if (strcmp(e_.slug, expected_slug) != 0)                                                               \
			fail_msg("%s instead of %s: %s", e_.slug, expected_slug, e_.msg);                              \
	} while (0)

static void test_answers(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ 0 });
	struct httpc_reply r;
	struct err e = { 0 };
	int before = atomic_load(&connections), i;

	(void)state;
	for (i = 0; i < 5; i++) {
		assert_int_equal(fetch(h, "POST", url_of("/ok"), 2000, &r, &e), OK);
		assert_int_equal(r.status, 201);
		assert_int_equal(r.body.len, 5);
		assert_string_equal((const char *)r.body.data, "hello");
		assert_string_equal(r.request_id, "req_7");
		assert_string_equal(r.should_retry, "false");
		assert_null(r.retry_after); /* that was the 100's */
	}
	assert_int_equal(atomic_load(&connections) - before, 1); /* kept alive */
	assert_int_equal(fetch(h, "GET", url_of("/busy"), 2000, &r, &e), OK);
	assert_int_equal(r.status, 503);
	assert_string_equal(r.retry_after, "2");
	assert_int_equal(fetch(h, "GET", url_of("/move"), 2000, &r, &e), OK);
	assert_int_equal(r.status, 302);
	httpc_close(h);
}

static void test_not_sent(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ 0 });
	struct httpc *https = open_http((struct httpc_conf){ .https_only = true });
	int fd, closed;

	(void)state;
	fd = listen_local(&closed);
	close(fd);
	ASSERT_FAILS(h, "POST", arena_printf(arena, "http://127.0.0.1:%d/", closed), 2000, "httpc.not_sent");
	ASSERT_FAILS(h, "POST", "gopher://127.0.0.1/", 2000, "httpc.not_sent");
	ASSERT_FAILS(h, "POST", "file:///etc/passwd", 2000, "httpc.not_sent");
	ASSERT_FAILS(https, "POST", url_of("/ok"), 2000, "httpc.not_sent");
	httpc_close(h);
	httpc_close(https);
}

static void s34_unknown_host(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ 0 });

	(void)state;
	ASSERT_FAILS(h, "POST", "http://no-such-host.invalid/", 4000, "httpc.not_sent");
	httpc_close(h);
}

static void test_outcome_unknown(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ 0 });

	(void)state;
	ASSERT_FAILS(h, "POST", url_of("/drop"), 2000, "httpc.outcome_unknown");
	ASSERT_FAILS(h, "POST", url_of("/half"), 2000, "httpc.outcome_unknown");
	httpc_close(h);
}

static void s35_large_and_slow_answers(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ 0 });
	int64_t start;

	(void)state;
	ASSERT_FAILS(h, "GET", url_of("/big"), 2000, "httpc.outcome_unknown");
	start = mono_ms();
	ASSERT_FAILS(h, "GET", url_of("/drip"), 400, "httpc.outcome_unknown");
	assert_in_range(mono_ms() - start, 300, 3500); /* all of it takes 4 s */
	httpc_close(h);
}

static void test_kept_connection_dies(void **state)
{
	static const char *const keyed[] = { "Idempotency-Key: k1", NULL };
	struct httpc *h = open_http((struct httpc_conf){ 0 });
	struct httpc_request req = { .method = "POST", .timeout_ms = 2000 };
	struct httpc_reply r;
	struct err e = { 0 };
	int before = atomic_load(&requests);

	(void)state;
	req.url = url_of("/once");
	assert_int_equal(httpc_do(h, &req, arena, &r, &e), OK);
	/* Without a key a POST goes out once and never again by itself. */
	ASSERT_FAILS(h, "POST", req.url, 2000, "httpc.outcome_unknown");
	assert_int_equal(atomic_load(&requests) - before, 2);
	assert_int_equal(httpc_do(h, &req, arena, &r, &e), OK);
	req.headers = keyed;
	assert_int_equal(httpc_do(h, &req, arena, &r, &e), OK); /* dies, repeated on a fresh connection */
	assert_int_equal(atomic_load(&requests) - before, 5);
	httpc_close(h);
}

static void test_bad_headers(void **state)
{
	static const char *const injected[] = { "X-A: 1\r\nX-B: 2", NULL };
	struct httpc *h = open_http((struct httpc_conf){ 0 });
	struct httpc_request req = { .method = "GET", .url = url_of("/ok"), .headers = injected, .timeout_ms = 1000 };
	struct httpc_reply r;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(httpc_do(h, &req, arena, &r, &e), E_INVALID);
	req.headers = NULL;
	req.method = "GET /x HTTP/1.1\r\n";
	assert_int_equal(httpc_do(h, &req, arena, &r, &e), E_INTERNAL);
	httpc_close(h);
}

struct caller {
	struct httpc *h;
	const char *url;
	enum err_code rc;
	struct err err;
	atomic_bool done;
};

static void *call_run(void *arg)
{
	struct caller *c = arg;
	const struct httpc_request req = { .method = "GET", .url = c->url, .timeout_ms = 20000 };
	struct arena *a = arena_new("test", 1 << 20);
	struct httpc_reply r;

	c->rc = httpc_do(c->h, &req, a, &r, &c->err);
	arena_free(a);
	atomic_store(&c->done, true);
	return NULL;
}

static void test_bounded_queue(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ .max_handles = 1, .queue = 1 });
	struct caller callers[4] = { 0 };
	pthread_t t[4];
	int i, ok = 0, refused = 0, before = atomic_load(&requests);

	(void)state;
	atomic_store(&held, true);
	for (i = 0; i < 4; i++) {
		callers[i] = (struct caller){ .h = h, .url = url_of("/hold") };
		pthread_create(&t[i], NULL, call_run, &callers[i]);
		if (!i) /* the first has the handle before the others come */
			while (atomic_load(&requests) == before)
				sleep_ms(2);
	}
	/* Two are refused at once; then the queue is full, so the third is in it. */
	for (int k = 0, done = 0; k < 4000 && done < 2; k++, sleep_ms(5))
		for (i = done = 0; i < 4; i++)
			done += atomic_load(&callers[i].done);
	atomic_store(&held, false);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		ok += callers[i].rc == OK;
		refused += callers[i].rc == E_UNAVAILABLE && err_is(&callers[i].err, "httpc.not_sent") &&
			   callers[i].err.retry_after_ms > 0;
	}
	assert_int_equal(ok, 2);
	assert_int_equal(refused, 2);
	httpc_close(h);
}

static void test_breaker(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ .breaker_failures = 3, .breaker_open_ms = 2000 });
	struct httpc_reply r;
	struct err e = { 0 };
	int i, before;

	(void)state;
	for (i = 0; i < 3; i++)
		ASSERT_FAILS(h, "POST", url_of("/drop"), 1000, "httpc.outcome_unknown");
	before = atomic_load(&requests);
	for (i = 0; i < 10; i++)
		ASSERT_FAILS(h, "POST", url_of("/ok"), 1000, "httpc.not_sent");
	assert_int_equal(atomic_load(&requests), before);
	for (i = 0; i < 2000 && fetch(h, "POST", url_of("/ok"), 1000, &r, &e); i++) /* until it lets one through again */
		sleep_ms(10);
	assert_int_equal(atomic_load(&requests), before + 1);
	for (i = 0; i < 2; i++)
		ASSERT_FAILS(h, "POST", url_of("/drop"), 1000, "httpc.outcome_unknown");
	assert_int_equal(fetch(h, "POST", url_of("/ok"), 1000, &r, &e), OK); /* two in a row are not three */
	httpc_close(h);
}

static void test_public_only(void **state)
{
	struct httpc *h = open_http((struct httpc_conf){ .public_only = true });
	int before = atomic_load(&connections);

	(void)state;
	ASSERT_FAILS(h, "GET", url_of("/ok"), 1000, "httpc.not_sent");
	ASSERT_FAILS(h, "GET", arena_printf(arena, "http://localhost:%d/ok", port), 1000, "httpc.not_sent");
	ASSERT_FAILS(h, "GET", arena_printf(arena, "http://[::ffff:127.0.0.1]:%d/ok", port), 1000, "httpc.not_sent");
	ASSERT_FAILS(h, "GET", arena_printf(arena, "http://2130706433:%d/ok", port), 1000, "httpc.not_sent");
	assert_int_equal(atomic_load(&connections), before);
	httpc_close(h);
}

static bool public(const char *ip)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
		return httpc_addr_public((struct sockaddr *)&v4);
	assert_int_equal(inet_pton(AF_INET6, ip, &v6.sin6_addr), 1);
	return httpc_addr_public((struct sockaddr *)&v6);
}

static void test_addresses(void **state)
{
	static const char *const closed[] = {
		"0.0.0.0",	   "10.1.2.3",	  "100.64.0.1",	       "127.0.0.1",   "127.255.255.255", "169.254.169.254",
		"172.16.0.1",	   "172.31.9.9",  "192.168.1.1",       "192.0.2.1",   "198.18.0.1",	 "198.51.100.7",
		"203.0.113.7",	   "224.0.0.1",	  "255.255.255.255",   "::",	      "::1",		 "::ffff:10.0.0.1",
		"64:ff9b::a00:1", "fc00::1",	  "fe80::1",	       "ff02::1",     "2001:db8::1",	 "2002:7f00:1::",
		"2001::1",	   "240.0.0.1",
	};
	static const char *const open[] = { "1.1.1.1",	   "8.8.8.8",	 "172.32.0.1", "100.128.0.1",
					    "192.0.1.1", "2606:4700::1", "2002:808:808::", "2a00::1" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(closed) / sizeof(*closed); i++)
		if (public(closed[i]))
			fail_msg("%s counts as public", closed[i]);
	for (i = 0; i < sizeof(open) / sizeof(*open); i++)
		if (!public(open[i]))
			fail_msg("%s counts as closed", open[i]);
}

/* ---- TLS ---- */

struct tls {
	SSL_CTX *ctx;
	int fd, port;
	pthread_t thread;
	char ca_file[64];
	atomic_int handshakes;
};

/* Valid until `until` seconds from now. */
static EVP_PKEY *make_cert(const char *name, long until, X509 **cert_r)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_EXTENSION *ext;
	char san[80];

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), -7200);
	X509_gmtime_adj(X509_getm_notAfter(x), until);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	snprintf(san, sizeof(san), "DNS:%s", name);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	*cert_r = x;
	return key;
}

static void *tls_loop(void *arg)
{
	struct tls *t = arg;
	char buf[4096];
	int fd;

	while ((fd = accept(t->fd, NULL, NULL)) >= 0) {
		SSL *ssl = SSL_new(t->ctx);

		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			atomic_fetch_add(&t->handshakes, 1);
			if (SSL_read(ssl, buf, sizeof(buf)) > 0)
				SSL_write(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 57);
			SSL_shutdown(ssl);
		}
		SSL_free(ssl);
		close(fd);
	}
	return NULL;
}

static void tls_start(struct tls *t, const char *name, long until)
{
	EVP_PKEY *key;
	X509 *cert;
	FILE *f;
	int fd;

	memset(t, 0, sizeof(*t));
	key = make_cert(name, until, &cert);
	t->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(t->ctx, cert);
	SSL_CTX_use_PrivateKey(t->ctx, key);
	snprintf(t->ca_file, sizeof(t->ca_file), "/tmp/test_httpc.XXXXXX");
	fd = mkstemp(t->ca_file);
	f = fdopen(fd, "w");
	PEM_write_X509(f, cert);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
	t->fd = listen_local(&t->port);
	pthread_create(&t->thread, NULL, tls_loop, t);
}

static void tls_stop(struct tls *t)
{
	shutdown(t->fd, SHUT_RDWR);
	close(t->fd);
	pthread_join(t->thread, NULL);
	SSL_CTX_free(t->ctx);
	unlink(t->ca_file);
}

static void s34_tls_fails_closed(void **state)
{
	struct tls good, other, old;
	struct httpc *h, *trusting, *wrong_name, *expired;
	struct httpc_reply r;
	struct err e = { 0 };

	(void)state;
	tls_start(&good, "localhost", 3600);
	tls_start(&other, "elsewhere.example", 3600);
	tls_start(&old, "localhost", -60);
	h = open_http((struct httpc_conf){ .https_only = true });
	trusting = open_http((struct httpc_conf){ .https_only = true, .ca_file = good.ca_file });
	wrong_name = open_http((struct httpc_conf){ .https_only = true, .ca_file = other.ca_file });
	expired = open_http((struct httpc_conf){ .https_only = true, .ca_file = old.ca_file });
	if (fetch(trusting, "POST", arena_printf(arena, "https://localhost:%d/", good.port), 3000, &r, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(r.status, 200);
	/* Nobody vouches for it; the name is another; it was good until a minute ago; no TLS at all. */
	ASSERT_FAILS(h, "POST", arena_printf(arena, "https://localhost:%d/", good.port), 3000, "httpc.not_sent");
	ASSERT_FAILS(trusting, "POST", arena_printf(arena, "https://127.0.0.1:%d/", good.port), 3000, "httpc.not_sent");
	ASSERT_FAILS(wrong_name, "POST", arena_printf(arena, "https://localhost:%d/", other.port), 3000, "httpc.not_sent");
	ASSERT_FAILS(expired, "POST", arena_printf(arena, "https://localhost:%d/", old.port), 3000, "httpc.not_sent");
	ASSERT_FAILS(trusting, "POST", arena_printf(arena, "https://localhost:%d/", port), 1000, "httpc.not_sent");
	httpc_close(h);
	httpc_close(trusting);
	httpc_close(wrong_name);
	httpc_close(expired);
	tls_stop(&good);
	tls_stop(&other);
	tls_stop(&old);
}

static int setup(void **state)
{
	pthread_t t;

	(void)state;
	arena = arena_new("test", 16 << 20);
	listen_fd = listen_local(&port);
	return pthread_create(&t, NULL, accept_loop, NULL) || pthread_detach(t);
}

static int teardown(void **state)
{
	(void)state;
	shutdown(listen_fd, SHUT_RDWR);
	close(listen_fd);
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_not_sent),
		cmocka_unit_test(s34_unknown_host),
		cmocka_unit_test(test_outcome_unknown),
		cmocka_unit_test(s35_large_and_slow_answers),
		cmocka_unit_test(test_kept_connection_dies),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_bounded_queue),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_public_only),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(s34_tls_fails_closed),
	};

	signal(SIGPIPE, SIG_IGN);
	log_init("test", LVL_CRITICAL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
