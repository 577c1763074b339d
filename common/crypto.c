#include "common/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/keyring.h"

#define NONCE_LEN 12
#define TAG_LEN	  16
#define HEAD_LEN  5 /* version, key id */
#define PLAIN_MAX (1u << 20)

/* Fetched once: looking an algorithm up by name for each use costs more than the use. */
static struct {
	EVP_MD *sha256;
	EVP_CIPHER *gcm;
} alg;
static pthread_once_t alg_once = PTHREAD_ONCE_INIT;

/* OpenSSL failing here means no memory or a broken installation; nothing from outside leads here. */
static NORETURN void broken(const char *what)
{
	fprintf(stderr, "{\"level\":\"CRITICAL\",\"message\":\"crypto library failed\",\"context\":{\"call\":\"%s\"}}\n",
		what);
	abort();
}

static void alg_fetch(void)
{
	alg.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	alg.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!alg.sha256 || !alg.gcm)
		broken("fetch");
}

static void alg_need(void)
{
	(void)pthread_once(&alg_once, alg_fetch);
}

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	alg_need();
	if (EVP_Digest(p, n, out, NULL, alg.sha256, NULL) != 1)
		broken("digest");
}

void sha256_hex(const void *p, size_t n, char out[SHA256_HEX_LEN])
{
	uint8_t h[SHA256_LEN];

	sha256(p, n, h);
	hex_encode(h, sizeof(h), out);
}

/* The handle is OpenSSL's own context under another name. */
struct sha256_ctx *sha256_start(void)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	alg_need();
	if (!c || EVP_DigestInit_ex2(c, alg.sha256, NULL) != 1)
		broken("digest init");
	return (struct sha256_ctx *)c;
}

void sha256_add(struct sha256_ctx *c, const void *p, size_t n)
{
	if (EVP_DigestUpdate((EVP_MD_CTX *)c, p, n) != 1)
		broken("digest update");
}

void sha256_end(struct sha256_ctx *c, uint8_t out[SHA256_LEN])
{
	if (EVP_DigestFinal_ex((EVP_MD_CTX *)c, out, NULL) != 1)
		broken("digest final");
	EVP_MD_CTX_free((EVP_MD_CTX *)c);
}

void hmac_sha256(const void *key, size_t key_len, const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	/* RFC 2104 over the digest: one context, no parameter arrays; checked with the vectors of RFC 4231. */
	uint8_t block[64] = { 0 }, pad[64], inner[SHA256_LEN];
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	alg_need();
	if (key_len > sizeof(block))
		sha256(key, key_len, block);
	else if (key_len)
		memcpy(block, key, key_len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x36;
	if (!c || EVP_DigestInit_ex2(c, alg.sha256, NULL) != 1 || EVP_DigestUpdate(c, pad, sizeof(pad)) != 1 ||
		EVP_DigestUpdate(c, p, n) != 1 || EVP_DigestFinal_ex(c, inner, NULL) != 1)
		broken("hmac inner");
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x5c;
	if (EVP_DigestInit_ex2(c, alg.sha256, NULL) != 1 || EVP_DigestUpdate(c, pad, sizeof(pad)) != 1 ||
		EVP_DigestUpdate(c, inner, sizeof(inner)) != 1 || EVP_DigestFinal_ex(c, out, NULL) != 1)
		broken("hmac outer");
	EVP_MD_CTX_free(c);
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(pad, sizeof(pad));
}

bool ct_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *p, size_t n)
{
	unsigned char *out = p;

	while (n) {
		int k = n > 1 << 20 ? 1 << 20 : (int)n;

		if (RAND_bytes(out, k) != 1)
			broken("random");
		out += k;
		n -= (size_t)k;
	}
}

void random_token(char out[44])
{
	uint8_t b[32];

	random_bytes(b, sizeof(b));
	base64url_encode(b, sizeof(b), out);
	OPENSSL_cleanse(b, sizeof(b));
}

/* ---- sealed columns ---- */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A part that holds the separator could make two places look alike, so each goes with its length. */
static char *aad_text(struct arena *a, const char *column, const char *row_id, uint32_t key_id)
{
	return arena_printf(a, "%zu:%s|%zu:%s|%d|%u", strlen(column), column, strlen(row_id), row_id,
		KEYRING_VERSION, (unsigned)key_id);
}

enum err_code crypto_seal(const struct keyring *k, const char *column, const char *row_id, struct pg_bytes plain,
			  struct arena *a, struct pg_bytes *sealed_r, struct err *e)
{
	const struct keyring_key *key = keyring_current(k);
	EVP_CIPHER_CTX *c;
	const char *aad;
	uint8_t *out;
	int n, ok;

