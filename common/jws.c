#include "common/jws.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/jws_keys.h"

#define HEADER_MAX 512 /* bytes of the decoded header: three short members */
#define SIG_LEN	   64

/* ---- signing ---- */

static void add_base64url(struct buf *b, const void *p, size_t n)
{
	char chunk[BASE64URL_LEN(768)];
	const unsigned char *in = p;

	for (size_t i = 0; i < n; i += 768) { /* 768 is a multiple of 3: pieces join without seams */
		size_t len = n - i < 768 ? n - i : 768;

		buf_add(b, chunk, base64url_encode(in + i, len, chunk));
	}
}

enum err_code jws_sign_raw(const struct jws_keys *k, const char *header_json, const void *payload, size_t n,
			   struct buf *token_r, struct err *e)
{
	const struct jws_key *key = k->n ? &k->key[k->current] : NULL;
	EVP_MD_CTX *ctx;
	uint8_t sig[SIG_LEN];
	size_t from = token_r->len, len = sizeof(sig);
	int ok;

	if (!key || !key->secret)
		return err_set(e, E_INTERNAL, "keys.missing", "no private key to sign with");
	add_base64url(token_r, header_json, strlen(header_json));
	buf_char(token_r, '.');
	add_base64url(token_r, payload, n);
	if (buf_over(token_r))
		return err_set(e, E_TOO_LARGE, "common.too_large", "token does not fit");
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
	     EVP_DigestSign(ctx, sig, &len, (const uint8_t *)token_r->data + from, token_r->len - from) == 1 &&
	     len == SIG_LEN;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return err_set(e, E_INTERNAL, "common.internal", "signing failed");
	buf_char(token_r, '.');
	add_base64url(token_r, sig, sizeof(sig));
	return buf_over(token_r) ? err_set(e, E_TOO_LARGE, "common.too_large", "token does not fit") : OK;
}

static void member(struct buf *b, const char *name, const char *value)
{
	if (!*value)
		return;
	buf_fmt(b, ",\"%s\":", name);
	buf_json_str(b, value);
}

static void members(struct buf *b, const char *name, const char *first, size_t stride, size_t n)
{
	if (!n)
		return;
	buf_fmt(b, ",\"%s\":[", name);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		buf_json_str(b, first + i * stride);
	}
	buf_char(b, ']');
}

enum err_code jws_sign(const struct jws_keys *k, const struct jws_claims *c, struct buf *token_r, struct err *e)
{
	char header[160];
	struct buf payload;
	enum err_code code;

	if (k->n == 0 || c->n_roles > JWS_ROLES_MAX || c->n_perms > JWS_PERMS_MAX)
		return err_set(e, E_INTERNAL, "common.internal", "token with %zu roles, %zu permissions", c->n_roles,
			c->n_perms);
	(void)snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}",
		k->key[k->current].kid);
	buf_init(&payload, JWS_TOKEN_MAX);
	buf_str(&payload, "{\"iss\":");
	buf_json_str(&payload, c->iss);
	member(&payload, "aud", c->aud);
	member(&payload, "sub", c->sub);
	member(&payload, "sid", c->sid);
	member(&payload, "jti", c->jti);
	member(&payload, "vendor_id", c->vendor_id);
	members(&payload, "roles", c->roles[0], sizeof(c->roles[0]), c->n_roles);
	members(&payload, "perms", c->perms[0], sizeof(c->perms[0]), c->n_perms);
	if (c->nbf)
		buf_fmt(&payload, ",\"nbf\":%" PRId64, c->nbf);
	buf_fmt(&payload, ",\"ver\":%" PRId64 ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", c->ver, c->iat, c->exp);
	if (buf_over(&payload))
		code = err_set(e, E_TOO_LARGE, "common.too_large", "claims do not fit");
	else
		code = jws_sign_raw(k, header, payload.data, payload.len, token_r, e);
	buf_free(&payload);
	if (!code && token_r->len > JWS_TOKEN_MAX)
		code = err_set(e, E_TOO_LARGE, "common.too_large", "token of %zu bytes", token_r->len);
	return code;
}

/* ---- verifying ---- */

static enum err_code invalid(struct err *e, const char *why)
{
	return err_set(e, E_UNAUTH, "common.token_invalid", "token: %s", why);
}

/* The three parts of a compact JWS. */
struct parts {
	const char *header, *payload, *sig;
	size_t header_len, payload_len, sig_len;
	size_t signed_len; /* header.payload */
};

static bool split(const char *token, size_t len, struct parts *p)
{
	const char *dot1 = memchr(token, '.', len), *dot2;

	if (!dot1)
		return false;
	dot2 = memchr(dot1 + 1, '.', len - (size_t)(dot1 + 1 - token));
	if (!dot2)
		return false;
	p->header = token;
	p->header_len = (size_t)(dot1 - token);
	p->payload = dot1 + 1;
	p->payload_len = (size_t)(dot2 - dot1 - 1);
	p->sig = dot2 + 1;
	p->sig_len = len - (size_t)(dot2 + 1 - token);
	p->signed_len = (size_t)(dot2 - token);
	return p->header_len && p->payload_len && p->sig_len; /* a further dot fails as a base64url digit */
}

