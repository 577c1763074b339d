#include "services/reco/ials.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "services/reco/metric.h"

#define BLOCK 64 /* users solved at once; fixed, since it decides the order of sums */

struct side {
	const struct sparse *x;
	const float *other; /* x->cols x f */
	const float *gram;  /* of other */
	float *mine;	    /* x->rows x f: start and result */
	const struct ials_params *p;
	int f;
	float *work[PAR_MAX]; /* 3 blocks: residual, direction, image */
};

static float ridge_of(const struct side *s, int64_t row)
{
	double n = (double)sparse_len(s->x, (int32_t)row) + s->p->unobserved * s->x->cols;

	return (float)(s->p->ridge * n);
}

/* image = A_u direction for the rows from..to: unobserved * Gram + ridge + the observed items. */
static void apply(const struct side *s, int64_t from, int64_t to, const float *dir, float *image)
{
	int n = (int)(to - from), f = s->f;

	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, f, f, (float)s->p->unobserved, dir, f, s->gram, f, 0, image, f);
	for (int64_t u = from; u < to; u++) {
		const float *d = dir + (u - from) * f;
		float *out = image + (u - from) * f;

		cblas_saxpy(f, ridge_of(s, u), d, 1, out, 1);
		for (int64_t k = s->x->ptr[u]; k < s->x->ptr[u + 1]; k++) {
			const float *y = s->other + (int64_t)s->x->idx[k] * f;

			cblas_saxpy(f, s->x->val[k] * cblas_sdot(f, y, 1, d, 1), y, 1, out, 1);
		}
	}
}

/* residual = b - A x; direction = residual; the squared norms into norm. */
static void begin(const struct side *s, int64_t from, int64_t to, float *res, float *dir, float *norm)
{
	int f = s->f;

	apply(s, from, to, s->mine + from * f, res);
	for (int64_t u = from; u < to; u++) {
		float *r = res + (u - from) * f;

		cblas_sscal(f, -1, r, 1);
		for (int64_t k = s->x->ptr[u]; k < s->x->ptr[u + 1]; k++)
			cblas_saxpy(f, s->x->val[k], s->other + (int64_t)s->x->idx[k] * f, 1, r, 1);
		norm[u - from] = cblas_sdot(f, r, 1, r, 1);
	}
	memcpy(dir, res, (size_t)(to - from) * (size_t)f * sizeof(float));
}

static void solve_piece(void *arg, int worker, int64_t from, int64_t to)
{
	struct side *s = arg;
	int f = s->f;
	float *res = s->work[worker], *dir = res + (size_t)BLOCK * (size_t)f, *img = dir + (size_t)BLOCK * (size_t)f;
	float norm[BLOCK];

	begin(s, from, to, res, dir, norm);
	for (int step = 0; step < s->p->cg_steps; step++) {
		apply(s, from, to, dir, img);
		for (int64_t i = 0; i < to - from; i++) {
			float *r = res + i * f, *d = dir + i * f, *q = img + i * f;
			float along = cblas_sdot(f, d, 1, q, 1), next, alpha;

			if (!(norm[i] > 1e-12f) || !(along > 0))
				continue;
			alpha = norm[i] / along;
			cblas_saxpy(f, alpha, d, 1, s->mine + (from + i) * f, 1);
			cblas_saxpy(f, -alpha, q, 1, r, 1);
			next = cblas_sdot(f, r, 1, r, 1);
			cblas_sscal(f, next / norm[i], d, 1);
			cblas_saxpy(f, 1, r, 1, d, 1);
			norm[i] = next;
		}
	}
}

static void gram_of(const float *m, int32_t rows, int f, float *gram)
{
	cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, f, rows, 1, m, f, 0, gram, f);
	for (int i = 0; i < f; i++)
		for (int j = 0; j < i; j++)
			gram[i * f + j] = gram[j * f + i];
}

/* Normal numbers by Box and Muller, small enough that the first sweep decides. */
static float *start(struct arena *a, int32_t rows, int f, uint64_t seed)
{
	size_t n = (size_t)rows * (size_t)f;
	float *m = arena_array(a, n, sizeof(*m));
	double scale = 0.1 / sqrt(f);

	for (size_t i = 0; i < n; i++) {
		double u = (double)((metric_random(&seed) >> 11) + 1) / 9007199254740993.0;
		double v = (double)(metric_random(&seed) >> 11) / 9007199254740992.0;

		m[i] = (float)(scale * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
	}
	return m;
}

bool ials_train(struct arena *a, const struct sparse *x, const struct ials_params *p, const atomic_bool *stop, struct ials *m_r)
{
	struct arena *scratch = arena_new("reco ials", SIZE_MAX);
	int f = p->factors;
	float *gram = arena_array(a, (size_t)f * (size_t)f, sizeof(*gram));
	struct ials m = { f, x->rows, x->cols, start(a, x->rows, f, p->seed), start(a, x->cols, f, p->seed + 1), gram };
	struct sparse xt;
	struct side users = { x, m.item, gram, m.user, p, f, { 0 } }, items = { &xt, m.user, gram, m.item, p, f, { 0 } };

	openblas_set_num_threads(1); /* the pieces are the parallel part; sums keep their order */
	sparse_transpose(scratch, x, &xt);
	for (int i = 0; i < p->threads && i < PAR_MAX; i++)
		users.work[i] = items.work[i] = arena_array(scratch, 3 * (size_t)BLOCK * (size_t)f, sizeof(float));
	for (int sweep = 0; sweep < p->sweeps && !(stop && atomic_load(stop)); sweep++) {
		gram_of(m.item, m.items, f, gram);
		par_for(p->threads, x->rows, BLOCK, solve_piece, &users, stop);
		gram_of(m.user, m.users, f, gram);
		par_for(p->threads, x->cols, BLOCK, solve_piece, &items, stop);
	}
	gram_of(m.item, m.items, f, gram);
	arena_free(scratch);
	*m_r = m;
	return !(stop && atomic_load(stop));
}

void ials_fold_in(struct arena *scratch, const struct ials *m, const struct ials_params *p, const int32_t *items,
		  const float *weights, size_t n, float *user_r)
{
	struct ials_params par = *p;
	int64_t ptr[2] = { 0, (int64_t)n };
	struct sparse x = { 1, m->items, ptr, arena_dup(scratch, items, n * sizeof(*items)),
			    arena_dup(scratch, weights, n * sizeof(*weights)) };
	struct side s = { &x, m->item, m->gram, user_r, &par, m->factors, { 0 } };

	par.cg_steps = p->cg_steps < 8 ? 8 : p->cg_steps; /* it starts from nothing */
	memset(user_r, 0, (size_t)m->factors * sizeof(float));
	s.work[0] = arena_array(scratch, 3 * (size_t)BLOCK * (size_t)m->factors, sizeof(float));
	solve_piece(&s, 0, 0, 1);
}

void ials_scores(const struct ials *m, const float *users, int n, float *scores)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, m->items, m->factors, 1, users, m->factors, m->item, m->factors,
		    0, scores, m->items);
}
