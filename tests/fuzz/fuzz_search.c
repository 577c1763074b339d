/*
 * Queries from strangers: any bytes become words, stages and marks within bounds, and a text that is searched for finds
 * itself, as a suggestion too. Byte 0 picks the language; the rest is the query and the text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/search/highlight.h"
#include "services/search/query.h"
#include "services/search/rank.h"
#include "services/search/suggest_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void look(struct arena *a, struct dict *d, const char *lang, const char *text)
{
	static const char *const list[] = { "lamp", "desk light" };
	const struct synonym one = { .lang = "en", .words = (const char **)list, .n = 2 };
	const struct synonyms synonyms = { &one, 1 };
	const struct dict_totals totals = { 10, { 5, 5, 5, 5 } };
	struct candidate c = { .product_id = "prd_1", .tsv = text, .availability = "in" };
	struct query q;
	double score;

	query_make(a, d, &synonyms, lang, text, &q);
	need(q.n <= UNITS_MAX && strlen(q.normal) <= UNITS_MAX * (TOKEN_MAX + 1));
	for (int stage = 1; stage <= 3; stage++) {
		const char *s = query_stage(a, &q, stage);

		need(!s || strlen(s) > 2);
	}
	score = rank_score(rank_start(a, &q, &totals), &c);
	need(score >= 0 && score < 1000);
	c.card = text; /* whatever it is */
	score = rank_score(rank_start(a, &q, &totals), &c);
	need(score >= 0 && score < 1000);
	(void)highlight(a, &q, text, 200);
}

/* What is kept is found by its own text; whatever is typed beside it ends, within the limit. */
static void suggest(struct arena *a, const char *text)
{
	struct suggest_index *x = suggest_index_new();
	struct suggestions s;
	size_t half = strlen(text) / 2;

	suggest_index_add(x, SUGGEST_WORD, "lamp", NULL, NULL, 3);
	suggest_index_add(x, SUGGEST_BRAND, "Lampert", NULL, NULL, 3);
	suggest_index_add(x, SUGGEST_PRODUCT, text, "prd_1", "slug", 2);
	suggest_index_finish(x);
	if (strlen(text) <= SUGGEST_TEXT_MAX) {
		suggest_index_find(x, a, text, 5, &s);
		need(suggest_index_size(x) == 2 || s.n > 0);
	}
	suggest_index_find(x, a, text + half, SUGGEST_LIMIT_MAX, &s);
	need(s.n <= SUGGEST_LIMIT_MAX);
	suggest_index_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a;
	struct dict *d;

	if (size < 2 || size > 12000)
		return 0;
	a = arena_new("fuzz", 64 << 20);
	d = dict_new();
	dict_put(d, "printer", "printer", 4);
	dict_put(d, "lamp", "lamp", 2);
	look(a, d, data[0] & 1 ? "de" : "en", arena_strndup(a, (const char *)data + 1, size - 1));
	suggest(a, arena_strndup(a, (const char *)data + 1, size - 1));
	dict_free(d);
	arena_free(a);
	return 0;
}
