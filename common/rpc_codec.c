#include "common/rpc_codec.h"

#include <string.h>

#include "common/crypto.h"
#include "common/pb_guard.h"
#include "common/timeutil.h"

/* ---- the input of the MAC: every field with its length, so that no two requests give the same bytes ---- */

struct mac_buf {
	uint8_t *p; /* NULL while only counting */
	size_t len;
};

static void mac_bytes(struct mac_buf *b, const void *data, size_t len)
{
	uint32_t n = (uint32_t)len;
	uint8_t le[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) };

	if (b->p) {
		memcpy(b->p + b->len, le, sizeof(le));
		if (len)
			memcpy(b->p + b->len + sizeof(le), data, len);
	}
	b->len += sizeof(le) + len;
}

static void mac_text(struct mac_buf *b, const char *s)
{
	mac_bytes(b, s, s ? strlen(s) : 0);
}

static void mac_num(struct mac_buf *b, int64_t v)
{
	uint8_t le[8];
	unsigned i;

	for (i = 0; i < 8; i++)
		le[i] = (uint8_t)((uint64_t)v >> (8 * i));
	mac_bytes(b, le, sizeof(le));
}

static void mac_list(struct mac_buf *b, char *const *v, size_t n)
{
	size_t i;

	mac_num(b, (int64_t)n);
	for (i = 0; i < n; i++)
		mac_text(b, v[i]);
}

static void mac_principal(struct mac_buf *b, const Common__V1__Principal *p)
{
	mac_num(b, p->has_kind ? (int64_t)p->kind : 0);
	mac_text(b, p->user_id);
	mac_text(b, p->session_id);
	mac_text(b, p->audience);
	mac_text(b, p->vendor_id);
	mac_text(b, p->service);
	mac_list(b, p->roles, p->n_roles);
	mac_list(b, p->perms, p->n_perms);
}

static void mac_fields(struct mac_buf *b, const Common__V1__Request *r, const uint8_t payload_sha[32])
{
	mac_text(b, "souk-rpc-1");
	mac_num(b, r->has_version ? r->version : 0);
	mac_text(b, r->method);
	mac_text(b, r->request_id);
	mac_text(b, r->traceparent);
	mac_num(b, r->has_deadline_ms ? r->deadline_ms : 0);
	mac_text(b, r->idempotency_key);
	mac_bytes(b, r->fingerprint.data, r->has_fingerprint ? r->fingerprint.len : 0);
	mac_num(b, r->principal != NULL);
	if (r->principal)
		mac_principal(b, r->principal);
	mac_text(b, r->caller);
	mac_text(b, r->callee);
	mac_num(b, r->has_issued_at ? r->issued_at : 0);
	mac_bytes(b, payload_sha, 32);
}

struct pg_bytes rpc_mac_input(struct arena *a, const Common__V1__Request *r, const uint8_t payload_sha[32])
{
	struct mac_buf b = { NULL, 0 };

	mac_fields(&b, r, payload_sha);
	b.p = arena_alloc(a, b.len);
	b.len = 0;
	mac_fields(&b, r, payload_sha);
	return (struct pg_bytes){ b.p, b.len };
}

static void mac_of(struct arena *a, const uint8_t key[32], const Common__V1__Request *r, const void *payload,
		   size_t len, uint8_t mac[RPC_MAC_LEN])
{
	uint8_t sha[32];
	struct pg_bytes in;

	sha256(payload, len, sha);
	in = rpc_mac_input(a, r, sha);
	hmac_sha256(key, 32, in.data, in.len, mac);
}

/* ---- packing: the payload is the last field of both envelopes, so it is packed in place behind the others ---- */

