/*
 * A word of half the catalogue has too many matches to look at, and a thousand of them are wanted. A smaller tier of the
 * index is sought first where it should have as many as are taken of a tier, or, where the index would have to walk over
 * many places, enough for a few pages; and the next larger one when it was not enough after all.
 *
 * All but one of the words are found at nearly the same places as all of them. Where few products should have all, both
 * are sought at once and told apart by the cards.
 */
#include <stdlib.h>

#include "services/search/engine.h"
#include "services/search/search_db_query.h"

#define TIERS_FROM 100000  /* products; fewer are always looked at all */
#define PLACES_CHEAP 16000 /* places of an index that are walked in a few milliseconds */
#define RELAXED_COST 3	   /* times that, where each place is tried against several sets of words */
#define EXPECTED 200 /* matches expected of a tier before it is asked */
#define ENOUGH 100 /* matches of a tier that are enough not to ask the next */
#define OF_A_TIER 500 /* candidates, where thousands more would do as well */
#define FEW 10 /* expected to have all words: those with all but one will be wanted, too */

struct pg_stage {
	struct pg *pg;
	struct arena *a;
	const struct query *q;
	const struct filters *f;
	int64_t docs;
	bool cut; /* a tier was enough */
	struct candidate *ahead; /* what the next stage would find and this one did not; NULL: it was not sought */
	size_t n_ahead;
	struct found near; /* what misses one filter */
	size_t n_strict;
};

/* The share of products that satisfy a unit, at most. */
static double share(const struct unit *u, int64_t docs)
{
	double p = docs > 0 ? (double)u->df / (double)docs : 0;

	return p < 1 ? p : 1;
}

double engine_pg_expected(const struct query *q, int stage, int64_t docs)
{
	double p[UNITS_MAX + 1] = { 1 }, sum = 0; /* p[k]: that a product has k of the units seen so far */
	uint32_t units = 0;
	size_t least = 0, n = 0;

	if (!query_stage_units(q, stage, &units, &least))
		return 0;
	for (size_t i = 0; i < q->n; i++) {
		double x = share(&q->units[i], docs);

		if (!(units >> i & 1))
			continue;
		n++;
		for (size_t k = n; k > 0; k--)
			p[k] = p[k] * (1 - x) + p[k - 1] * x;
		p[0] *= 1 - x;
	}
	for (size_t k = least; k <= n; k++)
		sum += p[k];
	return sum * (double)docs;
}

static int by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* What has k of n words is found at the places of the rarest n - k + 1. */
static int64_t places(const struct query *q, int stage)
{
	int64_t df[UNITS_MAX], sum = 0;
	uint32_t units = 0;
	size_t least = 0, n = 0;

	if (!query_stage_units(q, stage, &units, &least))
		return 0;
	for (size_t i = 0; i < q->n; i++)
		if (units >> i & 1)
			df[n++] = q->units[i].df;
	qsort(df, n, sizeof(*df), by_size);
	for (size_t i = 0; i + least <= n; i++)
		sum += df[i];
	return sum;
}

/* Of the tiers that should have enough, the smallest that has plenty, or else the largest that is cheap to walk. */
static enum tier first_tier(const struct pg_stage *s, int stage)
{
	double n = engine_pg_expected(s->q, stage, s->docs);
	int64_t walk = places(s->q, stage) * (stage > 1 ? RELAXED_COST : 1);

	if (s->f->sort != SORT_RELEVANCE || s->docs < TIERS_FROM)
		return TIER_ALL;
	if (n >= OF_A_TIER * TIER_TOP_SHARE || (walk > PLACES_CHEAP * TIER_GOOD_SHARE && n >= EXPECTED * TIER_TOP_SHARE))
		return TIER_TOP;
	return n >= OF_A_TIER * TIER_GOOD_SHARE || (walk > PLACES_CHEAP && n >= EXPECTED * TIER_GOOD_SHARE) ? TIER_GOOD : TIER_ALL;
}

static bool both_at_once(const struct pg_stage *s)
{
	return s->f->sort == SORT_RELEVANCE && engine_pg_expected(s->q, 1, s->docs) < FEW && query_stage(s->a, s->q, 2) &&
	       first_tier(s, 2) == TIER_ALL;
}

