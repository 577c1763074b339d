/* How good a list is: full-ranking metrics and intervals by bootstrap over users. */
#ifndef SOUK_RECO_METRIC_H
#define SOUK_RECO_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "services/reco/rank.h"

struct metric {
	double recall, ndcg, hit, mrr; /* recall = hits / |wanted|; ndcg with the ideal cut at min(k, |wanted|) */
};

/* wanted ascending, without repeats, not empty. */
struct metric metric_of(const struct ranked *list, size_t n, size_t k, const int32_t *wanted, size_t n_wanted);

struct interval {
	double mean, lo, hi; /* 95 % */
};
/* Resamples the values; the same seed gives the same interval. For a paired comparison pass the differences. */
struct interval metric_interval(const double *values, size_t n, int resamples, uint64_t seed);

/* A small generator for everything that must repeat by seed (splitmix64). */
static inline uint64_t metric_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

#endif
