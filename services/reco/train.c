#include "services/reco/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "services/reco/ease.h"

#define DAY_MS 86400000.0
#define BASKET_MAX 100	/* a reseller's order says nothing of a basket */
#define SESSION_MAX 50	/* a robot's, neither */
#define FACTOR_PEOPLE 50 /* with fewer, factors only repeat what EASE says */

const struct train_params train_defaults = { .neighbours = 300, .factors = 64, .sweeps = 10, .threads = 2, .ridge = 10,
					     .half_life_days = 60, .basket_half_life_days = 180, .keep = 200,
					     .sessions = 200000, .seed = 1 };
static const double unobserved = 0.007, factor_ridge = 0.004;

struct job {
	struct arena *a;
	const struct past *past; /* cut already */
	int64_t until;
	const struct train_params *p;
	const struct stages *stages;
	const atomic_bool *stop;
	struct bundle *b;
};

/* ---- finished parts ---- */

enum { MATRIX_PARTS = 4 };

struct shape {
	int32_t rows, cols;
};

static void give_matrix(const struct sparse *m, struct shape *shape, struct stage_part *part)
{
	size_t cells = m->ptr ? (size_t)m->ptr[m->rows] : 0;

	*shape = (struct shape){ m->rows, m->cols };
	part[0] = (struct stage_part){ shape, sizeof(*shape) };
	part[1] = (struct stage_part){ m->ptr, m->ptr ? ((size_t)m->rows + 1) * sizeof(*m->ptr) : 0 };
	part[2] = (struct stage_part){ m->idx, cells * sizeof(*m->idx) };
	part[3] = (struct stage_part){ m->val, cells * sizeof(*m->val) };
}

/* A part without rows is a matrix that was never made. */
static void take_matrix(const struct stage_part *part, struct sparse *m)
{
	const struct shape *shape = part[0].p;

	if (part[1].n)
		*m = (struct sparse){ shape->rows, shape->cols, (int64_t *)(uintptr_t)part[1].p, (int32_t *)(uintptr_t)part[2].p,
				      (float *)(uintptr_t)part[3].p };
}

/* Matrices of the bundle made by one step: taken over, or made now and kept. */
static bool matrix_taken(struct job *j, const char *name, struct sparse *m)
{
	struct stage_part part[MATRIX_PARTS];

	if (!stage_take(j->stages, j->a, name, part, MATRIX_PARTS))
		return false;
	take_matrix(part, m);
	return true;
}

static void matrix_kept(struct job *j, const char *name, const struct sparse *m)
{
	struct stage_part part[MATRIX_PARTS];
	struct shape shape;

	give_matrix(m, &shape, part);
	stage_keep(j->stages, name, part, MATRIX_PARTS);
}

static bool stopped(const struct job *j)
{
	return j->stop && atomic_load(j->stop);
}

/* ---- parts ---- */

static double decay(const struct job *j, int64_t ts, double half_life_days)
{
	return pow(0.5, (double)(j->until - ts) / DAY_MS / half_life_days);
}

/* How much an act says of taste; a purchase says all. */
static double says(const struct act *x)
{
	switch (x->kind) {
	case RECO_PURCHASE:
		return 1;
	case RECO_CART:
		return 0.6;
	case RECO_VIEW:
	case RECO_CLICK:
		return 0.2;
	case RECO_RATING:
		return x->rating >= 4 ? 1 : 0;
	default:
		return 0;
	}
}

struct line { /* of an order */
	int32_t basket, item;
};

static int by_line(const void *x, const void *y)
{
	const struct line *a = x, *b = y;

	if (a->basket != b->basket)
		return a->basket < b->basket ? -1 : 1;
	return a->item < b->item ? -1 : a->item > b->item;
}

/* What was given back does not speak for itself: its purchases become true in undone_r. */
static void undo_returns(struct arena *a, const struct past *p, bool *undone_r)
{
	struct line *gone = arena_array(a, p->n + 1, sizeof(*gone));
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (p->act[i].kind == RECO_RETURN && p->act[i].basket >= 0)
			gone[n++] = (struct line){ p->act[i].basket, p->act[i].item };
	if (n == 0)
		return;
	qsort(gone, n, sizeof(*gone), by_line);
	for (size_t i = 0; i < p->n; i++) {
		const struct line l = { p->act[i].basket, p->act[i].item };

		undone_r[i] = p->act[i].kind == RECO_PURCHASE && bsearch(&l, gone, n, sizeof(*gone), by_line);
	}
}

static void name_items(struct job *j)
{
	const struct past *p = j->past;
	uint32_t *at = arena_array(j->a, (size_t)p->items + 1, sizeof(*at));
	char *ids;

	for (int32_t i = 0; i < p->items; i++)
		at[i + 1] = at[i] + (uint32_t)strlen(p->item[i]) + 1;
	ids = arena_alloc(j->a, (size_t)at[p->items] + 1);
	for (int32_t i = 0; i < p->items; i++)
		memcpy(ids + at[i], p->item[i], (size_t)(at[i + 1] - at[i]));
	j->b->n_items = p->items;
	j->b->id_at = at;
	j->b->ids = ids;
}

