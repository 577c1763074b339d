/* Spans on their way to a collector: what is sent, from which parent, and that nothing waits for it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/metrics.h"
#include "common/timeutil.h"
#include "common/trace.h"
#include "common/trace_export.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define MINE "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
#define SILENT "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"

/* A collector of one connection: keeps the bodies it gets. */
struct collector {
	int fd;
	char url[64];
	pthread_t thread;
	char got[1 << 16]; /* the last request */
};

static void *serve(void *arg)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
	struct collector *c = arg;
	int fd = accept(c->fd, NULL, NULL);
	size_t n = 0, want = SIZE_MAX;
	ssize_t r;

	while (fd >= 0 && n < want && n < sizeof(c->got) - 1 && (r = read(fd, c->got + n, sizeof(c->got) - 1 - n)) > 0) {
		const char *body, *length;

		n += (size_t)r;
		c->got[n] = '\0';
		body = strstr(c->got, "\r\n\r\n");
		length = strstr(c->got, "Content-Length: ");
		if (body && length)
			want = (size_t)(body + 4 - c->got) + strtoul(length + 16, NULL, 10);
	}
	if (fd >= 0) {
		assert_int_equal(write(fd, ok, sizeof(ok) - 1), sizeof(ok) - 1);
		close(fd);
	}
	return NULL;
}

static void collector_bind(struct collector *c)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_return_code(bind(c->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_return_code(listen(c->fd, 8), 0);
	assert_return_code(getsockname(c->fd, (struct sockaddr *)&at, &len), 0);
	snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
}

static int64_t dropped(void)
{
	return metric_value(metric_counter("souk_trace_spans_dropped_total", "Spans lost: queue full, or not taken", NULL));
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void off_by_default(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(trace_export_start("", "cart", &e), OK);
	assert_int_equal(trace_export_start(NULL, "cart", &e), OK);
	trace_span(MINE, PARENT, TRACE_SERVER, "cart.v1.Cart/AddItem", "OK", mono_us());
	trace_export_stop();
	assert_int_equal(trace_export_start("collector:4318", "cart", &e), E_INVALID);
}

static void spans_have_their_parent(void **state)
{
	static struct collector c;
	struct err e = { 0 };
	json_t *doc, *resource, *spans, *span;
	int64_t start = mono_us() - 5000;

	(void)state;
	collector_bind(&c);
	assert_int_equal(pthread_create(&c.thread, NULL, serve, &c), 0);
	assert_int_equal(trace_export_start(c.url, "cart", &e), OK);
	trace_span(MINE, PARENT, TRACE_SERVER, "cart.v1.Cart/AddItem", "OK", start);
	trace_span(MINE, "nonsense\"}", TRACE_CONSUMER, "a \"name\"", err_code_name(E_INTERNAL), start);
	trace_span(SILENT, PARENT, TRACE_SERVER, "not asked for", "OK", start);
	trace_span("nonsense", PARENT, TRACE_SERVER, "no trace", "OK", start);
	trace_export_stop();
	pthread_join(c.thread, NULL);
	close(c.fd);

	assert_non_null(strstr(c.got, "POST /v1/traces HTTP/1.1\r\n"));
	assert_non_null(strstr(c.got, "Content-Type: application/json\r\n"));
	doc = json_loads(strstr(c.got, "\r\n\r\n") + 4, 0, NULL);
	assert_non_null(doc);
	resource = json_array_get(json_object_get(doc, "resourceSpans"), 0);
	span = json_array_get(json_object_get(json_object_get(resource, "resource"), "attributes"), 0);
	assert_string_equal(text(span, "key"), "service.name");
	assert_string_equal(text(json_object_get(span, "value"), "stringValue"), "souk-cart");
	spans = json_object_get(json_array_get(json_object_get(resource, "scopeSpans"), 0), "spans");
	assert_int_equal(json_array_size(spans), 2);
	span = json_array_get(spans, 0);
	assert_string_equal(text(span, "traceId"), "0af7651916cd43dd8448eb211c80319c");
	assert_string_equal(text(span, "spanId"), "00f067aa0ba902b7");
	assert_string_equal(text(span, "parentSpanId"), "b7ad6b7169203331");
	assert_string_equal(text(span, "name"), "cart.v1.Cart/AddItem");
	assert_int_equal(json_integer_value(json_object_get(span, "kind")), 2);
	assert_true(atoll(text(span, "endTimeUnixNano")) - atoll(text(span, "startTimeUnixNano")) >= 5000000);
	span = json_array_get(spans, 1);
	assert_null(json_object_get(span, "parentSpanId"));
	assert_string_equal(text(span, "name"), "a \"name\"");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(span, "status"), "code")), 2);
	json_decref(doc);
}

/* The collector accepts connections and never answers: callers notice nothing, the queue stays bounded. */
static void a_dead_collector_holds_nobody(void **state)
{
	static struct collector c;
	struct err e = { 0 };
	int64_t begun, before = dropped();

	(void)state;
	collector_bind(&c);
	assert_int_equal(trace_export_start(c.url, "cart", &e), OK);
	begun = mono_ms();
	for (int i = 0; i < 4 * TRACE_QUEUE; i++)
		trace_span(MINE, PARENT, TRACE_SERVER, "cart.v1.Cart/AddItem", "OK", begun * 1000);
	assert_in_range(mono_ms() - begun, 0, 1500);
	assert_true(dropped() - before >= 4 * TRACE_QUEUE - TRACE_QUEUE - 512);
	begun = mono_ms();
	trace_export_stop();
	assert_in_range(mono_ms() - begun, 0, 20000);
	assert_int_equal(dropped() - before, 4 * TRACE_QUEUE);
	close(c.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_by_default),
		cmocka_unit_test(spans_have_their_parent),
		cmocka_unit_test(a_dead_collector_holds_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
