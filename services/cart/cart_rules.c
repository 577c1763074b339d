#include "services/cart/cart_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/cart/cart.h"

const char *cart_etag(struct arena *a, const char *cart_id, int64_t version)
{
	return cart_id ? arena_printf(a, "%s-%lld", cart_id, (long long)version) : "none";
}

int64_t cart_etag_version(const char *tag, const char *cart_id)
{
	size_t n = cart_id ? strlen(cart_id) : 0;
	char *end;
	long long v;

	if (!tag)
		return -1;
	if (!cart_id)
		return strcmp(tag, "none") == 0 ? 0 : -1;
	if (strncmp(tag, cart_id, n) != 0 || tag[n] != '-' || tag[n + 1] < '1' || tag[n + 1] > '9')
		return -1;
	errno = 0;
	v = strtoll(tag + n + 1, &end, 10);
	return errno || *end ? -1 : v;
}

bool cart_merge_policy(const char *word, enum merge_policy *r)
{
	static const char *const words[] = { "sum", "keep_user", "keep_guest" };

	if (!word)
		return *r = MERGE_SUM, true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(word, words[i]) == 0)
			return *r = (enum merge_policy)i, true;
	return false;
}

int32_t cart_merge_qty(enum merge_policy p, int32_t user, int32_t guest)
{
	int32_t sum = user + guest; /* both at most CART_QTY_MAX */

	if (p == MERGE_KEEP_USER)
		return user;
	if (p == MERGE_KEEP_GUEST)
		return guest;
	return sum > CART_QTY_MAX ? CART_QTY_MAX : sum;
}

bool cart_coupon_normal(const char *code, char out[33])
{
	size_t n = code ? strlen(code) : 0;

	if (n < 3 || n > 32)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = code[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
		out[i] = c;
	}
	out[n] = '\0';
	return true;
}
