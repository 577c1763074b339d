#include "services/search/dict.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define FIRST_SLOTS 1024

struct entry {
	uint32_t hash, letters; /* letters: which occur, one bit each, for a quick no */
	int32_t text;		/* in the pool */
	int32_t lexeme;		/* words: index of its lexeme's entry */
	int64_t df;
	uint8_t chars;	   /* length in characters */
	bool digits;
};
struct table { /* open addressing; entries never go, their df does */
	struct entry *entries;
	size_t n, cap;
	int32_t *slots;
	size_t n_slots;
};
struct dict {
	pthread_rwlock_t lock;
	char *pool;
	size_t pool_len, pool_cap;
	struct table words, lexemes;
	struct dict_totals totals;
};

static void *grown(void *p, size_t n)
{
	void *q = realloc(p, n);

	if (!q)
		abort();
	return q;
}

struct dict *dict_new(void)
{
	struct dict *d = calloc(1, sizeof(*d));

	if (!d || pthread_rwlock_init(&d->lock, NULL) != 0)
		abort();
	return d;
}

static void table_free(struct table *t)
{
	free(t->entries);
	free(t->slots);
	*t = (struct table){ 0 };
}

static void clear(struct dict *d)
{
	table_free(&d->words);
	table_free(&d->lexemes);
	free(d->pool);
	d->pool = NULL;
	d->pool_len = d->pool_cap = 0;
	d->totals = (struct dict_totals){ 0 };
}

void dict_free(struct dict *d)
{
	if (!d)
		return;
	clear(d);
	(void)pthread_rwlock_destroy(&d->lock);
	free(d);
}

void dict_clear(struct dict *d)
{
	(void)pthread_rwlock_wrlock(&d->lock);
	clear(d);
	(void)pthread_rwlock_unlock(&d->lock);
}

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h ^ h >> 15;
}

static const char *text_of(const struct dict *d, const struct entry *e)
{
	return d->pool + e->text;
}

static struct entry *find(const struct dict *d, const struct table *t, const char *text)
{
	uint32_t h = hash_of(text);

	if (!t->n_slots)
		return NULL;
	for (size_t i = h & (t->n_slots - 1);; i = (i + 1) & (t->n_slots - 1)) {
		if (t->slots[i] < 0)
			return NULL;
		if (t->entries[t->slots[i]].hash == h && strcmp(text_of(d, &t->entries[t->slots[i]]), text) == 0)
			return &t->entries[t->slots[i]];
	}
}

static void rehash(struct table *t)
{
	size_t n = t->n_slots ? t->n_slots * 2 : FIRST_SLOTS;

	t->slots = grown(t->slots, n * sizeof(*t->slots));
	t->n_slots = n;
	for (size_t i = 0; i < n; i++)
		t->slots[i] = -1;
	for (size_t k = 0; k < t->n; k++) {
		size_t i = t->entries[k].hash & (n - 1);

		while (t->slots[i] >= 0)
			i = (i + 1) & (n - 1);
		t->slots[i] = (int32_t)k;
	}
}

static int32_t pooled(struct dict *d, const char *text)
{
	size_t n = strlen(text) + 1;

	if (d->pool_len + n > d->pool_cap) {
		d->pool_cap = d->pool_cap ? d->pool_cap * 2 : 1 << 16;
		d->pool = grown(d->pool, d->pool_cap);
	}
	memcpy(d->pool + d->pool_len, text, n);
	d->pool_len += n;
	return (int32_t)(d->pool_len - n);
}

static uint32_t letters_of(const char *s)
{
	uint32_t m = 0;

	for (; *s; s++)
		m |= 1u << ((uint8_t)*s & 31);
	return m;
}

static struct entry *add(struct dict *d, struct table *t, const char *text)
{
	struct entry *e;

	if ((t->n + 1) * 2 > t->n_slots)
		rehash(t);
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 512;
		t->entries = grown(t->entries, t->cap * sizeof(*t->entries));
	}
	e = &t->entries[t->n];
	*e = (struct entry){ .hash = hash_of(text), .letters = letters_of(text), .text = pooled(d, text), .lexeme = -1 };
	e->chars = (uint8_t)utf8_length(text, strlen(text));
	e->digits = strpbrk(text, "0123456789") != NULL;
	for (size_t i = e->hash & (t->n_slots - 1);; i = (i + 1) & (t->n_slots - 1)) {
		if (t->slots[i] < 0) {
			t->slots[i] = (int32_t)t->n;
			break;
		}
	}
	t->n++;
	return e;
}

void dict_put(struct dict *d, const char *word, const char *lexeme, int64_t df)
{
	struct entry *w, *l;

	if (strlen(word) > TOKEN_MAX || strlen(lexeme) > TOKEN_MAX)
		return;
	(void)pthread_rwlock_wrlock(&d->lock);
	l = find(d, &d->lexemes, lexeme);
	if (!l)
		l = add(d, &d->lexemes, lexeme);
	w = find(d, &d->words, word);
	if (!w)
		w = add(d, &d->words, word);
	l->df += df - w->df;
	w->df = df;
	w->lexeme = (int32_t)(l - d->lexemes.entries);
	(void)pthread_rwlock_unlock(&d->lock);
}

