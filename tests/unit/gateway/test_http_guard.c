/* gateway/http_guard.c: what is refused before routing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/http_req.h"

static struct http_req r;

static void fresh(const char *path, const char *query)
{
	http_req_clear(&r);
	r.method = "GET";
	r.path = path;
	r.query = query;
	r.version = "1.1";
	assert_true(http_req_add(&r, "host", "shop.example:8080"));
}

static void verdict(bool good, const char *what)
{
	struct err e = { 0 };

	if ((http_guard(&r, &e) == OK) != good)
		fail_msg("%s: %s", what, good ? e.msg : "accepted");
}

static void header(const char *name, const char *value, bool good)
{
	fresh("/a", NULL);
	http_req_add(&r, name, value);
	verdict(good, value);
}

static void target(const char *path, const char *query, bool good)
{
	fresh(path, query);
	verdict(good, path);
}

static void targets(void **state)
{
	(void)state;
	target("/", NULL, true);
	target("/api/products/prd_1", "limit=5&q=a%20b+c", true);
	target("/api/categories/sch%C3%B6n", NULL, true);
	target("/.well-known/jwks.json", NULL, true);
	target("/a.b/c..d", NULL, true);
	target("*", NULL, false);
	target("a", NULL, false);
	target("http://shop.example/", NULL, false);
	target("/a%00b", NULL, false);
	target("/a%0d%0aX:1", NULL, false);
	target("/a%7f", NULL, false);
	target("/a%2fb", NULL, false);
	target("/a%2Fb", NULL, false);
	target("/a%5cb", NULL, false);
	target("/%2e%2e/b", NULL, false);
	target("/a%252e", NULL, false);
	target("/a%", NULL, false);
	target("/a%4", NULL, false);
	target("/a%zz", NULL, false);
	target("//a", NULL, false);
	target("/a//b", NULL, false);
	target("/a/./b", NULL, false);
	target("/a/../b", NULL, false);
	target("/a/..", NULL, false);
	target("/a\\b", NULL, false);
	target("/a\tb", NULL, false);
	target("/a\x01", NULL, false);
	target("/\xc3\xa4", NULL, false);
	target("/a", "q=%00", false);
	target("/a", "q=%0a", false);
	target("/a", "q=%g0", false);
	target("/a", "q=\x7f", false);
	target("/a", "q=a%2fb%2e", true);
}

static void lengths(void **state)
{
	(void)state;
	header("Content-Length", "0", true);
	header("Content-Length", "9999999999", true);
	header("Content-Length", "99999999999", false);
	header("Content-Length", "", false);
	header("Content-Length", "5abc", false);
	header("Content-Length", "+5", false);
	header("Content-Length", "-5", false);
	header("Content-Length", "0x5", false);
	header("Content-Length", "5, 5", false);
	header("Transfer-Encoding", "chunked", true);
	header("transfer-encoding", "Chunked", true);
	header("Transfer-Encoding", "gzip, chunked", false);
	header("Transfer-Encoding", "xchunked", false);
	header("Transfer-Encoding", "identity", false);
	header("Transfer-Encoding", "", false);
	fresh("/a", NULL);
	http_req_add(&r, "Content-Length", "5");
	http_req_add(&r, "Transfer-Encoding", "chunked");
	verdict(false, "CL + TE");
	fresh("/a", NULL);
	http_req_add(&r, "Content-Length", "5");
	http_req_add(&r, "content-length", "5");
	verdict(false, "two CL");
	fresh("/a", NULL);
	r.version = "1.0";
	http_req_add(&r, "Transfer-Encoding", "chunked");
	verdict(false, "TE in 1.0");
}

static void hosts(void **state)
{
	(void)state;
	header("Host", "shop.example", false); /* the second */
	fresh("/a", NULL);
	http_req_clear(&r);
	r.method = "GET", r.path = "/a", r.version = "1.1";
	verdict(false, "no Host");
	r.version = "1.0";
	verdict(true, "no Host in 1.0");
	r.version = "1.1";
	http_req_add(&r, "Host", "[::1]:80");
	verdict(true, "IPv6 Host");
	http_req_clear(&r);
	r.method = "GET", r.path = "/a", r.version = "1.1";
	http_req_add(&r, "Host", "a b");
	verdict(false, "blank in Host");
	http_req_clear(&r);
	r.method = "GET", r.path = "/a", r.version = "1.1";
	http_req_add(&r, "Host", "a/b@c");
	verdict(false, "Host with a path");
}

