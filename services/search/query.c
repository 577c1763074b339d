#include "services/search/query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "services/search/token.h"

#define CORRECTED_WEIGHT 1.0
#define SYNONYM_WEIGHT 0.4
#define TSQUERY_MAX 262144

struct word {
	char text[TOKEN_MAX + 1];
	char typed[TOKEN_MAX + 1];
	bool digits;
	int group; /* words of one hyphenated form have the same; 0: none */
};
struct words {
	struct word v[UNITS_MAX * 2];
	size_t n;
	char joined[UNITS_MAX][TOKEN_MAX + 1]; /* of group i + 1 */
	int groups;
};

static void read_words(const char *text, struct words *w)
{
	struct tokens t;
	struct token tok;

	tokens_start(&t, text);
	while (w->n < UNITS_MAX && tokens_next(&t, &tok)) {
		if (!tok.joined) {
			struct word *x = &w->v[w->n++];

			memcpy(x->text, tok.text, sizeof(x->text));
			memcpy(x->typed, tok.text, sizeof(x->typed));
			x->digits = tok.digits;
			continue;
		}
		memcpy(w->joined[w->groups++], tok.text, sizeof(w->joined[0]));
		for (size_t i = w->n - (size_t)tok.parts; i < w->n; i++)
			w->v[i].group = w->groups;
	}
	/* The joined form of the last words may still be due. */
	if (w->n == UNITS_MAX && tokens_next(&t, &tok) && tok.joined && w->groups < UNITS_MAX) {
		memcpy(w->joined[w->groups++], tok.text, sizeof(w->joined[0]));
		for (size_t i = w->n - (size_t)tok.parts; i < w->n; i++)
			w->v[i].group = w->groups;
	}
}

char *query_normal(struct arena *a, const char *text)
{
	struct words w = { 0 };
	char *s = arena_strdup(a, "");

	read_words(text, &w);
	for (size_t i = 0; i < w.n; i++)
		s = arena_printf(a, "%s%s%s", s, i ? " " : "", w.v[i].text);
	return s;
}

static void drop_stops(const char *lang, struct words *w)
{
	size_t k = 0;

	for (size_t i = 0; i < w->n; i++)
		k += !token_is_stop(lang, w->v[i].text);
	if (k == 0 || k == w->n)
		return;
	k = 0;
	for (size_t i = 0; i < w->n; i++)
		if (!token_is_stop(lang, w->v[i].text))
			w->v[k++] = w->v[i];
	w->n = k;
}

static bool known(struct dict *d, struct stemmer *st, const char *word)
{
	char lexeme[TOKEN_MAX + 1];

	stemmer_stem(st, word, lexeme);
	return dict_df(d, word) > 0 || dict_lexeme_df(d, lexeme) > 0;
}

static void split(struct words *w, size_t i, const char *left, const char *right)
{
	for (size_t k = w->n; k > i + 1; k--)
		w->v[k] = w->v[k - 1];
	w->n++;
	w->v[i + 1] = w->v[i];
	memcpy(w->v[i].text, left, strlen(left) + 1);
	memcpy(w->v[i + 1].text, right, strlen(right) + 1);
}

/* Words that no product has become what was probably meant. */
static bool correct(struct dict *d, struct stemmer *st, struct words *w)
{
	bool changed = false;

	for (size_t i = 0; i < w->n; i++) {
		char left[TOKEN_MAX + 1], right[TOKEN_MAX + 1];

		if (w->v[i].digits || w->v[i].group || known(d, st, w->v[i].text))
			continue;
		if (dict_correct(d, w->v[i].text, 1, left)) {
			memcpy(w->v[i].text, left, sizeof(left));
			changed = true;
		} else if (w->n < UNITS_MAX && dict_split(d, w->v[i].text, left, right)) {
			split(w, i, left, right);
			changed = true;
			i++;
		}
	}
	return changed;
}

static struct alt *add_alt(struct unit *u, double weight)
{
	if (u->n_alts == ALTS_MAX)
		return NULL;
	u->alts[u->n_alts] = (struct alt){ .weight = weight };
	return &u->alts[u->n_alts++];
}

