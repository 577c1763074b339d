/*
 * Hashes, MACs, random bytes, base64url, sealed columns (AES-256-GCM) and the key files under SOUK_KEYS_DIR.
 *
 * Key files (mode 0600, made by keys_init):
 *	data-<daemon>.key	key ring: lines "<key id> <64 hex digits>"; the highest id seals, all open. Rotate by
 *				adding a line.
 *	index.key cursor.key pair-<caller>-<callee>.key		64 hex digits: one 256-bit key
 *	signing-<kid>.pem	Ed25519 private key (common/jws.h)
 */
#ifndef SOUK_CRYPTO_H
#define SOUK_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/pg.h"

#define SHA256_LEN     32
#define SHA256_HEX_LEN 65
#define KEY_LEN	       32

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX_LEN]);
void hmac_sha256(const void *key, size_t key_len, const void *p, size_t n, uint8_t out[SHA256_LEN]);

/* Incremental SHA-256, for bodies that come in pieces. */
struct sha256_ctx;
struct sha256_ctx *sha256_start(void) RETURNS_NONNULL;
void sha256_add(struct sha256_ctx *, const void *p, size_t n);
void sha256_end(struct sha256_ctx *, uint8_t out[SHA256_LEN]); /* frees it */

bool ct_equal(const void *a, const void *b, size_t n); /* in constant time */
void random_bytes(void *p, size_t n);		       /* cryptographic; ends the process if there is none */
void random_token(char out[44]);		       /* 256 random bits as base64url */

void hex_encode(const void *p, size_t n, char *out /* 2n + 1 */);
bool hex_decode(const char *s, size_t n /* digits, even */, uint8_t *out);

/* base64url without padding. Decoding is strict: no padding, no white space, unused last bits zero. */
#define BASE64URL_LEN(n) (((n) * 4 + 2) / 3 + 1) /* encoded length of n bytes with its NUL */
size_t base64url_encode(const void *p, size_t n, char *out);
bool base64url_decode(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r);
/* Standard base64 with padding; decoding is as strict. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4 + 1)
size_t base64_encode(const void *p, size_t n, char *out);
bool base64_decode(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r);

/* ---- key files ---- */
struct key32 {
	uint8_t b[KEY_LEN];
};
/* Reads dir/name ("cursor.key", "pair-gateway-cart.key"). keys.missing or keys.invalid, never the content in msg. */
MUST_CHECK enum err_code key_load(const char *dir, const char *name, struct key32 *key_r, struct err *e);
void key_wipe(struct key32 *key);

/*
 * Makes every missing key file with mode 0600 (folder 0700) and leaves existing ones alone: data keys of all daemons,
 * index, cursor, a pair key for every (caller, callee), a first signing key. Safe to run at once with itself.
 */
MUST_CHECK enum err_code keys_init(const char *dir, struct err *e);
/* The daemons that keys_init knows, NULL-ended; the gateway is a caller only. */
extern const char *const keys_daemons[];

/* ---- sealed columns ---- */
struct keyring;
MUST_CHECK enum err_code keyring_load(const char *dir, const char *daemon, struct keyring **k_r, struct err *e);
/* From text of the file format; for tests. */
MUST_CHECK enum err_code keyring_parse(const char *text, size_t n, struct keyring **k_r, struct err *e);
void keyring_free(struct keyring *k); /* wipes */

/*
 * Record: version 1 | key id 4 (big endian) | nonce 12 | ciphertext | tag 16. The additional data are
 * column ("schema.table.column"), row_id, version and key id, each with its length, so a record opens only in its own
 * place.
 * Plaintexts up to 1 MiB. Opening fails with E_INTERNAL crypto.open and says nothing else.
 */
#define CRYPTO_OVERHEAD 33
MUST_CHECK enum err_code crypto_seal(const struct keyring *k, const char *column, const char *row_id,
				     struct pg_bytes plain, struct arena *a, struct pg_bytes *sealed_r, struct err *e);
MUST_CHECK enum err_code crypto_open(const struct keyring *k, const char *column, const char *row_id,
				     struct pg_bytes sealed, struct arena *a, struct pg_bytes *plain_r, struct err *e);
/* The same for text; NULL text is NULL bytes and back. */
MUST_CHECK enum err_code crypto_seal_text(const struct keyring *k, const char *column, const char *row_id,
					  const char *text, struct arena *a, struct pg_bytes *sealed_r, struct err *e);
MUST_CHECK enum err_code crypto_open_text(const struct keyring *k, const char *column, const char *row_id,
					  struct pg_bytes sealed, struct arena *a, const char **text_r, struct err *e);

/*
 * Equality index of sealed text: HMAC-SHA-256(index key, "<kind>:v1:" value), 32 bytes. kind "email" and "phone"; the
 * caller normalises first (crypto_normal_email).
 */
void crypto_blind_index(const struct key32 *index_key, const char *kind, const char *value, uint8_t out[SHA256_LEN]);
/* Trimmed, ASCII lower case throughout: the form that is indexed and compared. */
char *crypto_normal_email(struct arena *a, const char *email) RETURNS_NONNULL;

#endif
