/* Putting the gateway together and taking it apart. */
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"

#define PEER(i, NAME, port, bell_port)                                                                      \
	CONF(gw_conf, url[i], NAME "_URL", "tcp://127.0.0.1:" port, 0, 0, 0,                               \
	     "address of the daemon (a comma list, or a name with several addresses); empty: not there"),  \
	CONF(gw_conf, bell[i], NAME "_BELL_URL", "tcp://127.0.0.1:" bell_port, 0, 0, 0,                    \
	     "its doorbell; empty: none")

const struct conf_key gateway_keys[] = {
	CONF(gw_conf, listen, "GATEWAY_LISTEN", "127.0.0.1:8080", 0, 0, CONF_REQUIRED, "HTTP address; port 0: any"),
	CONF(gw_conf, admin_listen, "GATEWAY_ADMIN_LISTEN", "127.0.0.1:7200", 0, 0, 0,
	     "HTTP address of /livez, /readyz and /metrics; empty: none"),
	CONF(gw_conf, redis_url, "REDIS_URL", "", 0, 0, CONF_SECRET, "redis://host:port/db; empty: no cache"),
	CONF(gw_conf, keys_dir, "SOUK_KEYS_DIR", NULL, 0, 0, CONF_REQUIRED, "folder of the key files"),
	CONF_ENUM(gw_conf, log_level, "LOG_LEVEL", "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", 0,
		  "least level that is logged"),
	CONF(gw_conf, drain_ms, "DRAIN_MS", "5000", 0, 60000, 0,
	     "after TERM: how long it answers on while the balancer looks elsewhere, ms"),
	CONF(gw_conf, resolve_ms, "RESOLVE_MS", "5000", 100, 600000, 0, "how often peer names are resolved, ms"),
	CONF(gw_conf, otlp_url, "OTLP_URL", "", 0, 250, 0,
	     "collector that takes traces by OTLP over HTTP, http://collector:4318; empty: none are sent"),
	/* in the order of gateway_services */
	PEER(0, "IDENTITY", "7001", "7101"),
	PEER(1, "CATALOG", "7002", "7102"),
	PEER(2, "INVENTORY", "7003", "7103"),
	PEER(3, "CART", "7004", "7104"),
	PEER(4, "CHECKOUT", "7005", "7105"),
	PEER(5, "NOTIFY", "7008", "7108"),
	PEER(6, "SEARCH", "7006", "7106"),
	PEER(7, "RECO", "7007", "7107"),
	CONF(gw_conf, threads, "GATEWAY_THREADS", "128", 2, 4096, 0, "connections served at once"),
	CONF(gw_conf, conns_per_addr, "GATEWAY_CONNS_PER_ADDR", "112", 0, 4096, 0,
	     "connections of one address; 0: no limit; trusted proxies are exempt"),
	CONF(gw_conf, inflight_max, "GATEWAY_INFLIGHT", "96", 1, 4096, 0,
	     "requests waiting for daemons at once; more are answered 503"),
	CONF(gw_conf, header_ms, "GATEWAY_HEADER_MS", "5000", 100, 60000, 0, "until all headers must have come, ms"),
	CONF(gw_conf, body_ms, "GATEWAY_BODY_MS", "10000", 100, 120000, 0, "until a body must have come, ms"),
	CONF(gw_conf, keep_alive_ms, "GATEWAY_KEEP_ALIVE_MS", "10000", 100, 120000, 0, "idle connections are kept, ms"),
	CONF(gw_conf, rpc_ms, "GATEWAY_RPC_MS", "5000", 100, 60000, 0, "a daemon's time to answer, ms"),
	CONF(gw_conf, import_max_mib, "GATEWAY_IMPORT_MAX_MIB", "1024", 1, 65536, 0, "largest bulk import, MiB"),
	CONF(gw_conf, import_idle_ms, "GATEWAY_IMPORT_IDLE_MS", "30000", 100, 600000, 0,
	     "until the next 256 KiB of an import must have come, ms"),
	CONF(gw_conf, import_total_s, "GATEWAY_IMPORT_TOTAL_S", "3600", 1, 86400, 0, "longest upload of an import, s"),
	CONF(gw_conf, trusted_proxies, "TRUSTED_PROXIES", "", 0, 0, 0,
	     "networks of our own proxies (10.0.0.0/8, ::1); only they may say X-Forwarded-For"),
	CONF(gw_conf, cors_origins, "CORS_ORIGINS", "", 0, 0, 0, "origins whose pages may call (https://shop.example, …)"),
	CONF(gw_conf, cookie_secure, "COOKIE_SECURE", "true", 0, 0, 0,
	     "refresh cookie is Secure and named __Host-souk_rt; false: souk_rt, for plain HTTP beyond localhost"),
	CONF(gw_conf, hsts_s, "GATEWAY_HSTS_S", "31536000", 0, 126144000, 0, "Strict-Transport-Security, s; 0: none"),
	CONF(gw_conf, media_url, "GATEWAY_MEDIA_URL", "", 0, 300, 0,
	     "where /media/ sends readers on to, when no CDN answers it; empty: nowhere"),
	CONF(gw_conf, token_issuer, "IDENTITY_ISSUER", "souk", 1, 63, 0, "iss of access tokens"),
	CONF(gw_conf, limit_user, "LIMIT_USER", "100", 0, 1000000000, 0, "requests a minute of a user; 0: no limit"),
	CONF(gw_conf, limit_anonymous, "LIMIT_ANONYMOUS", "100", 0, 1000000000, 0, "of an anonymous address"),
	CONF(gw_conf, limit_auth, "LIMIT_AUTH", "20", 0, 1000000000, 0, "sign-in requests of an address"),
	CONF(gw_conf, limit_suggest, "LIMIT_SUGGEST", "600", 0, 1000000000, 0, "search suggestions"),
	CONF(gw_conf, limit_events, "LIMIT_EVENTS", "300", 0, 1000000000, 0, "behaviour events"),
	CONF(gw_conf, limit_guard, "LIMIT_GUARD", "6000", 0, 1000000000, 0, "anything at all of an address"),
	CONF(gw_conf, cache, "GATEWAY_CACHE", "true", 0, 0, 0, "keep public answers"),
	CONF(gw_conf, cache_mib, "GATEWAY_CACHE_MIB", "16", 1, 4096, 0, "memory for kept answers, MiB"),
	CONF(gw_conf, cache_local_ms, "GATEWAY_CACHE_LOCAL_MS", "5000", 0, 5000, 0,
	     "how long without asking Redis, ms"),
	CONF(gw_conf, access_log, "GATEWAY_ACCESS_LOG", "true", 0, 0, 0, "one line per request"),
	CONF_END
};

