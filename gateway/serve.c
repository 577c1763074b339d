/* From a request's message to the daemon and back, for public answers through the cache. */
#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/pb_guard.h"
#include "common/timeutil.h"
#include "gateway/gateway.h"
#include "gateway/json_pb.h"

enum { LISTING_MS = 5 * 60 * 1000, DETAIL_MS = 15 * 60 * 1000 };

/* ---- replies ---- */

static enum err_code bad_reply(struct exchange *x, const char *why)
{
	err_clear(&x->call.err);
	return err_set(&x->call.err, E_INTERNAL, "common.internal", "%s: %s", x->match.route->method, why);
}

static void reply_headers(struct exchange *x, const ProtobufCMessage *m)
{
	const char *etag = jpb_get_str(m, "hdr_etag"), *token = jpb_get_str(m, "hdr_refresh_token");
	int64_t v;

	if (jpb_get_int(m, "hdr_status", &v) && v >= 200 && v < 600)
		x->status = (int)v;
	if (jpb_get_int(m, "hdr_retry_after", &v))
		x->retry_after_s = v;
	if (etag && *etag)
		snprintf(x->etag, sizeof x->etag, "\"%s\"", etag);
	x->location = jpb_get_str(m, "hdr_location");
	if (token) {
		char *cookie = arena_alloc(x->call.arena, 640);

		cookie_set(&x->gw->cookie, token, cookie, 640);
		x->cookie = cookie;
	}
}

/* Reads without a version of their own get a tag of their bytes, so that If-None-Match works everywhere. */
static void etag_of_body(struct exchange *x)
{
	const struct buf *out = &x->w->out;
	uint8_t sum[32];
	char hex[33];

	if (x->etag[0] || x->status != 200 || strcmp(x->match.route->row->method, "GET") || buf_over(out))
		return;
	sha256(out->data + GW_HEAD_ROOM, out->len - GW_HEAD_ROOM, sum);
	hex_encode(sum, 16, hex);
	snprintf(x->etag, sizeof x->etag, "W/\"%s\"", hex);
}

static ProtobufCMessage *unpack_reply(struct exchange *x, struct pg_bytes packed)
{
	ProtobufCMessage *m;
	struct err e;

	e.n_details = 0;
	if (pb_unpack(x->match.route->row->out, packed.data ? packed.data : "", packed.len, x->call.arena, &m, &e))
		return NULL;
	return m;
}

static void write_reply(struct exchange *x, const ProtobufCMessage *m)
{
	ProtobufCBinaryData raw;
	const char *type = jpb_get_str(m, "hdr_content_type");

	reply_headers(x, m);
	reply_begin(x);
	if (jpb_get_bytes(m, "raw_body", &raw) && type) {
		x->content_type = type;
		buf_add(&x->w->out, raw.data, raw.len);
	} else if (x->status != 204) {
		jpb_write(&x->w->out, m);
	}
	etag_of_body(x);
}

enum err_code serve_reply(struct exchange *x, struct pg_bytes packed)
{
	ProtobufCMessage *m = unpack_reply(x, packed);

	if (!m)
		return bad_reply(x, "reply does not unpack");
	write_reply(x, m);
	return OK;
}

/* ---- the call ---- */

static struct rpc_client *client_of(struct exchange *x)
{
	const struct route *r = x->match.route->row;
	char name[32];

	if (r->service[0] != '*')
		return gw_client(x->gw, r->service);
	for (size_t i = 0; i < x->match.n_var; i++)
		if (x->match.name_len[i] == 7 && !memcmp(x->match.name[i], "service", 7)) {
			snprintf(name, sizeof name, "%.*s", (int)x->match.var[i].n, x->match.var[i].s);
			return gw_client(x->gw, name);
		}
	return NULL;
}

static enum err_code call_daemon(struct exchange *x, struct pg_bytes in, struct rpc_opts *opts, struct pg_bytes *out_r)
{
	const struct route *r = x->match.route->row;
	struct rpc_client *client = client_of(x);
	struct err *e = &x->call.err;
	enum err_code rc;

