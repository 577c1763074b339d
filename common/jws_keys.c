/* Token keys: files, JWK sets, and what makes a public key acceptable. */
#include "common/jws_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto.h"

#define JWKS_MAX   65536
#define SETTLE_S   3600 /* a new key is published this long before it signs */
#define PEM_PREFIX "signing-"
#define PEM_SUFFIX ".pem"

bool jws_kid_ok(const char *kid)
{
	size_t n = strnlen(kid, JWS_KID_MAX);

	return n >= 1 && n < JWS_KID_MAX &&
	       strspn(kid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

bool jws_point_ok(const uint8_t x[ED25519_LEN])
{
	/* The y coordinates of the small-order points below p (0, 1, the two of order 8, p - 1), sign bit off. */
	static const uint8_t weak[][ED25519_LEN] = {
		{ 0 },
		{ 1 },
		{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
			0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc,
			0x05 },
		{ 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
			0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03,
			0x7a },
		{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0x7f },
	};
	uint8_t y[ED25519_LEN];
	bool high = true;

	memcpy(y, x, sizeof(y));
	y[31] &= 0x7f;
	for (size_t i = 1; i < 31; i++)
		high = high && y[i] == 0xff;
	if (high && y[31] == 0x7f && y[0] >= 0xed) /* p = 2^255 - 19 and above: not canonical */
		return false;
	for (size_t i = 0; i < ARRAY_LEN(weak); i++)
		if (memcmp(weak[i], y, sizeof(y)) == 0)
			return false;
	return true;
}

void jws_keys_free(struct jws_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->key[i].pkey); /* wipes the private part itself */
	free(k);
}

size_t jws_keys_count(const struct jws_keys *k)
{
	return k ? k->n : 0;
}

const struct jws_key *jws_keys_find(const struct jws_keys *k, const char *kid)
{
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->key[i].kid, kid) == 0)
			return &k->key[i];
	return NULL;
}

/* Takes pkey over, also on failure. */
static enum err_code keys_add(struct jws_keys *k, const char *kid, EVP_PKEY *pkey, bool secret, struct err *e)
{
	struct jws_key *key = &k->key[k->n];
	size_t len = ED25519_LEN;
	const char *why = NULL;

	if (!pkey || !EVP_PKEY_is_a(pkey, "ED25519"))
		why = "no Ed25519 key";
	else if (!jws_kid_ok(kid))
		why = "its key id has other characters than letters, digits, _ and -";
	else if (k->n == JWS_KEYS_MAX)
		why = "too many keys";
	else if (jws_keys_find(k, kid))
		why = "repeated key id";
	else if (EVP_PKEY_get_raw_public_key(pkey, key->x, &len) != 1 || len != ED25519_LEN || !jws_point_ok(key->x))
		why = "weak or malformed key";
	if (why) {
		EVP_PKEY_free(pkey);
		return err_set(e, E_INTERNAL, "keys.invalid", "token key %.60s: %s", kid, why);
	}
	(void)snprintf(key->kid, sizeof(key->kid), "%s", kid);
	key->pkey = pkey;
	key->secret = secret;
	k->n++;
	return OK;
}

static enum err_code keys_new(struct jws_keys **k_r, struct err *e)
{
	*k_r = calloc(1, sizeof(**k_r));
	return *k_r ? OK : err_set(e, E_UNAVAILABLE, "common.unavailable", "no memory for token keys");
}

static enum err_code keys_single(const char *kid, EVP_PKEY *pkey, struct jws_keys **k_r, struct err *e)
{
	struct jws_keys *k = NULL;
	enum err_code code = keys_new(&k, e);

	if (code) {
		EVP_PKEY_free(pkey);
		return code;
	}
	code = keys_add(k, kid, pkey, true, e);
	if (code)
		jws_keys_free(k);
	else
		*k_r = k;
	return code;
}

enum err_code jws_keys_from_seed(const char *kid, const uint8_t seed[32], struct jws_keys **k_r, struct err *e)
{
	return keys_single(kid, EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, 32), k_r, e);
}

enum err_code jws_keys_generate(const char *kid, struct jws_keys **k_r, struct err *e)
{
	return keys_single(kid, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), k_r, e);
}

/* ---- files ---- */