void dict_set_totals(struct dict *d, const struct dict_totals *t)
{
	(void)pthread_rwlock_wrlock(&d->lock);
	d->totals = *t;
	(void)pthread_rwlock_unlock(&d->lock);
}

struct dict_totals dict_totals(struct dict *d)
{
	struct dict_totals t;

	(void)pthread_rwlock_rdlock(&d->lock);
	t = d->totals;
	(void)pthread_rwlock_unlock(&d->lock);
	return t;
}

static int64_t df_in(struct dict *d, const struct table *t, const char *text)
{
	const struct entry *e;
	int64_t df;

	(void)pthread_rwlock_rdlock(&d->lock);
	e = find(d, t, text);
	df = e ? e->df : 0;
	(void)pthread_rwlock_unlock(&d->lock);
	return df;
}

int64_t dict_df(struct dict *d, const char *word)
{
	return df_in(d, &d->words, word);
}

int64_t dict_lexeme_df(struct dict *d, const char *lexeme)
{
	return df_in(d, &d->lexemes, lexeme);
}

size_t dict_size(struct dict *d)
{
	size_t n;

	(void)pthread_rwlock_rdlock(&d->lock);
	n = d->words.n;
	(void)pthread_rwlock_unlock(&d->lock);
	return n;
}

/* ---- correction ---- */

static size_t characters(const char *s, uint32_t out[TOKEN_MAX])
{
	size_t n = 0, left = strlen(s);

	while (left && n < TOKEN_MAX) {
		size_t k = utf8_char(s, left);

		if (!k)
			break;
		out[n] = 0;
		memcpy(&out[n], s, k);
		n++;
		s += k;
		left -= k;
	}
	return n;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

int dict_distance(const char *a, const char *b, int max)
{
	uint32_t x[TOKEN_MAX], y[TOKEN_MAX];
	int rows[3][TOKEN_MAX + 1];
	size_t n = characters(a, x), m = characters(b, y);
	int *before = rows[0], *last = rows[1], *now = rows[2];

	if (n > m + (size_t)max || m > n + (size_t)max)
		return max + 1;
	for (size_t j = 0; j <= m; j++)
		last[j] = (int)j;
	for (size_t i = 1; i <= n; i++) {
		int best = now[0] = (int)i, *old = before;

		for (size_t j = 1; j <= m; j++) {
			int d = least(last[j - 1] + (x[i - 1] != y[j - 1]), least(last[j], now[j - 1]) + 1);

			if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1])
				d = least(d, before[j - 2] + 1);
			now[j] = d;
			best = least(best, d);
		}
		if (best > max)
			return max + 1;
		before = last;
		last = now;
		now = old;
	}
	return least(last[m], max + 1);
}

static int edits_for(size_t chars)
{
	return chars < 4 ? 0 : chars < 8 ? 1 : 2;
}

static int bits(uint32_t v)
{
	return __builtin_popcount(v);
}

bool dict_correct(struct dict *d, const char *word, int64_t at_least, char out_r[TOKEN_MAX + 1])
{
	size_t chars = utf8_length(word, strlen(word));
	int most = edits_for(chars), best = most + 1;
	uint32_t letters = letters_of(word);
	const struct entry *won = NULL;
	bool won_first = false;

	if (!most)
		return false;
	(void)pthread_rwlock_rdlock(&d->lock);
	for (size_t i = 0; i < d->words.n; i++) {
		const struct entry *e = &d->words.entries[i];
		int reach = least(most, best), dist;
		bool first;

		if (e->df < at_least || e->digits || e->chars + reach < (int)chars || e->chars > (int)chars + reach ||
		    bits(letters & ~e->letters) > reach || bits(e->letters & ~letters) > reach)
			continue;
		dist = dict_distance(word, text_of(d, e), reach);
		if (dist > reach || dist == 0)
			continue;
		first = text_of(d, e)[0] == word[0];
		if (won && dist == best && (e->df < won->df || (e->df == won->df && first <= won_first)))
			continue;
		won = e;
		best = dist;
		won_first = first;
	}
	if (won)
		memcpy(out_r, text_of(d, won), strlen(text_of(d, won)) + 1);
	(void)pthread_rwlock_unlock(&d->lock);
	return won != NULL;
}

bool dict_split(struct dict *d, const char *word, char left_r[TOKEN_MAX + 1], char right_r[TOKEN_MAX + 1])
{
	size_t n = strlen(word), at = 0;
	int64_t best = 0;

	(void)pthread_rwlock_rdlock(&d->lock);
	for (size_t i = 3; i + 3 <= n && n <= TOKEN_MAX; i++) {
		const struct entry *l, *r;
		char left[TOKEN_MAX + 1] = { 0 };

		memcpy(left, word, i);
		if (utf8_cut(word, i) != i)
			continue;
		l = find(d, &d->words, left);
		r = l && l->df > best ? find(d, &d->words, word + i) : NULL;
		if (!r || r->df <= best)
			continue;
		best = l->df < r->df ? l->df : r->df;
		at = i;
	}
	(void)pthread_rwlock_unlock(&d->lock);
	if (!at)
		return false;
	memcpy(left_r, word, at);
	left_r[at] = '\0';
	memcpy(right_r, word + at, n - at + 1);
	return true;
}
