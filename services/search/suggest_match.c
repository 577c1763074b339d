#include "services/search/suggest_match.h"

#include <string.h>

#include "common/check.h"

#define CHECKED_MAX 5000 /* entries looked into for the other words */
#define NEXT_MAX 64	 /* characters tried at a place */

struct range {
	size_t from, to;
};

static const char *at(const struct suggest_index *x, size_t place)
{
	return x->pool + x->places[place].at;
}

/* The first place in r whose text is not before key (over: not before nor beginning with it). */
static size_t edge(const struct suggest_index *x, struct range r, const char *key, size_t n, bool over)
{
	while (r.from < r.to) {
		size_t mid = r.from + (r.to - r.from) / 2;
		int d = strncmp(at(x, mid), key, n);

		if (d < 0 || (over && d == 0))
			r.from = mid + 1;
		else
			r.to = mid;
	}
	return r.from;
}

static struct range narrow(const struct suggest_index *x, struct range r, const char *key, size_t n)
{
	r.from = edge(x, r, key, n, false);
	r.to = edge(x, r, key, n, true);
	return r;
}

/* Of the places that begin with key those where the word ends with it: the end and the space sort before all letters. */
static struct range whole_word(const struct suggest_index *x, struct range r, size_t n)
{
	size_t from = r.from, to = r.to;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		char c = at(x, mid)[n];

		if (c == '\0' || c == ' ')
			from = mid + 1;
		else
			to = mid;
	}
	return (struct range){ r.from, from };
}

static struct range word_range(const struct suggest_index *x, struct range in, const char *word, size_t len, bool whole)
{
	struct range r = narrow(x, in, word, len);

	return whole ? whole_word(x, r, len) : r;
}

static struct range everything(const struct suggest_index *x)
{
	return (struct range){ 0, x->n_places };
}

static void take(struct suggest_best *b, enum suggest_kind kind, uint32_t entry)
{
	size_t n = b->v[kind].n, i = n;
	uint32_t *v = b->v[kind].entry;

	if (n == b->limit && entry >= v[n - 1])
		return;
	while (i > 0 && v[i - 1] > entry)
		i--;
	if (i > 0 && v[i - 1] == entry)
		return;
	if (n < b->limit)
		b->v[kind].n = ++n;
	memmove(&v[i + 1], &v[i], (n - 1 - i) * sizeof(*v));
	v[i] = entry;
}

void suggest_match_phrase(const struct suggest_index *x, const char *prefix, struct suggest_best *b)
{
	struct range r = narrow(x, everything(x), prefix, strlen(prefix));

	for (size_t i = r.from; i < r.to; i++)
		take(b, x->entries[x->places[i].entry].kind, x->places[i].entry);
}

static bool has_word(const char *text, const char *word, size_t len, bool whole)
{
	for (const char *p = text; p; p = strchr(p, ' ')) {
		p += *p == ' ';
		if (strncmp(p, word, len) == 0 && (!whole || p[len] == '\0' || p[len] == ' '))
			return true;
	}
	return false;
}

static bool has_all(const char *text, const char *const *word, const size_t *len, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!has_word(text, word[i], len[i], i + 1 < n))
			return false;
	return true;
}

void suggest_match_words(const struct suggest_index *x, const char *const *word, const size_t *len, size_t n,
			 struct suggest_best *b)
{
	struct range rarest = everything(x);
	size_t checked = 0, step;

	for (size_t i = 0; i < n; i++) {
		struct range r = word_range(x, everything(x), word[i], len[i], i + 1 < n);

		if (r.to - r.from < rarest.to - rarest.from)
			rarest = r;
	}
	/* Places of one word stand in the order of what follows it, which says nothing: of too many an even part is seen. */
	step = (rarest.to - rarest.from) / CHECKED_MAX + 1;
	for (size_t i = rarest.from; i < rarest.to && checked < CHECKED_MAX; i += step, checked++) {
		const struct suggest_entry *e = &x->entries[x->places[i].entry];

		if (has_all(x->pool + e->folded, word, len, n))
			take(b, e->kind, x->places[i].entry);
	}
}

/* ---- one edit ---- */

bool suggest_word_known(const struct suggest_index *x, const char *word, size_t len, bool whole)
{
	struct range r = word_range(x, everything(x), word, len, whole);

	return r.to > r.from;
}

struct near {
	const struct suggest_index *x;
	bool whole;
	size_t most; /* places of the best so far */
	char *best;
};

/* The text so far (n bytes, whose places are r) and the rest of the typed word after it. */
static void attempt(struct near *w, struct range r, const char *sofar, size_t n, const char *rest, size_t rest_len)
{
	char text[2 * TOKEN_MAX + 16];
	struct range found;
	size_t places;

	if (n + rest_len > TOKEN_MAX || n + rest_len == 0 || r.from >= r.to)
		return;
	memcpy(text, sofar, n);
	memcpy(text + n, rest, rest_len);
	found = word_range(w->x, r, text, n + rest_len, w->whole);
	places = found.to - found.from;
	if (!places || places < w->most || (places == w->most && n + rest_len <= strlen(w->best)))
		return; /* of two as frequent beginnings the longer one says more */
	w->most = places;
	memcpy(w->best, text, n + rest_len);
	w->best[n + rest_len] = '\0';
}

/* Another character here, or one more: only such as the entries have at this place. */
static void attempt_others(struct near *w, struct range r, const char *word, size_t i, size_t char_len, size_t len)
{
	char text[TOKEN_MAX + 8];
	size_t tried = 0;

	memcpy(text, word, i);
	for (size_t place = r.from; place < r.to && tried < NEXT_MAX; tried++) {
		const char *next = at(w->x, place) + i;
		size_t n = *next && *next != ' ' ? utf8_char(next, strnlen(next, 4)) : 0;
		struct range with = { place, r.to };

		if (!n) {
			place = whole_word(w->x, with, i).to;
			continue;
		}
		memcpy(text + i, next, n);
		with = narrow(w->x, with, text, i + n);
		if (char_len)
			attempt(w, with, text, i + n, word + i + char_len, len - i - char_len);
		attempt(w, with, text, i + n, word + i, len - i);
		place = with.to;
	}
}

bool suggest_word_near(const struct suggest_index *x, const char *word, size_t len, bool whole, char out_r[TOKEN_MAX + 8])
{
	struct near w = { .x = x, .whole = whole, .best = out_r };
	struct range r = everything(x);

	if (len > TOKEN_MAX || utf8_length(word, len) < 4 || memchr(word, ' ', len))
		return false;
	for (size_t i = 0; i < len; i++)
		if (word[i] >= '0' && word[i] <= '9')
			return false;
	for (size_t i = 0; i <= len && r.from < r.to;) {
		size_t n = i < len ? utf8_char(word + i, len - i) : 0, m = i + n < len ? utf8_char(word + i + n, len - i - n) : 0;
		char swapped[TOKEN_MAX + 8];

		if (i < len && !n)
			return false;
		attempt_others(&w, r, word, i, n, len);
		if (n)
			attempt(&w, r, word, i, word + i + n, len - i - n);
		if (m) {
			memcpy(swapped, word, i);
			memcpy(swapped + i, word + i + n, m);
			memcpy(swapped + i + m, word + i, n);
			attempt(&w, r, swapped, i + n + m, word + i + n + m, len - i - n - m);
		}
		if (!n)
			break;
		i += n;
		r = narrow(x, r, word, i);
	}
	return w.most > 0;
}