/* The kid inside "signing-<kid>.pem"; false for any other name. */
static bool kid_of_file(const char *name, char kid[JWS_KID_MAX])
{
	size_t n = strlen(name), affix = sizeof(PEM_PREFIX) - 1 + sizeof(PEM_SUFFIX) - 1;

	if (n <= affix || n - affix >= JWS_KID_MAX || strncmp(name, PEM_PREFIX, sizeof(PEM_PREFIX) - 1) != 0 ||
		strcmp(name + n - (sizeof(PEM_SUFFIX) - 1), PEM_SUFFIX) != 0)
		return false;
	memcpy(kid, name + sizeof(PEM_PREFIX) - 1, n - affix);
	kid[n - affix] = '\0';
	return true;
}

static int is_key_file(const struct dirent *d)
{
	char kid[JWS_KID_MAX];

	return kid_of_file(d->d_name, kid);
}

/* A key file must never ask for a passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf, (void)size, (void)rw, (void)arg;
	return -1;
}

static enum err_code pem_add(struct jws_keys *k, const char *dir, const char *name, time_t *mtime_r, struct err *e)
{
	char path[1024], kid[JWS_KID_MAX];
	EVP_PKEY *pkey = NULL;
	struct stat st = { 0 };
	FILE *f;

	(void)kid_of_file(name, kid);
	(void)snprintf(path, sizeof(path), "%.900s/%s", dir, name);
	f = fopen(path, "re");
	if (!f)
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s: %s", path, strerror(errno));
	if (fstat(fileno(f), &st) == 0 && st.st_size < 16384)
		pkey = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
	(void)fclose(f);
	*mtime_r = st.st_mtime;
	return keys_add(k, kid, pkey, true, e);
}

static enum err_code pems_add(struct jws_keys *k, const char *dir, struct dirent **file, int n, struct err *e)
{
	time_t now = time(NULL), made = 0;

	k->current = 0;
	for (int i = 0; i < n; i++) { /* by rising kid */
		if (pem_add(k, dir, file[i]->d_name, &made, e))
			return E_INTERNAL;
		if (made <= now - SETTLE_S)
			k->current = k->n - 1;
	}
	return OK;
}

enum err_code jws_keys_load(const char *dir, struct jws_keys **k_r, struct err *e)
{
	struct dirent **file = NULL;
	struct jws_keys *k = NULL;
	int n = scandir(dir, &file, is_key_file, alphasort);
	enum err_code code;

	if (n <= 0) {
		free(file);
		return err_set(e, E_INTERNAL, "keys.missing", "no signing-*.pem in %.160s; `soukctl keys init` makes one",
			dir);
	}
	code = keys_new(&k, e);
	if (!code)
		code = pems_add(k, dir, file, n, e);
	if (!code)
		*k_r = k;
	else
		jws_keys_free(k);
	for (int i = 0; i < n; i++)
		free(file[i]);
	free(file);
	return code;
}

static enum err_code pem_write(const char *path, EVP_PKEY *pkey, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool ok;

	if (!f) {
		if (fd >= 0)
			(void)close(fd);
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s cannot be made: %s", path, strerror(errno));
	}
	ok = PEM_write_PKCS8PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL) == 1;
	ok = fflush(f) == 0 && fsync(fd) == 0 && ok;
	ok = fclose(f) == 0 && ok;
	if (ok)
		return OK;
	(void)unlink(path);
	return err_set(e, E_INTERNAL, "keys.missing", "%.180s cannot be written", path);
}

enum err_code jws_key_create(const char *dir, char kid_r[JWS_KID_MAX], struct err *e)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t x[ED25519_LEN], hash[SHA256_LEN];
	size_t len = sizeof(x);
	char path[1024], temp[1100], kid[JWS_KID_MAX];
	time_t now = time(NULL);
	struct tm tm;
	enum err_code code;

	if (!pkey || EVP_PKEY_get_raw_public_key(pkey, x, &len) != 1 || !gmtime_r(&now, &tm)) {
		EVP_PKEY_free(pkey);
		return err_set(e, E_INTERNAL, "common.internal", "no Ed25519 key could be made");
	}
	sha256(x, len, hash);
	len = strftime(kid, sizeof(kid), "%Y%m%dT%H%M%S-", &tm);
	hex_encode(hash, 4, kid + len);
	if (snprintf(path, sizeof(path), "%s/" PEM_PREFIX "%s" PEM_SUFFIX, dir, kid) >= (int)sizeof(path)) {
		EVP_PKEY_free(pkey);
		return err_set(e, E_INVALID, "keys.missing", "the path of the key folder is too long");
	}
	/* Whole under its name or not there: a daemon may be reading the folder. */
	(void)snprintf(temp, sizeof(temp), "%s.new", path);
	code = pem_write(temp, pkey, e);
	EVP_PKEY_free(pkey);
	if (code)
		return code;
	if (rename(temp, path)) {
		(void)unlink(temp);
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s: %s", path, strerror(errno));
	}
	memcpy(kid_r, kid, sizeof(kid));
	return OK;
}