float *train_popular(struct arena *a, const struct past *p, int64_t until, double days, double half_life_days)
{
	float *s = arena_array(a, (size_t)p->items + 1, sizeof(*s));

	for (size_t i = 0; i < p->n; i++) {
		const struct act *x = &p->act[i];
		double age = (double)(until - x->ts) / DAY_MS;

		if (x->ts < until && age <= days)
			s[x->item] += (float)(says(x) * (half_life_days > 0 ? pow(0.5, age / half_life_days) : 1));
	}
	return s;
}

/* People by items: the strongest thing somebody did with an item, decayed. */
static void people(struct job *j, const bool *undone, struct sparse *x)
{
	struct cell *cells = arena_array(j->a, j->past->n, sizeof(*cells));
	size_t n = 0;

	for (size_t i = 0; i < j->past->n; i++) {
		const struct act *t = &j->past->act[i];
		double w = undone[i] ? 0 : says(t) * decay(j, t->ts, j->p->half_life_days);

		if (t->person >= 0 && w > 1e-6)
			cells[n++] = (struct cell){ t->person, t->item, (float)w };
	}
	sparse_build(j->a, j->past->people, j->past->items, cells, n, x);
}

static void make_together(struct job *j, const bool *undone)
{
	const struct pair_params pp = { 0.5, 0, j->p->keep };
	struct arena *scratch = arena_new("reco baskets", SIZE_MAX);
	struct cell *cells = arena_array(scratch, j->past->n, sizeof(*cells));
	float *age = arena_array(scratch, (size_t)j->past->baskets + 1, sizeof(*age)), *weight;
	struct sparse x, xt, gram;
	size_t n = 0;

	for (size_t i = 0; i < j->past->n; i++) {
		const struct act *t = &j->past->act[i];

		if (t->kind != RECO_PURCHASE || t->basket < 0 || undone[i])
			continue;
		cells[n++] = (struct cell){ t->basket, t->item, 1 };
		age[t->basket] = (float)decay(j, t->ts, j->p->basket_half_life_days);
	}
	sparse_build(scratch, j->past->baskets, j->past->items, cells, n, &x);
	weight = sparse_user_weights(scratch, &x, 0.5);
	for (int32_t i = 0; i < j->past->baskets; i++)
		weight[i] *= age[i];
	sparse_transpose(scratch, &x, &xt);
	sparse_gram(scratch, &x, &xt, weight, BASKET_MAX, j->p->threads, &gram);
	pair_train(j->a, &gram, &pp, &j->b->together);
	arena_free(scratch);
}

static void together(struct job *j, const bool *undone)
{
	if (matrix_taken(j, "together", &j->b->together))
		return;
	make_together(j, undone);
	matrix_kept(j, "together", &j->b->together);
}

/* Sessions' views in their order; the latest so many sessions of two views or more. */
static void make_sessions(struct job *j)
{
	const struct past *p = j->past;
	int64_t *len = arena_array(j->a, (size_t)p->sessions + 1, sizeof(*len)), *ptr, total = 0;
	int32_t *place = arena_array(j->a, (size_t)p->sessions + 1, sizeof(*place)), *items, n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (p->act[i].session >= 0 && (p->act[i].kind == RECO_VIEW || p->act[i].kind == RECO_CLICK))
			len[p->act[i].session]++;
	/* Sessions are numbered in the order of their first event: the latest are the last. */
	for (int32_t s = p->sessions - 1, kept = 0; s >= 0; s--) {
		bool fits = len[s] >= 2 && len[s] <= SESSION_MAX && kept < j->p->sessions;

		kept += fits;
		len[s] = fits ? len[s] : 0;
	}
	ptr = arena_array(j->a, (size_t)p->sessions + 2, sizeof(*ptr));
	for (int32_t s = 0; s < p->sessions; s++)
		if (len[s]) {
			place[s] = n++;
			ptr[n] = total += len[s];
		}
	items = arena_array(j->a, (size_t)total + 1, sizeof(*items));
	for (size_t i = 0; i < p->n; i++) {
		const struct act *t = &p->act[i];

		if (t->session < 0 || !len[t->session] || (t->kind != RECO_VIEW && t->kind != RECO_CLICK))
			continue;
		/* len counts down what is still to come of the session */
		items[ptr[place[t->session] + 1] - len[t->session]--] = t->item;
	}
	if (n > 0)
		session_build(j->a, ptr, items, n, p->items, &j->b->sessions);
}

static void make_viewed(struct job *j)
{
	const struct pair_params pp = { 0.5, 0, j->p->keep };
	struct sparse x, xt, gram;
	struct arena *scratch;

	if (!j->b->sessions.n_sessions)
		return;
	scratch = arena_new("reco views", SIZE_MAX);
	sparse_transpose(scratch, &j->b->sessions.by_item, &x);
	for (int64_t k = 0; k < x.ptr[x.rows]; k++)
		x.val[k] = 1;
	sparse_transpose(scratch, &x, &xt);
	sparse_gram(scratch, &x, &xt, sparse_user_weights(scratch, &x, 0.5), SESSION_MAX, j->p->threads, &gram);
	pair_train(j->a, &gram, &pp, &j->b->viewed);
	arena_free(scratch);
}

