/* Words, corrections and the stages of a query. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/search/card.h"
#include "services/search/dict.h"
#include "services/search/highlight.h"
#include "services/search/query.h"
#include "services/search/rank.h"
#include "services/search/token.h"

static const struct synonyms none = { 0 };

static const char *words_of(struct arena *a, const char *text)
{
	struct tokens t;
	struct token tok;
	char *s = arena_strdup(a, "");

	tokens_start(&t, text);
	while (tokens_next(&t, &tok))
		s = arena_printf(a, "%s%s%s%s", s, *s ? " " : "", tok.joined ? "+" : "", tok.text);
	return s;
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "WH-1000XM3 black", "wh 1000xm3 +wh1000xm3 black" },
		{ "Käse & Söhne, 2.5 kg", "kase sohne 2.5 kg" },
		{ "men's 1,000", "mens 1000" },
		{ "a - b", "a b" },
		{ "wi-fi", "wi fi +wifi" },
		{ "Intel® Core™2", "intel core 2" },
		{ "", "" },
		{ "\xff\xfe !!", "" },
		{ "東京 tower", "東 京 tower" },
	};
	struct arena *a = arena_new("test", 1 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(words_of(a, rows[i].text), rows[i].words);
	arena_free(a);
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(dict_distance("vanity", "vanity", 2), 0);
	assert_int_equal(dict_distance("vinity", "vanity", 2), 1);
	assert_int_equal(dict_distance("vaniyt", "vanity", 2), 1); /* neighbours swapped */
	assert_int_equal(dict_distance("vnity", "vanity", 2), 1);
	assert_int_equal(dict_distance("kitten", "sitting", 3), 3);
	assert_int_equal(dict_distance("kitten", "sitting", 2), 3);
	assert_int_equal(dict_distance("k\xc3\xa4se", "kase", 2), 1);
}

static struct dict *small_dict(void)
{
	struct dict *d = dict_new();
	const struct dict_totals t = { 100, { 5, 3, 20, 30 } };

	dict_put(d, "printer", "printer", 40);
	dict_put(d, "printed", "print", 2);
	dict_put(d, "air", "air", 9);
	dict_put(d, "conditioner", "condition", 7);
	dict_put(d, "lamp", "lamp", 3);
	dict_put(d, "notebook", "notebook", 20);
	dict_set_totals(d, &t);
	return d;
}

static void test_correct(void **state)
{
	struct dict *d = small_dict();
	char out[TOKEN_MAX + 1], right[TOKEN_MAX + 1];

	(void)state;
	assert_true(dict_correct(d, "printre", 1, out));
	assert_string_equal(out, "printer");
	assert_true(dict_correct(d, "printes", 1, out)); /* as near: the one in more products */
	assert_string_equal(out, "printer");
	assert_false(dict_correct(d, "lam", 1, out)); /* too short to guess */
	assert_false(dict_correct(d, "prantre", 1, out)); /* two edits in seven letters */
	assert_true(dict_correct(d, "nptebok", 1, out) == false);
	assert_true(dict_correct(d, "nptebook", 1, out));
	assert_true(dict_split(d, "airconditioner", out, right));
	assert_string_equal(out, "air");
	assert_string_equal(right, "conditioner");
	dict_put(d, "printer", "printer", 0);
	assert_true(dict_correct(d, "printre", 1, out) == false || strcmp(out, "printer") != 0);
	dict_free(d);
}

static void test_query(void **state)
{
	struct dict *d = small_dict();
	struct arena *a = arena_new("test", 1 << 20);
	struct query q;

	(void)state;
	query_make(a, d, &none, "en", "the Printre for a Notebook", &q);
	assert_string_equal(q.normal, "the printre for a notebook");
	assert_string_equal(q.corrected, "the printer for a notebook");
	assert_int_equal(q.n, 2);
	assert_true(q.units[1].idf > q.units[0].idf); /* rarer is worth more */
	assert_string_equal(query_stage(a, &q, 1), "((('printer'))&(('notebook')))");
	assert_null(query_stage(a, &q, 2));
	assert_string_equal(query_stage(a, &q, 3), "((('notebook')))");
	query_make(a, d, &none, "en", "\"' | & ! <-> ( ) :* \\", &q);
	assert_int_equal(q.n, 0);
	assert_null(query_stage(a, &q, 1));
	query_make(a, d, &none, "en", "a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15", &q);
	assert_int_equal(q.n, UNITS_MAX);
	for (int stage = 1; stage <= 3; stage++)
		(void)query_stage(a, &q, stage);
	arena_free(a);
	dict_free(d);
}

