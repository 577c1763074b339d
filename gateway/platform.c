/* What the gateway answers itself: health, the document, its page, the public keys. */
#include <stdio.h>
#include <string.h>

#include "common/daemon.h"
#include "gateway/docs.h"
#include "gateway/gateway.h"

static enum err_code healthz(struct exchange *x)
{
	buf_fmt(&x->w->out, "{\"status\":\"ok\",\"version\":\"%s\"}", daemon_version());
	x->cache_control = "no-store";
	return OK;
}

/* Fails only at the start and while draining: a lost part must not empty the whole fleet behind a balancer. */
static enum err_code readyz(struct exchange *x)
{
	struct gateway *gw = x->gw;
	struct buf *b = &x->w->out;
	bool any = false;

	x->cache_control = "no-store";
	if (atomic_load(&gw->draining) || !auth_ready(gw->auth)) {
		x->status = 503;
		x->retry_after_s = 1;
		buf_fmt(b, "{\"status\":\"%s\"}", atomic_load(&gw->draining) ? "draining" : "starting");
		return OK;
	}
	buf_str(b, "{\"degraded\":[");
	for (size_t i = 0; gw->services[i].name; i++) {
		if (!gw->client[i] || rpc_client_up(gw->client[i]))
			continue;
		buf_fmt(b, "%s\"%s\"", any ? "," : "", gw->services[i].name);
		any = true;
	}
	if (gw->redis && !cache_up(gw->redis)) {
		buf_fmt(b, "%s\"redis\"", any ? "," : "");
		any = true;
	}
	buf_fmt(b, "],\"status\":\"%s\"}", any ? "degraded" : "ready");
	return OK;
}

static enum err_code openapi(struct exchange *x)
{
	buf_add(&x->w->out, x->gw->openapi.data, x->gw->openapi.len);
	snprintf(x->etag, sizeof x->etag, "%s", x->gw->openapi_etag);
	x->cache_control = "public, max-age=60";
	return OK;
}

static enum err_code docs(struct exchange *x)
{
	size_t n = (size_t)(docs_html_end - docs_html);

	buf_add(&x->w->out, docs_html, n);
	x->content_type = "text/html; charset=utf-8";
	x->cache_control = "public, max-age=60";
	x->csp = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
		 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
	return OK;
}

static enum err_code jwks(struct exchange *x)
{
	x->cache_control = "public, max-age=300";
	if (!auth_jwks(x->gw->auth, &x->w->out))
		return err_set(&x->call.err, E_UNAVAILABLE, "common.unavailable", "no keys yet");
	return OK;
}

/* The store has the bytes; we only know where it is. Names that no upload makes are not passed on. */
static enum err_code media(struct exchange *x)
{
	const char *path = x->req->path + strlen("/media/");
	size_t n = strlen(path);

	if (!x->gw->conf.media_url || !x->gw->conf.media_url[0] ||
	    strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-") != n)
		return err_set(&x->call.err, E_NOT_FOUND, "http.no_route", "no store, or no name in it");
	x->location = arena_printf(x->call.arena, "%s/%s", x->gw->conf.media_url, path);
	x->cache_control = "public, max-age=3600";
	return OK;
}

enum err_code serve_platform(struct exchange *x)
{
	static const struct {
		const char *name;
		enum err_code (*serve)(struct exchange *);
	} own[] = {
		{ "healthz", healthz }, { "readyz", readyz }, { "openapi", openapi }, { "docs", docs }, { "jwks", jwks },
		{ "media", media },
	};

	reply_begin(x);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (!strcmp(own[i].name, x->match.route->row->rpc))
			return own[i].serve(x);
	return err_set(&x->call.err, E_INTERNAL, "common.internal", "no platform route %s", x->match.route->row->rpc);
}
