#include "soukctl.h"

#include <stdlib.h>
#include <string.h>

static const char *space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* p is at the opening quote; the end is behind the closing one, or NULL. */
static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : NULL;
}

static const char *skip_value(const char *p)
{
	int depth = 0;

	do {
		p = space(p);
		if (*p == '"') {
			p = skip_string(p);
			if (!p)
				return NULL;
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (*p == ',' || *p == ':') {
			p++;
		} else {
			size_t n = strcspn(p, ",:]}{[\" \t\r\n");
			if (!n)
				return NULL;
			p += n;
		}
	} while (depth > 0);
	return p;
}

/* Where the value of a member begins; NULL when the object has none of that name. */
static const char *member(const char *p, const char *key, size_t key_len)
{
	p = space(p);
	if (*p != '{')
		return NULL;
	p = space(p + 1);
	while (*p == '"') {
		const char *name = p + 1;
		p = skip_string(p);
		if (!p)
			return NULL;
		bool found = (size_t)(p - 1 - name) == key_len && memcmp(name, key, key_len) == 0;
		p = space(p);
		if (*p != ':')
			return NULL;
		p = space(p + 1);
		if (found)
			return p;
		p = skip_value(p);
		if (!p)
			return NULL;
		p = space(p);
		if (*p == ',')
			p = space(p + 1);
	}
	return NULL;
}

static size_t put_utf8(unsigned long c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

static bool unescape(const char *p, char *out, size_t cap)
{
	static const char from[] = "nrtbf\"\\/", to[] = "\n\r\t\b\f\"\\/";
	size_t n = 0;

	for (p++; *p && *p != '"'; p++) {
		if (n + 4 > cap)
			return false;
		if (*p != '\\') {
			out[n++] = *p;
		} else if (p[1] == 'u') {
			char hex[5] = { 0 };
			strncpy(hex, p + 2, 4);
			n += put_utf8(strtoul(hex, NULL, 16), out + n);
			p += 1 + strlen(hex);
		} else {
			const char *at = strchr(from, *++p);
			if (!*p || !at)
				return false;
			out[n++] = to[at - from];
		}
	}
	out[n] = '\0';
	return *p == '"';
}

bool jsonval_get(const char *text, const char *key, char *out, size_t cap)
{
	const char *dot = strchr(key, '.');
	const char *p = member(text, key, dot ? (size_t)(dot - key) : strlen(key));

	if (p && dot)
		p = member(p, dot + 1, strlen(dot + 1));
	if (!p)
		return false;
	if (*p == '"')
		return unescape(p, out, cap);
	size_t n = strcspn(p, ",]} \t\r\n");
	if (n + 1 > cap)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

int64_t jsonval_i64(const char *text, const char *key)
{
	char digits[32];

	return jsonval_get(text, key, digits, sizeof(digits)) ? strtoll(digits, NULL, 10) : 0;
}
