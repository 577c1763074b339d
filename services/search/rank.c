#include "services/search/rank.h"

#include <math.h>
#include <string.h>

#include "services/search/card.h"

#define K1 1.2
#define BIGRAM_WEIGHT 0.5

static const double field_weight[FIELDS] = { 10.0, 2.0, 2.0, 0.5 };
static const double field_b[FIELDS] = { 0.6, 0.3, 0.6, 0.5 };

struct seen { /* a unit in one candidate */
	double tf[FIELDS];
	int places[CARD_PLACES]; /* in the title */
	size_t n_places;
};
struct term { /* a stem to look for */
	const char *lexeme;
	size_t len, unit, alt, word;
	uint32_t hash;
	double weight;
};
struct ranker {
	const struct query *q;
	const struct dict_totals *totals;
	size_t n;
	uint64_t first[4];   /* bytes that a stem starts with */
	uint64_t high; /* the upper six bits of hashes */
	struct term v[];
};
struct found_words { /* what one candidate has of the query */
	struct seen seen[UNITS_MAX];
	uint32_t have[UNITS_MAX][ALTS_MAX]; /* of each way to satisfy a unit: which of its stems */
};

struct ranker *rank_start(struct arena *a, const struct query *q, const struct dict_totals *totals)
{
	size_t n = 0;
	struct ranker *t;

	for (size_t u = 0; u < q->n; u++)
		for (size_t i = 0; i < q->units[u].n_alts; i++)
			n += q->units[u].alts[i].n;
	t = arena_alloc(a, sizeof(*t) + n * sizeof(t->v[0]));
	t->q = q;
	t->totals = totals;
	for (size_t u = 0; u < q->n; u++)
		for (size_t i = 0; i < q->units[u].n_alts; i++)
			for (size_t k = 0; k < q->units[u].alts[i].n; k++) {
				const char *s = q->units[u].alts[i].lexemes[k];
				size_t len = strlen(s);

				t->v[t->n] = (struct term){ s, len, u, i, k, card_hash(s, len),
							    q->units[u].alts[i].weight / (double)q->units[u].alts[i].n };
				t->first[(uint8_t)*s >> 6] |= 1ull << ((uint8_t)*s & 63);
				t->high |= 1ull << (t->v[t->n].hash >> 18);
				t->n++;
			}
	return t;
}

static void take(const struct term *x, const struct card_word *w, struct found_words *f)
{
	struct seen *s = &f->seen[x->unit];

	f->have[x->unit][x->alt] |= 1u << x->word;
	for (size_t i = 0; i < FIELDS; i++)
		s->tf[i] += x->weight * w->tf[i];
	for (size_t i = 0; i < w->n_places && s->n_places < CARD_PLACES; i++)
		s->places[s->n_places++] = w->places[i];
}

static void scan_card(const struct ranker *t, const char *at, struct found_words *f)
{
	struct card_word w;

	while (card_next(&at, &w)) {
		if (!(t->high >> (w.hash >> 18) & 1))
			continue;
		for (size_t i = 0; i < t->n; i++)
			if (t->v[i].hash == w.hash)
				take(&t->v[i], &w, f);
	}
}

static void scan_tsv(const struct ranker *t, const char *at, struct found_words *f)
{
	const char *lexeme;
	struct card_word w;
	size_t len;

	while (card_next_tsv(&at, &lexeme, &len, &w)) {
		if (!(t->first[(uint8_t)*lexeme >> 6] >> ((uint8_t)*lexeme & 63) & 1))
			continue;
		for (size_t i = 0; i < t->n; i++)
			if (t->v[i].len == len && memcmp(t->v[i].lexeme, lexeme, len) == 0)
				take(&t->v[i], &w, f);
	}
}

static double saturated(const struct seen *s, const struct dict_totals *t, const int32_t len[FIELDS])
{
	double tf = 0;

	for (size_t f = 0; f < FIELDS; f++) {
		double mean = t->mean[f] > 0 ? t->mean[f] : 1;

		if (s->tf[f] > 0)
			tf += field_weight[f] * s->tf[f] / (1 - field_b[f] + field_b[f] * len[f] / mean);
	}
	return tf / (K1 + tf);
}

static bool adjacent(const struct seen *a, const struct seen *b)
{
	for (size_t i = 0; i < a->n_places; i++)
		for (size_t k = 0; k < b->n_places; k++)
			if (b->places[k] == a->places[i] + 1)
				return true;
	return false;
}

/* Bounded, so that it decides between equals and never makes the wrong thing right. */
static double worth(const struct candidate *c)
{
	double sold = log1p((double)c->sold_30d) / log1p(10000.0);
	double rating = c->rating_count > 0 ? (c->rating_x100 - 300) / 200.0 * (c->rating_count / (c->rating_count + 5.0)) : 0;
	double factor = 1 + 0.08 * (sold > 1 ? 1 : sold) + 0.04 * rating;

	return strcmp(c->availability, "out") == 0 ? factor * 0.96 : factor;
}

static void scan(const struct ranker *r, const struct candidate *c, struct found_words *f)
{
	if (c->card && *c->card)
		scan_card(r, c->card, f);
	else if (c->tsv)
		scan_tsv(r, c->tsv, f);
}

static bool has_unit(const struct ranker *r, const struct found_words *f, size_t u)
{
	for (size_t i = 0; i < r->q->units[u].n_alts; i++)
		if (f->have[u][i] == (1u << r->q->units[u].alts[i].n) - 1)
			return true;
	return false;
}

bool rank_has_all(const struct ranker *r, const struct candidate *c)
{
	struct found_words f = { 0 };

	scan(r, c, &f);
	for (size_t u = 0; u < r->q->n; u++)
		if (!has_unit(r, &f, u))
			return false;
	return true;
}

double rank_score(const struct ranker *r, const struct candidate *c)
{
	const int32_t len[FIELDS] = { c->len_a, c->len_b, c->len_c, c->len_d };
	const struct query *q = r->q;
	struct found_words f = { 0 };
	double score = 0, weight = 0, covered = 0;
	bool has[UNITS_MAX] = { false };

	scan(r, c, &f);
	for (size_t u = 0; u < q->n; u++) {
		has[u] = has_unit(r, &f, u);
		weight += q->units[u].idf;
		if (!has[u])
			continue;
		covered += q->units[u].idf;
		score += q->units[u].idf * saturated(&f.seen[u], r->totals, len);
	}
	for (size_t u = 0; u + 1 < q->n; u++)
		if (has[u] && has[u + 1] && adjacent(&f.seen[u], &f.seen[u + 1]))
			score += BIGRAM_WEIGHT * 0.5 * (q->units[u].idf + q->units[u + 1].idf) * 0.5;
	if (score <= 0)
		return 0;
	return score * (0.5 + 0.5 * covered / weight) * worth(c);
}
