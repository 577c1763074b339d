#include "form.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_  256
#define VALUE_MAX_ 8192

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes s[len] behind what the store already holds. NULL: broken escape, control byte, or too
 * long. */
static const char *decode(struct form *f, const char *s, size_t len, size_t max)
{
	char *out = f->store + f->used, *p = out;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex_digit(s[i + 1]) : -1,
			    lo = hi < 0 ? -1 : hex_digit(s[i + 2]);

			if (i + 2 >= len || hi < 0 || lo < 0)
				return NULL;
			c = (unsigned char)(hi * 16 + lo);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
			return NULL;
		*p++ = (char)c;
	}
	if ((size_t)(p - out) > max)
		return NULL;
	*p++ = '\0';
	f->used += (size_t)(p - out);
	return out;
}

/* base, base[key], base[key][key]; brackets balanced and nothing behind them. */
static bool name_ok(const char *s)
{
	int depth = 0, open = 0;

	if (!*s || *s == '[' || *s == ']')
		return false;
	for (; *s; s++) {
		if (*s == '[') {
			if (open || ++depth > 4)
				return false;
			open = 1;
		} else if (*s == ']') {
			if (!open)
				return false;
			open = 0;
			if (s[1] && s[1] != '[')
				return false;
		}
	}
	return !open;
}

static bool add_pair(struct form *f, const char *s, size_t len, const char **why)
{
	const char *eq = memchr(s, '=', len), *name, *value;
	size_t name_len = eq ? (size_t)(eq - s) : len;

	if (f->n == FORM_PAIRS_MAX) {
		*why = "Too many parameters.";
		return false;
	}
	name = decode(f, s, name_len, NAME_MAX_);
	value = decode(f, eq ? eq + 1 : "", eq ? len - name_len - 1 : 0, VALUE_MAX_);
	if (!name || !value || !name_ok(name)) {
		*why = "A parameter's name or value is not well-formed.";
		return false;
	}
	f->pair[f->n].name = name;
	f->pair[f->n++].value = value;
	return true;
}

bool form_add(struct form *f, const char *s, size_t len, const char **why)
{
	/* Decoding never lengthens; each pair adds two terminators. Query and body share one store,
	 * so it never moves. */
	if (!f->store) {
		f->cap = 2 * FORM_BODY_MAX + 4 * FORM_PAIRS_MAX;
		f->store = malloc(f->cap);
	}
	if (!f->store || len > FORM_BODY_MAX || f->used + len + 2 * FORM_PAIRS_MAX > f->cap) {
		*why = "The request is too large.";
		return false;
	}
	while (len) {
		const char *amp = memchr(s, '&', len);
		size_t part = amp ? (size_t)(amp - s) : len;

		if (part && !add_pair(f, s, part, why))
			return false;
		len -= amp ? part + 1 : part;
		s += part + 1;
	}
	return true;
}

void form_free(struct form *f)
{
	free(f->store);
	memset(f, 0, sizeof(*f));
}

const char *form_get(const struct form *f, const char *name)
{
	size_t i;

	for (i = f->n; i-- > 0;)
		if (!strcmp(f->pair[i].name, name))
			return f->pair[i].value;
	return NULL;
}

bool form_sub(const char *name, const char *base, char *key, size_t len)
{
	size_t b = strlen(base), n = strlen(name);

	if (n < b + 2 || strncmp(name, base, b) || name[b] != '[' || name[n - 1] != ']')
		return false;
	n -= b + 2;
	if (n >= len || memchr(name + b + 1, '[', n))
		return false;
	memcpy(key, name + b + 1, n);
	key[n] = '\0';
	return true;
}

int form_int(const struct form *f, const char *name, int64_t min, int64_t max, int64_t *out)
{
	const char *s = form_get(f, name);
	char *end;
	long long v;

	if (!s)
		return -1;
	if (!(*s >= '0' && *s <= '9') && *s != '-')
		return 0;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end || errno || v < min || v > max)
		return 0;
	*out = v;
	return 1;
}

static int by_name(const void *a, const void *b)
{
	const struct form_pair *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->value, y->value);
}

void form_hex(const unsigned char *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

void form_fingerprint(const struct form *f, const char *label, char out[65])
{
	struct form_pair sorted[FORM_PAIRS_MAX];
	unsigned char digest[32] = { 0 };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t i;

	memcpy(sorted, f->pair, f->n * sizeof(*sorted));
	qsort(sorted, f->n, sizeof(*sorted), by_name);
	if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
		EVP_DigestUpdate(md, label, strlen(label) + 1);
		for (i = 0; i < f->n; i++) {
			EVP_DigestUpdate(md, sorted[i].name, strlen(sorted[i].name) + 1);
			EVP_DigestUpdate(md, sorted[i].value, strlen(sorted[i].value) + 1);
		}
		EVP_DigestFinal_ex(md, digest, NULL);
	}
	EVP_MD_CTX_free(md);
	form_hex(digest, sizeof(digest), out);
}