enum err_code jws_key_ensure(const char *dir, struct err *e)
{
	struct dirent **file = NULL;
	char kid[JWS_KID_MAX];
	int n = scandir(dir, &file, is_key_file, NULL);

	for (int i = 0; i < n; i++)
		free(file[i]);
	free(file);
	return n > 0 ? OK : jws_key_create(dir, kid, e);
}

/* ---- JWK sets ---- */

void jws_jwks(const struct jws_keys *k, struct buf *out)
{
	char x[BASE64URL_LEN(ED25519_LEN)];

	buf_str(out, "{\"keys\":[");
	for (size_t i = 0; i < k->n; i++) {
		(void)base64url_encode(k->key[i].x, ED25519_LEN, x);
		buf_fmt(out, "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"kid\":\"%s\",\"x\":\"%s\"}",
			i ? "," : "", k->key[i].kid, x);
	}
	buf_str(out, "]}");
}

json_t *jws_json_object(const char *text, size_t n, int depth)
{
	bool in_string = false;
	int open = 0;
	json_t *json;

	/* Nesting is bounded here because the parser recurses. */
	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++open > depth)
				return NULL;
		} else if (text[i] == '}' || text[i] == ']') {
			open--;
		}
	}
	json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	if (json && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

const char *jws_json_string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool word_or_absent(const json_t *jwk, const char *name, const char *word)
{
	const json_t *v = json_object_get(jwk, name);

	return !v || (json_is_string(v) && strcmp(json_string_value(v), word) == 0);
}

static enum err_code jwk_add(struct jws_keys *k, const json_t *jwk, struct err *e)
{
	const char *kty = jws_json_string(jwk, "kty"), *crv = jws_json_string(jwk, "crv");
	const char *kid = jws_json_string(jwk, "kid"), *x = jws_json_string(jwk, "x");
	uint8_t raw[ED25519_LEN];
	size_t len = 0;

	if (!kty)
		return err_set(e, E_INVALID, "keys.invalid", "a JWK without kty");
	if (strcmp(kty, "OKP") != 0 || !crv || strcmp(crv, "Ed25519") != 0)
		return OK;
	if (!word_or_absent(jwk, "alg", "EdDSA") || !word_or_absent(jwk, "use", "sig") || json_object_get(jwk, "d") ||
		!kid || !x || !base64url_decode(x, strlen(x), raw, sizeof(raw), &len) || len != ED25519_LEN)
		return err_set(e, E_INVALID, "keys.invalid", "a malformed Ed25519 JWK");
	return keys_add(k, kid, EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, raw, len), false, e);
}

enum err_code jws_keys_parse(const char *jwks, size_t n, struct jws_keys **k_r, struct err *e)
{
	json_t *json = n <= JWKS_MAX ? jws_json_object(jwks, n, 5) : NULL;
	const json_t *list = json_object_get(json, "keys");
	struct jws_keys *k = NULL;
	enum err_code code = OK;

	if (!json_is_array(list)) {
		json_decref(json);
		return err_set(e, E_INVALID, "keys.invalid", "not a JWK set");
	}
	code = keys_new(&k, e);
	for (size_t i = 0; !code && i < json_array_size(list); i++)
		code = jwk_add(k, json_array_get(list, i), e);
	if (!code && k->n == 0)
		code = err_set(e, E_INVALID, "keys.invalid", "a JWK set without an Ed25519 key");
	if (code)
		jws_keys_free(k);
	else
		*k_r = k;
	json_decref(json);
	return code;
}