	if (!client) {
		if (r->service[0] == '*')
			return err_set(e, E_NOT_FOUND, "common.not_found", "no such service");
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "%s is not configured", r->service);
	}
	if (atomic_fetch_add(&x->gw->inflight, 1) >= x->gw->conf.inflight_max) {
		metric_add(x->gw->shed, 1);
		rc = err_set(e, E_UNAVAILABLE, "common.overloaded", "over %d requests under way",
			     x->gw->conf.inflight_max);
		e->retry_after_ms = 1000;
	} else {
		opts->retry_read = r->flags & ROUTE_READ;
		opts->timeout_ms = r->timeout_ms ? r->timeout_ms : x->gw->conf.rpc_ms;
		x->call.deadline_ms = mono_ms() + opts->timeout_ms;
		*out_r = (struct pg_bytes){ NULL, 0 };
		rc = rpc_call_raw(client, &x->call, x->match.route->method, in, out_r, &x->replayed, opts);
	}
	atomic_fetch_sub(&x->gw->inflight, 1);
	if (rc == E_PENDING && out_r->data) {
		/* Begun, and it says so: 202 with what is known. */
		err_clear(e);
		x->status = 202;
		rc = OK;
	}
	return rc;
}

enum err_code serve_call(struct exchange *x)
{
	struct rpc_opts opts = { 0 };
	struct pg_bytes in, out;
	ProtobufCMessage *m;

	if (gw_fill_target(x, &m) || gw_fill(x, m, &opts) || gw_pack(x, m, &in))
		return x->call.err.code;
	if (call_daemon(x, in, &opts, &out) == E_UNAVAILABLE && (x->match.route->row->flags & ROUTE_EMPTY)) {
		err_clear(&x->call.err);
		out = (struct pg_bytes){ "", 0 };
	}
	return x->call.err.code ? x->call.err.code : serve_reply(x, out);
}

/* ---- cached ---- */

/* The answer's buffer serves as scratch: stacks are small. */
static void local_key(struct exchange *x, uint8_t key[32])
{
	struct buf *b = &x->w->out;
	char lang[16] = "";

	if (x->varies_language)
		best_language(x->req->h[H_ACCEPT_LANGUAGE], lang);
	buf_reset(b);
	buf_str(b, lang);
	buf_char(b, ' ');
	buf_str(b, x->req->path);
	buf_char(b, '?');
	buf_str(b, x->req->query);
	sha256(b->data, b->len, key);
}

/* Equal requests have equal bytes, whatever the order of their parameters. */
static void shared_name(const struct exchange *x, struct pg_bytes in, char out[SHA256_HEX_LEN])
{
	struct sha256_ctx *c = sha256_start();
	const char *path = x->match.route->row->path;
	uint8_t sum[32];

	sha256_add(c, SOUK_VERSION "|", sizeof SOUK_VERSION);
	sha256_add(c, path, strlen(path) + 1);
	sha256_add(c, in.data, in.len);
	sha256_end(c, sum);
	hex_encode(sum, 32, out);
}

/* "product:{product_id} products" with the request's values; a word whose variable is absent is left out. */
static void gens_of(const struct exchange *x, const ProtobufCMessage *m, struct rc_gens *g)
{
	const char *p = x->match.route->row->gens;

	g->n = 0;
	g->redis_known = false;
	while (p && *p && g->n < RC_GENS_MAX) {
		size_t n = strcspn(p, " "), open = strcspn(p, "{ ");
		char *word = g->word[g->n], name[64];
		const char *value = "";

		if (open < n) {
			snprintf(name, sizeof name, "%.*s", (int)(strcspn(p, "} ") - open - 1), p + open + 1);
			value = jpb_get_str(m, name);
		}
		snprintf(word, sizeof g->word[0], "%.*s%s", (int)open, p, value ? value : "");
		g->n += value != NULL;
		p += n;
		p += strspn(p, " ");
	}
}

static void from_entry(struct exchange *x, const struct rc_entry *en)
{
	x->status = en->status;
	snprintf(x->etag, sizeof x->etag, "%s", en->etag);
	reply_begin(x);
	buf_add(&x->w->out, en->body, en->len);
}

/* A refusal shared with those who waited: its code is the negative status, its slug stands in the tag. */
static struct rc_entry *refusal_entry(struct exchange *x, const uint8_t key[32], const struct rc_gens *g)
{
	return respcache_entry(x->gw->respcache, key, g, -(int)x->call.err.code, x->call.err.slug, "", 0, 0);
}

