#include "common/rpc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/idem.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/pb_guard.h"
#include "common/rpc_codec.h"
#include "common/timeutil.h"
#include "common/trace.h"
#include "common/trace_export.h"

struct slot {
	char name[128]; /* as on the wire: "cart.v1.Cart/AddItem" */
	char label[96];	/* for metrics: method="Cart/AddItem" */
	const ProtobufCMethodDescriptor *desc;
	const struct rpc_method *method;
	bool node;
	struct metric *seconds;
	_Atomic(struct metric *) codes[E_CODE_MAX_];
};

struct rpc_bound {
	size_t n;
	struct slot *slots; /* sorted by name */
};

/* ---- binding ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct slot *)a)->name, ((const struct slot *)b)->name);
}

static struct slot *find_slot(const struct rpc_bound *b, const char *name)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int cmp = strcmp(name, b->slots[mid].name);

		if (!cmp)
			return &b->slots[mid];
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static enum err_code check_method(const char *service, const struct rpc_method *m, struct err *e)
{
	const unsigned kind = m->flags & (RPC_READ | RPC_WRITE);

	if (!m->fn)
		return err_set(e, E_INTERNAL, "common.internal", "%s/%s has no function", service, m->name);
	if (kind != RPC_READ && kind != RPC_WRITE)
		return err_set(e, E_INTERNAL, "common.internal", "%s/%s must be RPC_READ or RPC_WRITE", service, m->name);
	if ((m->flags & RPC_KEY_NEEDED) && !(m->flags & RPC_KEYED))
		return err_set(e, E_INTERNAL, "common.internal", "%s/%s needs a key but is not RPC_KEYED", service, m->name);
	if (m->max_request > RPC_PAYLOAD_MAX)
		return err_set(e, E_INTERNAL, "common.internal", "%s/%s: max_request %zu", service, m->name,
			       m->max_request);
	return OK;
}

static enum err_code bind_method(const ProtobufCServiceDescriptor *desc, struct slot *slots, const struct rpc_method *m,
				 struct err *e)
{
	unsigned i;

	if (check_method(desc->name, m, e))
		return e->code;
	for (i = 0; i < desc->n_methods; i++) {
		if (strcmp(desc->methods[i].name, m->name) != 0)
			continue;
		if (slots[i].method)
			return err_set(e, E_INTERNAL, "common.internal", "%s/%s is served twice", desc->name, m->name);
		slots[i].method = m;
		return OK;
	}
	return err_set(e, E_INTERNAL, "common.internal", "%s has no rpc %s", desc->name, m->name);
}

static void slot_init(struct slot *s, const ProtobufCServiceDescriptor *desc, unsigned i)
{
	char method[80];

	snprintf(s->name, sizeof(s->name), "%s/%s", desc->name, desc->methods[i].name);
	snprintf(method, sizeof(method), "%s/%s", desc->short_name, desc->methods[i].name);
	metric_labels(s->label, sizeof(s->label), "method", method, NULL);
	s->desc = &desc->methods[i];
	s->node = desc == &common__v1__node__descriptor;
	s->seconds = metric_histogram("souk_rpc_server_seconds", "Time from request to reply in this process", s->label);
}

static enum err_code bind_service(const struct rpc_service *svc, struct slot *slots, struct err *e)
{
	const struct rpc_method *const *table;
	const struct rpc_method *m;
	unsigned i;

	for (i = 0; i < svc->desc->n_methods; i++)
		slot_init(&slots[i], svc->desc, i);
	for (table = svc->tables; *table; table++)
		for (m = *table; m->name; m++)
			if (bind_method(svc->desc, slots, m, e))
				return e->code;
	for (i = 0; i < svc->desc->n_methods; i++)
		if (!slots[i].method)
			return err_set(e, E_INTERNAL, "common.internal", "%s is not served", slots[i].name);
	return OK;
}

enum err_code rpc_bind(const struct rpc_service *services, struct rpc_bound **b_r, struct err *e)
{
	const struct rpc_service *s;
	struct rpc_bound *b = calloc(1, sizeof(*b));
	size_t n = 0;

	if (!b)
		abort();
	for (s = services; s->desc; s++)
		n += s->desc->n_methods;
	b->slots = calloc(n ? n : 1, sizeof(*b->slots));
	if (!b->slots)
		abort();
	for (s = services; s->desc; s++) {
		if (bind_service(s, b->slots + b->n, e)) {
			rpc_bound_free(b);
			return e->code;
		}
		b->n += s->desc->n_methods;
	}
	qsort(b->slots, b->n, sizeof(*b->slots), by_name);
	for (n = 1; n < b->n; n++)
		if (!strcmp(b->slots[n - 1].name, b->slots[n].name)) {
			err_set(e, E_INTERNAL, "common.internal", "service of %s is listed twice", b->slots[n].name);
			rpc_bound_free(b);
			return e->code;
		}
	*b_r = b;
	return OK;
}

void rpc_bound_free(struct rpc_bound *b)
{
	if (!b)
		return;
	free(b->slots);
	free(b);
}

/* ---- one request ---- */

