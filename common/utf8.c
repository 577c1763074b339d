/* UTF-8 predicates of common/check.h. */
#include "common/check.h"

#include <string.h>

size_t utf8_char(const char *str, size_t n)
{
	const unsigned char *s = (const unsigned char *)str;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4) /* continuation, overlong C0/C1, above U+10FFFF */
		return 0;
	if (s[0] < 0xe0)
		return n >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (s[0] < 0xf0) {
		if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0; /* overlong, surrogate */
		return 3;
	}
	if (n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
		return 0;
	if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return 4;
}

bool utf8_valid(const char *s, size_t n)
{
	while (n) {
		size_t len = utf8_char(s, n);

		if (!len)
			return false;
		s += len;
		n -= len;
	}
	return true;
}

size_t utf8_length(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)s[i] & 0xc0) != 0x80;
	return count;
}

size_t utf8_cut(const char *s, size_t n)
{
	size_t start = n;

	/* Back to the last character's first byte, at most three continuation bytes away. */
	while (start > 0 && n - start < 4) {
		start--;
		if (((unsigned char)s[start] & 0xc0) != 0x80)
			return utf8_char(s + start, n - start) ? n : start;
	}
	return n; /* no UTF-8 at all here: any cut is as good */
}

bool text_clean(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		const unsigned char *p = (const unsigned char *)s + i;
		size_t len = utf8_char(s + i, n - i);

		if (!len || p[0] < 0x20 || p[0] == 0x7f)
			return false;
		if (p[0] == 0xc2 && p[1] < 0xa0) /* C1 */
			return false;
		if (len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
			return false; /* line and paragraph separators */
		i += len;
	}
	return true;
}
