/*
 * What the payment provider's webhook brings, from strangers: the signature header (up to the first line end of the
 * input) and the body behind it, at a fixed time. Nothing unsigned is believed; the same body signed by us is; what is
 * believed goes through the reader of events. The provider's answers are read by the same hands.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/crypto.h"
#include "services/checkout/pay_json.h"
#include "services/checkout/pay_signature.h"

#define NOW_S 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const secrets[] = { "whsec_old", "whsec_new", NULL };

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* Our own signature behind whatever the stranger wrote: believed only when his part is well-formed and names no time. */
static void signed_by_us(struct arena *a, const char *theirs, const char *body, size_t n)
{
	char *text = arena_alloc(a, n + 32), hex[SHA256_HEX_LEN], *header;
	int head = snprintf(text, 32, "%d.", NOW_S);
	uint8_t mac[SHA256_LEN];

	memcpy(text + head, body, n);
	hmac_sha256(secrets[1], strlen(secrets[1]), text, (size_t)head + n, mac);
	hex_encode(mac, SHA256_LEN, hex);
	header = arena_printf(a, "t=%d,v1=%s", NOW_S, hex);
	need(pay_signature_check(header, body, n, secrets, NOW_S) == PAY_SIG_OK);
	need(pay_signature_check(header, body, n, secrets, NOW_S + PAY_TOLERANCE_S + 1) == PAY_SIG_TIME);
	need(pay_signature_check(header, text, n + 1, secrets, NOW_S) == PAY_SIG_WRONG);
	if (strstr(theirs, "t="))
		(void)pay_signature_check(arena_printf(a, "%s,%s", header, theirs), body, n, secrets, NOW_S);
	else if (strlen(theirs) < 1000 && !strstr(theirs, "v1=") && !strchr(theirs, ','))
		need(pay_signature_check(arena_printf(a, "%s,%s", header, theirs), body, n, secrets, NOW_S) == PAY_SIG_OK);
}

static void answers(struct arena *a, const char *body, size_t n)
{
	struct pay_reply r = { 0 };
	struct pay_list *list;
	const char *kind;

	(void)pay_json_reply(a, body, n, &r, &kind);
	if (!pay_json_list(a, body, n, &list))
		return;
	for (size_t i = 0; pay_json_entry(list, a, i, &r); i++)
		need(i < n);
	(void)pay_json_more(list);
	pay_json_list_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = size ? memchr(text, '\n', size) : NULL;
	struct arena *a = arena_new("fuzz", 8 << 20);
	size_t head = end ? (size_t)(end - text) : size, n = end ? size - head - 1 : 0;
	const char *header = arena_strndup(a, text, head), *body = end ? end + 1 : "";
	struct pay_event ev = { 0 };

	need(pay_signature_check(header, body, n, secrets, NOW_S) != PAY_SIG_OK);
	signed_by_us(a, header, body, n);
	if (pay_json_event(a, body, n, &ev))
		need(ev.id && ev.type && ev.object_id && ev.object_type && ev.intent_id && ev.checkout_id);
	answers(a, body, n);
	arena_free(a);
	return 0;
}
