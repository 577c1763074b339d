#include "services/reco/rank.h"

#include <stdbool.h>
#include <stdlib.h>

static bool better(struct ranked a, struct ranked b)
{
	return a.score > b.score || (a.score == b.score && a.item < b.item);
}

static int by_rank(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return better(*a, *b) ? -1 : better(*b, *a);
}

/* A heap with the worst on top. */
static void sink(struct ranked *h, size_t n)
{
	size_t i = 0;

	for (;;) {
		size_t c = 2 * i + 1;
		struct ranked t = h[i];

		if (c >= n)
			return;
		if (c + 1 < n && better(h[c], h[c + 1]))
			c++;
		if (!better(h[i], h[c]))
			return;
		h[i] = h[c];
		h[c] = t;
		i = c;
	}
}

static void rise(struct ranked *h, size_t i)
{
	while (i) {
		size_t p = (i - 1) / 2;
		struct ranked t = h[i];

		if (!better(h[p], h[i]))
			return;
		h[i] = h[p];
		h[p] = t;
		i = p;
	}
}

size_t rank_top(const float *scores, int32_t n, float floor, struct ranked *top, size_t k)
{
	size_t have = 0;

	for (int32_t i = 0; i < n && k; i++) {
		struct ranked r = { i, scores[i] };

		if (!(r.score > floor)) /* NaN as well */
			continue;
		if (have < k) {
			top[have] = r;
			rise(top, have++);
		} else if (better(r, top[0])) {
			top[0] = r;
			sink(top, have);
		}
	}
	return rank_cut(top, have, k);
}

size_t rank_cut(struct ranked *list, size_t n, size_t k)
{
	if (n)
		qsort(list, n, sizeof(*list), by_rank);
	return n < k ? n : k;
}

size_t rank_fuse(const struct ranked *a, size_t n_a, const struct ranked *b, size_t n_b, double weight_b, double damp,
		 struct ranked *out)
{
	size_t n = n_a;

	for (size_t i = 0; i < n_a; i++)
		out[i] = (struct ranked){ a[i].item, (float)(1.0 / (damp + (double)i + 1)) };
	for (size_t i = 0; i < n_b; i++) {
		float add = (float)(weight_b / (damp + (double)i + 1));
		size_t at = 0;

		while (at < n_a && a[at].item != b[i].item)
			at++;
		if (at < n_a)
			out[at].score += add;
		else
			out[n++] = (struct ranked){ b[i].item, add };
	}
	return rank_cut(out, n, n);
}
