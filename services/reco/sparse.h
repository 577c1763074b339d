/* Sparse matrices by rows, and the item-item Gram matrix made from one. */
#ifndef SOUK_RECO_SPARSE_H
#define SOUK_RECO_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "services/reco/par.h"

/* Row r holds idx[ptr[r]..ptr[r+1]), ascending and without repeats. */
struct sparse {
	int32_t rows, cols;
	int64_t *ptr;
	int32_t *idx;
	float *val;
};

struct cell {
	int32_t row, col;
	float val;
};

static inline int64_t sparse_len(const struct sparse *m, int32_t row)
{
	return m->ptr[row + 1] - m->ptr[row];
}

/* Cells in any order, each inside rows x cols; of repeated ones the largest value stays. The cells are reordered. */
void sparse_build(struct arena *a, int32_t rows, int32_t cols, struct cell *cells, size_t n, struct sparse *m_r);
void sparse_transpose(struct arena *a, const struct sparse *m, struct sparse *t_r);

/*
 * G = Xt W X for X (users x items), its transpose xt, and a weight per user (NULL: 1). Symmetric; the diagonal is
 * included. Without the pairs of users who have more than max_len items (a robot, a reseller) when max_len > 0.
 */
void sparse_gram(struct arena *a, const struct sparse *x, const struct sparse *xt, const float *user_weight, int64_t max_len,
		 int threads, struct sparse *g_r);

enum { SPARSE_GRAM_CELLS = 100000000 }; /* 800 MB; 45,000 people and 35,000 products need less than half */
/* The same with at most so many cells: who has most is left out until they fit. sparse_gram has SPARSE_GRAM_CELLS. */
void sparse_gram_within(struct arena *a, const struct sparse *x, const struct sparse *xt, const float *user_weight,
			int64_t max_len, int64_t cells, int threads, struct sparse *g_r);

/* w[u] = |items of u| ^ -power, 0 for a user without items. */
float *sparse_user_weights(struct arena *a, const struct sparse *x, double power);

#endif
