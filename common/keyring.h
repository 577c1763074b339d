/* The inside of a key ring, for crypto.c and keys.c alone. */
#ifndef SOUK_KEYRING_H
#define SOUK_KEYRING_H

#include "common/crypto.h"

#define KEYRING_VERSION 1
#define KEYRING_MAX	64

struct keyring_key {
	uint32_t id;
	uint8_t b[KEY_LEN];
};

const struct keyring_key *keyring_current(const struct keyring *k) RETURNS_NONNULL; /* the highest id */
const struct keyring_key *keyring_find(const struct keyring *k, uint32_t id);	     /* NULL when unknown */

#endif
