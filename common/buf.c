#include "common/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->over = false;
	if (b->data)
		b->data[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool reserve(struct buf *b, size_t n)
{
	size_t want, cap;
	char *data;

	if (b->over || n > b->max || b->len > b->max - n || b->max >= SIZE_MAX / 2) {
		b->over = true;
		return false;
	}
	want = b->len + n + 1;
	if (want <= b->cap)
		return true;
	cap = b->cap ? b->cap : 64;
	while (cap < want)
		cap *= 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	data = realloc(b->data, cap);
	if (!data) {
		b->over = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	if (s)
		buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	char small[128];
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(small)) {
		buf_add(b, small, (size_t)n);
	} else if (n >= 0 && reserve(b, (size_t)n)) {
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_i64(struct buf *b, int64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64, v);

	buf_add(b, text, (size_t)n);
}

/* The escape of one character, or NULL when it goes as it is. Returns text in esc or static. */
static const char *json_escape(unsigned char c, char esc[8])
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		if (c >= 0x20 && c != 0x7f)
			return NULL;
		(void)snprintf(esc, 8, "\\u%04x", c);
		return esc;
	}
}

void buf_json_strn(struct buf *b, const char *s, size_t n)
{
	size_t before = b->len, from = 0;
	char esc[8];

	buf_char(b, '"');
	for (size_t i = 0; i < n;) {
		size_t len = utf8_char(s + i, n - i);
		const char *text = len ? NULL : "\xef\xbf\xbd";

		if (len == 1)
			text = json_escape((unsigned char)s[i], esc);
		if (text) {
			buf_add(b, s + from, i - from);
			buf_str(b, text);
			from = i + 1;
		}
		i += len ? len : 1;
	}
	buf_add(b, s + from, n - from);
	buf_char(b, '"');
	if (b->over && b->data) { /* all or nothing: no half string stays */
		b->len = before;
		b->data[before] = '\0';
	}
}

void buf_json_str(struct buf *b, const char *s)
{
	if (s)
		buf_json_strn(b, s, strlen(s));
	else
		buf_str(b, "null");
}

bool buf_over(const struct buf *b)
{
	return b->over;
}

const char *buf_cstr(const struct buf *b)
{
	return b->data ? b->data : "";
}