/* Rows that miss a filter go to near. How many are left. */
static size_t part(struct pg_stage *s, struct candidate *rows, size_t n)
{
	const struct dict_totals none = { 0 };
	const struct ranker *ranker = rank_start(s->a, s->q, &none);
	struct candidate *near = arena_array(s->a, n + 1, sizeof(*near));
	size_t k = 0, n_near = 0;

	for (size_t i = 0; i < n; i++) {
		if (!rows[i].missed) {
			rows[k++] = rows[i];
			continue;
		}
		near[n_near] = rows[i];
		near[n_near++].has_all = rank_has_all(ranker, &rows[i]);
	}
	engine_add(s->a, &s->near, near, n_near);
	return k;
}

/* With those that miss a filter among them, twice as many are read; when they took the place of others, once more without. */
static enum err_code candidates(struct pg_stage *s, const char *tsquery, enum tier t, struct candidate **rows_r, size_t *n_r,
				struct err *e)
{
	int32_t most = t == TIER_ALL ? CANDIDATES_MAX : OF_A_TIER;
	struct filters f = *s->f;
	size_t n = 0;

	f.near = f.near && s->n_strict == 0;
	if (search_db_candidates(s->pg, s->a, s->q->lang, tsquery, &f, t, f.near ? most * 2 : most, rows_r, &n, e))
		return e->code;
	if (f.near) {
		bool full = n == (size_t)most * 2;

		n = part(s, *rows_r, n);
		f.near = false;
		if (full && n < (size_t)most &&
		    search_db_candidates(s->pg, s->a, s->q->lang, tsquery, &f, t, most, rows_r, &n, e))
			return e->code;
		n = n < (size_t)most ? n : (size_t)most;
	}
	*n_r = n;
	return OK;
}

/* False where there may be more of them, so that the first stage must be asked by itself. */
static enum err_code fetch_both(struct pg_stage *s, struct candidate **rows_r, size_t *n_r, bool *done_r, struct err *e)
{
	const struct dict_totals none = { 0 };
	const struct ranker *ranker = rank_start(s->a, s->q, &none);
	struct candidate *rows = NULL, *all;
	size_t n = 0, k = 0;

	if (candidates(s, query_stage(s->a, s->q, 2), TIER_ALL, &rows, &n, e))
		return e->code;
	s->ahead = rows ? rows : arena_array(s->a, 1, sizeof(*rows));
	s->n_ahead = n;
	if (n == CANDIDATES_MAX)
		return OK;
	all = arena_array(s->a, n + 1, sizeof(*all));
	s->n_ahead = 0;
	for (size_t i = 0; i < n; i++) {
		if (rank_has_all(ranker, &rows[i]))
			all[k++] = rows[i];
		else
			s->ahead[s->n_ahead++] = rows[i];
	}
	*rows_r = all;
	*n_r = k;
	*done_r = true;
	return OK;
}

static enum err_code sought(struct pg_stage *s, int stage, struct candidate **rows_r, size_t *n_r, struct err *e)
{
	const char *tsquery = query_stage(s->a, s->q, stage);
	enum tier t = first_tier(s, stage);
	bool done = false;
	size_t n = 0;

	if (stage == 1 && both_at_once(s) && fetch_both(s, rows_r, n_r, &done, e))
		return e->code;
	if (done)
		return OK;
	if (stage == 2 && s->ahead) {
		*rows_r = s->ahead;
		*n_r = s->n_ahead;
		return OK;
	}
	for (; t <= TIER_ALL && n < ENOUGH; t++)
		if (candidates(s, tsquery, t, rows_r, &n, e))
			return e->code;
	s->cut |= t <= TIER_ALL;
	*n_r = n;
	return OK;
}

static enum err_code fetch(void *arg, int stage, struct candidate **rows_r, size_t *n_r, struct err *e)
{
	struct pg_stage *s = arg;

	if (sought(s, stage, rows_r, n_r, e))
		return e->code;
	if (stage == 1)
		s->n_strict = *n_r;
	return OK;
}

enum err_code engine_pg_find(struct pg *pg, struct arena *a, const struct query *q, const struct filters *f, int64_t docs,
			     size_t wanted, struct found *found_r, struct err *e)
{
	struct pg_stage s = { .pg = pg, .a = a, .q = q, .f = f, .docs = docs };

	if (engine_stages(a, q, f, wanted, fetch, &s, found_r, e))
		return e->code;
	found_r->capped |= s.cut;
	found_r->near = s.near.v;
	found_r->n_near = s.near.n;
	return OK;
}
