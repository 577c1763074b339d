/* Scores to ranked lists, and two lists to one. */
#ifndef SOUK_RECO_RANK_H
#define SOUK_RECO_RANK_H

#include <stddef.h>
#include <stdint.h>

struct ranked {
	int32_t item;
	float score;
};

/*
 * The k best of scores[0..n) that are above floor, best first; equal scores by the smaller item, so that a list is the
 * same everywhere. -INFINITY hides an item. Returns how many.
 */
size_t rank_top(const float *scores, int32_t n, float floor, struct ranked *top, size_t k);

/* The same for a list of candidates in place: sorted, and cut to k. */
size_t rank_cut(struct ranked *list, size_t n, size_t k);

/*
 * Reciprocal rank fusion: an item scores 1 / (damp + rank) in each list it stands in (rank from 1), weighted. out has
 * room for n_a + n_b; the result is sorted. Returns its length.
 */
size_t rank_fuse(const struct ranked *a, size_t n_a, const struct ranked *b, size_t n_b, double weight_b, double damp,
		 struct ranked *out);

#endif
