#include "common/trace.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/crypto.h"

static bool all_hex(const char *s, size_t n)
{
	bool nonzero = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
		nonzero = nonzero || s[i] != '0';
	}
	return nonzero;
}

bool trace_ok(const char *t)
{
	if (!t || strnlen(t, TRACE_LEN) != TRACE_LEN - 1 || memcmp(t, "00-", 3) != 0)
		return false;
	return t[35] == '-' && t[52] == '-' && all_hex(t + 3, 32) && all_hex(t + 36, 16) &&
	       (all_hex(t + 53, 2) || !memcmp(t + 53, "00", 2));
}

/* Span ids need to be unique, not secret: a generator per thread, seeded once. */
static uint64_t next_random(void)
{
	static _Thread_local uint64_t state;
	uint64_t z;

	if (!state)
		random_bytes(&state, sizeof(state));
	z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) | 1;
}

static void put_hex(uint64_t v, char *out)
{
	static const char digits[] = "0123456789abcdef";
	int i;

	for (i = 15; i >= 0; i--, v >>= 4)
		out[i] = digits[v & 15];
}

void trace_new(char out[TRACE_LEN])
{
	memcpy(out, "00-", 3);
	put_hex(next_random(), out + 3);
	put_hex(next_random(), out + 19);
	out[35] = '-';
	put_hex(next_random(), out + 36);
	memcpy(out + 52, "-01", 4);
}

void trace_child(const char *parent, char out[TRACE_LEN])
{
	if (!trace_ok(parent)) {
		trace_new(out);
		return;
	}
	memcpy(out, parent, TRACE_LEN);
	put_hex(next_random(), out + 36);
}
