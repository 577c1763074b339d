#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"

static const struct err_info infos[] = {
#define ERR(slug_, code_, word_, message_)                                                          \
	{ .slug = slug_, .code = code_, .word = #word_, .message = message_ },
#include "common/errors.def"
#undef ERR
};

static const struct {
	int status;
	const char *name;
} codes[E_CODE_MAX_] = {
	[OK] = { 200, "OK" },
	[E_INVALID] = { 400, "E_INVALID" },
	[E_UNAUTH] = { 401, "E_UNAUTH" },
	[E_DENIED] = { 403, "E_DENIED" },
	[E_NOT_FOUND] = { 404, "E_NOT_FOUND" },
	[E_CONFLICT] = { 409, "E_CONFLICT" },
	[E_GONE] = { 410, "E_GONE" },
	[E_PRECOND] = { 412, "E_PRECOND" },
	[E_PRECOND_REQ] = { 428, "E_PRECOND_REQ" },
	[E_RULE] = { 422, "E_RULE" },
	[E_TOO_LARGE] = { 413, "E_TOO_LARGE" },
	[E_EXHAUSTED] = { 429, "E_EXHAUSTED" },
	[E_RETRY] = { 503, "E_RETRY" },
	[E_PENDING] = { 202, "E_PENDING" },
	[E_UNAVAILABLE] = { 503, "E_UNAVAILABLE" },
	[E_INTERNAL] = { 500, "E_INTERNAL" },
};

/* vsnprintf that cuts at a character instead of inside one. */
static void PRINTF_LIKE(3, 0) text_vset(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0)
		out[0] = '\0';
	else if ((size_t)n >= size)
		out[utf8_cut(out, size - 1)] = '\0';
}

static void text_set(char *out, size_t size, const char *s)
{
	size_t n = s ? strnlen(s, size) : 0;

	if (n == size)
		n = utf8_cut(s, size - 1);
	if (n)
		memcpy(out, s, n);
	out[n] = '\0';
}

/* What is not clean text becomes '?', also where a "%.60s" cut a character. */
static void text_sanitise(char *s)
{
	size_t left = strlen(s);

	while (left) {
		size_t n = utf8_char(s, left);

		if (!n || !text_clean(s, n)) {
			size_t bad = n ? n : 1;

			memset(s, '?', bad);
			n = bad;
		}
		s += n;
		left -= n;
	}
}

enum err_code err_set(struct err *e, enum err_code code, const char *slug, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	text_set(e->slug, sizeof(e->slug), slug);
	va_start(ap, fmt);
	text_vset(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	text_sanitise(e->slug);
	text_sanitise(e->msg);
	return code;
}

void err_detail(struct err *e, const char *field, const char *value, const char *fmt, ...)
{
	struct err_detail *d;
	va_list ap;

	if (!e || e->n_details >= ERR_DETAILS_MAX)
		return;
	d = &e->details[e->n_details++];
	text_set(d->field, sizeof(d->field), field);
	text_set(d->value, sizeof(d->value), value);
	va_start(ap, fmt);
	text_vset(d->message, sizeof(d->message), fmt, ap);
	va_end(ap);
	text_sanitise(d->field);
	text_sanitise(d->value);
	text_sanitise(d->message);
}

void err_clear(struct err *e)
{
	e->code = OK;
	e->slug[0] = '\0';
	e->msg[0] = '\0';
	e->n_details = 0;
	e->retry_after_ms = 0;
	e->pending = false;
}

void err_copy(struct err *to, const struct err *from)
{
	if (to == from)
		return;
	to->code = from->code;
	memcpy(to->slug, from->slug, sizeof(to->slug));
	memcpy(to->msg, from->msg, sizeof(to->msg));
	to->n_details = from->n_details < ERR_DETAILS_MAX ? from->n_details : ERR_DETAILS_MAX;
	memcpy(to->details, from->details, to->n_details * sizeof(to->details[0]));
	to->retry_after_ms = from->retry_after_ms;
	to->pending = from->pending;
}

bool err_is(const struct err *e, const char *slug)
{
	return e->code != OK && strcmp(e->slug, slug) == 0;
}

const struct err_info *err_info(const char *slug)
{
	static const char fallback[] = "common.internal";
	const struct err_info *internal = &infos[0];

	/* A few hundred rows, only looked at when something failed: a scan that compares the first
	 * byte after the daemon's prefix would gain nothing measurable. */
	for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
		if (slug && strcmp(infos[i].slug, slug) == 0)
			return &infos[i];
		if (strcmp(infos[i].slug, fallback) == 0)
			internal = &infos[i];
	}
	return internal;
}

const struct err_info *err_info_all(size_t *n_r)
{
	*n_r = ARRAY_LEN(infos);
	return infos;
}

int err_http_status(enum err_code code)
{
	return (unsigned)code < E_CODE_MAX_ ? codes[code].status : 500;
}

const char *err_code_name(enum err_code code)
{
	return (unsigned)code < E_CODE_MAX_ ? codes[code].name : "E_INTERNAL";
}

enum err_code err_code_from_wire(long long n)
{
	return n >= 0 && n < E_CODE_MAX_ ? (enum err_code)n : E_INTERNAL;
}