static void alt_word(struct unit *u, const char *lexeme, double weight)
{
	for (size_t i = 0; i < u->n_alts; i++)
		if (u->alts[i].n == 1 && strcmp(u->alts[i].lexemes[0], lexeme) == 0)
			return;
	struct alt *x = add_alt(u, weight);

	if (x)
		x->lexemes[x->n++] = lexeme;
}

static const char *stemmed(struct arena *a, struct stemmer *st, const char *word)
{
	char lexeme[TOKEN_MAX + 1];

	stemmer_stem(st, word, lexeme);
	return arena_strdup(a, lexeme);
}

/* Are the units from i on these words? How many, 0 when not. */
static size_t phrase_at(struct arena *a, struct stemmer *st, const struct query *q, size_t i, const char *phrase)
{
	struct tokens t;
	struct token tok;
	size_t k = 0;

	tokens_start(&t, phrase);
	while (tokens_next(&t, &tok)) {
		if (tok.joined)
			continue;
		if (i + k >= q->n || strcmp(q->units[i + k].lexeme, stemmed(a, st, tok.text)) != 0)
			return 0;
		k++;
	}
	return k;
}

static void alt_phrase(struct arena *a, struct stemmer *st, struct unit *u, const char *phrase)
{
	struct alt x = { .weight = SYNONYM_WEIGHT }, *to;
	struct tokens t;
	struct token tok;

	tokens_start(&t, phrase);
	while (x.n < ALT_WORDS && tokens_next(&t, &tok))
		if (!tok.joined)
			x.lexemes[x.n++] = stemmed(a, st, tok.text);
	if (x.n == 1)
		alt_word(u, x.lexemes[0], SYNONYM_WEIGHT);
	else if (x.n && (to = add_alt(u, SYNONYM_WEIGHT)))
		*to = x;
}

static void add_synonyms(struct arena *a, struct stemmer *st, const struct synonyms *s, struct query *q)
{
	for (size_t k = 0; k < s->n; k++) {
		const struct synonym *y = &s->v[k];

		if (strcmp(y->lang, q->lang) != 0)
			continue;
		for (size_t w = 0; w < (y->one_way ? 1 : y->n); w++) {
			for (size_t i = 0; i < q->n; i++) {
				size_t len = phrase_at(a, st, q, i, y->words[w]);

				for (size_t o = 0; len && o < y->n; o++)
					for (size_t j = i; o != w && j < i + len; j++)
						alt_phrase(a, st, &q->units[j], y->words[o]);
			}
		}
	}
}

/* "wall paper" also finds wallpaper. */
static void add_joins(struct arena *a, struct dict *d, struct stemmer *st, struct query *q)
{
	for (size_t i = 0; i + 1 < q->n; i++) {
		char *both = arena_printf(a, "%s%s", q->units[i].word, q->units[i + 1].word);

		if (strlen(both) > TOKEN_MAX || dict_df(d, both) < 1)
			continue;
		alt_word(&q->units[i], stemmed(a, st, both), 0.9);
		alt_word(&q->units[i + 1], stemmed(a, st, both), 0.9);
	}
}

static void weigh(struct dict *d, struct query *q)
{
	double docs = (double)dict_totals(d).docs;

	for (size_t i = 0; i < q->n; i++) {
		struct unit *u = &q->units[i];

		u->df = dict_lexeme_df(d, u->lexeme);
		if (u->df > (int64_t)docs)
			u->df = (int64_t)docs;
		u->idf = log(1.0 + (docs - (double)u->df + 0.5) / ((double)u->df + 0.5));
		if (u->idf < 0.05)
			u->idf = 0.05;
	}
}

static void make_units(struct arena *a, struct stemmer *st, const struct words *w, struct query *q)
{
	for (size_t i = 0; i < w->n && q->n < UNITS_MAX; i++) {
		const char *lexeme = stemmed(a, st, w->v[i].text);
		bool again = false;

		for (size_t k = 0; k < q->n; k++)
			again |= strcmp(q->units[k].lexeme, lexeme) == 0;
		if (again)
			continue;
		struct unit *u = &q->units[q->n++];

		u->word = arena_strdup(a, w->v[i].text);
		u->lexeme = lexeme;
		alt_word(u, lexeme, strcmp(w->v[i].text, w->v[i].typed) == 0 ? 1.0 : CORRECTED_WEIGHT);
		if (w->v[i].group)
			alt_word(u, stemmed(a, st, w->joined[w->v[i].group - 1]), 1.0);
	}
}

