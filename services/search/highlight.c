#include "services/search/highlight.h"

#include <string.h>

#include "common/buf.h"
#include "common/check.h"

#define MARKS_MAX 64
#define BEFORE 40 /* bytes shown before the first match */

struct marks {
	size_t start[MARKS_MAX], end[MARKS_MAX], n;
};

static bool is_match(const struct query *q, const char *lexeme)
{
	for (size_t u = 0; u < q->n; u++)
		for (size_t i = 0; i < q->units[u].n_alts; i++)
			for (size_t k = 0; k < q->units[u].alts[i].n; k++)
				if (strcmp(q->units[u].alts[i].lexemes[k], lexeme) == 0)
					return true;
	return false;
}

static void find_marks(const struct query *q, const char *text, struct marks *m)
{
	struct stemmer *st = stemmer_open(q->lang);
	char lexeme[TOKEN_MAX + 1];
	struct tokens t;
	struct token tok;

	tokens_start(&t, text);
	while (m->n < MARKS_MAX && tokens_next(&t, &tok)) {
		stemmer_stem(st, tok.text, lexeme);
		if (!is_match(q, lexeme))
			continue;
		/* A joined form that matches takes its parts' marks with it. */
		while (m->n && m->start[m->n - 1] >= tok.start)
			m->n--;
		m->start[m->n] = tok.start;
		m->end[m->n++] = tok.end;
	}
	stemmer_close(st);
}

static void escaped(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		switch (s[i]) {
		case '&': buf_str(b, "&amp;"); break;
		case '<': buf_str(b, "&lt;"); break;
		case '>': buf_str(b, "&gt;"); break;
		case '"': buf_str(b, "&quot;"); break;
		case '\'': buf_str(b, "&#39;"); break;
		default: buf_char(b, s[i]);
		}
	}
}

/* The start of the word at or after k. */
static size_t word_start(const char *text, size_t k)
{
	while (text[k] && text[k] != ' ')
		k++;
	return text[k] ? k + 1 : k;
}

char *highlight(struct arena *a, const struct query *q, const char *text, size_t max)
{
	struct marks m = { .n = 0 };
	size_t len = strlen(text), from = 0, to;
	struct buf b;
	char *out;

	find_marks(q, text, &m);
	if (!m.n)
		return NULL;
	if (len > max && m.start[0] > BEFORE)
		from = word_start(text, m.start[0] - BEFORE);
	if (from > m.start[0])
		from = m.start[0];
	to = len - from > max ? utf8_cut(text, from + max) : len;
	buf_init(&b, max * 7 + MARKS_MAX * 16);
	if (from)
		buf_str(&b, "… ");
	for (size_t i = 0; i < m.n && m.end[i] <= to; i++) {
		escaped(&b, text + from, m.start[i] - from);
		buf_str(&b, "<em>");
		escaped(&b, text + m.start[i], m.end[i] - m.start[i]);
		buf_str(&b, "</em>");
		from = m.end[i];
	}
	escaped(&b, text + from, to > from ? to - from : 0);
	if (to < len)
		buf_str(&b, " …");
	out = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return out;
}