/* Which key the header names, when it says exactly what we say. */
static const struct jws_key *header_key(const struct jws_keys *k, const struct parts *p)
{
	uint8_t text[HEADER_MAX];
	const struct jws_key *key = NULL;
	const char *alg, *kid, *typ;
	json_t *h = NULL;
	size_t n = 0;

	if (base64url_decode(p->header, p->header_len, text, sizeof(text), &n))
		h = jws_json_object((const char *)text, n, 1);
	if (!h)
		return NULL;
	alg = jws_json_string(h, "alg");
	kid = jws_json_string(h, "kid");
	typ = jws_json_string(h, "typ");
	/* Three members and these three: jku, jwk, x5u, crit and the like have no place. */
	if (json_object_size(h) == 3 && alg && kid && typ && strcmp(alg, "EdDSA") == 0 && strcmp(typ, "at+jwt") == 0)
		key = jws_keys_find(k, kid);
	json_decref(h);
	return key;
}

static bool signature_ok(const struct jws_key *key, const struct parts *p)
{
	uint8_t sig[SIG_LEN];
	size_t len = 0;
	EVP_MD_CTX *ctx;
	int ok;

	if (!base64url_decode(p->sig, p->sig_len, sig, sizeof(sig), &len) || len != SIG_LEN)
		return false;
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
	     EVP_DigestVerify(ctx, sig, len, (const uint8_t *)p->header, p->signed_len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

/* A string member into a fixed field: false when it is of another type, empty, too long or not clean text. */
static bool copy_string(const json_t *v, char *out, size_t size)
{
	const char *s = json_string_value(v);
	size_t n = s ? json_string_length(v) : 0;

	if (!n || n >= size || !text_clean(s, n))
		return false;
	memcpy(out, s, n + 1);
	return true;
}

static bool string_claim(const json_t *p, const char *name, bool needed, char *out, size_t size)
{
	const json_t *v = json_object_get(p, name);

	return v ? copy_string(v, out, size) : !needed;
}

static bool int_claim(const json_t *p, const char *name, bool needed, int64_t *out)
{
	const json_t *v = json_object_get(p, name);

	if (!v)
		return !needed;
	if (!json_is_integer(v))
		return false;
	*out = json_integer_value(v);
	return *out >= 0;
}

static bool list_claim(const json_t *p, const char *name, char *first, size_t stride, size_t max, size_t *n_r)
{
	const json_t *v = json_object_get(p, name);
	size_t n = json_array_size(v);

	if (!v)
		return true;
	if (!json_is_array(v) || n > max)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!copy_string(json_array_get(v, i), first + i * stride, stride))
			return false;
	*n_r = n;
	return true;
}

static bool claims_read(const json_t *p, struct jws_claims *c)
{
	return string_claim(p, "iss", true, c->iss, sizeof(c->iss)) &&
	       string_claim(p, "aud", true, c->aud, sizeof(c->aud)) &&
	       string_claim(p, "sub", true, c->sub, sizeof(c->sub)) &&
	       string_claim(p, "sid", false, c->sid, sizeof(c->sid)) &&
	       string_claim(p, "jti", false, c->jti, sizeof(c->jti)) &&
	       string_claim(p, "vendor_id", false, c->vendor_id, sizeof(c->vendor_id)) &&
	       int_claim(p, "exp", true, &c->exp) && int_claim(p, "iat", true, &c->iat) &&
	       int_claim(p, "nbf", false, &c->nbf) && int_claim(p, "ver", false, &c->ver) &&
	       list_claim(p, "roles", c->roles[0], sizeof(c->roles[0]), JWS_ROLES_MAX, &c->n_roles) &&
	       list_claim(p, "perms", c->perms[0], sizeof(c->perms[0]), JWS_PERMS_MAX, &c->n_perms);
}

static enum err_code claims_check(const struct jws_claims *c, const struct jws_expect *x, struct err *e)
{
	int64_t skew = x->skew_s < 0 ? 0 : x->skew_s > JWS_SKEW_S ? JWS_SKEW_S : x->skew_s;
	bool aud = false;

	if (strcmp(c->iss, x->iss) != 0)
		return invalid(e, "issuer");
	for (const char *const *a = x->auds; *a; a++)
		aud = aud || strcmp(c->aud, *a) == 0;
	if (!aud)
		return invalid(e, "audience");
	if (c->exp <= c->iat)
		return invalid(e, "exp before iat");
	if (c->iat > x->now_s + skew || c->nbf > x->now_s + skew)
		return invalid(e, "not valid yet");
	if (c->exp <= x->now_s - skew)
		return err_set(e, E_UNAUTH, "common.token_expired", "token: expired");
	return OK;
}

static enum err_code payload_check(const struct parts *p, const struct jws_expect *x, struct jws_claims *c,
				   struct err *e)
{
	uint8_t *text = malloc(p->payload_len);
	json_t *json = NULL;
	size_t n = 0;
	bool ok;

	if (text && base64url_decode(p->payload, p->payload_len, text, p->payload_len, &n))
		json = jws_json_object((const char *)text, n, 4);
	free(text);
	ok = json && claims_read(json, c);
	json_decref(json);
	return ok ? claims_check(c, x, e) : invalid(e, "payload");
}

enum err_code jws_verify(const struct jws_keys *k, const char *token, size_t len, const struct jws_expect *expect,
			 struct jws_claims *claims_r, struct err *e)
{
	struct jws_claims c = { .ver = 0 };
	const struct jws_key *key;
	struct parts p;

	if (!token || len == 0 || len > JWS_TOKEN_MAX)
		return invalid(e, "size");
	if (!split(token, len, &p))
		return invalid(e, "shape");
	key = header_key(k, &p);
	if (!key)
		return invalid(e, "header or unknown key");
	if (!signature_ok(key, &p))
		return invalid(e, "signature");
	if (payload_check(&p, expect, &c, e))
		return E_UNAUTH;
	*claims_r = c;
	return OK;
}
