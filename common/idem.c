/* Idempotency keys: one row per key, written in the transaction of the effect. */
#include "common/idem.h"

#include <string.h>

#include "common.pb-c.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/pg_internal.h"
#include "common/pg_mechanisms.h"
#include "common/timeutil.h"

#define LEASE_MIN_S   5
#define LEASE_EXTRA_S 2

struct idem {
	const char *scope;
	const char *resource;	/* to be stored, or found */
	const char *stored;	/* resource as it is in the row */
	int32_t attempt;
	bool begun;		/* the row is there, committed, and ours */
	bool resuming;
	bool raced;
};

/* ---- statements ---- */
struct key_row {
	bool same, done, expired;
	const char *resource_id;
	int32_t attempt, code;
	struct pg_bytes reply;
};
static const struct pg_col key_cols[] = { PG_COL(key_row, same), PG_COL(key_row, done), PG_COL(key_row, expired),
					  PG_COL(key_row, resource_id), PG_COL(key_row, attempt),
					  PG_COL(key_row, code), PG_COL(key_row, reply) };
static const struct pg_stmt find_stmt = {
	.name = "idem_find",
	.sql = "SELECT fingerprint = $4::bytea AS same, state = 'done' AS done, lease_until < now() AS expired,"
	       " resource_id, attempt, coalesce(code, 0) AS code, reply"
	       " FROM ${schema}.idempotency WHERE scope = $1 AND method = $2 AND key = $3 AND expires_at > now()",
	.col = key_cols, .ncol = 7, .row_size = sizeof(struct key_row),
};
static const struct pg_stmt take_over_stmt = {
	.name = "idem_take_over",
	.sql = "UPDATE ${schema}.idempotency SET attempt = attempt + 1, lease_until = now() + make_interval(secs => $5::int)"
	       " WHERE scope = $1 AND method = $2 AND key = $3 AND attempt = $4::int AND state = 'running'"
	       " AND lease_until < now()",
};
/* A row that has expired but was not swept yet is as good as none. */
static const struct pg_stmt begin_stmt = {
	.name = "idem_begin",
	.sql = "INSERT INTO ${schema}.idempotency AS i"
	       " (scope, method, key, fingerprint, state, lease_until, resource_id, expires_at)"
	       " VALUES ($1, $2, $3, $4::bytea, 'running', now() + make_interval(secs => $5::int), $6,"
	       " now() + interval '24 hours')"
	       " ON CONFLICT (scope, method, key) DO UPDATE SET fingerprint = excluded.fingerprint, state = 'running',"
	       " attempt = 1, lease_until = excluded.lease_until, resource_id = excluded.resource_id, code = NULL,"
	       " reply = NULL, expires_at = excluded.expires_at WHERE i.expires_at <= now()",
};
static const struct pg_stmt renew_stmt = {
	.name = "idem_renew",
	.sql = "UPDATE ${schema}.idempotency SET lease_until = now() + make_interval(secs => $5::int),"
	       " resource_id = coalesce($6, resource_id)"
	       " WHERE scope = $1 AND method = $2 AND key = $3 AND attempt = $4::int AND state = 'running'",
};
static const struct pg_stmt finish_stmt = {
	.name = "idem_finish",
	.sql = "UPDATE ${schema}.idempotency SET state = 'done', code = 0, reply = $5::bytea,"
	       " expires_at = now() + interval '24 hours'"
	       " WHERE scope = $1 AND method = $2 AND key = $3 AND attempt = $4::int AND state = 'running'",
};
static const struct pg_stmt refuse_stmt = {
	.name = "idem_refuse",
	.sql = "INSERT INTO ${schema}.idempotency AS i"
	       " (scope, method, key, fingerprint, state, lease_until, code, reply, expires_at)"
	       " VALUES ($1, $2, $3, $4::bytea, 'done', now(), $5::int, $6::bytea, now() + interval '24 hours')"
	       " ON CONFLICT (scope, method, key) DO UPDATE SET fingerprint = excluded.fingerprint, state = 'done',"
	       " code = excluded.code, reply = excluded.reply, expires_at = excluded.expires_at"
	       " WHERE i.expires_at <= now() OR (i.state = 'running' AND i.attempt = $7::int AND $8::bool)",
};
static const struct pg_stmt sweep_stmt = {
	.name = "idem_sweep",
	.sql = "DELETE FROM ${schema}.idempotency WHERE (scope, method, key) IN (SELECT scope, method, key"
	       " FROM ${schema}.idempotency WHERE expires_at <= now() ORDER BY expires_at LIMIT 2000"
	       " FOR UPDATE SKIP LOCKED)",
};
const struct pg_stmt *const idem_stmts[] = { &find_stmt,   &take_over_stmt, &begin_stmt, &renew_stmt,
					     &finish_stmt, &refuse_stmt,    &sweep_stmt, NULL };

#define KEY(c) P((c)->idem->scope), P((c)->method), P((c)->idem_key)

/* ---- sealing ---- */
void idem_seal_with(struct pg_pool *pool, const struct keyring *ring)
{
	pool->seal = ring;
}

