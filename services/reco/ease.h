/*
 * Item-item models. Sparse EASE: each item is predicted by ridge regression from its nearest items alone, which keeps
 * the quality of the dense model at a thousandth of its cost. Neighbours: co-occurrence, normalised.
 */
#ifndef SOUK_RECO_EASE_H
#define SOUK_RECO_EASE_H

#include "services/reco/rank.h"
#include "services/reco/sparse.h"

struct ease_params {
	int neighbours;	    /* of each item that enter its regression; at most 512 */
	double ridge;	    /* lambda */
	double user_weight; /* users count with |items| ^ -user_weight */
	int threads;
};

/*
 * x: users x items, values > 0. The model is by source item: row j holds the items j speaks for and how much. False
 * when stop was set meanwhile.
 */
bool ease_train(struct arena *a, const struct sparse *x, const struct ease_params *p, const atomic_bool *stop,
		struct sparse *model_r);

/* scores[0..model->cols) += what the history speaks for. */
void ease_score(const struct sparse *model, const int32_t *items, const float *weights, size_t n, float *scores);

struct pair_params {
	double shrink;	     /* added to the denominator: pairs of rare items weigh less */
	double min_support;  /* least weighted co-occurrence kept */
	int keep;	     /* of each item */
};
/* Shrunk cosine of a Gram matrix, the best `keep` of each row by descending score in out (rows sorted by item). */
void pair_train(struct arena *a, const struct sparse *gram, const struct pair_params *p, struct sparse *model_r);

#endif
