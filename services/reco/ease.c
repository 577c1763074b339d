#include "services/reco/ease.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEIGHBOURS_MAX 512

/* LAPACK's Cholesky solver, by its Fortran name: the C interface of LAPACKE copies and checks what is known here. */
void sposv_(const char *uplo, const int *n, const int *nrhs, float *a, const int *lda, float *b, const int *ldb, int *info,
	    size_t uplo_len);

struct work {
	float *sim, *mat, *rhs;
	struct ranked *near;
};

struct ease {
	const struct sparse *g;
	const struct ease_params *p;
	struct work w[PAR_MAX];
	struct cell *cells; /* p->neighbours for each item */
	int32_t *n;
};

/* The nearest items by cosine, leaving out the item itself. */
static int nearest(const struct sparse *g, const float *diag, int32_t item, int k, struct work *w)
{
	int64_t from = g->ptr[item], len = sparse_len(g, item);
	size_t n;

	for (int64_t i = 0; i < len; i++) {
		int32_t other = g->idx[from + i];

		w->sim[i] = other == item ? -INFINITY : g->val[from + i] / sqrtf(diag[item] * diag[other] + 1e-12f);
	}
	n = rank_top(w->sim, (int32_t)len, 0, w->near, (size_t)k);
	for (size_t i = 0; i < n; i++)
		w->near[i].item = g->idx[from + w->near[i].item];
	return (int)n;
}

static int by_item(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return a->item < b->item ? -1 : a->item > b->item;
}

