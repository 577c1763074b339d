/* A growing text with a maximum, and a random source that can be replayed. */
#ifndef SANDBOX_TEXT_H
#define SANDBOX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows up to max bytes; beyond that (or out of memory) it stays as it is and over is set. data is
 * NUL-terminated. */
struct text {
	char *data;
	size_t len, cap, max;
	bool over;
};
#define TEXT_INIT(maximum)                                                                         \
	{                                                                                          \
		.max = (maximum)                                                                   \
	}

void text_add(struct text *t, const void *p, size_t n);
void text_str(struct text *t, const char *s);
void text_fmt(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_html(
	struct text *t, const char *s); /* escaped for element content and quoted attributes */
void text_free(struct text *t);

/* splitmix64: small, and good enough for ids and coin tosses of a test tool; not for secrets. */
struct rng {
	uint64_t state;
};
void rng_seed(struct rng *r, uint64_t seed); /* 0 seeds from the kernel */
uint64_t rng_next(struct rng *r);
double rng_unit(struct rng *r); /* in [0, 1) */
/* prefix + n base-62 characters into out; out holds at least strlen(prefix) + n + 1 bytes. */
void rng_id(struct rng *r, const char *prefix, size_t n, char *out);

uint64_t text_hash(const char *s); /* FNV-1a */

int64_t clock_s(void);	     /* wall clock, seconds */
int64_t clock_mono_ms(void); /* never jumps */

#endif