/* Of a tsquery over words "w0" to "w9" or "w00" to "w11" when a text has those whose bits are set; moves behind it. */
static bool holds(const char **at, uint32_t words)
{
	bool all = true, any = false, value;

	if (**at == '\'') {
		value = words >> strtol(*at + 2, (char **)at, 10) & 1;
		(*at)++;
		return value;
	}
	do {
		(*at)++; /* a bracket, or what joins */
		value = holds(at, words);
		if (**at == '&') {
			all = all && value;
		} else {
			any = any || (all && value);
			all = true;
		}
	} while (**at != ')');
	(*at)++;
	return any;
}

/* Each stage is true of exactly the sets of words that query_stage_units says. */
static void test_stages(void **state)
{
	struct arena *a = arena_new("test", 64 << 20);

	(void)state;
	for (size_t n = 1; n <= UNITS_MAX; n++) {
		struct query q = { .lang = "en", .n = n };

		for (size_t i = 0; i < n; i++) {
			q.units[i] = (struct unit){ .df = (int64_t)(i * 7 % 5 * 100), .n_alts = 1 };
			q.units[i].alts[0] = (struct alt){ .lexemes = { arena_printf(a, "w%zu", i) }, .n = 1 };
		}
		for (int stage = 1; stage <= 3; stage++) {
			const char *text = query_stage(a, &q, stage), *at;
			uint32_t units = 0;
			size_t least = 0;
			bool any = query_stage_units(&q, stage, &units, &least);

			assert_int_equal(any, text != NULL);
			for (uint32_t words = 0; any && words < 1u << n; words++) {
				at = text;
				assert_int_equal(holds(&at, words), (size_t)__builtin_popcount(words & units) >= least);
				assert_int_equal(*at, '\0');
			}
		}
		arena_reset(a);
	}
	arena_free(a);
}

static double score(const struct query *q, const char *tsv, int32_t len_a, int32_t sold)
{
	struct arena *a = arena_new("score", 1 << 20);
	const struct dict_totals t = { 100, { 5, 3, 20, 30 } };
	struct candidate c = { .product_id = "prd_1", .tsv = tsv, .availability = "in", .len_a = len_a, .len_b = 3,
				     .len_c = 20, .len_d = 30, .sold_30d = sold };

	struct ranker *r = rank_start(a, q, &t);
	double by_words = rank_score(r, &c), by_card;

	c.card = card_make(a, tsv);
	c.tsv = NULL;
	by_card = rank_score(r, &c);
	assert_float_equal(by_words, by_card, 1e-9);
	arena_free(a);
	return by_card;
}

static void test_rank(void **state)
{
	struct dict *d = small_dict();
	struct arena *a = arena_new("test", 1 << 20);
	struct query q;
	double both;

	(void)state;
	query_make(a, d, &none, "en", "notebook lamp", &q);
	both = score(&q, "'lamp':2A 'notebook':1A", 2, 0);
	assert_true(both > score(&q, "'lamp':1A 'notebook':2A", 2, 0));  /* the order as typed */
	assert_true(both > score(&q, "'lamp':2A 'notebook':1A", 12, 0)); /* the shorter title */
	assert_true(both > score(&q, "'lamp':2A 'notebook':40C", 2, 0)); /* the title counts more */
	assert_true(both > score(&q, "'lamp':2A", 2, 1000000));	       /* what sells does not make the wrong thing right */
	assert_true(both < score(&q, "'lamp':2A 'notebook':1A", 2, 100));
	assert_true(score(&q, "'other':1A,2B,3C,4", 2, 0) == 0);
	assert_true(score(&q, "", 2, 0) == 0);
	arena_free(a);
	dict_free(d);
}

static void test_highlight(void **state)
{
	struct dict *d = small_dict();
	struct arena *a = arena_new("test", 1 << 20);
	struct query q;

	(void)state;
	query_make(a, d, &none, "en", "printers", &q);
	assert_string_equal(highlight(a, &q, "A <b> Printer & \"ink\"", 100), "A &lt;b&gt; <em>Printer</em> &amp; &quot;ink&quot;");
	assert_null(highlight(a, &q, "nothing here", 100));
	arena_free(a);
	dict_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens), cmocka_unit_test(test_distance), cmocka_unit_test(test_correct),
		cmocka_unit_test(test_query), cmocka_unit_test(test_stages),  cmocka_unit_test(test_rank),	cmocka_unit_test(test_highlight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
