#include "gateway/auth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crypto.h"
#include "common/jws.h"
#include "common/log.h"
#include "common/timeutil.h"
#include "gateway/revocations.h"
#include "identity.pb-c.h"

enum { KEYS_EVERY_MS = 60000, KEYS_RETRY_MS = 500, KEYS_HURRY_MS = 5000, API_KEY_LIFE_S = 10, PAGES_MAX = 100 };

struct auth {
	struct auth_conf conf;
	struct rpc_client *identity;
	struct lru *tokens;
	struct revocations *revoked;
	pthread_rwlock_t lock; /* keys, jwks */
	struct jws_keys *keys;
	struct buf jwks;
	_Atomic int64_t fresh_ms; /* when revocations were last complete */
	int64_t after, keys_ms;   /* of the thread */
	atomic_bool want_keys, hurry, stop;
	pthread_mutex_t mu;
	pthread_cond_t wake;
	pthread_t thread;
	bool running;
};

static void token_free(struct lru_item *it)
{
	free(it);
}

/* ---- one flat block per principal ---- */

struct packer {
	char *at;
};

static const char *pack(struct packer *p, const char *s)
{
	char *to = p->at;
	size_t n = strlen(s) + 1;

	memcpy(to, s, n);
	p->at += n;
	return to;
}

static struct auth_token *token_new(size_t strings, size_t lists)
{
	struct auth_token *t = calloc(1, sizeof *t + lists * sizeof(char *) + strings);

	if (!t)
		abort();
	t->item.size = sizeof *t + lists * sizeof(char *) + strings;
	atomic_init(&t->item.refs, 1);
	return t;
}

static struct auth_token *from_claims(const struct jws_claims *c)
{
	size_t lists = c->n_roles + c->n_perms, strings = 8;
	const char **list;
	struct auth_token *t;
	struct packer p;

	strings += strlen(c->sub) + strlen(c->sid) + strlen(c->aud) + strlen(c->vendor_id);
	for (size_t i = 0; i < c->n_roles; i++)
		strings += strlen(c->roles[i]) + 1;
	for (size_t i = 0; i < c->n_perms; i++)
		strings += strlen(c->perms[i]) + 1;
	t = token_new(strings, lists);
	list = (const char **)(t + 1);
	p.at = (char *)(list + lists);
	t->who = (struct principal){ .kind = WHO_USER, .user_id = pack(&p, c->sub), .session_id = pack(&p, c->sid),
				     .audience = pack(&p, c->aud), .vendor_id = pack(&p, c->vendor_id), .service = "",
				     .roles = list, .n_roles = c->n_roles,
				     .perms = list + c->n_roles, .n_perms = c->n_perms };
	for (size_t i = 0; i < c->n_roles; i++)
		list[i] = pack(&p, c->roles[i]);
	for (size_t i = 0; i < c->n_perms; i++)
		list[c->n_roles + i] = pack(&p, c->perms[i]);
	t->exp_s = c->exp;
	t->iat_s = c->iat;
	t->ver = c->ver;
	return t;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static struct auth_token *from_principal(const Common__V1__Principal *m)
{
	size_t lists = m->n_roles + m->n_perms, strings = 8;
	const char **list;
	struct auth_token *t;
	struct packer p;

	strings += strlen(or_empty(m->user_id)) + strlen(or_empty(m->session_id)) + strlen(or_empty(m->audience)) +
		   strlen(or_empty(m->vendor_id));
	for (size_t i = 0; i < m->n_roles; i++)
		strings += strlen(m->roles[i]) + 1;
	for (size_t i = 0; i < m->n_perms; i++)
		strings += strlen(m->perms[i]) + 1;
	t = token_new(strings, lists);
	list = (const char **)(t + 1);
	p.at = (char *)(list + lists);
	t->who = (struct principal){ .kind = WHO_USER, .user_id = pack(&p, or_empty(m->user_id)),
				     .session_id = pack(&p, or_empty(m->session_id)),
				     .audience = pack(&p, or_empty(m->audience)),
				     .vendor_id = pack(&p, or_empty(m->vendor_id)), .service = "",
				     .roles = list, .n_roles = m->n_roles,
				     .perms = list + m->n_roles, .n_perms = m->n_perms };
	for (size_t i = 0; i < m->n_roles; i++)
		list[i] = pack(&p, m->roles[i]);
	for (size_t i = 0; i < m->n_perms; i++)
		list[m->n_roles + i] = pack(&p, m->perms[i]);
	return t;
}

/* ---- verification ---- */

static enum err_code verify_jws(struct auth *a, const char *token, size_t n, struct auth_token **t_r, struct err *e)
{
	static const char *const audiences[] = { "shop", "vendor", "admin", NULL };
	struct jws_expect want = { .iss = a->conf.issuer, .auds = audiences, .now_s = wall_ms() / 1000,
				   .skew_s = JWS_SKEW_S };
	struct jws_claims claims;
	enum err_code rc;

