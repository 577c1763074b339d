/* A growable byte buffer with a maximum; past it (or out of memory) it stops growing and remembers. */
#ifndef SOUK_BUF_H
#define SOUK_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"

struct buf {
	char *data; /* NUL-terminated after len; NULL while empty */
	size_t len, cap, max;
	bool over;
};

void buf_init(struct buf *b, size_t max);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The string as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void buf_json_str(struct buf *b, const char *s, size_t n);
bool buf_over(const struct buf *b);
void buf_reset(struct buf *b); /* keeps the memory */
void buf_free(struct buf *b);
char *buf_take(struct buf *b); /* the caller frees; b is empty then; NULL when over */

#endif
