#include "services/notify/template.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"

enum token { T_END, T_TEXT, T_VAR, T_OPEN, T_NOT, T_CLOSE, T_BAD };

struct scan {
	const char *at;
	const char *text; /* of T_TEXT */
	size_t len;
	char name[64]; /* of the others */
};

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static enum token tag(struct scan *s)
{
	const char *p = s->at + 2;
	enum token t = T_VAR;
	size_t n = 0;

	if (*p == '#' || *p == '^' || *p == '/') {
		t = *p == '#' ? T_OPEN : *p == '^' ? T_NOT : T_CLOSE;
		p++;
	}
	while (*p == ' ')
		p++;
	while (name_char(p[n]))
		n++;
	if (!n || n >= sizeof(s->name))
		return T_BAD;
	memcpy(s->name, p, n);
	s->name[n] = '\0';
	for (p += n; *p == ' '; p++)
		;
	if (p[0] != '}' || p[1] != '}')
		return T_BAD;
	s->at = p + 2;
	return t;
}

static enum token next(struct scan *s)
{
	const char *end;

	if (!*s->at)
		return T_END;
	if (s->at[0] == '{' && s->at[1] == '{')
		return tag(s);
	end = strstr(s->at, "{{");
	s->text = s->at;
	s->len = end ? (size_t)(end - s->at) : strlen(s->at);
	s->at += s->len;
	return T_TEXT;
}

/* ---- checking ---- */

/* known holds list.name, or name where list is "". */
static bool is_known(const char *known, const char *list, const char *name)
{
	char word[140];
	size_t n = (size_t)snprintf(word, sizeof(word), "%s%s%s", list, *list ? "." : "", name);

	for (const char *p = known; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == n && memcmp(p, word, n) == 0)
			return true;
	return false;
}

static bool is_list(const char *known, const char *name)
{
	char word[80];
	size_t n = (size_t)snprintf(word, sizeof(word), "%s.", name);

	for (const char *p = known; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strncmp(p, word, n) == 0)
			return true;
	return false;
}

static enum err_code bad(struct err *e, const char *field, const char *why, const char *name)
{
	err_detail(e, field, NULL, "%s: {{%s}}", why, name);
	return err_set(e, E_INVALID, "common.invalid_input", "template %s: %s", field, why);
}

enum err_code template_check(const char *src, const char *known, const char *field, struct err *e)
{
	struct scan s = { .at = src };
	char open[TEMPLATE_DEPTH][64];
	const char *list = "";
	size_t depth = 0, list_depth = 0;

	for (;;) {
		enum token t = next(&s);

		switch (t) {
		case T_END:
			return depth ? bad(e, field, "is never closed", open[depth - 1]) : OK;
		case T_TEXT:
			break;
		case T_BAD:
			return bad(e, field, "is not a tag we know", "…");
		case T_CLOSE:
			if (!depth || strcmp(open[depth - 1], s.name) != 0)
				return bad(e, field, "closes what is not open", s.name);
			if (--depth < list_depth)
				list = "";
			break;
		default:
			if (!(*list && is_known(known, list, s.name)) && !is_known(known, "", s.name))
				return bad(e, field, "is not a variable of this mail", s.name);
			if (t == T_VAR)
				break;
			if (depth == TEMPLATE_DEPTH || (t == T_OPEN && *list && is_list(known, s.name)))
				return bad(e, field, "is nested too deeply", s.name);
			memcpy(open[depth++], s.name, sizeof(s.name));
			if (t == T_OPEN && is_list(known, s.name)) {
				list = open[depth - 1];
				list_depth = depth;
			}
		}
	}
}

/* ---- rendering ---- */

struct render {
	const struct template_row *vars, *row; /* row: of the list we are in, or NULL */
	enum template_into into;
	struct buf *out;
};

static const struct template_var *find_in(const struct template_row *r, const char *name)
{
	for (size_t i = 0; r && i < r->n_var; i++)
		if (strcmp(r->var[i].name, name) == 0)
			return &r->var[i];
	return NULL;
}

