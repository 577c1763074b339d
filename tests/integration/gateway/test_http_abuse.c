/* Malformed, oversized, slow: each is answered with the one error body, and the connection is closed. */
#include "world.h"

static int open_world(void **state)
{
	struct gw_conf c = world_conf();

	(void)state;
	c.redis_url = "";
	return world_open_with(&c);
}

#define OK_ROW "/api/fake/products/p1"
#define HOST "Host: localhost\r\n"

static const struct abuse {
	const char *name, *bytes;
	int status;
} abuses[] = {
	{ "no request", "garbage\r\n\r\n", 400 },
	{ "unknown method", "BREW " OK_ROW " HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "TRACE", "TRACE / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 },
	{ "HTTP/3.0", "GET / HTTP/3.0\r\n" HOST "\r\n", 505 },
	{ "no Host", "GET " OK_ROW " HTTP/1.1\r\n\r\n", 400 },
	{ "two Hosts", "GET " OK_ROW " HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
	{ "empty Host", "GET " OK_ROW " HTTP/1.1\r\nHost:\r\n\r\n", 400 },
	{ "CL and TE", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "TE and CL", "POST /api/fake/items HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400 },
	{ "two CL", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400 },
	{ "two different CL", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400 },
	{ "CL list", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n{}", 400 },
	{ "CL junk", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: 2abc\r\n\r\n{}", 400 },
	{ "CL plus", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\n{}", 400 },
	{ "CL minus", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: -2\r\n\r\n{}", 400 },
	{ "CL huge", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 400 },
	{ "CL too large", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: 9999999\r\n\r\n", 413 },
	{ "TE xchunked", "POST /api/fake/items HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
	{ "TE list", "POST /api/fake/items HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "TE identity", "POST /api/fake/items HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400 },
	{ "two TE", "POST /api/fake/items HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "TE in 1.0", "POST /api/fake/items HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "blank before the colon", "POST /api/fake/items HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "blank before the first colon", "GET " OK_ROW " HTTP/1.1\r\nHost : localhost\r\n\r\n", 400 },
	{ "folded header", "POST /api/fake/items HTTP/1.1\r\n" HOST "X-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\n{}", 400 },
	{ "folded first header", "GET " OK_ROW " HTTP/1.1\r\n Host: localhost\r\n\r\n", 400 },
	{ "bare LF in a header", "GET " OK_ROW " HTTP/1.1\r\nHost: localhost\nX-A: 1\r\n\r\n", 400 },
	{ "bare LF in the request line", "GET " OK_ROW " HTTP/1.1\nHost: localhost\r\n\r\n", 400 },
	{ "bare LFs", "GET " OK_ROW " HTTP/1.1\nHost: localhost\n\n", 400 },
	{ "bare CR", "GET " OK_ROW " HTTP/1.1\r\nHost: local\rhost\r\n\r\n", 400 },
	{ "header without a colon", "GET " OK_ROW " HTTP/1.1\r\n" HOST "Nonsense\r\n\r\n", 400 },
	{ "header name not a token", "GET " OK_ROW " HTTP/1.1\r\n" HOST "X(A): 1\r\n\r\n", 400 },
	{ "control byte in a header", "GET " OK_ROW " HTTP/1.1\r\n" HOST "X-A: \x01\r\n\r\n", 400 },
	{ "%00 in the path", "GET " OK_ROW "%00x HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "%2f in an id", "GET /api/fake/products/a%2fb HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "%2e%2e", "GET /api/fake/%2e%2e/x HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "dot segments", "GET /api/../api/fake/products/p1 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "double slash", "GET //api/fake/products/p1 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "broken escape", "GET /api/fake/products/%zz HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "CR LF in the path", "GET /api/fake/products/a%0d%0aX-A:1 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "blanks in the request line", "GET  " OK_ROW " HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "raw bytes in the target", "GET /api/fake/products/\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET with a body", "GET " OK_ROW " HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 400 },
	{ "DELETE with chunks", "HEAD " OK_ROW " HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "bad chunk size", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400 },
	{ "negative chunk", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", 400 },
	{ "chunk without its end", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", 400 },
	{ "huge chunk", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}", 400 },
	{ "unknown expectation", "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\n{}", 417 },
	{ "absolute target", "GET http://localhost" OK_ROW " HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "target of another host", "GET http://elsewhere.example:81/x HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 400 },
	{ "absolute target without a path", "GET http://localhost HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "asterisk of a GET", "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "target of another host, and more", "GET http://elsewhere.example/ HTTP/1.1\r\n" HOST "\r\nGET " OK_ROW " HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "two Authorization", "GET " OK_ROW " HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400 },
};

static void refuse(const char *name, const char *bytes, size_t len, int status)
{
	static struct answer a;
	int fd = dial();
	bool head = !strncmp(bytes, "HEAD", 4);

	put(fd, bytes, len);
	receive(fd, &a, head);
	if (a.status != status)
		fail_msg("%s: %d instead of %d\n%s", name, a.status, status, a.text);
	if (!head)
		check_error(&a, status, NULL);
	if (strcmp(header_of(&a, "Connection"), "close") || !ends(fd, 3000))
		fail_msg("%s: connection stays open", name);
	close(fd);
}

static void abused(void **state)
{
	int before = atomic_load(&fake.calls);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(abuses); i++)
		refuse(abuses[i].name, abuses[i].bytes, strlen(abuses[i].bytes), abuses[i].status);
	assert_int_equal(atomic_load(&fake.calls), before);
	assert_int_equal(get(OK_ROW, "")->status, 200);
}

static void options_of_the_server(void **state)
{
	static const char text[] = "OPTIONS * HTTP/1.1\r\n" HOST "\r\n";
	static const char first[] = "GET " OK_ROW " HTTP/1.1\r\n" HOST "\r\n";
	static struct answer a;
	int fd = dial();

	(void)state;
	put(fd, first, strlen(first)); /* also on a connection that has served before */
	receive(fd, &a, false);
	assert_int_equal(a.status, 200);
	put(fd, text, strlen(text));
	receive(fd, &a, false);
	assert_int_equal(a.status, 204);
	assert_non_null(strstr(header_of(&a, "Allow"), "PATCH"));
	assert_non_null(header_of(&a, "X-Request-Id"));
	assert_true(ends(fd, 3000));
	close(fd);
	fd = dial(); /* who says nothing is answered nothing */
	shutdown(fd, SHUT_WR);
	assert_true(ends(fd, 5000));
	close(fd);
}

/* What follows a refused message must never be taken for a request. */
static void nothing_is_smuggled(void **state)
{
	static const char *const first[] = {
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
		"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
		"X-A: 1\r\n Content-Length: 500\r\nContent-Length: 0\r\n\r\n",
	};
	static struct answer a;
	char text[1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		int fd = dial(), n, got = 0;

		n = snprintf(text, sizeof text, "POST /api/fake/items HTTP/1.1\r\n" HOST "%s"
			     "GET /healthz HTTP/1.1\r\n" HOST "\r\n", first[i]);
		put(fd, text, (size_t)n);
		receive(fd, &a, false);
		assert_int_equal(a.status, 400);
		while (more(fd, &a, 1000))
			;
		for (const char *p = a.text; (p = strstr(p, "HTTP/1.1 ")); p++)
			got++;
		assert_int_equal(got, 1);
		close(fd);
	}
}

static void many_headers(void **state)
{
	struct buf b;

	(void)state;
	for (int n = 60; n <= 200; n += 70) {
		buf_init(&b, 1 << 20);
		buf_str(&b, "POST /api/fake/items HTTP/1.1\r\n" HOST);
		for (int i = 0; i < n; i++)
			buf_fmt(&b, "X-%d: 1\r\n", i);
		buf_str(&b, "Content-Length: 42\r\n\r\nGET /healthz HTTP/1.1\r\n" HOST "\r\n");
		if (n < 62)
			refuse("content type", b.data, b.len, 415);
		else
			refuse("headers", b.data, b.len, 431);
		buf_free(&b);
	}
}

static void long_headers(void **state)
{
	struct buf b;

	(void)state;
	for (size_t n = 16000; n < 18000; n += 97) {
		static struct answer a;
		int fd = dial();

		buf_init(&b, 1 << 20);
		buf_str(&b, "GET " OK_ROW " HTTP/1.1\r\n" HOST "X-A: ");
		for (size_t i = 0; i < n; i++)
			buf_char(&b, 'a');
		buf_str(&b, n % 2 ? "\r\n\r\n" : "\n\n");
		put(fd, b.data, b.len);
		receive(fd, &a, false);
		assert_true(a.status == 200 || a.status == 400 || a.status == 431 || a.status == 0);
		close(fd);
		buf_free(&b);
	}
	assert_int_equal(get(OK_ROW, "")->status, 200);
}

static void blank_lines_before(void **state)
{
	static char bytes[20000];

	(void)state;
	for (size_t n = 1; n < 16000; n = n * 3 + 13) {
		memset(bytes, '\n', n);
		strcpy(bytes + n, "GET " OK_ROW " HTTP/1.1\r\n" HOST "\r\n");
		refuse("blank lines", bytes, strlen(bytes), 400);
	}
}

static void body_limits(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_str(&b, "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 80; i++) {
		buf_str(&b, "400\r\n");
		for (int k = 0; k < 1024; k++)
			buf_char(&b, ' ');
		buf_str(&b, "\r\n");
	}
	refuse("endless chunks", b.data, b.len, 413);
	buf_free(&b);
}

static int64_t since(int64_t start)
{
	return mono_ms() - start;
}

/* A byte now and then does not prolong anything. */
static void drip(const char *start, const char *what, int64_t limit, int status)
{
	static struct answer a;
	int fd = dial();
	int64_t began = mono_ms();

	put(fd, start, strlen(start));
	memset(&a, 0, sizeof a);
	while (since(began) < limit + 3000 && !a.closed) {
		send(fd, " ", 1, MSG_NOSIGNAL);
		more(fd, &a, 60);
	}
	if (!a.closed)
		fail_msg("%s: still open after %lld ms", what, (long long)since(began));
	if (status && (strncmp(a.text, "HTTP/1.1 ", 9) || atoi(a.text + 9) != status))
		fail_msg("%s: %s", what, a.text);
	close(fd);
}

static void slow_senders(void **state)
{
	(void)state;
	drip("GET ", "request line", 600, 400);
	drip("GET " OK_ROW " HTTP/1.1\r\nX-A: ", "header", 600, 400);
	drip("POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{",
	     "body", 600, 408);
	drip("POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff00\r\n{",
	     "chunk", 600, 408);
	assert_int_equal(get(OK_ROW, "")->status, 200);
}

/* Nobody else waits for those who fall silent. */
static void silent_senders_block_nobody(void **state)
{
	int fd[16];
	int64_t began;

	(void)state;
	for (int i = 0; i < 16; i++) {
		fd[i] = dial();
		put(fd[i], "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{", 100);
	}
	began = mono_ms();
	assert_int_equal(get(OK_ROW, "")->status, 200);
	assert_true(since(began) < 500);
	for (int i = 0; i < 16; i++) {
		assert_true(poll(&(struct pollfd){ .fd = fd[i], .events = POLLIN }, 1, 4000) == 1);
		close(fd[i]);
	}
}

static void half_closed(void **state)
{
	static struct answer a;
	int fd = dial();

	(void)state;
	put(fd, "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{", 101);
	shutdown(fd, SHUT_WR);
	receive(fd, &a, false);
	assert_true(a.status == 400 || a.status == 408);
	assert_true(ends(fd, 2000));
	close(fd);
}

/* Unread bodies end the connection, after the answer has been read. */
static void refused_before_the_body(void **state)
{
	static struct answer a;
	static char body[200000];
	int fd = dial(), n;
	char head[200];

	(void)state;
	memset(body, 'x', sizeof body);
	n = snprintf(head, sizeof head, "POST /api/fake/keyed HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", sizeof body);
	put(fd, head, (size_t)n);
	put(fd, body, sizeof body);
	receive(fd, &a, false);
	check_error(&a, 401, "UNAUTHENTICATED");
	assert_true(ends(fd, 3000));
	close(fd);
}

static void keep_alive(void **state)
{
	static struct answer a;
	int fd = dial();

	(void)state;
	for (int i = 0; i < 3; i++) {
		put(fd, "GET " OK_ROW " HTTP/1.1\r\n" HOST "\r\n", strlen("GET " OK_ROW " HTTP/1.1\r\n" HOST "\r\n"));
		receive(fd, &a, false);
		assert_int_equal(a.status, 200);
		assert_string_equal(header_of(&a, "Connection"), "keep-alive");
	}
	put(fd, "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "9\r\n{\"qty\":1,\r\n12\r\n\"variant_id\":\"v1\"}\r\n0\r\n\r\n",
	    strlen("POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
		   "9\r\n{\"qty\":1,\r\n12\r\n\"variant_id\":\"v1\"}\r\n0\r\n\r\n"));
	receive(fd, &a, false);
	assert_int_equal(a.status, 201);
	put(fd, "GET " OK_ROW " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
	    strlen("GET " OK_ROW " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
	receive(fd, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(ends(fd, 2000));
	close(fd);
	fd = dial();
	put(fd, "GET /healthz HTTP/1.0\r\n\r\n", 25);
	receive(fd, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(ends(fd, 2000));
	close(fd);
}

static void expectation_met(void **state)
{
	static struct answer a;
	int fd = dial();
	const char *head = "POST /api/fake/items HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nExpect: 100-continue\r\n"
			   "Content-Length: 27\r\n\r\n";

	(void)state;
	put(fd, head, strlen(head));
	receive(fd, &a, true);
	assert_int_equal(a.status, 100);
	put(fd, "{\"qty\":1,\"variant_id\":\"v1\"}", 27);
	receive(fd, &a, false);
	assert_int_equal(a.status, 201);
	close(fd);
}

static void json_abuse(void **state)
{
	static const char *const bodies[] = {
		"{\"qty\":1,\"variant_id\":\"v\",\"qty\":2}", "{\"qty\":1.0,\"variant_id\":\"v\"}", "{\"qty\":1e99,\"variant_id\":\"v\"}",
		"{\"qty\":2147483648,\"variant_id\":\"v\"}", "{\"qty\":null,\"variant_id\":\"v\"}", "[]", "{", "nul",
		"{\"qty\":1,\"variant_id\":\"\\u0000\"}", "{\"qty\":1,\"variant_id\":\"\xff\"}", "{\"role\":\"admin\"}",
		"{\"hdr_cart_token\":\"x\",\"qty\":1,\"variant_id\":\"v\"}", "{}", "{\"qty\":1}", "\xef\xbb\xbf{}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		check_error(ask("POST", "/api/fake/items", "", bodies[i]), 400, "VALIDATION_ERROR");
	check_error(ask("POST", "/api/fake/items", "Content-Type: text/plain\r\n", "{}"), 415, "UNSUPPORTED_MEDIA_TYPE");
	check_error(ask("POST", "/api/fake/items", "Content-Type: application/jsonx\r\n", "{}"), 415, NULL);
	check_error(ask("POST", "/api/fake/items", "Content-Encoding: gzip\r\n", "{}"), 415, NULL);
	check_error(get("/api/fake/products?limit=x", ""), 400, "VALIDATION_ERROR");
	check_error(get("/api/fake/products?zzz=1", ""), 400, "VALIDATION_ERROR");
	check_error(get("/api/fake/products?limit=1&limit=2", ""), 400, "VALIDATION_ERROR");
	check_error(get("/api/fake/products?brand=%ff", ""), 400, "VALIDATION_ERROR");
	check_error(get("/api/fake/products/%ff", ""), 404, "NOT_FOUND");
}

static void many_parameters(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_str(&b, "/api/fake/products?a=1");
	for (int i = 0; i < 3000; i++)
		buf_str(&b, "&b=1");
	check_error(get(b.data, ""), 400, "VALIDATION_ERROR");
	buf_free(&b);
}

static void drained(void **state)
{
	static struct answer a;
	int fd = dial();

	(void)state;
	atomic_store(&w.gw.draining, true);
	put(fd, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", strlen("GET /healthz HTTP/1.1\r\n" HOST "\r\n"));
	receive(fd, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(ends(fd, 2000));
	close(fd);
	assert_int_equal(get("/readyz", "")->status, 503);
	atomic_store(&w.gw.draining, false);
	assert_int_equal(get("/readyz", "")->status, 200);
}

/* ---- the end ---- */

struct caller {
	pthread_t thread;
	const atomic_bool *over;
	int asked, lost;
};

/* Connects without waiting for long; -1 where nobody lets us in. */
static int knock(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)w.port) };
	struct timeval patience = { .tv_usec = 300000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void *call_again_and_again(void *arg)
{
	static const char text[] = "GET /healthz HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
	struct timeval patience = { .tv_sec = 30 };
	struct caller *c = arg;
	char got[13];
	int fd;

	while (!atomic_load(c->over) && (fd = knock()) >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		c->asked++;
		if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(text) - 1 ||
		    recv(fd, got, sizeof(got), MSG_WAITALL) != sizeof(got) || memcmp(got, "HTTP/1.1 200 ", 13) != 0)
			c->lost++;
		close(fd);
	}
	return NULL;
}

/* Who could connect is answered, to the last: not answered is not known, and a POST cannot be asked again. */
static void nobody_is_lost_at_the_end(void **state)
{
	struct gw_conf conf = world_conf();
	struct caller c[40];
	atomic_bool over;

	(void)state;
	conf.redis_url = "";
	conf.threads = 3; /* most callers wait */
	gateway_down();
	gateway_up(&conf);
	for (int round = 0; round < 5; round++) {
		int asked = 0;

		atomic_store(&over, false);
		for (size_t i = 0; i < ARRAY_LEN(c); i++) {
			c[i] = (struct caller){ .over = &over };
			assert_int_equal(pthread_create(&c[i].thread, NULL, call_again_and_again, &c[i]), 0);
		}
		gateway_stop(w.front, 300);
		atomic_store(&over, true);
		for (size_t i = 0; i < ARRAY_LEN(c); i++) {
			pthread_join(c[i].thread, NULL);
			asked += c[i].asked;
			assert_int_equal(c[i].lost, 0);
		}
		assert_true(asked > 0);
		gateway_close(&w.gw);
		conf.threads = round == 4 ? world_conf().threads : conf.threads;
		gateway_up(&conf);
	}
}

/* With a limit of 6 per address, twenty idle ones of this address leave room for somebody at work. */
static void connections_of_one_address(void **state)
{
	struct gw_conf c = world_conf();
	int fd[20], gone = 0;

	(void)state;
	gateway_down();
	c.redis_url = "";
	c.conns_per_addr = 6;
	c.header_ms = c.keep_alive_ms = 20000;
	gateway_up(&c);
	for (int i = 0; i < 20; i++)
		fd[i] = dial();
	for (int64_t began = mono_ms(); gone < 14 && since(began) < 5000;) {
		gone = 0;
		for (int i = 0; i < 20; i++)
			gone += ends(fd[i], 0);
		sleep_ms(50);
	}
	assert_true(gone >= 14);
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	assert_int_equal(get("/healthz", "")->status, 200);
	gateway_down();
	c = world_conf();
	c.redis_url = "";
	gateway_up(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(abused),
		cmocka_unit_test(options_of_the_server),
		cmocka_unit_test(nothing_is_smuggled),
		cmocka_unit_test(many_headers),
		cmocka_unit_test(long_headers),
		cmocka_unit_test(blank_lines_before),
		cmocka_unit_test(body_limits),
		cmocka_unit_test(slow_senders),
		cmocka_unit_test(silent_senders_block_nobody),
		cmocka_unit_test(half_closed),
		cmocka_unit_test(refused_before_the_body),
		cmocka_unit_test(keep_alive),
		cmocka_unit_test(expectation_met),
		cmocka_unit_test(json_abuse),
		cmocka_unit_test(many_parameters),
		cmocka_unit_test(drained),
		cmocka_unit_test(nobody_is_lost_at_the_end),
		cmocka_unit_test(connections_of_one_address),
	};

	return cmocka_run_group_tests_name("gateway HTTP abuse", tests, open_world, world_close);
}