struct request {
	const struct rpc_env *env;
	struct arena *arena;
	struct slot *slot; /* NULL until known */
	struct call call;
	const ProtobufCMessage *in;
	struct pg_bytes replay; /* the stored reply, when call.replayed */
	char request_id[ID_LEN];
	char traceparent[TRACE_LEN];
	const char *parent; /* the traceparent that came; NULL when none did */
};

static const char *text_or_empty(const char *s)
{
	return s ? s : "";
}

static enum err_code fill_principal(struct call *c, const Common__V1__Principal *p)
{
	struct principal *who = &c->who;

	who->user_id = who->session_id = who->audience = who->vendor_id = who->service = "";
	if (!p)
		return OK;
	switch (p->has_kind ? p->kind : COMMON__V1__PRINCIPAL__KIND__KIND_UNSPECIFIED) {
	case COMMON__V1__PRINCIPAL__KIND__KIND_UNSPECIFIED:
		return OK;
	case COMMON__V1__PRINCIPAL__KIND__KIND_SERVICE:
		/* A process speaks for itself only. */
		if (!p->service || strcmp(p->service, c->caller) != 0)
			return err_set(&c->err, E_DENIED, "rpc.untrusted", "%s claims to be service %.32s", c->caller,
				       text_or_empty(p->service));
		who->kind = WHO_SERVICE;
		who->service = p->service;
		break;
	case COMMON__V1__PRINCIPAL__KIND__KIND_USER:
		if (!p->user_id || !*p->user_id)
			return err_set(&c->err, E_INVALID, "rpc.bad_request", "user principal without a user id");
		who->kind = WHO_USER;
		who->user_id = p->user_id;
		who->session_id = text_or_empty(p->session_id);
		who->audience = text_or_empty(p->audience);
		who->vendor_id = text_or_empty(p->vendor_id);
		break;
	default:
		return err_set(&c->err, E_INVALID, "rpc.bad_request", "principal of kind %d", (int)p->kind);
	}
	who->roles = (const char *const *)p->roles;
	who->n_roles = p->n_roles;
	who->perms = (const char *const *)p->perms;
	who->n_perms = p->n_perms;
	return OK;
}

/* Request id, trace and deadline: known before anything can fail, so that the log line has them. */
static void fill_call(struct request *r, const Common__V1__Request *env, int64_t now)
{
	struct call *c = &r->call;

	c->caller = env->caller;
	if (id_request_ok(env->request_id)) {
		c->request_id = env->request_id;
	} else {
		id_new("req", r->request_id);
		c->request_id = r->request_id;
	}
	r->parent = env->traceparent;
	trace_child(env->traceparent, r->traceparent);
	c->traceparent = r->traceparent;
	c->deadline_ms = now + (env->has_deadline_ms ? env->deadline_ms : 0);
	c->pool = r->env->pool;
	c->svc = r->env->svc;
}

static enum err_code check_key(struct request *r, const Common__V1__Request *env)
{
	struct call *c = &r->call;
	const unsigned flags = r->slot->method->flags;
	const char *key = text_or_empty(env->idempotency_key);

	if (!(flags & RPC_KEYED) || !*key) {
		if (flags & RPC_KEY_NEEDED)
			return err_set(&c->err, E_INVALID, "idem.key_required", "%s without a key", r->slot->name);
		return OK;
	}
	if (strlen(key) > 255 || !env->has_fingerprint || env->fingerprint.len != SHA256_LEN)
		return err_set(&c->err, E_INVALID, "idem.key_invalid", "key of %zu characters, fingerprint of %zu",
			       strlen(key), env->has_fingerprint ? env->fingerprint.len : 0);
	c->idem_key = key;
	c->fingerprint = env->fingerprint.data;
	return OK;
}