	pthread_rwlock_rdlock(&a->lock);
	if (a->keys)
		rc = jws_verify(a->keys, token, n, &want, &claims, e);
	else
		rc = err_set(e, E_UNAVAILABLE, "common.unavailable", "no verification keys yet");
	pthread_rwlock_unlock(&a->lock);
	if (rc) {
		/* Perhaps a key newer than ours: looked up soon, at most once per KEYS_HURRY_MS. */
		if (rc == E_UNAUTH && !err_is(e, "common.token_expired"))
			atomic_store(&a->want_keys, true);
		return rc;
	}
	*t_r = from_claims(&claims);
	return OK;
}

static enum err_code verify_api_key(struct auth *a, const char *token, struct auth_token **t_r, struct err *e)
{
	Identity__V1__VerifyApiKeyRequest in = IDENTITY__V1__VERIFY_API_KEY_REQUEST__INIT;
	struct arena *arena = arena_new("api key", 65536);
	Identity__V1__VerifyApiKeyReply *out = NULL;
	struct rpc_opts opts = { .as_service = true, .retry_read = true, .timeout_ms = 2000 };
	struct call c;
	enum err_code rc;

	call_init_service(&c, "gateway", arena, 2000);
	in.token = (char *)(uintptr_t)token;
	rc = !a->identity ? err_set(&c.err, E_UNAVAILABLE, "common.unavailable", "no identity service")
			  : rpc_call(a->identity, &c, "identity.v1.Identity/VerifyApiKey", &in.base,
				     &identity__v1__verify_api_key_reply__descriptor, &out, &opts);
	if (!rc && !out->principal)
		rc = err_set(&c.err, E_UNAUTH, "common.token_invalid", "no principal for an API key");
	if (!rc) {
		int64_t now = wall_ms(), end = now / 1000 + API_KEY_LIFE_S;

		*t_r = from_principal(out->principal);
		(*t_r)->exp_s = out->has_expires_at && out->expires_at / 1000 < end ? out->expires_at / 1000 : end;
		(*t_r)->iat_s = now / 1000;
		(*t_r)->ver = out->token_version;
	} else {
		err_copy(e, &c.err);
	}
	arena_free(arena);
	return rc;
}

/* A token past its exp left the cache and passed verification (with its skew) just now. */
static enum err_code still_good(struct auth *a, struct auth_token *t, struct err *e)
{
	int64_t state = revocations_state(a->revoked);

	if (atomic_load_explicit(&t->checked, memory_order_relaxed) == state)
		return OK;
	if (revocations_hit(a->revoked, t->who.session_id, t->who.user_id, t->ver, t->iat_s))
		return err_set(e, E_UNAUTH, "gateway.session_revoked", "revoked");
	atomic_store_explicit(&t->checked, state, memory_order_relaxed);
	return OK;
}

static const char *bearer(const char *header)
{
	if (strncasecmp(header, "Bearer ", 7))
		return NULL;
	header += 7;
	return header + strspn(header, " ");
}

enum err_code auth_check(struct auth *a, const char *header, struct auth_token **t_r, struct err *e)
{
	const char *token = bearer(header);
	size_t n = token ? strlen(token) : 0;
	struct auth_token *t;
	uint8_t key[32];
	enum err_code rc;