static enum err_code seal(struct call *c, struct pg_bytes plain, struct pg_bytes *out)
{
	*out = plain;
	if (!c->pool->seal)
		return OK;
	return crypto_seal(c->pool->seal, arena_printf(c->arena, "%s.idempotency.reply", c->pool->schema),
			   arena_printf(c->arena, "%s|%s|%s", c->idem->scope, c->method, c->idem_key), plain, c->arena,
			   out, &c->err);
}

static enum err_code unseal(struct call *c, struct pg_bytes sealed, struct pg_bytes *out)
{
	*out = sealed;
	if (!c->pool->seal || !sealed.data)
		return OK;
	return crypto_open(c->pool->seal, arena_printf(c->arena, "%s.idempotency.reply", c->pool->schema),
			   arena_printf(c->arena, "%s|%s|%s", c->idem->scope, c->method, c->idem_key), sealed,
			   c->arena, out, &c->err);
}

/* A secret that is shown once: a replay comes without it. */
static const ProtobufCMessage *without_secret(struct arena *a, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "hdr_refresh_token");
	const char *none = NULL;
	char *copy;

	if (!f || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
		return m;
	copy = arena_dup(a, m, m->descriptor->sizeof_message);
	memcpy(copy + f->offset, &none, sizeof(none));
	return (const ProtobufCMessage *)(const void *)copy;
}

static struct pg_bytes packed(struct arena *a, const ProtobufCMessage *m)
{
	struct pg_bytes b = { .len = protobuf_c_message_get_packed_size(m) };
	uint8_t *p = arena_alloc(a, b.len + 1);

	(void)protobuf_c_message_pack(m, p);
	b.data = p;
	return b;
}

/* ---- lookup ---- */
static int32_t lease_s(const struct call *c)
{
	int64_t left = c->deadline_ms > 0 ? (c->deadline_ms - mono_ms()) / 1000 + LEASE_EXTRA_S : 0;

	return left < LEASE_MIN_S ? LEASE_MIN_S : left > 3600 ? 3600 : (int32_t)left;
}

static enum err_code in_flight(struct call *c)
{
	c->err.retry_after_ms = 1000;
	return err_set(&c->err, E_CONFLICT, "idem.in_flight", "key of %s is in use", c->method);
}

/* A stored refusal becomes c->err again. */
static enum err_code refuse_again(struct call *c, int32_t code, struct pg_bytes reply)
{
	ProtobufCAllocator al = arena_pb(c->arena);
	Common__V1__Reply *r = common__v1__reply__unpack(&al, reply.len, reply.data);

	if (!r)
		return err_set(&c->err, E_INTERNAL, "common.internal", "stored refusal cannot be read");
	for (size_t i = 0; i < r->n_details; i++)
		err_detail(&c->err, r->details[i]->field ? r->details[i]->field : "", r->details[i]->value, "%s",
			   r->details[i]->message ? r->details[i]->message : "");
	return err_set(&c->err, err_code_from_wire(code), r->slug ? r->slug : "common.internal", "replayed: %s",
		       r->message ? r->message : "");
}

static enum err_code replay(struct call *c, const struct key_row *row, enum idem_found *found_r,
			    struct pg_bytes *reply_r)
{
	struct pg_bytes plain;

	if (unseal(c, row->reply, &plain))
		return c->err.code;
	c->replayed = true;
	*found_r = IDEM_REPLAY;
	if (row->code != OK)
		return refuse_again(c, row->code, plain);
	if (!plain.data)
		plain.data = "";
	*reply_r = plain;
	return OK;
}

static enum err_code take_over(struct call *c, struct pg *pg, const struct key_row *row, enum idem_found *found_r)
{
	int64_t n = 0;

	if (pg_exec(pg, &take_over_stmt, PG_ARGS(KEY(c), P(row->attempt), P(lease_s(c))), &n, &c->err))
		return c->err.code;
	if (n == 0)
		return in_flight(c);
	c->idem->attempt = row->attempt + 1;
	c->idem->resuming = c->idem->begun = true;
	c->idem->resource = c->idem->stored = row->resource_id;
	*found_r = IDEM_RESUME;
	return OK;
}

enum err_code idem_lookup(struct call *c, const char *scope, enum idem_found *found_r, struct pg_bytes *reply_r)
{
	struct pg_bytes fp = { c->fingerprint, SHA256_LEN };
	struct key_row *row = NULL;
	bool found = false;
	struct pg *pg;

	c->idem = NULL;
	if (!scope || !*scope)
		return err_set(&c->err, E_INVALID, "idem.key_needs_scope", "anonymous call with a key");
	if (call_pg(c, &pg))
		return c->err.code;
	c->idem = arena_alloc(c->arena, sizeof(*c->idem));
	c->idem->scope = arena_strdup(c->arena, scope);
	c->idem->attempt = 1;
	if (pg_row(pg, &find_stmt, PG_ARGS(KEY(c), P(fp)), c->arena, &row, &found, &c->err) == OK) {
		if (!found)
			*found_r = IDEM_NEW;
		else if (!row->same)
			(void)err_set(&c->err, E_RULE, "idem.key_reused", "other fingerprint");
		else if (row->done)
			(void)replay(c, row, found_r, reply_r);
		else if (!row->expired)
			(void)in_flight(c);
		else
			(void)take_over(c, pg, row, found_r);
	}
	pg_return(pg);
	return c->err.code;
}

