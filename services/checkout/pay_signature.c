#include "services/checkout/pay_signature.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/crypto.h"

struct parsed {
	bool has_time, many;
	int64_t t;
	size_t n;
	uint8_t sig[PAY_SIGNATURES_MAX][SHA256_LEN];
};

/* Digits only: no sign, no space, no overflow. */
static bool parse_time(const char *s, size_t n, int64_t *r)
{
	int64_t v = 0;

	if (n == 0 || n > 12)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	*r = v;
	return true;
}

static bool parse_item(const char *s, size_t n, struct parsed *p)
{
	if (n > 2 && memcmp(s, "t=", 2) == 0) {
		if (p->has_time || !parse_time(s + 2, n - 2, &p->t))
			return false;
		p->has_time = true;
		return true;
	}
	if (n > 3 && memcmp(s, "v1=", 3) == 0) {
		if (p->n == PAY_SIGNATURES_MAX)
			return false;
		if (n - 3 == 2 * SHA256_LEN && hex_decode(s + 3, n - 3, p->sig[p->n]))
			p->n++;
		return true; /* one that is no SHA-256 cannot match */
	}
	return true; /* v0 and whatever else there may be is ignored */
}

static bool parse(const char *header, struct parsed *p)
{
	size_t items = 0;

	while (*header) {
		size_t n = strcspn(header, ",");

		if (++items > 32 || !parse_item(header, n, p))
			return false;
		header += n;
		if (*header == ',')
			header++;
	}
	return p->has_time;
}

static void expected(const char *secret, int64_t t, const void *body, size_t len, uint8_t out[SHA256_LEN])
{
	char head[32];
	int h = snprintf(head, sizeof(head), "%" PRId64 ".", t);
	char *text = malloc((size_t)h + len + 1);

	if (!text)
		abort();
	memcpy(text, head, (size_t)h);
	if (len)
		memcpy(text + h, body, len);
	hmac_sha256(secret, strlen(secret), text, (size_t)h + len, out);
	free(text);
}

enum pay_sig pay_signature_check(const char *header, const void *body, size_t len, const char *const *secrets,
				 int64_t now_s)
{
	struct parsed p = { 0 };
	uint8_t mac[SHA256_LEN];
	bool match = false;

	if (!header || !*header)
		return PAY_SIG_MISSING;
	if (len > PAY_WEBHOOK_MAX || strlen(header) > 4096 || !parse(header, &p))
		return PAY_SIG_MALFORMED;
	if (p.n == 0)
		return PAY_SIG_MISSING;
	for (; *secrets; secrets++) {
		if (!**secrets)
			continue; /* an empty secret signs nothing */
		expected(*secrets, p.t, body, len, mac);
		for (size_t i = 0; i < p.n; i++)
			match |= ct_equal(mac, p.sig[i], SHA256_LEN);
	}
	if (!match)
		return PAY_SIG_WRONG;
	if (p.t < now_s - PAY_TOLERANCE_S || p.t > now_s + PAY_TOLERANCE_S)
		return PAY_SIG_TIME;
	return PAY_SIG_OK;
}

const char *pay_signature_text(enum pay_sig s)
{
	static const char *const text[] = { "good", "missing", "malformed", "too old or from the future", "wrong" };

	return (unsigned)s < ARRAY_LEN(text) ? text[s] : "?";
}