	if (!n || n > JWS_TOKEN_MAX)
		return err_set(e, E_UNAUTH, "common.token_invalid", "Authorization without a bearer token");
	sha256(token, n, key);
	t = (struct auth_token *)lru_get(a->tokens, key);
	if (t && wall_ms() / 1000 >= t->exp_s) {
		/* API keys are asked for again; an expired token is simply verified anew, and refused there. */
		lru_drop(a->tokens, &t->item);
		lru_release(a->tokens, &t->item);
		t = NULL;
	}
	if (!t) {
		rc = strncmp(token, "key_", 4) ? verify_jws(a, token, n, &t, e) : verify_api_key(a, token, &t, e);
		if (rc)
			return rc;
		memcpy(t->item.key, key, sizeof key);
		lru_put(a->tokens, &t->item);
	}
	rc = still_good(a, t, e);
	if (rc)
		lru_release(a->tokens, &t->item);
	else
		*t_r = t;
	return rc;
}

void auth_release(struct auth *a, struct auth_token *t)
{
	if (t)
		lru_release(a->tokens, &t->item);
}

/* ---- what identity tells ---- */

enum err_code auth_set_keys(struct auth *a, const char *jwks, size_t n, struct err *e)
{
	struct jws_keys *keys, *old;

	if (jws_keys_parse(jwks, n, &keys, e))
		return e->code;
	pthread_rwlock_wrlock(&a->lock);
	old = a->keys;
	a->keys = keys;
	buf_reset(&a->jwks);
	buf_add(&a->jwks, jwks, n);
	pthread_rwlock_unlock(&a->lock);
	jws_keys_free(old);
	return OK;
}

static enum err_code fetch_keys(struct auth *a, struct arena *arena, struct err *e)
{
	Identity__V1__JwksRequest in = IDENTITY__V1__JWKS_REQUEST__INIT;
	Identity__V1__JwksReply *out = NULL;
	struct rpc_opts opts = { .as_service = true, .retry_read = true, .timeout_ms = 2000 };
	struct call c;

	call_init_service(&c, "gateway", arena, 2000);
	if (rpc_call(a->identity, &c, "identity.v1.Identity/GetJwks", &in.base,
		     &identity__v1__jwks_reply__descriptor, &out, &opts)) {
		err_copy(e, &c.err);
		return c.err.code;
	}
	return auth_set_keys(a, or_empty(out->jwks), strlen(or_empty(out->jwks)), e);
}

static enum err_code fetch_page(struct auth *a, struct arena *arena, size_t *n_r, struct err *e)
{
	Identity__V1__RevocationsRequest in = IDENTITY__V1__REVOCATIONS_REQUEST__INIT;
	Identity__V1__RevocationsReply *out = NULL;
	struct rpc_opts opts = { .as_service = true, .retry_read = true, .timeout_ms = 2000 };
	struct call c;

	call_init_service(&c, "gateway", arena, 2000);
	in.has_after = 1;
	in.after = a->after;
	if (rpc_call(a->identity, &c, "identity.v1.Identity/ListRevocations", &in.base,
		     &identity__v1__revocations_reply__descriptor, &out, &opts)) {
		err_copy(e, &c.err);
		return c.err.code;
	}
	for (size_t i = 0; i < out->n_data; i++)
		revocations_add(a->revoked, out->data[i]->session_id, out->data[i]->user_id,
				out->data[i]->min_token_version, out->data[i]->revoked_at);
	*n_r = out->has_next && out->next > a->after ? out->n_data : 0;
	if (out->has_next)
		a->after = out->next;
	return OK;
}

static enum err_code fetch_revocations(struct auth *a, struct arena *arena, struct err *e)
{
	size_t n = 1;

