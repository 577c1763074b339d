/*
 * Input checks. Each adds a detail for its field and returns false when the value is bad; call them all, then
 *
 *	if (c->err.n_details)
 *		return err_set(&c->err, E_INVALID, "common.invalid_input", "…");
 *
 * NULL counts as missing ("is required"), so guard optional fields: if (in->phone) check_phone(…).
 */
#ifndef SOUK_CHECK_H
#define SOUK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* One line of text: valid UTF-8 without control characters, min to max code points. NULL is fine when min is 0. */
bool check_text(struct err *e, const char *field, const char *s, size_t min, size_t max);
/* The same, but tabs and line ends may occur: descriptions. */
bool check_longtext(struct err *e, const char *field, const char *s, size_t min, size_t max);
bool check_range(struct err *e, const char *field, int64_t v, int64_t min, int64_t max);
bool check_id(struct err *e, const char *field, const char *s, const char *prefix);
bool check_email(struct err *e, const char *field, const char *s);
bool check_phone(struct err *e, const char *field, const char *s);    /* E.164: +, 7 to 15 digits */
bool check_currency(struct err *e, const char *field, const char *s); /* ISO 4217 */
bool check_country(struct err *e, const char *field, const char *s);  /* ISO 3166-1 alpha-2, capitals */
bool check_slug(struct err *e, const char *field, const char *s);     /* a-z 0-9 and single hyphens, 1 to 100 */
bool check_language(struct err *e, const char *field, const char *s); /* "en", "pt-BR" */
bool check_url(struct err *e, const char *field, const char *s, bool https_only); /* http(s), host, no user info */
/* s is one of the words of "a|b|c". */
bool check_oneof(struct err *e, const char *field, const char *s, const char *words);

struct Common__V1__Money;
/* A known currency and an amount from min to max minor units. */
bool check_money(struct err *e, const char *field, const struct Common__V1__Money *m, int64_t min, int64_t max);

/* ---- the predicates under them ---- */
bool utf8_valid(const char *s, size_t n);   /* no overlong forms, no surrogates, at most U+10FFFF; NUL is a character */
size_t utf8_length(const char *s, size_t n); /* code points of valid UTF-8 */
/* Bytes of the character at s (n left), 0 when it is not valid. */
size_t utf8_char(const char *s, size_t n);
/* The largest k <= n that does not cut a character of s. */
size_t utf8_cut(const char *s, size_t n);
bool text_clean(const char *s, size_t n); /* valid UTF-8 without control characters (C0, DEL, C1) or U+2028/2029 */

#endif
