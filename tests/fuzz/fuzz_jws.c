/*
 * Tokens and key documents from strangers. The first byte picks: a token as it is; header | payload properly signed
 * (so that the payload is reached); a JWK set. Nothing may crash, and nothing unsigned may be accepted.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char header[] = "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}";
static const char *const auds[] = { "shop", NULL };
static const struct jws_expect expect = { .iss = "i", .auds = auds, .now_s = 1000, .skew_s = 60 };
static struct jws_keys *keys;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static enum err_code verify(const char *token, size_t n, struct jws_claims *c)
{
	struct err e = { 0 };
	enum err_code code = jws_verify(keys, token, n, &expect, c, &e);

	need(code == OK || code == E_UNAUTH);
	return code;
}

static void signed_by_us(const char *head, const char *payload, size_t n)
{
	struct jws_claims c;
	struct buf t;

	buf_init(&t, 1 << 20);
	if (jws_sign_raw(keys, head, payload, n, &t, NULL) == OK && verify(t.data, t.len, &c) == OK) {
		need(strcmp(c.iss, "i") == 0 && strcmp(c.aud, "shop") == 0 && c.sub[0] && c.exp > 940);
		need(c.n_roles <= JWS_ROLES_MAX && c.n_perms <= JWS_PERMS_MAX);
	}
	buf_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	struct jws_keys *parsed = NULL;
	struct jws_claims c;
	const char *text;
	char *head;

	if (!keys)
		need(jws_keys_from_seed("k1", seed, &keys, NULL) == OK);
	if (size == 0)
		return 0;
	text = (const char *)data + 1;
	size--;
	switch (data[0] % 4) {
	case 0:
		need(verify(text, size, &c) == E_UNAUTH);
		break;
	case 1:
		signed_by_us(header, text, size);
		break;
	case 2:
		head = strndup(text, size);
		need(head != NULL);
		signed_by_us(head, "{\"iss\":\"i\",\"aud\":\"shop\",\"sub\":\"u\",\"iat\":1,\"exp\":2000}", 54);
		free(head);
		break;
	default:
		if (jws_keys_parse(text, size, &parsed, NULL) == OK)
			need(jws_keys_count(parsed) > 0);
		jws_keys_free(parsed);
		break;
	}
	return 0;
}
