#include "services/reco/lists.h"

#include <math.h>
#include <string.h>

#include "services/reco/ease.h"

#define BLOCK 64

struct job {
	const struct lists_conf *c;
	struct lists *l;
	const float *popularity;
	const struct sparse *items;
	const struct ials *factors;
	int32_t n_items;
	float *scores[PAR_MAX];
};

static void finish(struct job *j, int32_t u, float *scores, float floor)
{
	const struct sparse *seen = j->c->seen;

	for (int32_t i = 0; j->c->prior && i < j->n_items; i++)
		scores[i] *= j->c->prior[i];
	for (int64_t k = seen ? seen->ptr[u] : 0; seen && k < seen->ptr[u + 1]; k++)
		scores[seen->idx[k]] = -INFINITY;
	j->l->n[u] = (int32_t)rank_top(scores, j->n_items, floor, j->l->r + (size_t)u * (size_t)j->l->k, (size_t)j->l->k);
}

static void piece(void *arg, int worker, int64_t from, int64_t to)
{
	struct job *j = arg;
	const struct sparse *h = j->c->history;
	size_t width = (size_t)j->n_items;

	if (j->factors)
		ials_scores(j->factors, j->factors->user + from * j->factors->factors, (int)(to - from), j->scores[worker]);
	for (int64_t u = from; u < to; u++) {
		float *s = j->scores[worker] + (j->factors ? (size_t)(u - from) * width : 0);

		if (j->popularity)
			memcpy(s, j->popularity, width * sizeof(*s));
		if (j->items) {
			memset(s, 0, width * sizeof(*s));
			ease_score(j->items, h->idx + h->ptr[u], h->val + h->ptr[u], (size_t)sparse_len(h, (int32_t)u), s);
		}
		if (!j->factors || sparse_len(h, (int32_t)u))
			finish(j, (int32_t)u, s, j->factors ? -INFINITY : 0);
	}
}

static void lists_new(struct arena *a, int32_t users, int k, struct lists *l_r)
{
	l_r->users = users;
	l_r->k = k;
	l_r->n = arena_array(a, (size_t)users, sizeof(*l_r->n));
	l_r->r = arena_array(a, (size_t)users * (size_t)k, sizeof(*l_r->r));
}

static void run(struct arena *a, struct job *j, struct lists *l_r)
{
	struct arena *scratch = arena_new("reco lists", SIZE_MAX);

	j->l = l_r;
	j->n_items = j->c->history->cols;
	lists_new(a, j->c->history->rows, j->c->k, l_r);
	for (int i = 0; i < j->c->threads && i < PAR_MAX; i++)
		j->scores[i] = arena_array(scratch, (size_t)j->n_items * (j->factors ? BLOCK : 1), sizeof(float));
	par_for(j->c->threads, l_r->users, BLOCK, piece, j, NULL);
	arena_free(scratch);
}

void lists_popular(struct arena *a, const struct lists_conf *c, const float *popularity, struct lists *l_r)
{
	struct job j = { .c = c, .popularity = popularity };

	run(a, &j, l_r);
}

void lists_items(struct arena *a, const struct lists_conf *c, const struct sparse *model, struct lists *l_r)
{
	struct job j = { .c = c, .items = model };

	run(a, &j, l_r);
}

void lists_factors(struct arena *a, const struct lists_conf *c, const struct ials *model, struct lists *l_r)
{
	struct job j = { .c = c, .factors = model };

	run(a, &j, l_r);
}

void lists_fuse(struct arena *a, const struct lists *x, const struct lists *y, double weight_y, double damp, int k_out,
		struct lists *l_r)
{
	struct arena *scratch = arena_new("reco fuse", SIZE_MAX);
	struct ranked *both = arena_array(scratch, (size_t)x->k + (size_t)y->k, sizeof(*both));

	lists_new(a, x->users, k_out, l_r);
	for (int32_t u = 0; u < x->users; u++) {
		size_t n = rank_fuse(x->r + (size_t)u * (size_t)x->k, (size_t)x->n[u], y->r + (size_t)u * (size_t)y->k,
				     (size_t)y->n[u], weight_y, damp, both);

		n = n < (size_t)k_out ? n : (size_t)k_out;
		if (n)
			memcpy(l_r->r + (size_t)u * (size_t)k_out, both, n * sizeof(*both));
		l_r->n[u] = (int32_t)n;
	}
	arena_free(scratch);
}

void lists_fill(struct lists *l, const struct lists *other)
{
	for (int32_t u = 0; u < l->users; u++) {
		int32_t n = other->n[u] < l->k ? other->n[u] : l->k;

		if (l->n[u] || !n)
			continue;
		memcpy(l->r + (size_t)u * (size_t)l->k, other->r + (size_t)u * (size_t)other->k, (size_t)n * sizeof(*l->r));
		l->n[u] = n;
	}
}

void lists_score(struct arena *a, const struct lists *l, const struct sparse *wanted, size_t k, struct lists_score *s_r)
{
	size_t users = (size_t)wanted->rows;

	*s_r = (struct lists_score){ 0, arena_array(a, users, sizeof(double)), arena_array(a, users, sizeof(double)),
				     arena_array(a, users, sizeof(double)), arena_array(a, users, sizeof(double)) };
	for (int32_t u = 0; u < wanted->rows; u++) {
		size_t want = (size_t)sparse_len(wanted, u);
		struct metric m;

		if (!want)
			continue;
		m = metric_of(l->r + (size_t)u * (size_t)l->k, (size_t)l->n[u], k, wanted->idx + wanted->ptr[u], want);
		s_r->recall[s_r->n] = m.recall;
		s_r->ndcg[s_r->n] = m.ndcg;
		s_r->hit[s_r->n] = m.hit;
		s_r->mrr[s_r->n++] = m.mrr;
	}
}
