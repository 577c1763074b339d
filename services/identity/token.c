#include "services/identity/token.h"

#include <stdio.h>
#include <string.h>

#include "common/id.h"

#define SECRET_LEN 32
#define TAG_LEN	   16
#define SUFFIX_LEN 26

static void derive(const struct key32 *from, const char *purpose, struct key32 *to)
{
	hmac_sha256(from->b, KEY_LEN, purpose, strlen(purpose), to->b);
}

void identity_keys_derive(struct identity_keys *keys)
{
	derive(&keys->index, "identity refresh v1", &keys->refresh);
	derive(&keys->index, "identity link v1", &keys->link);
	derive(&keys->index, "identity recovery code v1", &keys->code);
	derive(&keys->index, "identity back-off v1", &keys->backoff);
}

/* HMAC(key, label | session id | secret) */
static void bind(const struct identity_keys *keys, const char *label, const char *session_id,
		 const uint8_t secret[SECRET_LEN], uint8_t out[SHA256_LEN])
{
	uint8_t in[16 + ID_LEN + SECRET_LEN] = { 0 };

	memcpy(in, label, strlen(label));
	memcpy(in + 16, session_id, strlen(session_id));
	memcpy(in + 16 + ID_LEN, secret, SECRET_LEN);
	hmac_sha256(keys->refresh.b, KEY_LEN, in, sizeof(in), out);
}

static void refresh_build(const struct identity_keys *keys, const char *session_id, const uint8_t secret[SECRET_LEN],
			  struct refresh_token *out)
{
	uint8_t body[SECRET_LEN + TAG_LEN], tag[SHA256_LEN];

	bind(keys, "tag", session_id, secret, tag);
	memcpy(body, secret, SECRET_LEN);
	memcpy(body + SECRET_LEN, tag, TAG_LEN);
	(void)snprintf(out->session_id, sizeof(out->session_id), "%s", session_id);
	(void)snprintf(out->text, sizeof(out->text), "%.26s", session_id + 4);
	(void)base64url_encode(body, sizeof(body), out->text + SUFFIX_LEN);
	token_hash(out->text, out->hash);
}

void refresh_token_first(const struct identity_keys *keys, const char *session_id, struct refresh_token *out)
{
	uint8_t secret[SECRET_LEN];

	random_bytes(secret, sizeof(secret));
	refresh_build(keys, session_id, secret, out);
}

bool refresh_token_read(const struct identity_keys *keys, const char *text, struct refresh_token *out)
{
	uint8_t body[SECRET_LEN + TAG_LEN], tag[SHA256_LEN];
	char session_id[ID_LEN];
	size_t len = 0;

	if (!text || strlen(text) != REFRESH_TEXT_LEN - 1)
		return false;
	(void)snprintf(session_id, sizeof(session_id), "ses_%.26s", text);
	if (!id_valid("ses", session_id) ||
	    !base64url_decode(text + SUFFIX_LEN, strlen(text + SUFFIX_LEN), body, sizeof(body), &len) ||
	    len != sizeof(body))
		return false;
	bind(keys, "tag", session_id, body, tag);
	if (!ct_equal(tag, body + SECRET_LEN, TAG_LEN))
		return false;
	refresh_build(keys, session_id, body, out);
	return true;
}

void refresh_token_next(const struct identity_keys *keys, const struct refresh_token *of, struct refresh_token *out)
{
	uint8_t body[SECRET_LEN + TAG_LEN] = { 0 }, next[SHA256_LEN];
	char session_id[ID_LEN];
	size_t len = 0;

	(void)snprintf(session_id, sizeof(session_id), "%s", of->session_id);
	(void)base64url_decode(of->text + SUFFIX_LEN, strlen(of->text + SUFFIX_LEN), body, sizeof(body), &len);
	bind(keys, "successor", session_id, body, next);
	refresh_build(keys, session_id, next, out);
}

void link_token(const struct identity_keys *keys, const char *link_id, char text[LINK_TEXT_LEN])
{
	uint8_t mac[SHA256_LEN];

	hmac_sha256(keys->link.b, KEY_LEN, link_id, strlen(link_id), mac);
	(void)base64url_encode(mac, sizeof(mac), text);
}

void token_hash(const char *text, uint8_t out[SHA256_LEN])
{
	sha256(text, strlen(text), out);
}

static const char code_letters[] = "abcdefghjkmnpqrstuvwxyz23456789-"; /* 31 that cannot be confused; the last is none */

void recovery_code_new(char out[RECOVERY_LEN])
{
	for (int i = 0; i < RECOVERY_LEN - 1; i++) {
		uint8_t b;

		if (i == 5) {
			out[i] = '-';
			continue;
		}
		do
			random_bytes(&b, 1);
		while ((b & 31) == 31);
		out[i] = code_letters[b & 31];
	}
	out[RECOVERY_LEN - 1] = '\0';
}

bool recovery_code_hash(const struct identity_keys *keys, const char *user_id, const char *code, uint8_t out[SHA256_LEN])
{
	char in[2 * ID_LEN + RECOVERY_LEN];
	size_t n;

	if (strlen(user_id) >= 2 * ID_LEN)
		return false;
	n = (size_t)snprintf(in, sizeof(in), "%s|", user_id);
	for (size_t letters = 0; *code; code++) {
		char c = *code >= 'A' && *code <= 'Z' ? (char)(*code - 'A' + 'a') : *code;

		if (c == '-' || c == ' ')
			continue;
		if (!strchr(code_letters, c) || ++letters > RECOVERY_LEN - 2)
			return false;
		in[n++] = c;
	}
	hmac_sha256(keys->code.b, KEY_LEN, in, n, out);
	return true;
}
