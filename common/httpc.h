/* Outgoing HTTP by libcurl: verification of peer and host always on, every call bounded in time and size. */
#ifndef SOUK_HTTPC_H
#define SOUK_HTTPC_H

#include "common/arena.h"
#include "common/pg.h"

struct httpc;
struct httpc_conf {
	int max_handles;       /* pooled keep-alive handles = calls at once */
	int queue;	       /* callers that may wait for one; a full queue is E_UNAVAILABLE + retry_after */
	int breaker_failures;  /* consecutive connection failures that open the breaker */
	int breaker_open_ms;
	const char *ca_file;   /* NULL: the system's */
	bool https_only;
	bool public_only;      /* resolve first, refuse private, loopback, link-local addresses (SSRF guard) */
};
MUST_CHECK enum err_code httpc_open(const struct httpc_conf *, struct httpc **h_r, struct err *);
void httpc_close(struct httpc *);

struct httpc_request {
	const char *method, *url;
	const char *const *headers; /* "Name: value", NULL-ended */
	struct pg_bytes body;
	int64_t timeout_ms;	    /* whole call */
	size_t max_reply;	    /* bytes; more is an error */
};
struct httpc_reply {
	int status;
	struct pg_bytes body;	    /* in the arena, NUL-terminated after len */
	const char *retry_after, *should_retry, *request_id; /* selected headers, or NULL */
};
/*
 * OK means a complete HTTP answer of any status. E_UNAVAILABLE with slug "httpc.not_sent" (refused, DNS, TLS, breaker,
 * queue): certainly not processed; "httpc.outcome_unknown": it may have been. Refuses while a transaction is open.
 */
MUST_CHECK enum err_code httpc_do(struct httpc *, const struct httpc_request *, struct arena *, struct httpc_reply *r,
				  struct err *);

#endif