static enum err_code from_other(struct exchange *x, struct rc_entry *en)
{
	x->note = NOTE_JOINED;
	if (en->status < 0)
		err_set(&x->call.err, err_code_from_wire(-en->status), en->etag, "as for the request that was joined");
	else
		from_entry(x, en);
	respcache_release(x->gw->respcache, en);
	return x->call.err.code;
}

static int64_t life_of(const struct exchange *x, const ProtobufCMessage *m)
{
	int64_t life = x->match.route->row->cache == CACHE_LISTING ? LISTING_MS : DETAIL_MS, v;

	if (jpb_get_int(m, "hdr_max_age", &v) && v * 1000 < life)
		life = v > 0 ? v * 1000 : 0;
	return life;
}

/* The public representation: whoever asks, the daemon sees an anonymous caller. */
static struct rc_entry *load(struct exchange *x, const uint8_t key[32], const struct rc_gens *g, struct pg_bytes in)
{
	struct principal who = x->call.who;
	struct rpc_opts opts = { 0 };
	struct pg_bytes out;
	ProtobufCMessage *m;
	enum err_code rc;

	x->call.who = (struct principal){ .kind = WHO_ANONYMOUS, .user_id = "", .session_id = "", .audience = "",
					  .vendor_id = "", .service = "" };
	rc = call_daemon(x, in, &opts, &out);
	x->call.who = who;
	if (rc)
		return refusal_entry(x, key, g);
	m = unpack_reply(x, out);
	if (!m) {
		bad_reply(x, "reply does not unpack");
		return refusal_entry(x, key, g);
	}
	write_reply(x, m);
	if (buf_over(&x->w->out))
		return NULL;
	return respcache_entry(x->gw->respcache, key, g, x->status, x->etag, x->w->out.data + GW_HEAD_ROOM,
			       x->w->out.len - GW_HEAD_ROOM, life_of(x, m));
}

static enum err_code lead(struct exchange *x, struct rc_flight *f, const uint8_t key[32], const ProtobufCMessage *m,
			  struct pg_bytes in)
{
	struct respcache *rc = x->gw->respcache;
	char name[SHA256_HEX_LEN];
	struct rc_gens gens;
	struct rc_entry *en;

	gens_of(x, m, &gens);
	respcache_gens(rc, &gens);
	shared_name(x, in, name);
	en = respcache_fetch(rc, x->call.arena, key, name, &gens);
	if (en) {
		x->note = NOTE_SHARED;
		from_entry(x, en);
	} else {
		x->note = NOTE_MISS;
		en = load(x, key, &gens, in);
	}
	respcache_land(rc, f, en, en && en->status == 200);
	if (en && en->status == 200 && x->note == NOTE_MISS)
		respcache_store(rc, name, en);
	respcache_release(rc, en);
	return x->call.err.code;
}

static enum err_code miss(struct exchange *x, const uint8_t key[32])
{
	struct rc_flight *f;
	struct rc_entry *en = NULL;
	ProtobufCMessage *m;
	struct pg_bytes in;

	if (gw_fill_target(x, &m) || jpb_required(m, x->match.route->row->required, &x->call.err))
		return x->call.err.code;
	gw_fill_headers(x, m, true);
	if (gw_pack(x, m, &in))
		return x->call.err.code;
	switch (respcache_join(x->gw->respcache, key, mono_ms() + x->gw->conf.rpc_ms, &f, &en)) {
	case RC_GOT:
		return from_other(x, en);
	case RC_LATE:
		return err_set(&x->call.err, E_UNAVAILABLE, "common.deadline", "waited for the same answer");
	default:
		return lead(x, f, key, m, in);
	}
}

enum err_code serve_cached(struct exchange *x)
{
	const struct route *r = x->match.route->row;
	struct rc_entry *en;
	uint8_t key[32];

	x->varies_language = protobuf_c_message_descriptor_get_field_by_name(r->in, "hdr_accept_language") != NULL;
	if (!x->token)
		x->cache_control = "public, max-age=5, s-maxage=5";
	local_key(x, key);
	en = respcache_get(x->gw->respcache, key);
	if (!en)
		return miss(x, key);
	x->note = NOTE_LOCAL;
	from_entry(x, en);
	respcache_release(x->gw->respcache, en);
	return OK;
}
