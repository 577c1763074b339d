/* Hashes, random bytes, base64url, sealed columns, blind indexes, and the key files they need. OpenSSL 3 below. */
#ifndef SOUK_CRYPTO_H
#define SOUK_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/pg.h"

void sha256(const void *p, size_t n, uint8_t out[32]);
void hmac_sha256(const void *key, size_t key_len, const void *p, size_t n, uint8_t out[32]);
bool ct_equal(const void *a, const void *b, size_t n);
void random_bytes(void *out, size_t n); /* aborts when the system has none */
void hex_encode(const void *p, size_t n, char *out /* 2n + 1 */);

/* Without padding. Decoding is strict: canonical last bits, no white space; false otherwise. */
size_t base64url_encode(const void *p, size_t n, char *out /* 4 * ((n + 2) / 3) + 1 */);
bool base64url_decode(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r);

/* ---- key files in SOUK_KEYS_DIR ---- */
/*
 * Makes what is missing, mode 0600: signing-1.pem (Ed25519), data-<daemon>.key and index.key and cursor.key and
 * session.key (32 bytes, base64url), pair-<caller>-<callee>.key. Never changes a file that is there.
 */
MUST_CHECK enum err_code keys_init(const char *dir, struct err *e);
/* One 32-byte key file. */
MUST_CHECK enum err_code key_load(const char *dir, const char *name, uint8_t key_r[32], struct err *e);

/* ---- sealed columns: ver(1) key_id(4) nonce(12) ciphertext tag(16) ---- */
struct keyring; /* data-<daemon>.key is key 1; data-<daemon>.<n>.key further ones; the largest seals, all open */
MUST_CHECK enum err_code keyring_load(const char *dir, const char *daemon, struct keyring **k_r, struct err *e);
void keyring_free(struct keyring *k);
/* where: "identity.user.email|usr_…" binds the text to its column and row. NULL text seals to {NULL, 0}. */
MUST_CHECK enum err_code crypto_seal(const struct keyring *k, struct arena *a, const char *where, const char *text,
				     struct pg_bytes *out_r, struct err *e);
/* {NULL, 0} opens to NULL. Tampered, swapped or foreign bytes: E_INTERNAL "crypto.open". */
MUST_CHECK enum err_code crypto_open(const struct keyring *k, struct arena *a, const char *where, struct pg_bytes in,
				     const char **text_r, struct err *e);
/* HMAC-SHA-256(index.key, purpose ":v1:" text), 32 bytes; text must be normalised by the caller. */
struct pg_bytes crypto_blind_index(const struct keyring *k, struct arena *a, const char *purpose, const char *text);

#endif
