#include "services/search/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define K1 1.2
#define BIGRAM_WEIGHT 0.5
#define PLACES 8 /* of a unit in a title that are looked at */

static const double field_weight[FIELDS] = { 10.0, 2.0, 2.0, 0.5 };
static const double field_b[FIELDS] = { 0.6, 0.3, 0.6, 0.5 };

struct seen { /* a unit in one candidate */
	double tf[FIELDS];
	int places[PLACES]; /* in the title */
	size_t n_places;
};
struct term { /* a stem to look for */
	const char *lexeme;
	size_t len, unit, alt, word;
	double weight;
};
struct terms {
	struct term v[UNITS_MAX * ALTS_MAX * ALT_WORDS];
	size_t n;
	uint64_t first[4]; /* bytes that a stem starts with */
};

static void collect(const struct query *q, struct terms *t)
{
	for (size_t u = 0; u < q->n; u++)
		for (size_t i = 0; i < q->units[u].n_alts; i++)
			for (size_t k = 0; k < q->units[u].alts[i].n; k++) {
				const char *s = q->units[u].alts[i].lexemes[k];

				t->v[t->n++] = (struct term){ s, strlen(s), u, i, k, q->units[u].alts[i].weight };
				t->first[(uint8_t)*s >> 6] |= 1ull << ((uint8_t)*s & 63);
			}
}

/* "12A,13,14B": what stands after a stem. */
static const char *read_places(const char *p, struct seen *to, double weight)
{
	while (*p == ':' || *p == ',') {
		char *end;
		long place = strtol(p + 1, &end, 10);
		enum field f = *end == 'A' ? FIELD_TITLE : *end == 'B' ? FIELD_NAMES : *end == 'C' ? FIELD_TEXT : FIELD_ATTRS;

		to->tf[f] += weight;
		if (f == FIELD_TITLE && to->n_places < PLACES)
			to->places[to->n_places++] = (int)place;
		p = end + (*end >= 'A' && *end <= 'D');
	}
	return p;
}

static void match(const struct terms *t, const char *lexeme, size_t len, const char *places, struct seen *seen,
		  uint32_t (*have)[ALTS_MAX], const struct query *q)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct term *x = &t->v[i];

		if (x->len != len || memcmp(x->lexeme, lexeme, len) != 0)
			continue;
		have[x->unit][x->alt] |= 1u << x->word;
		(void)read_places(places, &seen[x->unit], x->weight / (double)q->units[x->unit].alts[x->alt].n);
	}
}

static void scan(const struct terms *t, const char *tsv, struct seen *seen, uint32_t (*have)[ALTS_MAX],
		 const struct query *q)
{
	const char *p = tsv;

	while (*p) {
		const char *lexeme, *end;

		if (*p != '\'') {
			p++;
			continue;
		}
		lexeme = p + 1;
		end = strchr(lexeme, '\'');
		if (!end)
			return;
		if (t->first[(uint8_t)*lexeme >> 6] >> ((uint8_t)*lexeme & 63) & 1)
			match(t, lexeme, (size_t)(end - lexeme), end + 1, seen, have, q);
		p = strchr(end, ' ');
		if (!p)
			return;
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

double rank_score(const struct query *q, const struct dict_totals *t, const struct candidate *c)
{
	const int32_t len[FIELDS] = { c->len_a, c->len_b, c->len_c, c->len_d };
	struct seen seen[UNITS_MAX] = { 0 };
	uint32_t have[UNITS_MAX][ALTS_MAX] = { 0 };
	struct terms terms = { 0 };
	double score = 0, weight = 0, covered = 0;
	bool has[UNITS_MAX] = { false };

	collect(q, &terms);
	scan(&terms, c->tsv, seen, have, q);
	for (size_t u = 0; u < q->n; u++) {
		for (size_t i = 0; i < q->units[u].n_alts; i++)
			has[u] |= have[u][i] == (1u << q->units[u].alts[i].n) - 1;
		weight += q->units[u].idf;
		if (!has[u])
			continue;
		covered += q->units[u].idf;
		score += q->units[u].idf * saturated(&seen[u], t, len);
	}
	for (size_t u = 0; u + 1 < q->n; u++)
		if (has[u] && has[u + 1] && adjacent(&seen[u], &seen[u + 1]))
			score += BIGRAM_WEIGHT * 0.5 * (q->units[u].idf + q->units[u + 1].idf) * 0.5;
	if (score <= 0)
		return 0;
	return score * (0.5 + 0.5 * covered / weight) * worth(c);
}
