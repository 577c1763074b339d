/* What simulators and random histories share: a generator that repeats by its seed, and numbers from the environment. */
#ifndef SOUK_TESTS_SEEDED_H
#define SOUK_TESTS_SEEDED_H

#include <stdint.h>
#include <stdlib.h>

/* 0 to n - 1; *rng is the seed first, not 0 (xorshift64). */
static inline unsigned seeded(uint64_t *rng, unsigned n)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return (unsigned)((*rng >> 11) % n);
}

static inline uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 10) : otherwise;
}

#endif