/* ---- the pieces ---- */

static void make_head(struct gateway *gw)
{
	int n = snprintf(gw->head, sizeof gw->head,
			 "X-Content-Type-Options: nosniff\r\n"
			 "X-Frame-Options: DENY\r\n"
			 "Referrer-Policy: no-referrer\r\n"
			 "Cross-Origin-Resource-Policy: same-site\r\n"
			 "Permissions-Policy: interest-cohort=()\r\n");

	if (gw->conf.hsts_s)
		n += snprintf(gw->head + n, sizeof gw->head - (size_t)n,
			      "Strict-Transport-Security: max-age=%d; includeSubDomains\r\n", gw->conf.hsts_s);
	gw->head_len = (size_t)n;
}

static void make_route_metrics(struct route_metrics *m, const char *method, const char *path)
{
	char labels[256], code[8];

	m->seconds = metric_histogram("souk_http_request_seconds", "Time to answer a request",
				      metric_labels(labels, sizeof labels, "method", method, "route", path, NULL));
	for (int i = 0; i < 6; i++) {
		snprintf(code, sizeof code, "%dxx", i);
		/* The classes that a route cannot have would only be noise. */
		m->by_class[i] = i < 2 ? NULL : metric_counter("souk_http_requests_total", "Answered requests",
							       metric_labels(labels, sizeof labels, "method", method,
									     "route", path, "status", code, NULL));
	}
}

