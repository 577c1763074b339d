/* A growing byte buffer that cannot be made without a maximum. Past it nothing more is added and buf_over is true. */
#ifndef SOUK_BUF_H
#define SOUK_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct buf {
	char *data; /* NUL-terminated when not NULL; the NUL is not counted */
	size_t len, cap, max;
	bool over;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* releases and leaves it as after buf_init; fine on a zeroed struct */
void buf_reset(struct buf *b); /* empties, keeps the memory */

/* Each adds all or nothing. */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s); /* NULL adds nothing */
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_i64(struct buf *b, int64_t v);
/* A JSON string with its quotes: control characters escaped, invalid UTF-8 becomes U+FFFD. NULL adds null. */
void buf_json_str(struct buf *b, const char *s);
void buf_json_strn(struct buf *b, const char *s, size_t n);

bool buf_over(const struct buf *b);	    /* something did not fit (or memory ran out) */
const char *buf_cstr(const struct buf *b); /* "" when empty */

#endif
