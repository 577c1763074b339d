#include "services/search/suggest_index.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/search/suggest_match.h"
#include "services/search/token.h"

#define STARTS_MAX 16 /* words of an entry that it is found by */

struct suggest_index *suggest_index_new(void)
{
	struct suggest_index *x = calloc(1, sizeof(*x));

	if (!x)
		abort();
	return x;
}

void suggest_index_free(struct suggest_index *x)
{
	if (!x)
		return;
	free(x->entries);
	free(x->places);
	free(x->pool);
	free(x);
}

size_t suggest_index_size(const struct suggest_index *x)
{
	return x->n_entries;
}

/* ---- building ---- */

static void *grown(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n, size);

	if (!q)
		abort();
	return q;
}

static uint32_t pooled(struct suggest_index *x, const char *text, size_t n)
{
	uint32_t at = (uint32_t)x->pool_len;

	if (x->pool_len + n + 1 > x->pool_cap) {
		x->pool_cap = x->pool_cap ? x->pool_cap * 2 : 1 << 16;
		x->pool = grown(x->pool, x->pool_cap, 1);
	}
	memcpy(x->pool + x->pool_len, text, n);
	x->pool[x->pool_len + n] = '\0';
	x->pool_len += n + 1;
	return at;
}

size_t suggest_fold(const char *text, char out[SUGGEST_FOLDED_MAX + 1])
{
	char joined[SUGGEST_FOLDED_MAX + 1] = "";
	size_t n = 0, n_joined = 0;
	struct tokens t;
	struct token tok;

	tokens_start(&t, text);
	while (tokens_next(&t, &tok)) {
		size_t len = strlen(tok.text);
		char *to = tok.joined ? joined : out;
		size_t *to_n = tok.joined ? &n_joined : &n;

		if (n + n_joined + len + 2 > SUGGEST_FOLDED_MAX)
			break;
		if (*to_n)
			to[(*to_n)++] = ' ';
		memcpy(to + *to_n, tok.text, len);
		*to_n += len;
	}
	out[n] = '\0';
	if (n_joined) { /* "wh 1000xm3 wh1000xm3": either form is a word of it */
		out[n] = ' ';
		memcpy(out + n + 1, joined, n_joined);
		out[n + 1 + n_joined] = '\0';
	}
	return n;
}

void suggest_index_add(struct suggest_index *x, enum suggest_kind kind, const char *text, const char *id, const char *slug,
		       int64_t weight)
{
	size_t n = strlen(text);
	char folded[SUGGEST_FOLDED_MAX + 1];
	struct suggest_entry *e;

	if (n > SUGGEST_TEXT_MAX || !suggest_fold(text, folded) || x->pool_len + 2048 > SUGGEST_BYTES_MAX)
		return;
	if (x->n_entries == x->cap_entries) {
		x->cap_entries = x->cap_entries ? x->cap_entries * 2 : 256;
		x->entries = grown(x->entries, x->cap_entries, sizeof(*x->entries));
	}
	e = &x->entries[x->n_entries++];
	*e = (struct suggest_entry){ .kind = kind, .weight = weight };
	e->text = pooled(x, text, n);
	e->folded = pooled(x, folded, strlen(folded));
	e->id = id ? pooled(x, id, strnlen(id, 64)) : SUGGEST_NONE;
	e->slug = slug ? pooled(x, slug, strnlen(slug, 256)) : SUGGEST_NONE;
}

static int by_rank(const void *a, const void *b)
{
	const struct suggest_entry *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return x->text < y->text ? -1 : x->text > y->text;
}

static int by_text(const void *a, const void *b, void *pool)
{
	const struct suggest_place *x = a, *y = b;
	int d = strcmp((const char *)pool + x->at, (const char *)pool + y->at);

	return d ? d : (x->entry > y->entry) - (x->entry < y->entry);
}

void suggest_index_finish(struct suggest_index *x)
{
	size_t cap = 0;

	if (x->n_entries)
		qsort(x->entries, x->n_entries, sizeof(*x->entries), by_rank);
	for (size_t i = 0; i < x->n_entries; i++) {
		uint32_t at = x->entries[i].folded;
		size_t words = 0;

		for (const char *p = x->pool + at; p && words < STARTS_MAX; words++) {
			if (x->n_places == cap) {
				cap = cap ? cap * 2 : 1024;
				x->places = grown(x->places, cap, sizeof(*x->places));
			}
			x->places[x->n_places++] = (struct suggest_place){ (uint32_t)(p - x->pool), (uint32_t)i };
			p = strchr(p, ' ');
			p = p ? p + 1 : NULL;
		}
	}
	if (x->n_places)
		qsort_r(x->places, x->n_places, sizeof(*x->places), by_text, x->pool);
}

/* ---- finding ---- */

struct typed {
	char text[SUGGEST_FOLDED_MAX + 1]; /* words divided by one space */
	const char *word[SUGGEST_WORDS_MAX];
	size_t len[SUGGEST_WORDS_MAX], n;
};

static void cut(struct typed *t)
{
	t->n = 0;
	for (const char *p = t->text; *p && t->n < SUGGEST_WORDS_MAX;) {
		size_t n = strcspn(p, " ");

		t->word[t->n] = p;
		t->len[t->n++] = n;
		p += n + (p[n] == ' ');
	}
}

