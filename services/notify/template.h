/*
 * The template language of mails. {{name}} is a variable, escaped for where it lands; {{#name}}…{{/name}} repeats for
 * each row of a list or stands once when the variable is not empty; {{^name}}…{{/name}} stands when it is empty. Inside a
 * list the row's own names come first: {{title}} is lines.title. There is no way to write a value unescaped.
 */
#ifndef SOUK_NOTIFY_TEMPLATE_H
#define SOUK_NOTIFY_TEMPLATE_H

#include "common/buf.h"
#include "common/err.h"

#define TEMPLATE_DEPTH 8
#define TEMPLATE_SUBJECT_MAX 300
#define TEMPLATE_BODY_MAX (64 * 1024)

enum template_into {
	INTO_LINE, /* a header: control characters and line ends become blanks */
	INTO_TEXT, /* control characters but tab and line end are dropped */
	INTO_HTML, /* as text, and & < > " ' escaped: fits element content and quoted attributes */
};

struct template_var {
	const char *name, *value;	/* value NULL or "": empty */
	const struct template_row *row; /* a list instead of a value */
	size_t n_row;
};
struct template_row {
	const struct template_var *var;
	size_t n_var;
};

/*
 * E_INVALID with a detail for field when src is not well-formed or names what known ("a b lines lines.title") does not
 * hold.
 */
MUST_CHECK enum err_code template_check(const char *src, const char *known, const char *field, struct err *e);

/* Appends the rendered text. A variable that vars lacks is empty. E_INTERNAL when out is full or src is broken. */
MUST_CHECK enum err_code template_render(const char *src, const struct template_row *vars, enum template_into into,
					 struct buf *out, struct err *e);

/* What came with the program: NULL when there is no such language. */
struct template_text {
	const char *kind, *lang, *subject, *text, *html;
};
const struct template_text *template_default(const char *kind, const char *lang);
const struct template_text *template_default_at(size_t i); /* NULL past the end */

/* "pt-BR" tries pt-BR, pt, en: the i-th of these into out, false past the last. NULL or odd locales start at en. */
bool template_lang(const char *locale, size_t i, char out[16]);

#endif
