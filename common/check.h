/*
 * Checks of input. Each adds a detail naming the field when the value does not fit; the caller calls all of them and then
 * returns E_INVALID "common.invalid_input" when e->n_details. Texts must be UTF-8 without NUL or control characters.
 */
#ifndef SOUK_CHECK_H
#define SOUK_CHECK_H

#include "common/err.h"

void check_text(struct err *e, const char *field, const char *s, size_t min, size_t max);	/* code points; NULL is missing */
void check_multiline(struct err *e, const char *field, const char *s, size_t min, size_t max); /* newline and tab allowed */
void check_range(struct err *e, const char *field, int64_t v, int64_t min, int64_t max);
void check_id(struct err *e, const char *field, const char *s, const char *prefix);
void check_currency(struct err *e, const char *field, const char *s);
void check_email(struct err *e, const char *field, const char *s);
void check_slug(struct err *e, const char *field, const char *s);    /* a-z 0-9 -, 1 to 100 */
void check_country(struct err *e, const char *field, const char *s); /* ISO 3166 alpha-2, upper case */
void check_phone(struct err *e, const char *field, const char *s);   /* + and 6 to 15 digits, separators allowed */
void check_one_of(struct err *e, const char *field, const char *s, const char *words); /* "a b c" */
void check_url(struct err *e, const char *field, const char *s, bool https_only);

bool utf8_valid(const char *s, size_t n);	/* no surrogates, no overlong forms, at most U+10FFFF */
size_t utf8_count(const char *s);		/* code points of a valid text */

#endif