static const struct template_var *find(const struct render *r, const char *name)
{
	const struct template_var *v = find_in(r->row, name);

	return v ? v : find_in(r->vars, name);
}

static void put_char(const struct render *r, const char *p, size_t n)
{
	static const struct {
		char c;
		const char *entity;
	} html[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };

	for (size_t i = 0; r->into == INTO_HTML && n == 1 && i < sizeof(html) / sizeof(*html); i++) {
		if (html[i].c == *p) {
			buf_str(r->out, html[i].entity);
			return;
		}
	}
	buf_add(r->out, p, n);
}

/* Values come from people: nothing of them may end a line of a header, break out of an element, or break UTF-8. */
static void put_value(const struct render *r, const char *s)
{
	size_t left = s ? strlen(s) : 0, n;

	for (; left; s += n, left -= n) {
		n = utf8_char(s, left);
		if (!n) {
			n = 1;
			buf_char(r->out, '?');
		} else if (text_clean(s, n)) {
			put_char(r, s, n);
		} else if (r->into == INTO_LINE) {
			buf_char(r->out, ' ');
		} else if (*s == '\n' || *s == '\t') {
			buf_add(r->out, s, n);
		}
	}
}

static bool empty(const struct template_var *v)
{
	return !v || (!v->n_row && (!v->value || !*v->value));
}

static bool section(struct render *r, struct scan *s, const char *name, bool show, unsigned depth);

/* Everything up to {{/until}} (NULL: the end). show false only skips. */
static bool body(struct render *r, struct scan *s, const char *until, bool show, unsigned depth)
{
	for (;;) {
		enum token t = next(s);
		char name[64];

		memcpy(name, s->name, sizeof(name));
		switch (t) {
		case T_END:
			return !until;
		case T_TEXT:
			if (show)
				buf_add(r->out, s->text, s->len);
			break;
		case T_VAR: {
			const struct template_var *v = find(r, name);

			if (show && v)
				put_value(r, v->value);
			break;
		}
		case T_CLOSE:
			return until && strcmp(until, name) == 0;
		case T_OPEN:
			if (depth == TEMPLATE_DEPTH || !section(r, s, name, show, depth + 1))
				return false;
			break;
		case T_NOT:
			if (depth == TEMPLATE_DEPTH || !body(r, s, name, show && empty(find(r, name)), depth + 1))
				return false;
			break;
		case T_BAD:
			return false;
		}
	}
}

static bool section(struct render *r, struct scan *s, const char *name, bool show, unsigned depth)
{
	const struct template_var *v = find(r, name);
	const struct template_row *outer = r->row;
	struct scan start = *s;

	if (!show || empty(v) || !v->n_row)
		return body(r, s, name, show && !empty(v), depth);
	for (size_t i = 0; i < v->n_row; i++) {
		*s = start;
		r->row = &v->row[i];
		if (!body(r, s, name, true, depth))
			return false;
	}
	r->row = outer;
	return true;
}

enum err_code template_render(const char *src, const struct template_row *vars, enum template_into into, struct buf *out,
			      struct err *e)
{
	struct render r = { .vars = vars, .into = into, .out = out };
	struct scan s = { .at = src };

	if (!body(&r, &s, NULL, true, 0))
		return err_set(e, E_INTERNAL, "common.internal", "a stored template is broken");
	if (buf_over(out))
		return err_set(e, E_INTERNAL, "common.internal", "a mail is too long");
	return OK;
}

/* ---- language ---- */

bool template_lang(const char *locale, size_t i, char out[16])
{
	const char *list[3];
	char base[16] = "", whole[16] = "";
	size_t n = 0;

	if (locale && strlen(locale) < sizeof(whole) && isalpha((unsigned char)*locale)) {
		size_t cut = strcspn(locale, "-_");

		snprintf(whole, sizeof(whole), "%s", locale);
		snprintf(base, sizeof(base), "%.*s", (int)cut, locale);
		if (cut < strlen(locale))
			list[n++] = whole;
		if (strcmp(base, "en") != 0)
			list[n++] = base;
	}
	list[n++] = "en";
	if (i >= n)
		return false;
	snprintf(out, 16, "%s", list[i]);
	return true;
}
