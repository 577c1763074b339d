/*
 * Bulk import: the body goes to the daemon piece by piece, never as a whole into memory. Pieces have a fixed size, so a
 * repeated upload (same Idempotency-Key) sends the same pieces under the same numbers, which the daemon ignores; by the
 * digest of the whole it tells another file from the same one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crypto.h"
#include "common/pb_guard.h"
#include "common/timeutil.h"
#include "gateway/gateway.h"
#include "gateway/json_pb.h"

enum { CHUNK = 256 * 1024 };

struct import {
	struct exchange *x;
	struct rpc_client *client;
	const ProtobufCServiceDescriptor *svc;
	const char *id;
	char *buf; /* CHUNK bytes */
	struct sha256_ctx *sum; /* of the whole body */
	int64_t seq, sent, end_ms;
};

static const ProtobufCMethodDescriptor *method(const struct import *im, const char *name)
{
	return protobuf_c_service_descriptor_get_method_by_name(im->svc, name);
}

/* The format by Content-Type, where the query does not say it. */
static void guess_format(struct exchange *x, ProtobufCMessage *m)
{
	const char *type = x->req->h[H_CONTENT_TYPE];

	if (!type || jpb_has(m, "format"))
		return;
	if (!strncasecmp(type, "text/csv", 8))
		jpb_put_str(m, "format", "csv");
	else if (strcasestr(type, "json"))
		jpb_put_str(m, "format", "jsonl");
}

static enum err_code call(struct import *im, const char *name, const ProtobufCMessage *m, const struct rpc_opts *key,
			  struct pg_bytes *out_r)
{
	struct exchange *x = im->x;
	const ProtobufCMethodDescriptor *d = method(im, name);
	struct rpc_opts opts = *key;
	struct pg_bytes in;
	char full[96];

	if (!d || d->input != m->descriptor)
		return err_set(&x->call.err, E_INTERNAL, "common.internal", "no method %s", name);
	if (gw_pack(x, m, &in))
		return x->call.err.code;
	snprintf(full, sizeof full, "%s/%s", im->svc->name, name);
	opts.timeout_ms = 30000;
	x->call.deadline_ms = mono_ms() + opts.timeout_ms;
	return rpc_call_raw(im->client, &x->call, full, in, out_r, &x->replayed, &opts);
}

static enum err_code begin(struct import *im)
{
	struct exchange *x = im->x;
	const struct route *r = x->match.route->row;
	struct rpc_opts opts = { 0 };
	struct pg_bytes packed = { NULL, 0 }, out;
	ProtobufCMessage *m, *reply;

	if (gw_fill_target(x, &m))
		return x->call.err.code;
	guess_format(x, m);
	if (jpb_required(m, r->required, &x->call.err) || gw_pack(x, m, &packed))
		return x->call.err.code;
	if (x->req->h[H_IDEMPOTENCY_KEY]) {
		char *key = arena_alloc(x->call.arena, IDEM_KEY_MAX + 1);
		uint8_t *print = arena_alloc(x->call.arena, 32);

		if (idem_key_parse(x->req->h[H_IDEMPOTENCY_KEY], key, &x->call.err))
			return x->call.err.code;
		idem_fingerprint(r->method, x->req->path, packed.data, packed.len, print);
		opts.idem_key = key;
		opts.fingerprint = print;
	} else if (r->flags & ROUTE_IDEM_REQUIRED) {
		err_detail(&x->call.err, "Idempotency-Key", NULL, "is required: any new random text, the same on a retry");
		return err_set(&x->call.err, E_INVALID, "idem.key_required", "no Idempotency-Key");
	}
	gw_fill_headers(x, m, false);
	if (call(im, r->rpc, m, &opts, &out))
		return x->call.err.code;
	if (pb_unpack(method(im, r->rpc)->output, out.data ? out.data : "", out.len, x->call.arena, &reply,
		      &x->call.err))
		return x->call.err.code;
	im->id = jpb_get_str(reply, "import_id") ? jpb_get_str(reply, "import_id") : jpb_get_str(reply, "id");
	if (!im->id)
		return err_set(&x->call.err, E_INTERNAL, "common.internal", "import without an id");
	/* The arena is emptied between the pieces. */
	im->id = strdup(im->id);
	return im->id ? OK : err_set(&x->call.err, E_INTERNAL, "common.internal", "out of memory");
}

static enum err_code send_piece(struct import *im, size_t n)
{
	struct exchange *x = im->x;
	const struct rpc_opts none = { 0 };
	struct pg_bytes out;
	ProtobufCMessage *m;

