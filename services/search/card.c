/*
 * A word is four digits of hash, then a digit that says where it stands: below 32 one field and how often (up to 8), else
 * a set of fields, whose counts follow. Places in the title come last. Digits are base 64, from '0' on.
 */
#include "services/search/card.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define DIGIT_MAX 63
#define CARD_MAX (256 * 1024)

uint32_t card_hash(const char *lexeme, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)lexeme[i]) * 16777619u;
	return (h ^ h >> 24) & 0xffffff;
}

/* ---- from a tsvector ---- */

static void read_places(const char **at, struct card_word *w)
{
	const char *p = *at;

	while (*p == ':' || *p == ',') {
		char *end;
		long place = strtol(p + 1, &end, 10);
		enum field f = *end == 'A' ? FIELD_TITLE : *end == 'B' ? FIELD_NAMES : *end == 'C' ? FIELD_TEXT : FIELD_ATTRS;

		w->tf[f]++;
		if (f == FIELD_TITLE && w->n_places < CARD_PLACES)
			w->places[w->n_places++] = place > 0 && place < 1 << 20 ? (int)place : 0;
		p = end + (*end >= 'A' && *end <= 'D');
	}
	*at = p;
}

bool card_next_tsv(const char **at, const char **lexeme_r, size_t *len_r, struct card_word *word_r)
{
	const char *lexeme = strchr(*at, '\''), *end = lexeme ? strchr(lexeme + 1, '\'') : NULL;

	if (!end)
		return false;
	*lexeme_r = lexeme + 1;
	*len_r = (size_t)(end - lexeme - 1);
	*word_r = (struct card_word){ 0 };
	*at = end + 1;
	read_places(at, word_r);
	return true;
}

/* ---- making ---- */

static void digit(struct buf *b, int v)
{
	buf_char(b, (char)('0' + (v > DIGIT_MAX ? DIGIT_MAX : v)));
}

static void write_word(struct buf *b, const struct card_word *w)
{
	int fields = 0, only = 0, n = 0;

	for (int f = 0; f < FIELDS; f++) {
		if (w->tf[f] == 0)
			continue;
		fields |= 1 << f;
		only = f;
		n++;
	}
	for (int shift = 18; shift >= 0; shift -= 6)
		digit(b, (int)(w->hash >> shift & DIGIT_MAX));
	if (n == 1 && w->tf[only] <= 8) {
		digit(b, only * 8 + w->tf[only] - 1);
	} else {
		digit(b, 32 + fields);
		for (int f = 0; f < FIELDS; f++)
			if (w->tf[f])
				digit(b, w->tf[f]);
	}
	for (size_t i = 0; i < w->n_places; i++)
		digit(b, w->places[i]);
}

static void merge(struct card_word *to, const struct card_word *w)
{
	for (int f = 0; f < FIELDS; f++)
		to->tf[f] += w->tf[f];
	for (size_t i = 0; i < w->n_places && to->n_places < CARD_PLACES; i++)
		to->places[to->n_places++] = w->places[i];
}

static int by_hash(const void *a, const void *b)
{
	const struct card_word *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->n_places && y->n_places ? x->places[0] - y->places[0] : 0;
}

static size_t count_words(const char *tsv)
{
	size_t n = 0;

	for (const char *p = tsv; *p; p++)
		n += *p == '\'';
	return n / 2;
}

char *card_make(struct arena *a, const char *tsv)
{
	struct card_word *v = arena_array(a, count_words(tsv) + 1, sizeof(*v));
	const char *at = tsv, *lexeme;
	size_t n = 0, len, k = 0;
	struct buf b;
	char *s;

	while (card_next_tsv(&at, &lexeme, &len, &v[n])) {
		v[n].hash = card_hash(lexeme, len);
		n++;
	}
	if (n)
		qsort(v, n, sizeof(*v), by_hash);
	for (size_t i = 0; i < n; i++) {
		if (k && v[k - 1].hash == v[i].hash)
			merge(&v[k - 1], &v[i]);
		else
			v[k++] = v[i];
	}
	buf_init(&b, CARD_MAX);
	for (size_t i = 0; i < k; i++)
		write_word(&b, &v[i]);
	s = arena_strdup(a, buf_over(&b) ? "" : buf_cstr(&b));
	buf_free(&b);
	return s;
}

/* ---- reading ---- */

/* -1 at the end, and for what is no digit. */
static int take(const char **at)
{
	unsigned v = (unsigned)(unsigned char)**at - '0';

	if (v > DIGIT_MAX)
		return -1;
	(*at)++;
	return (int)v;
}

static bool take_counts(const char **at, int code, struct card_word *w)
{
	if (code < 32) {
		w->tf[code >> 3] = (code & 7) + 1;
		return true;
	}
	for (int f = 0; f < FIELDS; f++) {
		int n = code >> f & 1 ? take(at) : 0;

		if (n < 0)
			return false;
		w->tf[f] = n;
	}
	return true;
}

bool card_next(const char **at, struct card_word *word_r)
{
	int code;

	*word_r = (struct card_word){ 0 };
	for (int i = 0; i < 4; i++) {
		int v = take(at);

		if (v < 0)
			return false;
		word_r->hash = word_r->hash << 6 | (uint32_t)v;
	}
	code = take(at);
	if (code < 0 || !take_counts(at, code, word_r))
		return false;
	for (int i = 0; i < word_r->tf[FIELD_TITLE] && i < CARD_PLACES; i++) {
		int place = take(at);

		if (place < 0)
			return false;
		word_r->places[word_r->n_places++] = place;
	}
	return true;
}
