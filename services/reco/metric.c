#include "services/reco/metric.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define RESAMPLES_MAX 2000

static bool has(const int32_t *sorted, size_t n, int32_t item)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sorted[mid] < item)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && sorted[lo] == item;
}

struct metric metric_of(const struct ranked *list, size_t n, size_t k, const int32_t *wanted, size_t n_wanted)
{
	struct metric m = { 0 };
	double dcg = 0, ideal = 0;
	size_t hits = 0;

	for (size_t i = 0; i < n && i < k; i++) {
		if (!has(wanted, n_wanted, list[i].item))
			continue;
		dcg += 1.0 / log2((double)i + 2);
		if (!hits++)
			m.mrr = 1.0 / ((double)i + 1);
	}
	for (size_t i = 0; i < k && i < n_wanted; i++)
		ideal += 1.0 / log2((double)i + 2);
	m.recall = n_wanted ? (double)hits / (double)n_wanted : 0;
	m.ndcg = ideal > 0 ? dcg / ideal : 0;
	m.hit = hits ? 1 : 0;
	return m;
}

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

struct interval metric_interval(const double *values, size_t n, int resamples, uint64_t seed)
{
	struct interval r = { 0 };
	double means[RESAMPLES_MAX];

	if (n == 0)
		return r;
	resamples = resamples < 1 ? 1 : resamples > RESAMPLES_MAX ? RESAMPLES_MAX : resamples;
	for (size_t i = 0; i < n; i++)
		r.mean += values[i];
	r.mean /= (double)n;
	for (int b = 0; b < resamples; b++) {
		double sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += values[metric_random(&seed) % n];
		means[b] = sum / (double)n;
	}
	qsort(means, (size_t)resamples, sizeof(*means), by_value);
	r.lo = means[resamples / 40];
	r.hi = means[resamples - 1 - resamples / 40];
	return r;
}
