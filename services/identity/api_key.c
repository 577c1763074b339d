/* API keys of scripts and soukctl: shown once, kept as SHA-256, never stronger than their maker is now. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "common/timeutil.h"
#include "services/identity/account.h"
#include "services/identity/identity_db.h"
#include "services/identity/reply.h"
#include "services/identity/token.h"

RPC_HANDLER(identity_api_key_list, Identity__V1__ApiKeysRequest, Identity__V1__ApiKeysReply)
RPC_HANDLER(identity_api_key_create, Identity__V1__CreateApiKeyRequest, Identity__V1__ApiKey)
RPC_HANDLER(identity_api_key_revoke, Identity__V1__RevokeApiKeyRequest, Common__V1__Empty)
RPC_HANDLER(identity_api_key_verify, Identity__V1__VerifyApiKeyRequest, Identity__V1__VerifyApiKeyReply)

const struct rpc_method identity_api_key_methods[] = {
	{ "ListApiKeys", identity_api_key_list_, RPC_READ, 0 },
	{ "CreateApiKey", identity_api_key_create_, RPC_WRITE, 0 }, /* not keyed: a secret is never stored */
	{ "RevokeApiKey", identity_api_key_revoke_, RPC_WRITE | RPC_KEYED, 0 },
	{ "VerifyApiKey", identity_api_key_verify_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

/* The key's permissions that its owner still holds. */
static size_t still_held(struct call *c, const char *perms, const struct word_row *held, size_t n_held, char ***list_r)
{
	size_t n = words_split(c, perms, list_r), kept = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n_held; j++)
			if (strcmp((*list_r)[i], held[j].word) == 0) {
				(*list_r)[kept++] = (*list_r)[i];
				break;
			}
	return kept;
}

static void show(struct call *c, const struct api_key_row *row, Identity__V1__ApiKey *out)
{
	out->id = call_str(c, row->id);
	out->name = call_str(c, row->name);
	out->n_perms = words_split(c, row->perms, &out->perms);
	out->created_by = call_str(c, row->user_id);
	SET(out, created_at, row->created_at);
	if (row->expires_at)
		SET(out, expires_at, row->expires_at);
	if (row->revoked_at)
		SET(out, revoked_at, row->revoked_at);
	if (row->last_used_at)
		SET(out, last_used_at, row->last_used_at);
}

static enum err_code identity_api_key_list(struct call *c, const Identity__V1__ApiKeysRequest *in,
					   Identity__V1__ApiKeysReply *out)
{
	struct api_key_row *rows;
	struct page p;
	struct pg *pg;
	size_t n = 0;

	if (call_perm(c, "admin.keys") || page_of(c, in, "api keys", "t", &p) || call_pg(c, &pg))
		return c->err.code;
	noted(identity_db_api_key_page(pg, c->arena, page_text(&p, 0, ""), p.limit + 1, &rows, &n, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&p, n); i++) {
		out->data[out->n_data] = arena_alloc(c->arena, sizeof(**out->data));
		identity__v1__api_key__init(out->data[out->n_data]);
		show(c, &rows[i], out->data[out->n_data++]);
	}
	if (page_more(&p, n))
		out->next_cursor = page_next(c, &p, rows[p.limit - 1].id);
	return OK;
}

struct creation {
	struct call *c;
	const Identity__V1__CreateApiKeyRequest *in;
	char id[ID_LEN];
	uint8_t hash[SHA256_LEN];
	struct api_key_row *row;
};

static enum err_code store_key(struct pg *pg, void *arg, struct err *e)
{
	struct creation *k = arg;
	struct call *c = k->c;
	struct account_row *account;
	bool found = false, done = false;