static void make_metrics(struct gateway *gw)
{
	size_t n = router_count(gw->router);

	gw->metrics = calloc(n + 1, sizeof *gw->metrics);
	if (!gw->metrics)
		abort();
	for (size_t i = 0; i < n; i++)
		make_route_metrics(&gw->metrics[i], router_at(gw->router, i)->row->method,
				   router_at(gw->router, i)->row->path);
	make_route_metrics(&gw->metrics[n], "", "none");
	gw->shed = metric_counter("souk_gateway_shed_total", "Requests refused because too many were under way", NULL);
	gw->cache_local = metric_counter("souk_gateway_cache_total", "Public answers by origin", "from=\"process\"");
	gw->cache_shared = metric_counter("souk_gateway_cache_total", "Public answers by origin", "from=\"redis\"");
	gw->cache_miss = metric_counter("souk_gateway_cache_total", "Public answers by origin", "from=\"daemon\"");
}

static void make_openapi(struct gateway *gw)
{
	uint8_t sum[32];
	char hex[33];

	buf_init(&gw->openapi, 8 << 20);
	openapi_make(&gw->openapi, gw->router);
	sha256(gw->openapi.data, gw->openapi.len, sum);
	hex_encode(sum, 16, hex);
	snprintf(gw->openapi_etag, sizeof gw->openapi_etag, "\"%s\"", hex);
}

static enum err_code open_clients(struct gateway *gw, struct rpc_keys *keys, struct err *e)
{
	for (size_t i = 0; gw->services[i].name && i < GW_SERVICES_MAX; i++) {
		if (!gw->conf.url[i] || !*gw->conf.url[i])
			continue;
		if (rpc_client_open("gateway", gw->services[i].name, gw->conf.url[i], gw->conf.resolve_ms, keys,
				    &gw->client[i], e))
			return e->code;
	}
	return OK;
}

void gateway_changed(struct gateway *gw, const char *word)
{
	respcache_changed(gw->respcache, word);
}

static enum err_code open_redis(struct gateway *gw, struct err *e)
{
	if (!gw->conf.redis_url || !*gw->conf.redis_url)
		return OK;
	return cache_open(gw->conf.redis_url, 16, 250, &gw->redis, e);
}

enum err_code gateway_open(struct gateway *gw, const struct gw_conf *conf, const struct route_service *services,
			   struct rpc_keys *keys, struct err *e)
{
	struct auth_conf auth = { .issuer = conf->token_issuer, .poll_ms = 2000, .stale_ms = 10000,
				  .cache_bytes = 4 << 20 };
	struct limit_conf limits = { .user = conf->limit_user, .anonymous = conf->limit_anonymous,
				     .auth = conf->limit_auth, .suggest = conf->limit_suggest,
				     .events = conf->limit_events, .guard = conf->limit_guard };

	memset(gw, 0, sizeof *gw);
	gw->conf = *conf;
	gw->services = services;
	gw->cookie = (struct cookie_conf){ .name = conf->cookie_secure ? "__Host-souk_rt" : "souk_rt",
					   .secure = conf->cookie_secure, .max_age_s = 7 * 24 * 3600 };
	if (router_new(services, &gw->router, e) || origins_parse(conf->cors_origins, &gw->origins, e) ||
	    networks_parse(conf->trusted_proxies, &gw->proxies, e) || open_redis(gw, e) || open_clients(gw, keys, e) ||
	    auth_new(&auth, gw_client(gw, "identity"), &gw->auth, e))
		return e->code;
	gw->limiter = limiter_new(&limits, gw->redis);
	gw->respcache = respcache_new((size_t)conf->cache_mib << 20, conf->cache_local_ms, gw->redis);
	make_head(gw);
	make_metrics(gw);
	make_openapi(gw);
	return OK;
}

void gateway_close(struct gateway *gw)
{
	auth_free(gw->auth);
	limiter_free(gw->limiter);
	respcache_free(gw->respcache);
	for (size_t i = 0; i < GW_SERVICES_MAX; i++)
		if (gw->client[i])
			rpc_client_close(gw->client[i]);
	if (gw->redis)
		cache_close(gw->redis);
	origins_free(gw->origins);
	networks_free(gw->proxies);
	router_free(gw->router);
	buf_free(&gw->openapi);
	free(gw->metrics);
	memset(gw, 0, sizeof *gw);
}