const char *idem_resume(const struct call *c)
{
	return c->idem && c->idem->resuming ? c->idem->stored : NULL;
}

void idem_resource(struct call *c, const char *resource_id)
{
	if (c->idem)
		c->idem->resource = arena_strdup(c->arena, resource_id);
}

/* ---- in the effect's transaction ---- */
static enum err_code raced(struct call *c)
{
	c->idem->raced = true;
	return in_flight(c);
}

bool idem_raced(const struct call *c)
{
	return c->idem && c->idem->raced;
}

static enum err_code renew(struct call *c, struct pg *pg)
{
	int64_t n = 0;

	if (pg_exec(pg, &renew_stmt, PG_ARGS(KEY(c), P(c->idem->attempt), P(lease_s(c)), P(c->idem->resource)), &n,
		    &c->err))
		return c->err.code;
	return n ? OK : raced(c);
}

enum err_code idem_begin(struct call *c, struct pg *pg, unsigned flags)
{
	struct pg_bytes fp = { c->fingerprint, SHA256_LEN };
	int64_t n = 0;

	if (!c->idem || (flags & CALL_TX_PLAIN))
		return OK;
	if (c->idem->begun)
		return (flags & CALL_TX_FIRST) ? renew(c, pg) : OK;
	if (pg_exec(pg, &begin_stmt, PG_ARGS(KEY(c), P(fp), P(lease_s(c)), P(c->idem->resource)), &n, &c->err))
		return c->err.code;
	c->idem->stored = c->idem->resource;
	return n ? OK : raced(c);
}

enum err_code idem_keep_resource(struct call *c, struct pg *pg)
{
	const char *is = c->idem ? c->idem->stored : NULL, *want = c->idem ? c->idem->resource : NULL;

	if (!want || (is && strcmp(is, want) == 0))
		return OK;
	return renew(c, pg);
}

enum err_code idem_finish(struct call *c, struct pg *pg)
{
	struct pg_bytes reply;
	int64_t n = 0;

	if (!c->idem)
		return OK;
	if (!c->out)
		return err_set(&c->err, E_INTERNAL, "common.internal", "%s finishes its key without a reply", c->method);
	if (seal(c, packed(c->arena, without_secret(c->arena, c->out)), &reply) ||
	    pg_exec(pg, &finish_stmt, PG_ARGS(KEY(c), P(c->idem->attempt), P(reply)), &n, &c->err))
		return c->err.code;
	return n ? OK : raced(c);
}

void idem_committed(struct call *c, unsigned flags)
{
	if (c->idem && !(flags & CALL_TX_PLAIN)) {
		c->idem->begun = true;
		c->idem->stored = c->idem->resource;
	}
}

/* ---- refusals ---- */
static struct pg_bytes pack_refusal(struct call *c)
{
	Common__V1__Reply r = COMMON__V1__REPLY__INIT;
	Common__V1__Detail *d = arena_array(c->arena, c->err.n_details + 1, sizeof(*d));

	r.slug = c->err.slug;
	r.message = c->err.msg;
	r.n_details = c->err.n_details;
	r.details = arena_array(c->arena, c->err.n_details + 1, sizeof(*r.details));
	for (size_t i = 0; i < c->err.n_details; i++) {
		common__v1__detail__init(&d[i]);
		d[i].field = c->err.details[i].field;
		d[i].message = c->err.details[i].message;
		d[i].value = c->err.details[i].value;
		r.details[i] = &d[i];
	}
	return packed(c->arena, &r.base);
}

void idem_store_refusal(struct call *c)
{
	struct pg_bytes fp = { c->fingerprint, SHA256_LEN }, plain, reply;
	struct err kept = { 0 }, e = { 0 };
	enum err_code bad = OK;
	struct pg *pg;

	/* What the key itself is refused for says nothing about the request. */
	if (!c->idem || c->idem->raced || strncmp(c->err.slug, "idem.", 5) == 0)
		return;
	err_copy(&kept, &c->err);
	plain = pack_refusal(c);
	if (seal(c, plain, &reply)) {
		err_copy(&e, &c->err);
		err_copy(&c->err, &kept);
	} else if (pg_borrow(c->pool, c->deadline_ms, &pg, &e) == OK) {
		bad = pg_exec(pg, &refuse_stmt,
			      PG_ARGS(KEY(c), P(fp), P((int32_t)kept.code), P(reply), P(c->idem->attempt),
				      P(c->idem->begun)),
			      NULL, &e);
		pg_return(pg);
	}
	if (bad || e.code)
		log_err(LVL_WARNING, "a refusal was not stored with its key", &e);
}

enum err_code idem_sweep(struct pg *pg, int64_t *removed_r, struct err *e)
{
	return pg_exec(pg, &sweep_stmt, PG_NONE, removed_r, e);
}