	for (int page = 0; n && page < PAGES_MAX; page++) {
		if (fetch_page(a, arena, &n, e))
			return e->code;
		arena_reset(arena);
	}
	auth_mark_fresh(a);
	return OK;
}

static bool keys_due(struct auth *a)
{
	int64_t age = mono_ms() - a->keys_ms;

	if (!a->keys)
		return true;
	return age >= KEYS_EVERY_MS || (age >= KEYS_HURRY_MS && atomic_exchange(&a->want_keys, false));
}

static void nap(struct auth *a, int64_t ms)
{
	struct timespec ts;
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ns = ts.tv_nsec + ms % 1000 * 1000000;
	ts.tv_sec += ms / 1000 + ns / 1000000000;
	ts.tv_nsec = ns % 1000000000;
	pthread_mutex_lock(&a->mu);
	if (!atomic_load(&a->stop) && !atomic_load(&a->hurry))
		pthread_cond_timedwait(&a->wake, &a->mu, &ts);
	atomic_store(&a->hurry, false);
	pthread_mutex_unlock(&a->mu);
}

static void *run(void *arg)
{
	struct auth *a = arg;
	struct arena *arena = arena_new("auth", 4 << 20);
	bool away = false;

	while (!atomic_load(&a->stop)) {
		struct err e = { 0 };
		bool failed = false;

		log_ctx_clear();
		arena_reset(arena);
		if (keys_due(a)) {
			failed = fetch_keys(a, arena, &e);
			a->keys_ms = mono_ms();
		}
		if (!failed)
			failed = fetch_revocations(a, arena, &e);
		if (failed != away) {
			away = failed;
			if (failed)
				log_err(LVL_WARNING, "identity does not tell keys or revocations", &e);
			else
				log_msg(LVL_INFO, "identity tells keys and revocations", LF_END);
		}
		nap(a, a->keys ? a->conf.poll_ms : KEYS_RETRY_MS);
	}
	arena_free(arena);
	return NULL;
}

enum err_code auth_new(const struct auth_conf *conf, struct rpc_client *identity, struct auth **a_r, struct err *e)
{
	struct auth *a = calloc(1, sizeof *a);
	pthread_condattr_t attr;

	if (!a)
		abort();
	a->conf = *conf;
	a->identity = identity;
	a->tokens = lru_new(conf->cache_bytes, token_free);
	a->revoked = revocations_new();
	buf_init(&a->jwks, 65536);
	pthread_rwlock_init(&a->lock, NULL);
	pthread_mutex_init(&a->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (identity && pthread_create(&a->thread, NULL, run, a)) {
		auth_free(a);
		return err_set(e, E_INTERNAL, "common.internal", "no thread for tokens");
	}
	a->running = identity != NULL;
	*a_r = a;
	return OK;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	if (a->running) {
		pthread_mutex_lock(&a->mu);
		atomic_store(&a->stop, true);
		pthread_cond_signal(&a->wake);
		pthread_mutex_unlock(&a->mu);
		pthread_join(a->thread, NULL);
	}
	lru_free(a->tokens);
	revocations_free(a->revoked);
	jws_keys_free(a->keys);
	buf_free(&a->jwks);
	pthread_rwlock_destroy(&a->lock);
	pthread_mutex_destroy(&a->mu);
	pthread_cond_destroy(&a->wake);
	free(a);
}

bool auth_ready(const struct auth *a)
{
	struct auth *w = (struct auth *)(uintptr_t)a;
	bool ready;

	pthread_rwlock_rdlock(&w->lock);
	ready = w->keys != NULL;
	pthread_rwlock_unlock(&w->lock);
	return ready;
}

bool auth_stale(const struct auth *a)
{
	int64_t at = atomic_load_explicit(&((struct auth *)(uintptr_t)a)->fresh_ms, memory_order_relaxed);

	return !at || mono_ms() - at > a->conf.stale_ms;
}

void auth_mark_fresh(struct auth *a)
{
	atomic_store(&a->fresh_ms, mono_ms());
}

void auth_hurry(struct auth *a)
{
	pthread_mutex_lock(&a->mu);
	atomic_store(&a->hurry, true);
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->mu);
}

void auth_revoke(struct auth *a, const char *session_id, const char *user_id, int64_t min_version, int64_t at_ms)
{
	revocations_add(a->revoked, session_id, user_id, min_version, at_ms);
}

bool auth_jwks(struct auth *a, struct buf *out)
{
	bool any;

	pthread_rwlock_rdlock(&a->lock);
	any = a->keys != NULL;
	if (any)
		buf_add(out, a->jwks.data, a->jwks.len);
	pthread_rwlock_unlock(&a->lock);
	return any;
}