	if (!method(im, "ImportChunk"))
		return err_set(&x->call.err, E_INTERNAL, "common.internal", "no method ImportChunk");
	m = jpb_new(x->call.arena, method(im, "ImportChunk")->input);
	jpb_put_str(m, "import_id", im->id);
	jpb_put_int(m, "seq", im->seq++);
	jpb_put_bytes(m, "data", im->buf, n);
	return call(im, "ImportChunk", m, &none, &out);
}

static enum err_code broke_off(struct import *im, const char *slug, const char *why)
{
	im->x->close = true;
	return err_set(&im->x->call.err, E_INVALID, slug, "import %s after %lld bytes: %s", im->id,
		       (long long)im->sent, why);
}

/* Both a peer that falls silent and one that drips are cut. */
static int64_t next_deadline(const struct import *im)
{
	int64_t idle = mono_ms() + im->x->gw->conf.import_idle_ms;

	return idle < im->end_ms ? idle : im->end_ms;
}

static enum err_code send_body(struct import *im)
{
	struct exchange *x = im->x;
	int64_t max = (int64_t)x->gw->conf.import_max_mib << 20;
	int n = CHUNK;

	if (x->match.route->row->max_body)
		max = (int64_t)x->match.route->row->max_body;
	if (x->req->has_length && x->req->length > max)
		goto too_large;
	if (x->req->h[H_EXPECT])
		http_send(x->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	while (n == CHUNK) {
		http_deadline(x->conn, next_deadline(im));
		n = http_body(x->conn, im->buf, CHUNK);
		http_deadline(x->conn, 0);
		if (n < 0)
			return broke_off(im, "http.bad_request", "malformed or too slow");
		im->sent += n;
		if (im->sent > max)
			goto too_large;
		if (n && send_piece(im, (size_t)n))
			return x->call.err.code;
		sha256_add(im->sum, im->buf, (size_t)n);
		arena_reset(x->call.arena);
	}
	if (x->req->has_length && im->sent != x->req->length)
		return broke_off(im, "http.timeout", "incomplete");
	x->body_read = true;
	return OK;
too_large:
	x->close = true;
	err_detail(&x->call.err, "body", NULL, "must not be longer than %lld bytes", (long long)max);
	return err_set(&x->call.err, E_TOO_LARGE, "http.body_too_large", "import over %lld bytes", (long long)max);
}

static enum err_code finish(struct import *im, struct pg_bytes *out_r)
{
	const ProtobufCMethodDescriptor *d = method(im, "ImportClose");
	const struct rpc_opts none = { 0 };
	uint8_t digest[SHA256_LEN];
	ProtobufCMessage *m;

	sha256_end(im->sum, digest);
	im->sum = NULL;
	if (!d)
		return err_set(&im->x->call.err, E_INTERNAL, "common.internal", "no method ImportClose");
	m = jpb_new(im->x->call.arena, d->input);
	jpb_put_str(m, "import_id", im->id);
	jpb_put_bytes(m, "digest", digest, sizeof digest);
	return call(im, "ImportClose", m, &none, out_r);
}

enum err_code serve_import(struct exchange *x)
{
	const struct route *r = x->match.route->row;
	struct import im = { .x = x, .client = gw_client(x->gw, r->service), .svc = x->match.route->svc->desc };
	struct pg_bytes out = { NULL, 0 };
	enum err_code rc;

	if (!im.client)
		return err_set(&x->call.err, E_UNAVAILABLE, "common.unavailable", "%s is not configured", r->service);
	if (!x->req->chunked && !x->req->length) {
		err_detail(&x->call.err, "body", NULL, "must hold the rows to import");
		return err_set(&x->call.err, E_INVALID, "common.invalid_input", "empty import");
	}
	if (x->req->h[H_CONTENT_ENCODING])
		return err_set(&x->call.err, E_INVALID, "http.media_type", "compressed import");
	im.end_ms = mono_ms() + (int64_t)x->gw->conf.import_total_s * 1000;
	im.buf = malloc(CHUNK);
	im.sum = sha256_start();
	rc = im.buf ? begin(&im) : err_set(&x->call.err, E_INTERNAL, "common.internal", "out of memory");
	if (!rc)
		rc = send_body(&im);
	if (!rc)
		rc = finish(&im, &out);
	if (!rc)
		rc = serve_reply(x, out);
	if (im.sum)
		sha256_end(im.sum, (uint8_t[SHA256_LEN]){ 0 });
	free(im.buf);
	free((char *)(uintptr_t)im.id);
	return rc;
}
