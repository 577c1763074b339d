#include "common/id.h"

#include <stdatomic.h>
#include <string.h>

#include "common/crypto.h"
#include "common/timeutil.h"

#define SUFFIX 26

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford, lower case */

/*
 * The next (millisecond << 12 | counter) of this process, strictly increasing: a burst of more than 4096 in one
 * millisecond, or a clock that steps back, borrows from the next one.
 */
static uint64_t next_tick(void)
{
	static _Atomic uint64_t last;
	uint64_t now = (uint64_t)wall_ms() << 12;
	uint64_t seen = atomic_load_explicit(&last, memory_order_relaxed), mine;

	do {
		mine = now > seen ? now : seen + 1;
	} while (!atomic_compare_exchange_weak(&last, &seen, mine));
	return mine;
}

static void uuid7(uint8_t u[16])
{
	uint64_t tick = next_tick(), ms = tick >> 12;

	random_bytes(u + 8, 8);
	for (int i = 0; i < 6; i++)
		u[i] = (uint8_t)(ms >> (40 - 8 * i));
	u[6] = (uint8_t)(0x70 | (tick >> 8 & 0x0f));
	u[7] = (uint8_t)tick;
	u[8] = (uint8_t)(0x80 | (u[8] & 0x3f));
}

void id_new(const char *prefix, char out[ID_LEN])
{
	size_t n = strnlen(prefix, ID_LEN - SUFFIX - 2);
	uint8_t u[16];

	uuid7(u);
	memcpy(out, prefix, n);
	out[n++] = '_';
	/* 130 bits: two zero bits, then the 128 of the UUID. */
	for (int i = 0; i < SUFFIX; i++) {
		unsigned v = 0;

		for (int b = 0; b < 5; b++) {
			int bit = i * 5 + b - 2;

			v <<= 1;
			if (bit >= 0)
				v |= (unsigned)u[bit / 8] >> (7 - bit % 8) & 1u;
		}
		out[n++] = alphabet[v];
	}
	out[n] = '\0';
}

static int base32_value(char c)
{
	const char *p = c ? strchr(alphabet, c) : NULL;

	return p ? (int)(p - alphabet) : -1;
}

bool id_valid(const char *prefix, const char *s)
{
	size_t n;

	if (!s)
		return false;
	if (prefix) {
		n = strlen(prefix);
		if (strncmp(s, prefix, n) != 0)
			return false;
	} else {
		for (n = 0; s[n] >= 'a' && s[n] <= 'z' && n < 6; n++)
			;
		if (n < 2 || n > 5)
			return false;
	}
	if (s[n] != '_' || strnlen(s + n + 1, SUFFIX + 1) != SUFFIX || s[n + 1] > '7')
		return false;
	for (size_t i = 0; i < SUFFIX; i++)
		if (base32_value(s[n + 1 + i]) < 0)
			return false;
	return true;
}

int64_t id_time_ms(const char *id)
{
	const char *p;
	int64_t ms = 0;

	if (!id_valid(NULL, id))
		return -1;
	p = strchr(id, '_') + 1;
	for (int i = 0; i < 10; i++) /* 2 padding bits + the 48 of the time */
		ms = ms << 5 | base32_value(p[i]);
	return ms;
}

void id_uuid(char out[37])
{
	uint8_t u[16];
	char hex[33];

	uuid7(u);
	hex_encode(u, sizeof(u), hex);
	memcpy(out, hex, 8);
	out[8] = '-';
	memcpy(out + 9, hex + 8, 4);
	out[13] = '-';
	memcpy(out + 14, hex + 12, 4);
	out[18] = '-';
	memcpy(out + 19, hex + 16, 4);
	out[23] = '-';
	memcpy(out + 24, hex + 20, 12);
	out[36] = '\0';
}

bool id_request_ok(const char *s)
{
	size_t n = 0;

	if (!s)
		return false;
	for (; s[n]; n++) {
		char c = s[n];

		if (n == 64 || !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
				       c == '_' || c == '-'))
			return false;
	}
	return n >= 8;
}