	if (plain.len > PLAIN_MAX)
		return err_set(e, E_TOO_LARGE, "common.too_large", "seal: %zu bytes for %s", plain.len, column);
	alg_need();
	aad = aad_text(a, column, row_id, key->id);
	out = arena_alloc(a, plain.len + CRYPTO_OVERHEAD);
	out[0] = KEYRING_VERSION;
	put32(out + 1, key->id);
	random_bytes(out + HEAD_LEN, NONCE_LEN);
	c = EVP_CIPHER_CTX_new();
	ok = c && EVP_EncryptInit_ex2(c, alg.gcm, key->b, out + HEAD_LEN, NULL) == 1 &&
	     EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)aad, (int)strlen(aad)) == 1 &&
	     (plain.len == 0 ||
		     EVP_EncryptUpdate(c, out + HEAD_LEN + NONCE_LEN, &n, plain.data, (int)plain.len) == 1) &&
	     EVP_EncryptFinal_ex(c, out + HEAD_LEN + NONCE_LEN + plain.len, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + HEAD_LEN + NONCE_LEN + plain.len) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		return err_set(e, E_INTERNAL, "common.internal", "seal failed for %s", column);
	*sealed_r = (struct pg_bytes){ out, plain.len + CRYPTO_OVERHEAD };
	return OK;
}

enum err_code crypto_open(const struct keyring *k, const char *column, const char *row_id, struct pg_bytes sealed,
			  struct arena *a, struct pg_bytes *plain_r, struct err *e)
{
	const uint8_t *in = sealed.data;
	const struct keyring_key *key = NULL;
	EVP_CIPHER_CTX *c;
	const char *aad;
	uint8_t *out, tag[TAG_LEN];
	size_t len;
	int n, ok;

	if (sealed.len >= CRYPTO_OVERHEAD && sealed.len <= PLAIN_MAX + CRYPTO_OVERHEAD && in[0] == KEYRING_VERSION)
		key = keyring_find(k, get32(in + 1));
	if (!key)
		return err_set(e, E_INTERNAL, "crypto.open", "no key or no record: %s", column);
	alg_need();
	len = sealed.len - CRYPTO_OVERHEAD;
	aad = aad_text(a, column, row_id, key->id);
	out = arena_alloc(a, len + 1);
	memcpy(tag, in + HEAD_LEN + NONCE_LEN + len, TAG_LEN);
	c = EVP_CIPHER_CTX_new();
	ok = c && EVP_DecryptInit_ex2(c, alg.gcm, key->b, in + HEAD_LEN, NULL) == 1 &&
	     EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)aad, (int)strlen(aad)) == 1 &&
	     (len == 0 || EVP_DecryptUpdate(c, out, &n, in + HEAD_LEN + NONCE_LEN, (int)len) == 1) &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
	     EVP_DecryptFinal_ex(c, out + len, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok) {
		OPENSSL_cleanse(out, len); /* unauthenticated plaintext must not linger */
		return err_set(e, E_INTERNAL, "crypto.open", "not authentic: %s", column);
	}
	*plain_r = (struct pg_bytes){ out, len };
	return OK;
}

enum err_code crypto_seal_text(const struct keyring *k, const char *column, const char *row_id, const char *text,
			       struct arena *a, struct pg_bytes *sealed_r, struct err *e)
{
	if (!text) {
		*sealed_r = (struct pg_bytes){ NULL, 0 };
		return OK;
	}
	return crypto_seal(k, column, row_id, (struct pg_bytes){ text, strlen(text) }, a, sealed_r, e);
}

enum err_code crypto_open_text(const struct keyring *k, const char *column, const char *row_id, struct pg_bytes sealed,
			       struct arena *a, const char **text_r, struct err *e)
{
	struct pg_bytes plain;

	if (!sealed.data) {
		*text_r = NULL;
		return OK;
	}
	if (crypto_open(k, column, row_id, sealed, a, &plain, e))
		return e ? e->code : E_INTERNAL;
	if (memchr(plain.data, '\0', plain.len))
		return err_set(e, E_INTERNAL, "crypto.open", "text with NUL: %s", column);
	*text_r = plain.data; /* crypto_open left room for the NUL and the arena zeroed it */
	return OK;
}

void crypto_blind_index(const struct key32 *index_key, const char *kind, const char *value, uint8_t out[SHA256_LEN])
{
	size_t kind_len = strlen(kind), value_len = strlen(value), n = kind_len + 4 + value_len;
	char small[512], *text = n < sizeof(small) ? small : malloc(n + 1);

	if (!text)
		broken("memory");
	memcpy(text, kind, kind_len);
	memcpy(text + kind_len, ":v1:", 4);
	memcpy(text + kind_len + 4, value, value_len);
	hmac_sha256(index_key->b, sizeof(index_key->b), text, n, out);
	OPENSSL_cleanse(text, n);
	if (text != small)
		free(text);
}

char *crypto_normal_email(struct arena *a, const char *email)
{
	size_t n = strlen(email);
	char *out;

	while (n && (email[n - 1] == ' ' || email[n - 1] == '\t'))
		n--;
	for (; n && (*email == ' ' || *email == '\t'); n--)
		email++;
	out = arena_strndup(a, email, n);
	for (char *p = out; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
	return out;
}