/* The first place in [at, end) whose item is not below the wanted one: steps double, so that near and far are cheap. */
static int64_t seek(const int32_t *idx, int64_t at, int64_t end, int32_t item)
{
	int64_t step = 1, lo = at, hi = at;

	while (hi < end && idx[hi] < item) {
		lo = hi + 1;
		hi += step;
		step *= 2;
	}
	hi = hi < end ? hi : end;
	while (lo < hi) {
		int64_t mid = lo + (hi - lo) / 2;

		if (idx[mid] < item)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* out[j] = G[row][near[j]] for the neighbours from j = first on, which are ascending. */
static void pick(const struct sparse *g, int32_t row, const struct ranked *near, int first, int n, float *out)
{
	int64_t at = g->ptr[row], end = g->ptr[row + 1];

	for (int j = first; j < n; j++) {
		at = seek(g->idx, at, end, near[j].item);
		out[j] = at < end && g->idx[at] == near[j].item ? g->val[at] : 0;
	}
}

/* One triangle is enough: LAPACK reads no more. */
static void fill(const struct sparse *g, int32_t item, int n, float ridge, struct work *w)
{
	qsort(w->near, (size_t)n, sizeof(*w->near), by_item);
	pick(g, item, w->near, 0, n, w->rhs);
	for (int i = 0; i < n; i++) {
		float *row = w->mat + (size_t)i * (size_t)n;

		pick(g, w->near[i].item, w->near, i, n, row);
		row[i] += ridge;
	}
}

struct ease_run {
	struct ease *e;
	const float *diag;
};

static void ease_piece(void *arg, int worker, int64_t from, int64_t to)
{
	struct ease_run *run = arg;
	struct ease *e = run->e;
	struct work *w = &e->w[worker];

	for (int64_t item = from; item < to; item++) {
		struct cell *out = e->cells + item * e->p->neighbours;
		int n = nearest(e->g, run->diag, (int32_t)item, e->p->neighbours, w), one = 1, info = 0;

		if (n == 0)
			continue;
		fill(e->g, (int32_t)item, n, (float)e->p->ridge, w);
		sposv_("L", &n, &one, w->mat, &n, w->rhs, &n, &info, 1);
		if (info)
			continue; /* not positive definite: only without a ridge */
		for (int i = 0; i < n; i++)
			out[i] = (struct cell){ w->near[i].item, (int32_t)item, w->rhs[i] };
		e->n[item] = n;
	}
}

static float *diagonal(struct arena *a, const struct sparse *g)
{
	float *d = arena_array(a, (size_t)g->rows, sizeof(*d));

	for (int32_t r = 0; r < g->rows; r++)
		for (int64_t k = g->ptr[r]; k < g->ptr[r + 1]; k++)
			if (g->idx[k] == r)
				d[r] = g->val[k];
	return d;
}

static void work_new(struct arena *a, const struct sparse *g, int k, struct work *w)
{
	w->sim = arena_array(a, (size_t)g->rows, sizeof(float));
	w->mat = arena_array(a, (size_t)k * (size_t)k, sizeof(float));
	w->rhs = arena_array(a, (size_t)k, sizeof(float));
	w->near = arena_array(a, (size_t)k, sizeof(*w->near));
}

bool ease_train(struct arena *a, const struct sparse *x, const struct ease_params *p, const atomic_bool *stop,
		struct sparse *model_r)
{
	struct arena *scratch = arena_new("reco ease", SIZE_MAX);
	struct ease_params par = *p;
	struct sparse xt, g;
	struct ease e = { .g = &g, .p = &par };
	struct ease_run run = { .e = &e };
	size_t n = 0;

	par.neighbours = p->neighbours < 1 ? 1 : p->neighbours > NEIGHBOURS_MAX ? NEIGHBOURS_MAX : p->neighbours;
	openblas_set_num_threads(1); /* the items are the parallel part */
	sparse_transpose(scratch, x, &xt);
	sparse_gram(scratch, x, &xt, sparse_user_weights(scratch, x, p->user_weight), 0, p->threads, &g);
	run.diag = diagonal(scratch, &g);
	for (int i = 0; i < p->threads && i < PAR_MAX; i++)
		work_new(scratch, &g, par.neighbours, &e.w[i]);
	e.cells = arena_array(scratch, (size_t)x->cols * (size_t)par.neighbours, sizeof(*e.cells));
	e.n = arena_array(scratch, (size_t)x->cols, sizeof(*e.n));
	par_for(p->threads, x->cols, 32, ease_piece, &run, stop);
	for (int32_t i = 0; i < x->cols; i++) {
		memmove(e.cells + n, e.cells + (size_t)i * (size_t)par.neighbours, (size_t)e.n[i] * sizeof(*e.cells));
		n += (size_t)e.n[i];
	}
	sparse_build(a, x->cols, x->cols, e.cells, n, model_r);
	arena_free(scratch);
	return !(stop && atomic_load(stop));
}

void ease_score(const struct sparse *model, const int32_t *items, const float *weights, size_t n, float *scores)
{
	for (size_t i = 0; i < n; i++)
		for (int64_t k = model->ptr[items[i]]; k < model->ptr[items[i] + 1]; k++)
			scores[model->idx[k]] += weights[i] * model->val[k];
}

void pair_train(struct arena *a, const struct sparse *gram, const struct pair_params *p, struct sparse *model_r)
{
	struct arena *scratch = arena_new("reco pairs", SIZE_MAX);
	const float *diag = diagonal(scratch, gram);
	struct cell *cells = arena_array(scratch, (size_t)gram->rows * (size_t)p->keep, sizeof(*cells));
	float *sim = arena_array(scratch, (size_t)gram->cols, sizeof(*sim));
	struct ranked *top = arena_array(scratch, (size_t)p->keep, sizeof(*top));
	size_t n = 0;

	for (int32_t r = 0; r < gram->rows; r++) {
		int64_t from = gram->ptr[r], len = sparse_len(gram, r);
		size_t m;

		for (int64_t i = 0; i < len; i++) {
			int32_t c = gram->idx[from + i];
			float v = gram->val[from + i];

			sim[i] = c == r || v < p->min_support ? -INFINITY
							      : v / (sqrtf(diag[r] * diag[c]) + (float)p->shrink);
		}
		m = rank_top(sim, (int32_t)len, 0, top, (size_t)p->keep);
		for (size_t i = 0; i < m; i++)
			cells[n++] = (struct cell){ r, gram->idx[from + top[i].item], top[i].score };
	}
	sparse_build(a, gram->rows, gram->cols, cells, n, model_r);
	arena_free(scratch);
}
