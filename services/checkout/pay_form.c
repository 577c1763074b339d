#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "services/checkout/pay.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pay_pair *)a)->name, ((const struct pay_pair *)b)->name);
}

static bool plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.' || c == '[' || c == ']';
}

static char *put(char *to, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (plain(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	return to;
}

char *pay_form(struct arena *a, struct pay_pair *pairs, size_t n)
{
	size_t size = 1;
	char *text, *to;

	qsort(pairs, n, sizeof(*pairs), by_name);
	for (size_t i = 0; i < n; i++)
		size += 3 * (strlen(pairs[i].name) + strlen(pairs[i].value)) + 2;
	text = to = arena_alloc(a, size);
	for (size_t i = 0; i < n; i++) {
		if (i)
			*to++ = '&';
		to = put(to, pairs[i].name);
		*to++ = '=';
		to = put(to, pairs[i].value);
	}
	*to = '\0';
	return text;
}

char *pay_create_params(struct arena *a, const char *checkout_id, const char *order_id, int32_t attempt,
			int64_t amount, const char *currency)
{
	char *cur = arena_strdup(a, currency);

	for (char *p = cur; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	struct pay_pair pairs[] = {
		{ "amount", arena_printf(a, "%" PRId64, amount) },
		{ "capture_method", "manual" },
		{ "currency", cur },
		{ "metadata[attempt]", arena_printf(a, "%" PRId32, attempt) },
		{ "metadata[checkout_id]", checkout_id },
		{ "metadata[order_id]", order_id },
		{ "payment_method_types[0]", "card" },
	};

	return pay_form(a, pairs, sizeof(pairs) / sizeof(pairs[0]));
}
