#include "services/reco/person.h"

#include <math.h>

#include "services/reco/ease.h"

#define CANDIDATES 200 /* of each model, before they are fused */
#define DAMP 10

static void split(struct arena *scratch, const struct liking *h, size_t n, int32_t **items_r, float **weights_r)
{
	int32_t *items = arena_array(scratch, n + 1, sizeof(*items));
	float *weights = arena_array(scratch, n + 1, sizeof(*weights));

	for (size_t i = 0; i < n; i++) {
		items[i] = h[i].item;
		weights[i] = h[i].weight;
	}
	*items_r = items;
	*weights_r = weights;
}

static size_t best(const struct bundle *b, float *scores, const struct liking *h, size_t n, float floor, struct ranked *top,
		   size_t k)
{
	for (size_t i = 0; i < n; i++)
		scores[h[i].item] = -INFINITY;
	return rank_top(scores, b->n_items, floor, top, k);
}

static size_t by_factors(struct arena *scratch, const struct bundle *b, const int32_t *items, const float *weights,
			 const struct liking *h, size_t n, struct ranked *top, size_t k)
{
	const struct ials_params p = { .factors = b->factors.factors, .cg_steps = 8, .unobserved = b->unobserved,
				       .ridge = b->ridge, .threads = 1 };
	float *scores = arena_array(scratch, (size_t)b->n_items, sizeof(*scores)),
	      *user = arena_array(scratch, (size_t)b->factors.factors, sizeof(*user));

	ials_fold_in(scratch, &b->factors, &p, items, weights, n, user);
	ials_scores(&b->factors, user, 1, scores);
	return best(b, scores, h, n, -INFINITY, top, k);
}

size_t person_next(struct arena *scratch, const struct bundle *b, const struct liking *h, size_t n, struct ranked *top, size_t k)
{
	float *scores = arena_array(scratch, (size_t)b->n_items + 1, sizeof(*scores)), *weights;
	struct ranked *x = arena_array(scratch, CANDIDATES, sizeof(*x)), *y = arena_array(scratch, CANDIDATES, sizeof(*y)),
		      *both = arena_array(scratch, 2 * CANDIDATES, sizeof(*both));
	size_t n_x, n_y = 0;
	int32_t *items;

	if (n == 0 || !b->liked.ptr)
		return 0;
	split(scratch, h, n, &items, &weights);
	ease_score(&b->liked, items, weights, n, scores);
	for (int32_t i = 0; i < b->n_items; i++)
		if (scores[i] > 0)
			scores[i] *= powf(b->popular[i] + 1, 0.25F);
	n_x = best(b, scores, h, n, 0, x, CANDIDATES);
	if (b->factors.factors)
		n_y = by_factors(scratch, b, items, weights, h, n, y, CANDIDATES);
	/* The factors' list never ends; what only they name comes behind what both do. */
	n_x = rank_fuse(x, n_x, y, n_x ? n_y : 0, 0.5, DAMP, both);
	n_x = n_x < k ? n_x : k;
	for (size_t i = 0; i < n_x; i++)
		top[i] = both[i];
	return n_x;
}

size_t person_near(struct arena *scratch, const struct bundle *b, enum near_kind kind, const struct liking *h, size_t n,
		   struct ranked *top, size_t k)
{
	const struct sparse *m = kind == NEAR_LIKED ? &b->liked : kind == NEAR_TOGETHER ? &b->together : &b->viewed;
	float *scores = arena_array(scratch, (size_t)b->n_items + 1, sizeof(*scores)), *weights;
	int32_t *items;

	if (n == 0 || !m->ptr)
		return 0;
	split(scratch, h, n, &items, &weights);
	ease_score(m, items, weights, n, scores);
	return best(b, scores, h, n, 0, top, k);
}

size_t person_session(struct arena *scratch, const struct bundle *b, const int32_t *items, size_t n, struct ranked *top, size_t k)
{
	return b->sessions.n_sessions && n ? session_next(scratch, &b->sessions, &session_usual, items, n, top, k) : 0;
}

size_t person_popular(struct arena *scratch, const struct bundle *b, struct ranked *top, size_t k)
{
	(void)scratch;
	return rank_top(b->popular, b->n_items, 0, top, k);
}
