#include "services/search/document.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "services/search/card.h"
#include "services/search/token.h"

#define TSV_MAX (900 * 1024) /* PostgreSQL ends at 1 MiB */
#define POSITION_MAX 16000
#define WORDS_MAX 4000
#define DESCRIPTION_SHOWN 1500
#define ATTRS_MAX 400
#define FIELD_GAP 8 /* places between two texts: the end of one and the start of the next are no phrase */

struct maker {
	struct arena *a;
	struct stemmer *stemmer;
	struct buf tsv;
	struct document *doc;
	int place;
};

static void add_word(struct maker *m, const char *word, const char *lexeme)
{
	if (m->doc->n_words < WORDS_MAX)
		m->doc->words[m->doc->n_words++] = arena_printf(m->a, "%s %s", word, lexeme);
}

static void add_text(struct maker *m, enum field f, const char *text)
{
	struct tokens t;
	struct token tok;
	char lexeme[TOKEN_MAX + 1];
	int last = m->place;

	if (!text)
		return;
	tokens_start(&t, text);
	while (tokens_next(&t, &tok) && m->place < POSITION_MAX) {
		int at = tok.joined ? m->place - tok.parts + 1 : ++m->place;

		stemmer_stem(m->stemmer, tok.text, lexeme);
		buf_fmt(&m->tsv, "'%s':%d%c ", lexeme, at, "ABCD"[f]);
		if (!tok.joined)
			m->doc->len[f]++;
		add_word(m, tok.text, lexeme);
	}
	if (m->place > last)
		m->place += FIELD_GAP;
}

char *document_attr(struct arena *a, const char *name, const char *value)
{
	char *s = arena_printf(a, "%s:%s", name, value);

	for (char *p = s; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 32;
	return s;
}

static const char *number_text(struct arena *a, const json_t *v)
{
	if (json_is_integer(v))
		return arena_printf(a, "%lld", (long long)json_integer_value(v));
	return arena_printf(a, "%g", json_real_value(v));
}

/* "black_toner" is two words; a yes is worth its name, a no is worth nothing. */
static void add_attr(struct maker *m, const char *name, const json_t *v)
{
	const char *value = json_is_string(v)  ? json_string_value(v) :
			    json_is_number(v)  ? number_text(m->a, v) :
			    json_is_boolean(v) ? (json_is_true(v) ? "true" : "false") :
						 NULL;
	bool typed = strstr(name, "type") != NULL || strcmp(name, "model") == 0;
	char *spaced = arena_strdup(m->a, name);

	if (!value)
		return;
	for (char *p = spaced; *p; p++)
		if (*p == '_')
			*p = ' ';
	if (m->doc->n_attrs < ATTRS_MAX && strlen(value) <= 200)
		m->doc->attrs[m->doc->n_attrs++] = document_attr(m->a, name, value);
	if (json_is_boolean(v)) {
		if (json_is_true(v))
			add_text(m, FIELD_ATTRS, spaced);
		return;
	}
	add_text(m, typed ? FIELD_NAMES : FIELD_ATTRS, value);
}

static void add_attrs(struct maker *m, const char *text)
{
	json_t *o = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL, *v, *item;
	const char *name;
	size_t i;

	m->doc->attrs = arena_array(m->a, ATTRS_MAX, sizeof(*m->doc->attrs));
	json_object_foreach(o, name, v) {
		if (json_is_array(v)) {
			json_array_foreach(v, i, item)
				add_attr(m, name, item);
		} else {
			add_attr(m, name, v);
		}
	}
	json_decref(o);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t distinct(const char **v, size_t n)
{
	size_t k = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_text);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || strcmp(v[k - 1], v[i]) != 0)
			v[k++] = v[i];
	return k;
}

static void add_prices(struct arena *a, const Catalog__V1__ExportedProduct *src, struct document *doc)
{
	struct buf now, before;

	buf_init(&now, 4096);
	buf_init(&before, 4096);
	for (size_t i = 0; i < src->n_prices; i++) {
		const Common__V1__Money *p = src->prices[i]->price, *c = src->prices[i]->compare_at_price;

		if (!p || !p->currency || strlen(p->currency) != 3)
			continue;
		buf_fmt(&now, "%s\"%s\":%lld", now.len ? "," : "", p->currency, (long long)p->amount);
		if (c && c->has_amount)
			buf_fmt(&before, "%s\"%s\":%lld", before.len ? "," : "", p->currency, (long long)c->amount);
	}
	doc->prices = arena_printf(a, "{%s}", buf_cstr(&now));
	doc->compare_at = arena_printf(a, "{%s}", buf_cstr(&before));
	buf_free(&now);
	buf_free(&before);
}

static void add_names(struct maker *m, const Catalog__V1__ExportedProduct *src)
{
	add_text(m, FIELD_NAMES, src->brand);
	for (size_t i = 0; i < src->n_categories; i++)
		add_text(m, FIELD_NAMES, src->categories[i]->name);
	for (size_t i = 0; i < src->n_codes; i++)
		add_text(m, FIELD_NAMES, src->codes[i]);
	for (size_t i = 0; i < src->n_variant_titles; i++)
		add_text(m, FIELD_NAMES, src->variant_titles[i]);
}

void document_make(struct arena *a, const char *lang, const Catalog__V1__ExportedProduct *src, struct document *doc_r)
{
	struct document doc = { .lang = lang, .product_id = src->id, .src = src };
	struct maker m = { .a = a, .stemmer = stemmer_open(lang), .doc = &doc };
	const char *text = src->description ? src->description : "";

	buf_init(&m.tsv, TSV_MAX);
	doc.words = arena_array(a, WORDS_MAX, sizeof(*doc.words));
	add_text(&m, FIELD_TITLE, src->title);
	add_names(&m, src);
	add_attrs(&m, src->attributes ? src->attributes->text : NULL);
	add_text(&m, FIELD_TEXT, text);
	doc.n_words = distinct(doc.words, doc.n_words);
	doc.n_attrs = distinct(doc.attrs, doc.n_attrs);
	doc.tsv = arena_strdup(a, buf_cstr(&m.tsv));
	doc.card = card_make(a, doc.tsv);
	doc.sample = (int32_t)card_hash(src->id, strlen(src->id));
	doc.description = arena_strndup(a, text, utf8_cut(text, strnlen(text, DESCRIPTION_SHOWN)));
	doc.categories = arena_array(a, src->n_categories + 1, sizeof(*doc.categories));
	for (size_t i = 0; i < src->n_categories; i++)
		doc.categories[doc.n_categories++] = src->categories[i]->id;
	add_prices(a, src, &doc);
	buf_free(&m.tsv);
	stemmer_close(m.stemmer);
	*doc_r = doc;
}