static bool is_last(const struct typed *t, size_t i)
{
	return i + 1 == t->n;
}

/* The first word nobody wrote becomes one that is an edit away; again, for a second such word. */
static bool correct(const struct suggest_index *x, struct typed *t)
{
	bool changed = false;

	for (size_t i = 0; i < t->n; i++) {
		char better[TOKEN_MAX + 8], text[SUGGEST_FOLDED_MAX + 1];
		size_t before = (size_t)(t->word[i] - t->text), n;

		if (suggest_word_known(x, t->word[i], t->len[i], !is_last(t, i)) ||
		    !suggest_word_near(x, t->word[i], t->len[i], !is_last(t, i), better))
			continue;
		n = strlen(better);
		if (strlen(t->text) - t->len[i] + n > SUGGEST_FOLDED_MAX)
			continue;
		memcpy(text, t->text, before);
		memcpy(text + before, better, n);
		memcpy(text + before + n, t->word[i] + t->len[i], strlen(t->word[i] + t->len[i]) + 1);
		memcpy(t->text, text, sizeof(t->text));
		cut(t);
		changed = true;
	}
	return changed;
}

static void gather(const struct suggest_index *x, const struct typed *t, struct suggest_best *b)
{
	suggest_match_phrase(x, t->text, b);
	if (t->n > 1 && b->v[SUGGEST_PRODUCT].n < b->limit)
		suggest_match_words(x, t->word, t->len, t->n, b);
}

static size_t found_in(const struct suggest_best *b)
{
	size_t n = 0;

	for (int k = 0; k < SUGGEST_WORD; k++)
		n += b->v[k].n;
	return n;
}

static const char *copy(const struct suggest_index *x, struct arena *a, uint32_t at)
{
	return at == SUGGEST_NONE ? NULL : arena_strdup(a, x->pool + at);
}

/* A product whose sales changed while the pages were read may stand in two of them. */
static bool said(const struct suggestions *s, enum suggest_kind kind, const char *text, const char *id)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct suggested *o = &s->v[i];

		if (kind == SUGGEST_PRODUCT ? o->kind == kind && id && o->id && strcmp(o->id, id) == 0
					    : o->kind != SUGGEST_PRODUCT && strcasecmp(o->text, text) == 0)
			return true;
	}
	return false;
}

static void give(const struct suggest_index *x, struct arena *a, const struct suggest_best *b, enum suggest_kind kind,
		 size_t most, const char *before, struct suggestions *s)
{
	for (size_t i = 0; i < b->v[kind].n && most && s->n < b->limit; i++) {
		const struct suggest_entry *e = &x->entries[b->v[kind].entry[i]];
		const char *text = arena_printf(a, "%s%s", before, x->pool + e->text);

		if (said(s, kind, text, e->id == SUGGEST_NONE ? NULL : x->pool + e->id))
			continue;
		s->v[s->n++] = (struct suggested){ kind, text, copy(x, a, e->id), copy(x, a, e->slug) };
		most--;
	}
}

/* Half for queries, two each for categories and brands, the rest for products; words only where there is room. */
static void pick(const struct suggest_index *x, struct arena *a, const struct typed *t, const struct suggest_best *b,
		 struct suggestions *s)
{
	size_t others = b->v[SUGGEST_PRODUCT].n < b->limit / 2 ? b->v[SUGGEST_PRODUCT].n : b->limit / 2;

	give(x, a, b, SUGGEST_QUERY, (b->limit + 1) / 2, "", s);
	give(x, a, b, SUGGEST_CATEGORY, 2, "", s);
	give(x, a, b, SUGGEST_BRAND, 2, "", s);
	if (t->n == 1 && s->n + others < b->limit)
		give(x, a, b, SUGGEST_WORD, b->limit - s->n - others < 3 ? b->limit - s->n - others : 3, "", s);
	give(x, a, b, SUGGEST_PRODUCT, b->limit, "", s);
}

/* Nothing has all these words: the last one is completed alone. */
static void complete_last(const struct suggest_index *x, struct arena *a, const struct typed *t, size_t limit,
			  struct suggestions *s)
{
	const char *last = t->word[t->n - 1];
	struct suggest_best b = { .limit = limit };

	suggest_match_phrase(x, last, &b);
	give(x, a, &b, SUGGEST_WORD, limit, arena_strndup(a, t->text, (size_t)(last - t->text)), s);
}

void suggest_index_find(const struct suggest_index *x, struct arena *a, const char *typed, size_t limit,
			struct suggestions *s_r)
{
	struct typed t = { .n = 0 };
	struct suggest_best b = { .limit = limit < SUGGEST_LIMIT_MAX ? limit : SUGGEST_LIMIT_MAX };

	*s_r = (struct suggestions){ .n = 0 };
	t.text[suggest_fold(typed, t.text)] = '\0';
	cut(&t);
	if (!t.n || !b.limit)
		return;
	gather(x, &t, &b);
	if (!found_in(&b) && b.v[SUGGEST_WORD].n == 0 && correct(x, &t)) {
		s_r->corrected = arena_strdup(a, t.text);
		gather(x, &t, &b);
	}
	pick(x, a, &t, &b, s_r);
	if (!s_r->n && t.n > 1)
		complete_last(x, a, &t, b.limit, s_r);
	if (!s_r->n)
		s_r->corrected = NULL;
}
