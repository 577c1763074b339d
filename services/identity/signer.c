#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"
#include "common/jws.h"
#include "common/timeutil.h"
#include "services/identity/grant.h"
#include "services/identity/token.h"

/* The lock guards the pointer alone: a key table never changes once made. */
struct signer {
	pthread_rwlock_t lock;
	struct jws_keys *keys;
	char *dir;
};

enum err_code signer_open(const char *keys_dir, struct signer **s_r, struct err *e)
{
	struct signer *s = calloc(1, sizeof(*s));
	size_t n = strlen(keys_dir) + 1;

	if (!s || !(s->dir = malloc(n)))
		abort();
	memcpy(s->dir, keys_dir, n);
	if (jws_keys_load(keys_dir, &s->keys, e)) {
		free(s->dir);
		free(s);
		return e->code;
	}
	(void)pthread_rwlock_init(&s->lock, NULL);
	*s_r = s;
	return OK;
}

void signer_close(struct signer *s)
{
	if (!s)
		return;
	jws_keys_free(s->keys);
	(void)pthread_rwlock_destroy(&s->lock);
	free(s->dir);
	free(s);
}

enum err_code signer_reload(struct signer *s, struct err *e)
{
	struct jws_keys *fresh, *old;

	if (jws_keys_load(s->dir, &fresh, e))
		return e->code;
	(void)pthread_rwlock_wrlock(&s->lock);
	old = s->keys;
	s->keys = fresh;
	(void)pthread_rwlock_unlock(&s->lock);
	jws_keys_free(old);
	return OK;
}

char *signer_jwks(struct signer *s, struct arena *a)
{
	struct buf b;
	char *text;

	buf_init(&b, 64 * 1024);
	(void)pthread_rwlock_rdlock(&s->lock);
	jws_jwks(s->keys, &b);
	(void)pthread_rwlock_unlock(&s->lock);
	text = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return text;
}

static void copy_words(char *to, size_t width, size_t max, size_t *n_r, const char *const *from, size_t n)
{
	for (*n_r = 0; *n_r < n && *n_r < max; (*n_r)++)
		(void)snprintf(to + *n_r * width, width, "%s", from[*n_r]);
}

enum err_code signer_issue(struct signer *s, const struct identity_conf *conf, struct arena *a, const char *user_id,
			   const char *session_id, int64_t token_version, const struct grant *g, const char **token_r,
			   struct err *e)
{
	struct jws_claims *cl = arena_alloc(a, sizeof(*cl));
	struct buf token;
	enum err_code code;

	cl->iat = wall_ms() / 1000;
	cl->exp = cl->iat + conf->access_ttl_s;
	cl->ver = token_version;
	(void)snprintf(cl->iss, sizeof(cl->iss), "%s", conf->issuer);
	(void)snprintf(cl->aud, sizeof(cl->aud), "%s", g->audience);
	(void)snprintf(cl->sub, sizeof(cl->sub), "%s", user_id);
	(void)snprintf(cl->sid, sizeof(cl->sid), "%s", session_id);
	(void)snprintf(cl->vendor_id, sizeof(cl->vendor_id), "%s", g->vendor_id);
	id_new("tok", cl->jti);
	copy_words(cl->roles[0], sizeof(cl->roles[0]), JWS_ROLES_MAX, &cl->n_roles, g->roles, g->n_roles);
	copy_words(cl->perms[0], sizeof(cl->perms[0]), JWS_PERMS_MAX, &cl->n_perms, g->perms, g->n_perms);
	buf_init(&token, JWS_TOKEN_MAX);
	(void)pthread_rwlock_rdlock(&s->lock);
	code = jws_sign(s->keys, cl, &token, e);
	(void)pthread_rwlock_unlock(&s->lock);
	if (code == OK)
		*token_r = arena_strdup(a, buf_cstr(&token));
	buf_free(&token);
	return code;
}