static size_t varint_len(size_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static size_t put_varint(uint8_t *p, size_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

static size_t body_len(struct rpc_body body)
{
	return body.msg ? protobuf_c_message_get_packed_size(body.msg) : body.raw.len;
}

static void body_put(struct rpc_body body, uint8_t *p)
{
	if (body.msg)
		protobuf_c_message_pack(body.msg, p);
	else if (body.raw.len)
		memcpy(p, body.raw.data, body.raw.len);
}

static enum err_code check_len(size_t head, size_t payload, struct err *e)
{
	if (payload > RPC_PAYLOAD_MAX || head + payload + 16 > RPC_MESSAGE_MAX)
		return err_set(e, E_TOO_LARGE, "common.too_large", "payload of %zu bytes, envelope of %zu", payload,
			       head);
	return OK;
}

enum { TAG_REQUEST_PAYLOAD = 13 << 3 | 2, TAG_REPLY_PAYLOAD = 9 << 3 | 2 };

enum err_code rpc_request_pack(struct arena *a, const struct rpc_keys *keys, Common__V1__Request *env,
			       struct rpc_body body, struct pg_bytes *bytes_r, struct err *e)
{
	const uint8_t *key = rpc_keys_find(keys, env->caller, env->callee);
	uint8_t mac[RPC_MAC_LEN] = { 0 }, *buf, *payload;
	size_t head, len = body_len(body);

	if (!key)
		return err_set(e, E_INTERNAL, "keys.missing", "no key pair-%s-%s", env->caller, env->callee);
	env->has_version = env->has_issued_at = env->has_mac = 1;
	env->version = RPC_ENVELOPE_VERSION;
	env->issued_at = wall_ms();
	env->mac = (ProtobufCBinaryData){ sizeof(mac), mac };
	env->has_payload = 0;
	head = protobuf_c_message_get_packed_size(&env->base);
	if (check_len(head, len, e))
		return e->code;
	buf = arena_alloc(a, head + 1 + varint_len(len) + len);
	payload = buf + head + 1 + varint_len(len);
	body_put(body, payload);
	mac_of(a, key, env, payload, len, mac);
	protobuf_c_message_pack(&env->base, buf);
	buf[head] = TAG_REQUEST_PAYLOAD;
	put_varint(buf + head + 1, len);
	*bytes_r = (struct pg_bytes){ buf, (size_t)(payload - buf) + len };
	env->has_mac = 0;
	return OK;
}

enum err_code rpc_reply_pack(struct arena *a, Common__V1__Reply *env, struct rpc_body body, struct pg_bytes *bytes_r,
			     struct err *e)
{
	size_t head, len = body_len(body);
	uint8_t *buf, *payload;

	env->has_version = 1;
	env->version = RPC_ENVELOPE_VERSION;
	env->has_payload = 0;
	head = protobuf_c_message_get_packed_size(&env->base);
	if (check_len(head, len, e))
		return e->code;
	buf = arena_alloc(a, head + 1 + varint_len(len) + len);
	payload = buf + head + 1 + varint_len(len);
	body_put(body, payload);
	protobuf_c_message_pack(&env->base, buf);
	buf[head] = TAG_REPLY_PAYLOAD;
	put_varint(buf + head + 1, len);
	*bytes_r = (struct pg_bytes){ buf, (size_t)(payload - buf) + len };
	return OK;
}

/* ---- errors across the wire ---- */

struct pg_bytes rpc_reply_error(struct arena *a, const struct err *e, bool draining, bool replayed)
{
	Common__V1__Reply env = COMMON__V1__REPLY__INIT;
	Common__V1__Detail details[ERR_DETAILS_MAX], *list[ERR_DETAILS_MAX];
	struct err ignored = { 0 };
	struct pg_bytes out = { NULL, 0 };
	size_t i;

	for (i = 0; i < e->n_details; i++) {
		common__v1__detail__init(&details[i]);
		details[i].field = (char *)e->details[i].field;
		details[i].message = (char *)e->details[i].message;
		if (*e->details[i].value)
			details[i].value = (char *)e->details[i].value;
		list[i] = &details[i];
	}
	env.has_code = 1;
	env.code = e->code ? e->code : E_INTERNAL;
	env.slug = (char *)(*e->slug ? e->slug : "common.internal");
	env.message = (char *)e->msg;
	env.n_details = e->n_details;
	env.details = list;
	env.has_draining = env.draining = draining;
	env.has_replayed = env.replayed = replayed;
	env.has_retry_after_ms = e->retry_after_ms > 0;
	env.retry_after_ms = e->retry_after_ms > 0 ? (uint32_t)e->retry_after_ms : 0;
	if (rpc_reply_pack(a, &env, (struct rpc_body){ 0 }, &out, &ignored))
		out = (struct pg_bytes){ NULL, 0 };
	return out;
}

void rpc_reply_to_err(const Common__V1__Reply *r, struct err *e)
{
	size_t i;

	err_clear(e);
	err_set(e, err_code_from_wire(r->code), r->slug && *r->slug ? r->slug : "common.internal", "%s", r->message ? r->message : "");
	for (i = 0; i < r->n_details; i++)
		err_detail(e, r->details[i]->field ? r->details[i]->field : "", r->details[i]->value, "%s",
			   r->details[i]->message ? r->details[i]->message : "");
	e->pending = e->code == E_PENDING;
	e->retry_after_ms = r->has_retry_after_ms && r->retry_after_ms < 86400000 ? (int)r->retry_after_ms : 0;
}

/* ---- unpacking a request ---- */

static enum err_code check_mac(struct arena *a, const struct rpc_keys *keys, const Common__V1__Request *r,
			       struct err *e)
{
	const uint8_t *key = rpc_keys_find(keys, r->caller, r->callee);
	uint8_t mac[RPC_MAC_LEN];
	const int64_t now = wall_ms();

	if (!key)
		return err_set(e, E_DENIED, "rpc.untrusted", "no key for caller %.32s", r->caller);
	mac_of(a, key, r, r->payload.data, r->has_payload ? r->payload.len : 0, mac);
	if (!r->has_mac || r->mac.len != sizeof(mac) || !ct_equal(mac, r->mac.data, sizeof(mac)))
		return err_set(e, E_DENIED, "rpc.untrusted", "MAC of a request from %.32s does not match", r->caller);
	if (r->issued_at < now - RPC_AGE_MAX_MS || r->issued_at > now + RPC_AGE_MAX_MS)
		return err_set(e, E_DENIED, "rpc.untrusted", "request from %.32s was issued at %lld, now is %lld",
			       r->caller, (long long)r->issued_at, (long long)now);
	return OK;
}

enum err_code rpc_request_unpack(struct arena *a, const struct rpc_keys *keys, const char *self, const void *bytes,
				 size_t len, Common__V1__Request **env_r, struct err *e)
{
	ProtobufCMessage *msg;
	Common__V1__Request *r;

	if (pb_unpack(&common__v1__request__descriptor, bytes, len, a, &msg, e))
		return e->code;
	r = (Common__V1__Request *)(void *)msg;
	if (!r->has_version || r->version != RPC_ENVELOPE_VERSION)
		return err_set(e, E_INVALID, "rpc.bad_request", "envelope version %u", r->has_version ? r->version : 0);
	if (!r->method || !r->caller || !r->callee || !r->has_issued_at)
		return err_set(e, E_INVALID, "rpc.bad_request", "envelope without method, caller, callee or time");
	if (strcmp(r->callee, self) != 0)
		return err_set(e, E_DENIED, "rpc.untrusted", "request is for %.32s", r->callee);
	if (check_mac(a, keys, r, e))
		return e->code;
	*env_r = r;
	return OK;
}
