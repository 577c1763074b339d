#include "services/reco/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct session_params session_usual = { .sample = 1000, .neighbours = 300, .decay = 0.7 };

void session_build(struct arena *a, const int64_t *ptr, const int32_t *items, int32_t n_sessions, int32_t n_items,
		   struct session_model *m_r)
{
	size_t n = (size_t)ptr[n_sessions];
	struct cell *cells = arena_array(a, n, sizeof(*cells));

	for (int32_t s = 0; s < n_sessions; s++)
		for (int64_t k = ptr[s]; k < ptr[s + 1]; k++)
			cells[k] = (struct cell){ items[k], s, (float)(k - ptr[s] + 1) };
	sparse_build(a, n_items, n_sessions, cells, n, &m_r->by_item);
	m_r->n_items = n_items;
	m_r->n_sessions = n_sessions;
	m_r->ptr = ptr;
	m_r->items = items;
	m_r->idf = arena_array(a, (size_t)n_items, sizeof(float));
	for (int32_t i = 0; i < n_items; i++)
		m_r->idf[i] = logf(1 + (float)n_sessions / (1 + (float)sparse_len(&m_r->by_item, i)));
}

static int by_item(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return a->item < b->item ? -1 : a->item > b->item;
}

/* Sums the scores of equal items; the list is then ascending by item. */
static size_t merge(struct ranked *list, size_t n)
{
	size_t k = 0;

	if (n)
		qsort(list, n, sizeof(*list), by_item);
	for (size_t i = 0; i < n; i++) {
		if (k && list[k - 1].item == list[i].item)
			list[k - 1].score += list[i].score;
		else
			list[k++] = list[i];
	}
	return k;
}

/* Sessions that share items with this one, by how much; later items count more. */
static size_t neighbours(struct arena *scratch, const struct session_model *m, const struct session_params *p,
			 const int32_t *seen, size_t n, struct ranked **near_r)
{
	struct ranked *near = arena_array(scratch, n * (size_t)p->sample, sizeof(*near));
	double weight = 1;
	size_t have = 0;

	for (size_t i = n; i-- > 0; weight *= p->decay) {
		int64_t from, to = m->by_item.ptr[seen[i] + 1];
		bool again = false;

		for (size_t j = i + 1; j < n; j++)
			again = again || seen[j] == seen[i];
		if (again)
			continue;
		from = to - p->sample > m->by_item.ptr[seen[i]] ? to - p->sample : m->by_item.ptr[seen[i]];
		for (int64_t k = from; k < to; k++)
			near[have++] = (struct ranked){ m->by_item.idx[k], (float)weight * m->idf[seen[i]] };
	}
	have = merge(near, have);
	for (size_t i = 0; i < have; i++)
		near[i].score /= sqrtf((float)(m->ptr[near[i].item + 1] - m->ptr[near[i].item]) + 1);
	*near_r = near;
	return rank_cut(near, have, (size_t)p->neighbours);
}

static size_t place_of(const int32_t *seen, size_t n, int32_t item)
{
	for (size_t i = n; i-- > 0;)
		if (seen[i] == item)
			return n - i; /* 1 is the last */
	return 0;
}

/* What one neighbour says: items near the latest shared one, weighted by how late that was. */
static size_t vote(const struct session_model *m, struct ranked nb, const int32_t *seen, size_t n,
		   struct ranked *out)
{
	int64_t from = m->ptr[nb.item], to = m->ptr[nb.item + 1], at = -1;
	size_t best = 0, have = 0;

	for (int64_t k = from; k < to; k++) {
		size_t place = place_of(seen, n, m->items[k]);

		if (place && (!best || place <= best)) {
			best = place;
			at = k;
		}
	}
	for (int64_t k = from; k < to && at >= 0; k++) {
		double away = k >= at ? (double)(k - at) : (double)(at - k) + 1, w = nb.score / (1 + away);

		out[have++] = (struct ranked){ m->items[k], (float)(w * (0.5 + 0.5 * m->idf[m->items[k]] / 10)) };
	}
	return have;
}

size_t session_next(struct arena *scratch, const struct session_model *m, const struct session_params *p,
		    const int32_t *seen, size_t n, struct ranked *top, size_t k)
{
	struct ranked *near, *votes;
	size_t room = 0, have = 0, m_near;

	if (n > 20) { /* the last items say it */
		seen += n - 20;
		n = 20;
	}
	m_near = neighbours(scratch, m, p, seen, n, &near);
	for (size_t i = 0; i < m_near; i++)
		room += (size_t)(m->ptr[near[i].item + 1] - m->ptr[near[i].item]);
	votes = arena_array(scratch, room, sizeof(*votes));
	for (size_t i = 0; i < m_near; i++)
		have += vote(m, near[i], seen, n, votes + have);
	have = rank_cut(votes, merge(votes, have), k);
	if (have)
		memcpy(top, votes, have * sizeof(*top));
	return have;
}