static const char *spaced(struct arena *a, const struct words *w)
{
	char *s = arena_strdup(a, "");

	for (size_t i = 0; i < w->n; i++)
		s = arena_printf(a, "%s%s%s", s, i ? " " : "", w->v[i].text);
	return s;
}

void query_make(struct arena *a, struct dict *d, const struct synonyms *s, const char *lang, const char *text,
		struct query *q_r)
{
	struct words w = { 0 };
	struct stemmer *st = stemmer_open(lang);

	*q_r = (struct query){ .lang = lang };
	read_words(text, &w);
	q_r->normal = spaced(a, &w);
	if (correct(d, st, &w))
		q_r->corrected = spaced(a, &w);
	drop_stops(lang, &w);
	make_units(a, st, &w, q_r);
	add_joins(a, d, st, q_r);
	add_synonyms(a, st, s, q_r);
	weigh(d, q_r);
	stemmer_close(st);
}

/* ---- stages ---- */

static void add_unit(struct buf *b, const struct unit *u)
{
	buf_char(b, '(');
	for (size_t i = 0; i < u->n_alts; i++) {
		buf_str(b, i ? "|(" : "(");
		for (size_t k = 0; k < u->alts[i].n; k++)
			buf_fmt(b, "%s'%s'", k ? "&" : "", u->alts[i].lexemes[k]);
		buf_char(b, ')');
	}
	buf_char(b, ')');
}

/*
 * At least so many of these units, as the formula that is read fastest for a place of the index: (first and one fewer of
 * the rest) or (all this of the rest). The commonest come first, so that most places are out after a word or two.
 */
static void add_at_least(struct buf *b, const struct unit *const *v, size_t n, size_t least)
{
	if (n > least && least > 1) {
		buf_char(b, '(');
		add_unit(b, v[0]);
		buf_char(b, '&');
		add_at_least(b, v + 1, n - 1, least - 1);
		buf_char(b, '|');
		add_at_least(b, v + 1, n - 1, least);
		buf_char(b, ')');
		return;
	}
	buf_char(b, '(');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, n > least ? '|' : '&');
		add_unit(b, v[i]);
	}
	buf_char(b, ')');
}

static int by_commonness(const void *a, const void *b)
{
	const struct unit *x = *(const struct unit *const *)a, *y = *(const struct unit *const *)b;

	if (x->df != y->df)
		return x->df < y->df ? 1 : -1;
	return (x > y) - (x < y);
}

static uint32_t all_units(const struct query *q)
{
	return (1u << q->n) - 1;
}

/* The n rarest units that any product has. */
static uint32_t rarest(const struct query *q, size_t n)
{
	uint32_t chosen = 0;

	for (size_t k = 0; k < n; k++) {
		size_t best = q->n;

		for (size_t i = 0; i < q->n; i++)
			if (!(chosen >> i & 1) && q->units[i].df > 0 &&
			    (best == q->n || q->units[i].df < q->units[best].df))
				best = i;
		if (best < q->n)
			chosen |= 1u << best;
	}
	return chosen;
}

bool query_stage_units(const struct query *q, int stage, uint32_t *units_r, size_t *least_r)
{
	bool rare = stage == 3 && (q->n < 3 || q->n > 5);

	if (q->n == 0 || (stage > 1 && q->n == 1) || (stage == 2 && q->n < 3))
		return false;
	*units_r = rare ? rarest(q, q->n > 5 ? 2 : 1) : all_units(q);
	*least_r = rare ? 1 : q->n - (size_t)(stage - 1);
	return *units_r != 0;
}

const char *query_stage(struct arena *a, const struct query *q, int stage)
{
	const struct unit *v[UNITS_MAX];
	uint32_t units = 0;
	size_t n = 0, least = 0;
	struct buf b;
	const char *s;

	if (!query_stage_units(q, stage, &units, &least))
		return NULL;
	for (size_t i = 0; i < q->n; i++)
		if (units >> i & 1)
			v[n++] = &q->units[i];
	if (n < least)
		return NULL;
	qsort(v, n, sizeof(*v), by_commonness);
	buf_init(&b, TSQUERY_MAX);
	add_at_least(&b, v, n, least);
	s = buf_over(&b) ? NULL : arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return s;
}