static void viewed(struct job *j)
{
	if (matrix_taken(j, "viewed", &j->b->viewed))
		return;
	make_viewed(j);
	matrix_kept(j, "viewed", &j->b->viewed);
}

enum { SESSION_PARTS = MATRIX_PARTS + 4 };

static void sessions(struct job *j)
{
	struct session_model *s = &j->b->sessions;
	struct stage_part part[SESSION_PARTS];
	struct shape shape, inner;

	if (stage_take(j->stages, j->a, "sessions", part, SESSION_PARTS)) {
		take_matrix(part, &s->by_item);
		inner = *(const struct shape *)part[4].p;
		if (inner.rows)
			*s = (struct session_model){ s->by_item, inner.cols, inner.rows, part[5].p, part[6].p,
						     (float *)(uintptr_t)part[7].p };
		return;
	}
	make_sessions(j);
	inner = (struct shape){ s->n_sessions, s->n_items };
	give_matrix(&s->by_item, &shape, part);
	part[4] = (struct stage_part){ &inner, sizeof(inner) };
	part[5] = (struct stage_part){ s->ptr, s->n_sessions ? ((size_t)s->n_sessions + 1) * sizeof(*s->ptr) : 0 };
	part[6] = (struct stage_part){ s->items, s->n_sessions ? (size_t)s->ptr[s->n_sessions] * sizeof(*s->items) : 0 };
	part[7] = (struct stage_part){ s->idf, s->n_sessions ? (size_t)s->n_items * sizeof(*s->idf) : 0 };
	stage_keep(j->stages, "sessions", part, SESSION_PARTS);
}

static bool taste(struct job *j, const struct sparse *x)
{
	const struct ease_params ep = { j->p->neighbours, j->p->ridge, 0, j->p->threads };

	if (matrix_taken(j, "taste", &j->b->liked))
		return true;
	if (!ease_train(j->a, x, &ep, j->stop, &j->b->liked))
		return false;
	matrix_kept(j, "taste", &j->b->liked);
	return true;
}

static bool factors(struct job *j, const struct sparse *x)
{
	const struct ials_params ip = { j->p->factors, j->p->sweeps, 3, unobserved, factor_ridge, j->p->seed, j->p->threads };
	struct ials *m = &j->b->factors;
	struct stage_part part[2];
	int32_t active = 0;

	for (int32_t u = 0; u < x->rows; u++)
		active += sparse_len(x, u) >= 2;
	if (j->p->factors < 1 || active < FACTOR_PEOPLE)
		return true;
	j->b->unobserved = unobserved;
	j->b->ridge = factor_ridge;
	if (stage_take(j->stages, j->a, "factors", part, 2)) {
		j->b->factors = (struct ials){ ip.factors, 0, x->cols, NULL, (float *)(uintptr_t)part[0].p,
					       (float *)(uintptr_t)part[1].p };
		return true;
	}
	if (!ials_train(j->a, x, &ip, j->stop, m))
		return false;
	part[0] = (struct stage_part){ m->item, (size_t)m->items * (size_t)m->factors * sizeof(*m->item) };
	part[1] = (struct stage_part){ m->gram, (size_t)m->factors * (size_t)m->factors * sizeof(*m->gram) };
	stage_keep(j->stages, "factors", part, 2);
	return true;
}

static void nothing(void *arg, const char *step, int percent)
{
	(void)arg;
	(void)step;
	(void)percent;
}

bool train_bundle(struct arena *a, const struct past *past, int64_t until, const struct train_params *p,
		  const struct stages *stages, const atomic_bool *stop, train_progress *progress, void *arg, struct bundle *b)
{
	const struct past cut = past_before(past, until);
	struct job j = { a, &cut, until, p, stages, stop, b };
	bool *undone = arena_array(a, cut.n + 1, sizeof(*undone));
	float *popular;
	struct sparse x;

	progress = progress ? progress : nothing;
	memset(b, 0, sizeof(*b));
	b->data_from = cut.n ? cut.act[0].ts : 0;
	b->data_to = until;
	b->rows = (int64_t)cut.n;
	b->seed = p->seed;
	progress(arg, "people", 5);
	undo_returns(a, &cut, undone);
	name_items(&j);
	popular = train_popular(a, &cut, until, 1e6, 14);
	for (int32_t i = 0; i < cut.items; i++)
		popular[i] += 1e-9F; /* what nobody touched of late stands last, and stands */
	b->popular = popular;
	people(&j, undone, &x);
	progress(arg, "baskets", 15);
	if (stopped(&j))
		return false;
	together(&j, undone);
	progress(arg, "sessions", 30);
	if (stopped(&j))
		return false;
	sessions(&j);
	if (stopped(&j))
		return false;
	viewed(&j);
	progress(arg, "taste", 45);
	if (stopped(&j) || !taste(&j, &x))
		return false;
	progress(arg, "factors", 70);
	return factors(&j, &x);
}
