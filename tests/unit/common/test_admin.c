#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/admin.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/metrics.h"

static struct admin *admin;
static char reply[1 << 20];

static int setup(void **state)
{
	(void)state;
	log_to_fd(open("/dev/null", O_WRONLY));
	return admin_start("127.0.0.1:0", &admin, NULL);
}

static int teardown(void **state)
{
	(void)state;
	admin_stop(admin);
	return 0;
}

/* Sends bytes, reads until the server closes; the status, 0 when there was none. */
static int send_raw(const char *bytes, size_t n)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)admin_port(admin)) };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
	size_t len = 0;
	ssize_t got;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
	while (len < sizeof(reply) - 1 && (got = recv(fd, reply + len, sizeof(reply) - 1 - len, 0)) > 0)
		len += (size_t)got;
	reply[len] = '\0';
	(void)close(fd);
	(void)sscanf(reply, "HTTP/1.1 %d", &status);
	return status;
}

static int get(const char *method, const char *path)
{
	char text[600];

	(void)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, path);
	return send_raw(text, strlen(text));
}

static const char *body(void)
{
	const char *p = strstr(reply, "\r\n\r\n");

	return p ? p + 4 : "";
}

static void alive(void **state)
{
	(void)state;
	assert_int_equal(get("GET", "/livez"), 200);
	assert_string_equal(body(), "{\"status\":\"alive\"}\n");
	assert_non_null(strstr(reply, "Cache-Control: no-store"));
	assert_null(strstr(reply, "civetweb"));
	assert_int_equal(get("HEAD", "/livez"), 200);
	assert_string_equal(body(), "");
}

static void ready_follows_the_life_cycle(void **state)
{
	(void)state;
	assert_int_equal(get("GET", "/readyz"), 503);
	assert_string_equal(body(), "{\"status\":\"starting\",\"degraded\":[]}\n");
	daemon_ready();
	assert_int_equal(get("GET", "/readyz"), 200);
	assert_string_equal(body(), "{\"status\":\"ready\",\"degraded\":[]}\n");
	daemon_degraded("postgresql", true);
	daemon_degraded("re\"dis", true);
	assert_int_equal(get("GET", "/readyz"), 200);
	assert_string_equal(body(), "{\"status\":\"degraded\",\"degraded\":[\"postgresql\",\"re\\\"dis\"]}\n");
	daemon_degraded("postgresql", false);
	daemon_degraded("re\"dis", false);
	assert_int_equal(get("GET", "/readyz"), 200);
}

static void metrics(void **state)
{
	(void)state;
	metric_add(metric_counter("souk_admin_test_total", "A test", NULL), 5);
	assert_int_equal(get("GET", "/metrics"), 200);
	assert_non_null(strstr(reply, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(body(), "\nsouk_admin_test_total 5\n"));
	assert_non_null(strstr(body(), "process_resident_memory_bytes"));
}

static void nothing_else_is_served(void **state)
{
	static const char *const paths[] = { "/", "/livezx", "/livez/", "/etc/passwd", "/../../etc/passwd", "/%2e%2e/etc/passwd",
		"/metrics/..%2f", "/readyz%00", "//livez/x" };

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int status = get("GET", paths[i]);

		if (status != 404 && status != 400)
			fail_msg("%s: %d", paths[i], status);
		assert_null(strstr(reply, "root:"));
	}
	assert_int_equal(get("POST", "/livez"), 405);
	assert_int_equal(get("DELETE", "/metrics"), 405);
	assert_int_equal(get("PUT", "/x"), 405);
	assert_int_equal(get("OPTIONS", "/livez"), 405);
}

static void garbage_is_survived(void **state)
{
	static const char *const bad[] = { "\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET /livez\r\n\r\n",
		"BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n" };
	char *big = malloc(20000);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)send_raw(bad[i], strlen(bad[i]));
		assert_null(strstr(reply, "<html"));
	}
	memset(big, 'a', 20000);
	memcpy(big, "GET /", 5);
	memcpy(big + 19996, "\r\n\r\n", 4);
	assert_int_not_equal(send_raw(big, 20000), 200);
	free(big);
	assert_int_equal(get("GET", "/livez"), 200);
}

static void addresses(void **state)
{
	struct admin *other = (struct admin *)&reply;
	struct err e = { 0 };
	char taken[40];

	(void)state;
	assert_true(admin_port(admin) > 0);
	assert_int_equal(admin_start("", &other, &e), OK);
	assert_null(other);
	assert_int_equal(admin_port(other), 0);
	admin_stop(other);
	assert_int_equal(admin_start(NULL, &other, &e), OK);
	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%d", admin_port(admin));
	assert_int_equal(admin_start(taken, &other, &e), E_UNAVAILABLE);
	assert_string_equal(e.slug, "admin.listen");
	assert_non_null(strstr(e.msg, taken));
	assert_int_equal(admin_start("nonsense", &other, &e), E_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alive),
		cmocka_unit_test(ready_follows_the_life_cycle),
		cmocka_unit_test(metrics),
		cmocka_unit_test(nothing_else_is_served),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
