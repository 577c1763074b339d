#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static bool reserve(struct text *t, size_t extra)
{
	size_t want, cap;
	char *p;

	if (t->over || extra > t->max || t->len > t->max - extra) {
		t->over = true;
		return false;
	}
	want = t->len + extra + 1;
	if (want <= t->cap)
		return true;
	cap = t->cap ? t->cap : 256;
	while (cap < want)
		cap *= 2;
	p = realloc(t->data, cap);
	if (!p) {
		t->over = true;
		return false;
	}
	t->data = p;
	t->cap = cap;
	return true;
}

void text_add(struct text *t, const void *p, size_t n)
{
	if (!reserve(t, n))
		return;
	if (n)
		memcpy(t->data + t->len, p, n);
	t->len += n;
	t->data[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_fmt(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(t, (size_t)n)) {
		t->over = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(t->data + t->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

void text_html(struct text *t, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			text_str(t, "&amp;");
			break;
		case '<':
			text_str(t, "&lt;");
			break;
		case '>':
			text_str(t, "&gt;");
			break;
		case '"':
			text_str(t, "&quot;");
			break;
		case '\'':
			text_str(t, "&#39;");
			break;
		default:
			text_add(t, s, 1);
		}
	}
}

void text_free(struct text *t)
{
	free(t->data);
	t->data = NULL;
	t->len = t->cap = 0;
}

void rng_seed(struct rng *r, uint64_t seed)
{
	r->state = seed;
	while (!r->state) {
		if (getrandom(&r->state, sizeof(r->state), 0) != (ssize_t)sizeof(r->state))
			r->state = (uint64_t)clock_mono_ms() * 2654435761u;
	}
}

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

double rng_unit(struct rng *r)
{
	return (double)(rng_next(r) >> 11) * 0x1.0p-53;
}

void rng_id(struct rng *r, const char *prefix, size_t n, char *out)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t i, at = strlen(prefix);

	memcpy(out, prefix, at);
	for (i = 0; i < n; i++)
		out[at + i] = digits[rng_next(r) % 62];
	out[at + n] = '\0';
}

uint64_t text_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

int64_t clock_s(void)
{
	return (int64_t)time(NULL);
}

int64_t clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
