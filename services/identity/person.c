#include "services/identity/person.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"

#define KEY_COLUMN "identity.person_key.sealed"

static enum err_code ring_of(const uint8_t key[KEY_LEN], struct keyring **ring_r, struct err *e)
{
	char text[2 + 2 * KEY_LEN + 2] = "1 ";

	hex_encode(key, KEY_LEN, text + 2);
	text[2 + 2 * KEY_LEN] = '\n';
	return keyring_parse(text, 2 + 2 * KEY_LEN + 1, ring_r, e);
}

enum err_code person_key_new(const struct identity_keys *keys, struct arena *a, const char *user_id,
			     struct pg_bytes *sealed_r, struct keyring **ring_r, struct err *e)
{
	uint8_t key[KEY_LEN];

	random_bytes(key, sizeof(key));
	if (crypto_seal(keys->ring, KEY_COLUMN, user_id, (struct pg_bytes){ key, sizeof(key) }, a, sealed_r, e))
		return e->code;
	return ring_of(key, ring_r, e);
}

enum err_code person_key_open(const struct identity_keys *keys, struct arena *a, const char *user_id,
			      struct pg_bytes sealed, struct keyring **ring_r, struct err *e)
{
	struct pg_bytes key;

	if (crypto_open(keys->ring, KEY_COLUMN, user_id, sealed, a, &key, e))
		return e->code;
	if (key.len != KEY_LEN)
		return err_set(e, E_INTERNAL, "crypto.open", "key of %s has %zu bytes", user_id, key.len);
	return ring_of(key.data, ring_r, e);
}

static struct pg_bytes index_of(const struct identity_keys *keys, struct arena *a, const char *kind, const char *value)
{
	uint8_t *out = arena_alloc(a, SHA256_LEN);

	crypto_blind_index(&keys->index, kind, value, out);
	return (struct pg_bytes){ out, SHA256_LEN };
}

struct pg_bytes person_email_index(const struct identity_keys *keys, struct arena *a, const char *email)
{
	return index_of(keys, a, "email", crypto_normal_email(a, email));
}

struct pg_bytes person_phone_index(const struct identity_keys *keys, struct arena *a, const char *phone)
{
	return index_of(keys, a, "phone", phone);
}

const char *person_mask_email(struct arena *a, const char *email)
{
	char out[LOG_MASK_LEN];

	return email ? arena_strdup(a, log_mask_email(email, out)) : NULL;
}

const char *person_mask_phone(struct arena *a, const char *phone)
{
	char out[LOG_MASK_LEN];

	return phone ? arena_strdup(a, log_mask_phone(phone, out)) : NULL;
}

const char *person_mask_name(struct arena *a, const char *name)
{
	if (!name)
		return NULL;
	return arena_printf(a, "%.*s***", (int)utf8_char(name, strlen(name)), name);
}

static const char *network(struct arena *a, const char *ip, size_t bytes4, size_t bytes6, const char *suffix4,
			   const char *suffix6)
{
	union {
		struct in6_addr in6;
		uint8_t b[16];
	} raw;
	char text[INET6_ADDRSTRLEN];
	int family = AF_INET6;
	size_t keep = bytes6;

	if (!ip)
		return "";
	if (inet_pton(AF_INET, ip, raw.b) == 1) {
		family = AF_INET;
		keep = bytes4;
	} else if (inet_pton(AF_INET6, ip, raw.b) != 1) {
		return "";
	} else if (IN6_IS_ADDR_V4MAPPED(&raw.in6)) {
		memmove(raw.b, raw.b + 12, 4);
		family = AF_INET;
		keep = bytes4;
	}
	for (size_t i = keep; i < (family == AF_INET ? 4 : 16); i++)
		raw.b[i] = 0;
	if (!inet_ntop(family, raw.b, text, sizeof(text)))
		return "";
	return arena_printf(a, "%s%s", text, family == AF_INET ? suffix4 : suffix6);
}

const char *person_short_ip(struct arena *a, const char *ip)
{
	return network(a, ip, 3, 6, "/24", "/48");
}

const char *person_ip_unit(struct arena *a, const char *ip)
{
	return network(a, ip, 4, 8, "", "/64");
}