static void names_and_repeats(void **state)
{
	(void)state;
	header("X-Fine", "1", true);
	header("X(odd)", "1", false);
	header("X@", "1", false);
	fresh("/a", NULL);
	http_req_add(&r, "Authorization", "Bearer a");
	http_req_add(&r, "authorization", "Bearer b");
	verdict(false, "two Authorization");
	fresh("/a", NULL);
	http_req_add(&r, "Accept", "a");
	http_req_add(&r, "Accept", "b");
	verdict(true, "two Accept");
}

static void too_many(void **state)
{
	struct err e = { 0 };

	(void)state;
	fresh("/a", NULL);
	for (int i = 1; i < HTTP_HEADERS_MAX; i++)
		assert_true(http_req_add(&r, "X-A", "1"));
	verdict(true, "as many as allowed");
	assert_true(http_req_add(&r, "X-A", "1"));
	assert_int_equal(http_guard(&r, &e), E_INVALID);
	assert_string_equal(e.slug, "http.headers_too_large");
	http_req_add(&r, "X-A", "1");
	assert_false(http_req_add(&r, "X-A", "1"));
}

static void keep_alive(void **state)
{
	(void)state;
	fresh("/a", NULL);
	verdict(true, "1.1");
	assert_true(r.keep_alive);
	header("Connection", "close", true);
	assert_false(r.keep_alive);
	fresh("/a", NULL);
	r.version = "1.0";
	verdict(true, "1.0");
	assert_false(r.keep_alive);
	http_req_add(&r, "Connection", "Keep-Alive");
	verdict(true, "1.0 keep-alive");
	assert_true(r.keep_alive);
}

/* ---- the raw look: a small parser that leaves the bytes as civetweb does ---- */

static char raw[512];

static bool parse(const char *text, size_t len)
{
	char *p = raw, *end;

	memset(raw, 'Z', sizeof raw);
	memcpy(raw, text, len);
	raw[len - 1] = '\0';
	http_req_clear(&r);
	r.method = p;
	end = strchr(p, ' ');
	while (*end == ' ')
		*end++ = '\0';
	r.path = end;
	end = strchr(end, ' ');
	while (*end == ' ')
		*end++ = '\0';
	r.version = end + 5;
	end += strcspn(end, "\r\n");
	while (*end && strchr(" \r\n\t", *end))
		*end++ = '\0';
	for (p = end; *p && *p != '\r' && *p != '\n' && *p != ' ';) {
		char *name = p, *value;

		p += strcspn(p, ": ");
		while (*p == ' ')
			*p++ = '\0';
		if (*p != ':')
			return false;
		*p++ = '\0';
		p += strspn(p, " \t");
		value = p;
		p += strcspn(p, "\r\n");
		if (*p == '\r')
			*p++ = '\0';
		if (*p)
			*p++ = '\0';
		http_req_add(&r, name, value);
	}
	return true;
}

#define RAW(text, good) raw_verdict(text, sizeof text - 1, good)
static void raw_verdict(const char *text, size_t len, bool good)
{
	struct err e = { 0 };

	assert_true(parse(text, len));
	if ((http_guard_raw(&r, sizeof raw, &e) == OK) != good)
		fail_msg("%s: %s", text, good ? e.msg : "accepted");
}

static void raw_bytes(void **state)
{
	(void)state;
	RAW("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true);
	RAW("GET / HTTP/1.1\r\nHost:a\r\nX:\r\nY:  b \r\n\r\n", true);
	RAW("GET / HTTP/1.1\nHost: a\r\n\r\n", false);
	RAW("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", false);
	RAW("GET / HTTP/1.1\r\nHost: a\r\nX: b\n\n", false);
	RAW("GET / HTTP/1.1\r\nHost : a\r\n\r\n", false);
	RAW("GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\nHost: a\r\n\r\n", false);
	RAW("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", false);
	RAW("GET / HTTP/1.1\r\n Host: a\r\n\r\n", false);
	RAW("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\nContent-Length: 5\r\n\r\n", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets), cmocka_unit_test(lengths),	 cmocka_unit_test(hosts),
		cmocka_unit_test(names_and_repeats), cmocka_unit_test(too_many), cmocka_unit_test(keep_alive),
		cmocka_unit_test(raw_bytes),
	};

	return cmocka_run_group_tests_name("gateway framing guard", tests, NULL, NULL);
}
