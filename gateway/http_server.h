/*
 * The HTTP listener on civetweb: threads, connections, deadlines. The only file that includes civetweb.
 *
 * One thread serves one connection at a time. A slow sender of headers is cut after header_ms, a slow body or reader by
 * the reaper, which shuts the socket down at the deadline of the request; an address holds at most conns_per_addr
 * connections. The answer to whatever civetweb itself refuses comes from handler->error, so no foreign page goes out.
 */
#ifndef SOUK_GATEWAY_HTTP_SERVER_H
#define SOUK_GATEWAY_HTTP_SERVER_H

#include "gateway/http_req.h"

struct http_conn; /* the connection of the request being handled; valid during the call only */

struct http_handler {
	void *app;
	void *(*worker_open)(void *app); /* once per thread, in it */
	void (*worker_close)(void *worker);
	int (*handle)(void *worker, struct http_req *, struct http_conn *); /* returns the status sent */
	/* civetweb refused the message; the request may be empty. The connection is closed afterwards. */
	void (*error)(void *worker, int status, const char *remote_addr, struct http_conn *);
	bool (*unlimited)(void *app, const char *remote_addr); /* a proxy of ours: conns_per_addr does not count */
};

struct http_server_conf {
	const char *listen; /* "127.0.0.1:8080", "8080", "[::]:8080"; port 0: any */
	int threads; /* Debian's civetweb gives each a stack of 100 KiB, thread-local data included */
	int header_ms, keep_alive_ms;
	int conns_per_addr; /* 0: no limit */
};

struct http_server;
MUST_CHECK enum err_code http_server_start(const struct http_server_conf *, const struct http_handler *,
					   struct http_server **s_r, struct err *);
void http_server_stop(struct http_server *); /* NULL is fine; answers what is being handled, takes up to 2 s */
int http_server_port(const struct http_server *);
int http_server_busy(const struct http_server *); /* connections being served */

/* ---- for the handler ---- */
/* Reading ends at this monotonic time, whatever still comes; 0: no deadline. The connection must then be closed. */
void http_deadline(struct http_conn *, int64_t mono_ms);
/* Up to cap bytes of the body; 0 at its end, -1 when it broke off, was malformed or ran out of time. Fills cap if it can. */
int http_body(struct http_conn *, void *buf, size_t cap);
bool http_send(struct http_conn *, const void *p, size_t n); /* all of it, or false */
void http_close(struct http_conn *);			      /* after this answer */
bool http_crowded(const struct http_conn *); /* most threads are taken: better not to keep this connection */

#endif
