#include "services/reco/sparse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_place(const void *x, const void *y)
{
	const struct cell *a = x, *b = y;

	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	if (a->col != b->col)
		return a->col < b->col ? -1 : 1;
	return a->val > b->val ? -1 : a->val < b->val; /* the largest first */
}

static void sparse_new(struct arena *a, int32_t rows, int32_t cols, size_t n, struct sparse *m_r)
{
	m_r->rows = rows;
	m_r->cols = cols;
	m_r->ptr = arena_array(a, (size_t)rows + 1, sizeof(*m_r->ptr));
	m_r->idx = arena_array(a, n, sizeof(*m_r->idx));
	m_r->val = arena_array(a, n, sizeof(*m_r->val));
}

void sparse_build(struct arena *a, int32_t rows, int32_t cols, struct cell *cells, size_t n, struct sparse *m_r)
{
	size_t k = 0;

	if (n)
		qsort(cells, n, sizeof(*cells), by_place);
	sparse_new(a, rows, cols, n, m_r);
	for (size_t i = 0; i < n; i++) {
		if (i && cells[i].row == cells[i - 1].row && cells[i].col == cells[i - 1].col)
			continue;
		m_r->idx[k] = cells[i].col;
		m_r->val[k++] = cells[i].val;
		m_r->ptr[cells[i].row + 1]++;
	}
	for (int32_t r = 0; r < rows; r++)
		m_r->ptr[r + 1] += m_r->ptr[r];
}

void sparse_transpose(struct arena *a, const struct sparse *m, struct sparse *t_r)
{
	size_t n = (size_t)m->ptr[m->rows];
	int64_t *at;

	sparse_new(a, m->cols, m->rows, n, t_r);
	for (size_t i = 0; i < n; i++)
		t_r->ptr[m->idx[i] + 1]++;
	for (int32_t r = 0; r < t_r->rows; r++)
		t_r->ptr[r + 1] += t_r->ptr[r];
	at = arena_dup(a, t_r->ptr, ((size_t)t_r->rows + 1) * sizeof(*at));
	for (int32_t r = 0; r < m->rows; r++)
		for (int64_t k = m->ptr[r]; k < m->ptr[r + 1]; k++) {
			int64_t to = at[m->idx[k]]++;

			t_r->idx[to] = r;
			t_r->val[to] = m->val[k];
		}
}

struct gram {
	const struct sparse *x, *xt;
	const float *weight;
	int64_t max_len;
	float *acc[PAR_MAX];
	int32_t *seen[PAR_MAX];
	struct sparse *out; /* NULL while rows are counted */
	int64_t *len;
};

static int by_number(const void *x, const void *y)
{
	int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;

	return a < b ? -1 : a > b;
}

/* The row of one item: everything its buyers have, summed into acc; returns how many items were met. */
static int64_t gram_row(const struct gram *g, int32_t item, float *acc, int32_t *seen)
{
	int64_t n = 0;

	for (int64_t k = g->xt->ptr[item]; k < g->xt->ptr[item + 1]; k++) {
		int32_t user = g->xt->idx[k];
		float v = g->xt->val[k] * (g->weight ? g->weight[user] : 1.0f);

		if (v <= 0 || (g->max_len > 0 && sparse_len(g->x, user) > g->max_len))
			continue;
		for (int64_t j = g->x->ptr[user]; j < g->x->ptr[user + 1]; j++) {
			int32_t other = g->x->idx[j];
			float add = v * g->x->val[j];

			if (acc[other] == 0 && add > 0)
				seen[n++] = other;
			acc[other] += add;
		}
	}
	return n;
}

static void gram_piece(void *arg, int worker, int64_t from, int64_t to)
{
	struct gram *g = arg;
	float *acc = g->acc[worker];
	int32_t *seen = g->seen[worker];

	for (int64_t item = from; item < to; item++) {
		int64_t n = gram_row(g, (int32_t)item, acc, seen);

		if (g->out) {
			int64_t at = g->out->ptr[item];

			qsort(seen, (size_t)n, sizeof(*seen), by_number);
			for (int64_t i = 0; i < n; i++) {
				g->out->idx[at + i] = seen[i];
				g->out->val[at + i] = acc[seen[i]];
			}
		} else {
			g->len[item] = n;
		}
		for (int64_t i = 0; i < n; i++)
			acc[seen[i]] = 0;
	}
}

static int64_t count_cells(struct gram *g, int threads)
{
	int64_t total = 0;

	par_for(threads, g->x->cols, 64, gram_piece, g, NULL);
	for (int32_t i = 0; i < g->x->cols; i++)
		total += g->len[i];
	return total;
}

static int64_t longest(const struct sparse *x)
{
	int64_t n = 0;

	for (int32_t r = 0; r < x->rows; r++)
		n = sparse_len(x, r) > n ? sparse_len(x, r) : n;
	return n;
}

void sparse_gram(struct arena *a, const struct sparse *x, const struct sparse *xt, const float *user_weight, int64_t max_len,
		 int threads, struct sparse *g_r)
{
	sparse_gram_within(a, x, xt, user_weight, max_len, SPARSE_GRAM_CELLS, threads, g_r);
}

void sparse_gram_within(struct arena *a, const struct sparse *x, const struct sparse *xt, const float *user_weight,
			int64_t max_len, int64_t cells, int threads, struct sparse *g_r)
{
	struct arena *scratch = arena_new("reco gram", SIZE_MAX);
	struct gram g = { .x = x, .xt = xt, .weight = user_weight, .max_len = max_len };
	int64_t total;

	g.len = arena_array(scratch, (size_t)x->cols + 1, sizeof(*g.len));
	for (int i = 0; i < threads && i < PAR_MAX; i++) {
		g.acc[i] = arena_array(scratch, (size_t)x->cols, sizeof(float));
		g.seen[i] = arena_array(scratch, (size_t)x->cols, sizeof(int32_t));
	}
	while ((total = count_cells(&g, threads)) > cells && g.max_len != 1) {
		int64_t len = g.max_len > 0 ? g.max_len : longest(x);

		g.max_len = len > 2 ? len * 3 / 4 : 1;
	}
	sparse_new(a, x->cols, x->cols, (size_t)total, g_r);
	for (int32_t i = 0; i < x->cols; i++)
		g_r->ptr[i + 1] = g_r->ptr[i] + g.len[i];
	g.out = g_r;
	par_for(threads, x->cols, 64, gram_piece, &g, NULL);
	arena_free(scratch);
}

float *sparse_user_weights(struct arena *a, const struct sparse *x, double power)
{
	float *w = arena_array(a, (size_t)x->rows, sizeof(*w));

	for (int32_t u = 0; u < x->rows; u++) {
		int64_t n = sparse_len(x, u);

		w[u] = n ? (float)pow((double)n, -power) : 0;
	}
	return w;
}