static enum err_code decode(struct request *r, const void *bytes, size_t len, int64_t now)
{
	struct call *c = &r->call;
	Common__V1__Request *env;
	ProtobufCMessage *in;
	size_t max, payload;

	if (rpc_request_unpack(r->arena, r->env->keys, r->env->self, bytes, len, &env, &c->err))
		return c->err.code;
	fill_call(r, env, now);
	if (fill_principal(c, env->principal))
		return c->err.code;
	log_ctx_set(c->request_id, c->who.user_id, c->traceparent);
	r->slot = find_slot(r->env->bound, env->method);
	if (!r->slot)
		return err_set(&c->err, E_NOT_FOUND, "rpc.method_unknown", "no method %.80s", env->method);
	c->method = r->slot->desc->name;
	if (r->slot->node)
		c->svc = (void *)(uintptr_t)r->env;
	if (c->deadline_ms <= now)
		return err_set(&c->err, E_UNAVAILABLE, "common.deadline", "arrived without time left");
	max = r->slot->method->max_request ? r->slot->method->max_request : RPC_REQUEST_DEFAULT;
	payload = env->has_payload ? env->payload.len : 0;
	if (payload > max)
		return err_set(&c->err, E_TOO_LARGE, "common.too_large", "request of %zu bytes, at most %zu", payload,
			       max);
	if (check_key(r, env) ||
	    pb_unpack(r->slot->desc->input, env->payload.data, payload, r->arena, &in, &c->err))
		return c->err.code;
	r->in = in;
	return OK;
}

