/*
 * Implicit matrix factorisation by alternating least squares: an observed pair should score 1, every other pair 0 with
 * little weight. Each side is solved by a few steps of conjugate gradient, many users at once so that the dense part is
 * one matrix product.
 */
#ifndef SOUK_RECO_IALS_H
#define SOUK_RECO_IALS_H

#include "services/reco/sparse.h"

struct ials_params {
	int factors, sweeps, cg_steps;
	double unobserved; /* weight of a pair nobody observed */
	double ridge;	   /* times (observations + unobserved * other side) of each user or item */
	uint64_t seed;
	int threads;
};

struct ials {
	int factors;
	int32_t users, items;
	float *user, *item; /* users x factors, items x factors */
	float *gram;	    /* of the items, for folding a user in */
};

/* Values of x are confidences (1: plain). False when stop was set meanwhile. */
bool ials_train(struct arena *a, const struct sparse *x, const struct ials_params *p, const atomic_bool *stop,
		struct ials *m_r);

/* Factors of a user who was not in the training, from his items alone. user_r: factors floats. */
void ials_fold_in(struct arena *scratch, const struct ials *m, const struct ials_params *p, const int32_t *items,
		  const float *weights, size_t n, float *user_r);

/* scores[0..items) of n users (n x factors): n x items. */
void ials_scores(const struct ials *m, const float *users, int n, float *scores);

#endif
