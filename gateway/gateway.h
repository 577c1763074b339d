/* The gateway's parts, and what one request carries through the pipeline (request.c). */
#ifndef SOUK_GATEWAY_H
#define SOUK_GATEWAY_H

#include <stdatomic.h>

#include "common/conf.h"
#include "common/doorbell.h"
#include "common/metrics.h"
#include "common/trace.h"
#include "gateway/auth.h"
#include "gateway/http_fields.h"
#include "gateway/http_server.h"
#include "gateway/limit.h"
#include "gateway/respcache.h"
#include "gateway/router.h"

#define GW_SERVICES_MAX 16

struct gw_conf {
	const char *listen, *admin_listen, *redis_url, *keys_dir, *log_level, *otlp_url;
	int drain_ms, resolve_ms;
	int threads, header_ms, keep_alive_ms, body_ms, rpc_ms, conns_per_addr, inflight_max;
	int import_max_mib, import_idle_ms, import_total_s;
	const char *trusted_proxies, *cors_origins;
	bool cookie_secure, cache, access_log;
	int hsts_s;
	const char *token_issuer, *media_url;
	int64_t limit_user, limit_anonymous, limit_auth, limit_suggest, limit_events, limit_guard;
	int cache_mib, cache_local_ms;
	const char *url[GW_SERVICES_MAX], *bell[GW_SERVICES_MAX];
};

struct route_metrics {
	struct metric *seconds, *by_class[6]; /* [status / 100] */
};

struct gateway {
	struct gw_conf conf;
	struct router *router;
	const struct route_service *services;
	struct rpc_client *client[GW_SERVICES_MAX]; /* as services; NULL: not configured */
	struct cache *redis;
	struct auth *auth;
	struct limiter *limiter;
	struct respcache *respcache;
	struct origins *origins;
	struct networks *proxies;
	struct cookie_conf cookie;
	struct buf openapi; /* the document, made at start */
	char openapi_etag[48];
	char head[640];	 /* headers that every answer has */
	size_t head_len;
	struct route_metrics *metrics; /* per route, then one for what no route fits */
	struct metric *shed, *cache_local, *cache_shared, *cache_miss;
	atomic_int inflight; /* requests waiting for a daemon */
	atomic_bool draining;
};

/* One thread of the listener. */
struct gw_worker {
	struct gateway *gw;
	struct arena *arena;
	struct buf out; /* GW_HEAD_ROOM bytes for the head, then the body */
	char peer[ADDR_MAX], peer_bucket[ADDR_MAX]; /* of the last request, to save the work */
	int64_t date_s;
	char date[40];
};
#define GW_HEAD_ROOM 4096

enum cache_note { NOTE_NONE, NOTE_LOCAL, NOTE_SHARED, NOTE_JOINED, NOTE_MISS };

/* One request. */
struct exchange {
	struct gateway *gw;
	struct gw_worker *w;
	struct http_req *req;
	struct http_conn *conn;
	int64_t start_us;
	char request_id[65], traceparent[TRACE_LEN];
	char addr[ADDR_MAX];
	const char *bucket;
	struct route_match match; /* match.route NULL: none */
	struct auth_token *token; /* NULL: anonymous */
	struct limit_answer limit;
	bool origin_ok, body_read, close;
	struct call call; /* arena, err, principal, deadline */

	/* the answer */
	int status;
	const char *content_type, *location, *allow, *cookie, *cache_control, *csp;
	char etag[RC_ETAG_MAX + 2]; /* with quotes; "" none */
	int64_t retry_after_s;
	bool replayed, preflight, varies_language;
	enum cache_note note;
};

/* ---- request.c ---- */
int gw_handle(void *worker, struct http_req *, struct http_conn *);
void gw_http_error(void *worker, int status, const char *remote_addr, struct http_conn *);
struct rpc_client *gw_client(const struct gateway *, const char *service); /* NULL when not configured */

/* ---- input.c: the message of a request ---- */
/* Path variables and query into a new message of the row's request. */
MUST_CHECK enum err_code gw_fill_target(struct exchange *x, ProtobufCMessage **m_r);
/* Reads the body (bounded, by its deadline) into the arena; nothing when there is none. */
MUST_CHECK enum err_code gw_read_body(struct exchange *x, size_t max, struct pg_bytes *body_r);
/* Everything else: body, required fields, headers, key. */
MUST_CHECK enum err_code gw_fill(struct exchange *x, ProtobufCMessage *m, struct rpc_opts *opts);
MUST_CHECK enum err_code gw_pack(struct exchange *x, const ProtobufCMessage *m, struct pg_bytes *out_r);
/* Headers into hdr_* fields. Public: only the language, so that the answer suits everybody. */
void gw_fill_headers(struct exchange *x, ProtobufCMessage *m, bool public_only);

/* ---- reply.c ---- */
void reply_begin(struct exchange *x);			  /* empties the buffer: body bytes go to x->w->out */
void reply_error(struct exchange *x);			  /* body and status of x->call.err */
void reply_send(struct exchange *x);			  /* head + body in one write */
int error_status(const struct err *e);
void error_body(struct buf *b, const struct err *e, int status, const char *request_id, bool problem);
const char *status_text(int status);

/* ---- serve.c: calls to daemons, cached or not ---- */
MUST_CHECK enum err_code serve_call(struct exchange *x);
MUST_CHECK enum err_code serve_cached(struct exchange *x);
/* The reply message into the answer: hdr_* fields to headers, the rest to JSON. */
MUST_CHECK enum err_code serve_reply(struct exchange *x, struct pg_bytes packed);
MUST_CHECK enum err_code serve_import(struct exchange *x); /* import.c */

/* ---- platform.c: what the gateway answers itself ---- */
MUST_CHECK enum err_code serve_platform(struct exchange *x);

/* ---- openapi.c ---- */
void openapi_make(struct buf *out, const struct router *r);

/* ---- gateway.c ---- */
extern const struct conf_key gateway_keys[];
MUST_CHECK enum err_code gateway_open(struct gateway *gw, const struct gw_conf *conf,
				      const struct route_service *services, struct rpc_keys *keys, struct err *e);
void gateway_close(struct gateway *gw);
void gateway_changed(struct gateway *gw, const char *word);

#endif