/* Whose key it is: the same key of two users is two keys. NULL when there is nobody to tie it to. */
static const char *key_scope(struct request *r)
{
	const struct call *c = &r->call;
	const ProtobufCFieldDescriptor *f;
	char hex[SHA256_HEX_LEN];
	const char *token;

	if (c->who.kind == WHO_USER)
		return arena_printf(r->arena, "user:%s", c->who.user_id);
	if (c->who.kind == WHO_SERVICE)
		return arena_printf(r->arena, "service:%s", c->who.service);
	f = protobuf_c_message_descriptor_get_field_by_name(r->slot->desc->input, "hdr_cart_token");
	if (!f || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
		return NULL;
	token = *(const char *const *)((const char *)r->in + f->offset);
	if (!token || !*token)
		return NULL;
	sha256_hex(token, strlen(token), hex);
	return arena_printf(r->arena, "cart:%s", hex);
}

static enum err_code look_up_key(struct request *r)
{
	struct call *c = &r->call;
	const char *scope = key_scope(r);
	enum idem_found found = IDEM_NEW;

	if (!scope)
		return err_set(&c->err, E_INVALID, "idem.key_needs_scope", "anonymous call with a key");
	if (idem_lookup(c, scope, &found, &r->replay))
		return c->err.code;
	c->replayed = found == IDEM_REPLAY;
	return c->err.code;
}

/* A definite answer about the state of things is the answer of this key for good; a passing trouble is not. */
static bool is_refusal(enum err_code code)
{
	return code == E_NOT_FOUND || code == E_CONFLICT || code == E_GONE || code == E_PRECOND || code == E_RULE;
}

/* A request with the same key finished while this one ran, and undid it: its answer is the answer. */
static enum err_code after_race(struct request *r)
{
	struct call *c = &r->call;
	struct err undone = { 0 };

	err_copy(&undone, &c->err);
	err_clear(&c->err);
	if (look_up_key(r) == OK && !c->replayed)
		err_copy(&c->err, &undone); /* it failed after all; the client tries again */
	return c->err.code;
}

static enum err_code run(struct request *r, ProtobufCMessage **out_r)
{
	struct call *c = &r->call;
	const ProtobufCMessageDescriptor *desc = r->slot->desc->output;
	ProtobufCMessage *out;
	enum err_code rc;

	if (c->idem_key && (look_up_key(r) || c->replayed))
		return c->err.code;
	out = arena_alloc(r->arena, desc->sizeof_message);
	protobuf_c_message_init(desc, out);
	c->out = out;
	*out_r = out;
	rc = r->slot->method->fn(c, r->in, out);
	if (rc && idem_raced(c))
		return after_race(r);
	if (rc && rc != c->err.code)
		err_set(&c->err, rc, "common.internal", "%s returned %s without setting its error", r->slot->name,
			err_code_name(rc));
	if (rc && c->idem_key && is_refusal(rc))
		idem_store_refusal(c);
	return rc;
}

/* OK, or E_PENDING with the reply as far as it is known. */
static struct pg_bytes answer(struct request *r, enum err_code code, const ProtobufCMessage *out)
{
	Common__V1__Reply env = COMMON__V1__REPLY__INIT;
	struct call *c = &r->call;
	struct pg_bytes bytes;
	struct rpc_body body = { .msg = out };

	if (c->replayed)
		body = (struct rpc_body){ .raw = r->replay };
	env.has_code = env.has_draining = 1;
	env.code = code;
	env.slug = code && *c->err.slug ? c->err.slug : NULL;
	env.draining = r->env->draining;
	env.has_replayed = env.replayed = c->replayed;
	if (c->err.retry_after_ms > 0) {
		env.has_retry_after_ms = 1;
		env.retry_after_ms = (uint32_t)c->err.retry_after_ms;
	}
	if (!rpc_reply_pack(r->arena, &env, body, &bytes, &c->err))
		return bytes;
	return rpc_reply_error(r->arena, &c->err, r->env->draining, false);
}

static void measure(struct request *r, enum err_code code, int64_t us)
{
	struct metric *m;
	char labels[128];

	if (!r->slot)
		return;
	metric_observe(r->slot->seconds, (double)us / 1e6);
	m = atomic_load_explicit(&r->slot->codes[code], memory_order_acquire);
	if (!m) {
		snprintf(labels, sizeof(labels), "%s,code=\"%s\"", r->slot->label, err_code_name(code));
		m = metric_counter("souk_rpc_server_requests_total", "Requests answered, by outcome", labels);
		atomic_store_explicit(&r->slot->codes[code], m, memory_order_release);
	}
	metric_add(m, 1);
}

static enum log_level level_of(const struct request *r, enum err_code code)
{
	/* Probes and pulls come every second from everyone. */
	if (code == OK && r->slot && r->slot->node)
		return LVL_DEBUG;
	if (code == E_INTERNAL)
		return LVL_ERROR;
	if (code == E_UNAVAILABLE || code == E_RETRY || !r->slot)
		return LVL_WARNING;
	return LVL_INFO;
}

static void log_line(const struct request *r, enum err_code code, int64_t us, size_t in, size_t out)
{
	const struct call *c = &r->call;

	if (code)
		log_msg(level_of(r, code), "rpc", LF_S("method", r->slot ? r->slot->name : "?"),
			LF_S("caller", c->caller), LF_S("code", err_code_name(code)), LF_S("slug", c->err.slug),
			LF_S("error", c->err.msg), LF_I("us", us), LF_I("bytes_in", in), LF_I("bytes_out", out));
	else
		log_msg(level_of(r, code), "rpc", LF_S("method", r->slot->name), LF_S("caller", c->caller),
			LF_S("code", "OK"), LF_B("replayed", c->replayed), LF_I("us", us), LF_I("bytes_in", in),
			LF_I("bytes_out", out));
}

struct pg_bytes rpc_dispatch(const struct rpc_env *env, struct arena *a, const void *bytes, size_t len)
{
	struct request r = { .env = env, .arena = a, .call.arena = a };
	int64_t start = mono_us(), us;
	ProtobufCMessage *out = NULL;
	struct pg_bytes reply;
	enum err_code rc;

	rc = decode(&r, bytes, len, start / 1000);
	if (!rc)
		rc = run(&r, &out);
	if (!rc && arena_over(a))
		rc = err_set(&r.call.err, E_TOO_LARGE, "common.too_large", "the reply outgrew the arena");
	if (!rc)
		r.call.err.code = r.call.err.pending ? E_PENDING : OK;
	if (!rc || (rc == E_PENDING && out)) {
		reply = answer(&r, r.call.err.code, out);
		rc = r.call.err.code;
	} else {
		reply = rpc_reply_error(a, &r.call.err, env->draining, r.call.replayed);
	}
	us = mono_us() - start;
	measure(&r, rc, us);
	log_line(&r, rc, us, len, reply.len);
	if (r.slot && !r.slot->node) /* pulls and probes are nobody's request */
		trace_span(r.traceparent, r.parent, TRACE_SERVER, r.slot->name, err_code_name(rc), start);
	log_ctx_clear();
	return reply;
}

struct pg_bytes rpc_refuse(struct arena *a, bool draining, const char *slug, int retry_after_ms)
{
	struct err e = { 0 };

	err_set(&e, E_UNAVAILABLE, slug, "refused before it was looked at");
	e.retry_after_ms = retry_after_ms;
	return rpc_reply_error(a, &e, draining, false);
}