	if (identity_db_account_lock(pg, c->arena, c->who.user_id, &account, &found, e) ||
	    identity_db_api_key_add(pg, c->arena, k->id, c->who.user_id, k->in->name, k->hash,
				    (const char *const *)k->in->perms, k->in->n_perms, k->in->expires_at,
				    IDENTITY_KEYS_MAX, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_RULE, "identity.too_many", "keys");
	return identity_db_api_key_get(pg, c->arena, k->id, &k->row, &found, e);
}

static void check_key(struct call *c, const Identity__V1__CreateApiKeyRequest *in)
{
	check_text(&c->err, "name", in->name, 1, 100);
	if (in->n_perms == 0 || in->n_perms > 32)
		err_detail(&c->err, "perms", NULL, "1 to 32 permissions");
	if (in->has_expires_at && in->expires_at <= wall_ms())
		err_detail(&c->err, "expires_at", NULL, "must be in the future");
	for (size_t i = 0; i < in->n_perms && i < 32; i++)
		check_text(&c->err, "perms", in->perms[i], 1, 40);
}

static enum err_code identity_api_key_create(struct call *c, const Identity__V1__CreateApiKeyRequest *in,
					     Identity__V1__ApiKey *out)
{
	struct creation k = { .c = c, .in = in };
	char secret[44];

	if (call_perm(c, "admin.keys"))
		return c->err.code;
	check_key(c, in);
	if (input_ok(c))
		return c->err.code;
	for (size_t i = 0; i < in->n_perms; i++)
		if (!call_has_perm(c, in->perms[i]))
			return err_set(&c->err, E_DENIED, "identity.perms_beyond", "%.40s", in->perms[i]);
	id_new("key", k.id);
	random_token(secret);
	token_hash(secret, k.hash);
	if (call_tx(c, CALL_TX_PLAIN, store_key, &k))
		return c->err.code;
	show(c, k.row, out);
	out->token = arena_printf(c->arena, "%s.%s", k.id, secret);
	return OK;
}

struct revocation {
	struct call *c;
	const char *id;
};

static enum err_code revoke_key(struct pg *pg, void *arg, struct err *e)
{
	struct revocation *r = arg;
	bool done = false;

	if (identity_db_api_key_revoke(pg, r->id, &done, e))
		return e->code;
	return done ? OK : err_set(e, E_NOT_FOUND, "common.not_found", "key");
}

static enum err_code identity_api_key_revoke(struct call *c, const Identity__V1__RevokeApiKeyRequest *in,
					     Common__V1__Empty *out)
{
	struct revocation r = { .c = c, .id = in->key_id };

	(void)out;
	if (call_perm(c, "admin.keys"))
		return c->err.code;
	if (!id_valid("key", in->key_id))
		return not_found(c, "key");
	return call_tx(c, CALL_TX_ONLY, revoke_key, &r);
}

/* ---- the gateway's question ---- */
static enum err_code refused(struct call *c, const char *why)
{
	return err_set(&c->err, E_UNAUTH, "identity.api_key", "%s", why);
}

static enum err_code fill_principal(struct call *c, struct pg *pg, const struct api_key_row *row,
				    Identity__V1__VerifyApiKeyReply *out)
{
	Common__V1__Principal *p = arena_alloc(c->arena, sizeof(*p));
	struct word_row *held;
	size_t n;

	if (identity_db_admin_perms(pg, c->arena, row->user_id, &held, &n, &c->err))
		return c->err.code;
	common__v1__principal__init(p);
	SET(p, kind, COMMON__V1__PRINCIPAL__KIND__KIND_USER);
	p->user_id = call_str(c, row->user_id);
	p->session_id = call_str(c, row->id);
	p->audience = call_str(c, "admin");
	p->roles = arena_array(c->arena, 1, sizeof(*p->roles));
	p->roles[p->n_roles++] = call_str(c, "api_key");
	p->n_perms = still_held(c, row->perms, held, n, &p->perms);
	out->principal = p;
	SET(out, token_version, row->token_version);
	if (row->expires_at)
		SET(out, expires_at, row->expires_at);
	return identity_db_api_key_used(pg, row->id, &c->err);
}

static enum err_code verify(struct call *c, struct pg *pg, const char *id, const uint8_t *hash,
			    Identity__V1__VerifyApiKeyReply *out)
{
	struct api_key_row *row;
	bool found = false;

	if (identity_db_api_key_get(pg, c->arena, id, &row, &found, &c->err))
		return c->err.code;
	if (!found || row->secret_hash.len != SHA256_LEN || !ct_equal(row->secret_hash.data, hash, SHA256_LEN))
		return refused(c, "unknown");
	if (!row->usable || strcmp(row->status, "active") != 0)
		return refused(c, "revoked, over, or its owner disabled");
	return fill_principal(c, pg, row, out);
}

static enum err_code identity_api_key_verify(struct call *c, const Identity__V1__VerifyApiKeyRequest *in,
					     Identity__V1__VerifyApiKeyReply *out)
{
	const char *dot = in->token ? strchr(in->token, '.') : NULL;
	uint8_t hash[SHA256_LEN];
	char *id;
	struct pg *pg;

	if (call_service(c, "gateway"))
		return c->err.code;
	if (!dot || dot - in->token >= ID_LEN || strlen(dot) > 64)
		return refused(c, "not a key");
	id = arena_strndup(c->arena, in->token, (size_t)(dot - in->token));
	if (!id_valid("key", id))
		return refused(c, "not a key");
	token_hash(dot + 1, hash);
	if (call_pg(c, &pg))
		return c->err.code;
	(void)verify(c, pg, id, hash, out);
	pg_return(pg);
	return c->err.code;
}
