#include "common/admin.h"

#include <civetweb.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/daemon.h"
#include "common/metrics.h"

#define METRICS_TEXT_MAX (4u << 20)

struct admin {
	struct mg_context *mg;
	int port;
};

static void reply(struct mg_connection *c, int status, const char *type, const char *body, size_t n, bool head)
{
	const char *text = mg_get_response_code_text(c, status);
	struct buf b;

	buf_init(&b, n + 512);
	buf_fmt(&b,
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
		"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		status, text, type, n);
	if (!head)
		buf_add(&b, body, n);
	if (!buf_over(&b)) /* one write: head and body in one packet */
		(void)mg_write(c, b.data, b.len);
	buf_free(&b);
}

static void ready_body(struct buf *b, int *status_r)
{
	static const char *const words[] = { "starting", "ready", "draining" };
	char degraded[DAEMON_DEGRADED_MAX][32];
	size_t n = daemon_degraded_list(degraded);
	enum daemon_state state = daemon_state();

	*status_r = state == DAEMON_READY ? 200 : 503;
	buf_fmt(b, "{\"status\":\"%s\",\"degraded\":[", state == DAEMON_READY && n ? "degraded" : words[state]);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		buf_json_str(b, degraded[i]);
	}
	buf_str(b, "]}\n");
}

/* Answers everything itself: civetweb never gets to look for a file. */
static int on_request(struct mg_connection *c)
{
	const struct mg_request_info *r = mg_get_request_info(c);
	const char *path = r->local_uri ? r->local_uri : "", *type = "application/json";
	bool head = strcmp(r->request_method, "HEAD") == 0;
	struct buf b;
	int status = 200;

	buf_init(&b, METRICS_TEXT_MAX);
	if (!head && strcmp(r->request_method, "GET") != 0) {
		status = 405;
		buf_str(&b, "{\"status\":\"method not allowed\"}\n");
	} else if (strcmp(path, "/livez") == 0) {
		buf_str(&b, "{\"status\":\"alive\"}\n");
	} else if (strcmp(path, "/readyz") == 0) {
		ready_body(&b, &status);
	} else if (strcmp(path, "/metrics") == 0) {
		type = "text/plain; version=0.0.4; charset=utf-8";
		metrics_render(&b);
	} else {
		status = 404;
		buf_str(&b, "{\"status\":\"not found\"}\n");
	}
	reply(c, status, type, buf_cstr(&b), b.len, head);
	buf_free(&b);
	return status;
}

/* civetweb's own errors (a request it could not read): no page of its own either. */
static int on_error(struct mg_connection *c, int status, const char *message)
{
	(void)message;
	reply(c, status, "application/json", "{\"status\":\"error\"}\n", 19, false);
	return 0;
}

static int on_log(const struct mg_connection *c, const char *message)
{
	(void)c, (void)message;
	return 1; /* handled: stderr belongs to log.h */
}

enum err_code admin_start(const char *listen, struct admin **a_r, struct err *e)
{
	const char *options[] = { "listening_ports", listen, "num_threads", "2", "enable_directory_listing", "no",
		"enable_keep_alive", "no", "tcp_nodelay", "1", "request_timeout_ms", "5000", "max_request_size", "4096",
		"connection_queue", "16",
		/* Or "/readyz%00" would be /readyz. */
		"decode_url", "no", NULL };
	struct mg_callbacks callbacks = { .begin_request = on_request, .http_error = on_error,
		.log_message = on_log, .log_access = on_log };
	struct mg_server_port ports[4];
	struct admin *a;

	if (!listen || !*listen) {
		*a_r = NULL;
		return OK;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "no memory for the admin port");
	errno = 0;
	a->mg = mg_start(&callbacks, a, options);
	if (!a->mg) {
		free(a);
		return err_set(e, E_UNAVAILABLE, "admin.listen", "admin port %.60s cannot be opened: %s", listen,
			errno ? strerror(errno) : "bad address or in use");
	}
	if (mg_get_server_ports(a->mg, ARRAY_LEN(ports), ports) > 0)
		a->port = ports[0].port;
	*a_r = a;
	return OK;
}

int admin_port(const struct admin *a)
{
	return a ? a->port : 0;
}

void admin_stop(struct admin *a)
{
	if (!a)
		return;
	mg_stop(a->mg);
	free(a);
}
