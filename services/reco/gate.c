#include "services/reco/gate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/reco/person.h"
#include "services/reco/train.h"

#define RESAMPLES 2000
#define HALF_LIFE 60.0
#define DAY_MS 86400000.0
#define POPULAR_DAYS 14
#define HISTORY_MAX 200
#define LEAST_KNOWN 0.5	     /* share of what was wanted that the model has ever heard of */
#define WORSE_BY 0.02	     /* than the deployed one, of its NDCG: noise of two trainings */

struct asked {
	struct arena *a;
	const struct past *past;
	int64_t cut;
	int64_t *from; /* person -> first place in by_person */
	size_t *by_person; /* places in past->act, person by person, by rising time */
	const atomic_bool *stop;
};

static bool wants(const struct act *x)
{
	return x->kind == RECO_PURCHASE || x->kind == RECO_CART;
}

static void sort_by_person(struct asked *q)
{
	const struct past *p = q->past;
	int64_t *at;

	q->from = arena_array(q->a, (size_t)p->people + 2, sizeof(*q->from));
	q->by_person = arena_array(q->a, p->n + 1, sizeof(*q->by_person));
	for (size_t i = 0; i < p->n; i++)
		if (p->act[i].person >= 0)
			q->from[p->act[i].person + 1]++;
	for (int32_t u = 0; u < p->people; u++)
		q->from[u + 1] += q->from[u];
	at = arena_dup(q->a, q->from, ((size_t)p->people + 1) * sizeof(*at));
	for (size_t i = 0; i < p->n; i++)
		if (p->act[i].person >= 0)
			q->by_person[at[p->act[i].person]++] = i;
}

static int by_number(const void *x, const void *y)
{
	int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;

	return a < b ? -1 : a > b;
}

/* What somebody took after the cut and had never touched before: items of the past, ascending, without repeats. */
static size_t wanted_by(const struct asked *q, int32_t person, int32_t *out)
{
	size_t n = 0, k = 0;

	for (int64_t j = q->from[person]; j < q->from[person + 1]; j++) {
		const struct act *x = &q->past->act[q->by_person[j]];
		bool had = false;

		if (x->ts < q->cut || !wants(x))
			continue;
		for (int64_t i = q->from[person]; i < j && !had; i++)
			had = q->past->act[q->by_person[i]].ts < q->cut && q->past->act[q->by_person[i]].item == x->item;
		if (!had)
			out[n++] = x->item;
	}
	if (n > 1)
		qsort(out, n, sizeof(*out), by_number);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || out[k - 1] != out[i])
			out[k++] = out[i];
	return k;
}

/* What a model may know of somebody: the latest things before the cut, decayed. Items of the model. */
static size_t history_of(const struct asked *q, int32_t person, const int32_t *to_model, struct liking *h)
{
	size_t n = 0;

	for (int64_t j = q->from[person + 1] - 1; j >= q->from[person] && n < HISTORY_MAX; j--) {
		const struct act *x = &q->past->act[q->by_person[j]];
		bool again = false;

		if (x->ts >= q->cut || to_model[x->item] < 0 || x->kind == RECO_RETURN)
			continue;
		for (size_t i = 0; i < n; i++)
			again = again || h[i].item == to_model[x->item];
		if (!again)
			h[n++] = (struct liking){ to_model[x->item],
						  (float)((wants(x) ? 1 : 0.2) *
							  pow(0.5, (double)(q->cut - x->ts) / DAY_MS / HALF_LIFE)) };
	}
	return n;
}

/* From the past's items to a model's, and back; -1: the other does not have it. */
static int32_t *translate(struct arena *a, const struct past *p, const struct bundle *b, int32_t **back_r)
{
	int32_t *to = arena_array(a, (size_t)p->items + 1, sizeof(*to)), *back = arena_array(a, (size_t)b->n_items + 1, sizeof(*back));

	for (int32_t i = 0; i < b->n_items; i++)
		back[i] = -1;
	for (int32_t i = 0; i < p->items; i++) {
		to[i] = bundle_item(b, p->item[i]);
		if (to[i] >= 0)
			back[to[i]] = i;
	}
	*back_r = back;
	return to;
}

struct scores {
	double *ndcg, *recall;
};

/* A list that the model cannot fill ends with what is popular: so it is shown, so it is judged. */
static size_t fill_up(struct ranked *list, size_t n, const struct ranked *popular, size_t n_popular)
{
	for (size_t i = 0; i < n_popular && n < GATE_AT; i++) {
		bool there = false;

		for (size_t k = 0; k < n; k++)
			there = there || list[k].item == popular[i].item;
		if (!there)
			list[n++] = popular[i];
	}
	return n;
}

static size_t ask_model(struct arena *scratch, const struct asked *q, const struct bundle *b, int32_t person, const int32_t *to,
			const int32_t *back, struct ranked *list)
{
	struct liking *h = arena_array(scratch, HISTORY_MAX, sizeof(*h));
	struct ranked top[GATE_AT];
	size_t n = person_next(scratch, b, h, history_of(q, person, to, h), top, GATE_AT), k = 0;

	for (size_t i = 0; i < n; i++)
		if (back[top[i].item] >= 0)
			list[k++] = (struct ranked){ back[top[i].item], top[i].score };
	return k;
}

/* The best sellers that this person does not have yet. */
static size_t ask_popular(const struct asked *q, int32_t person, const struct ranked *best, size_t n_best, struct ranked *list)
{
	size_t n = 0;

	for (size_t i = 0; i < n_best && n < GATE_AT; i++) {
		bool had = false;

		for (int64_t j = q->from[person]; j < q->from[person + 1] && !had; j++) {
			const struct act *x = &q->past->act[q->by_person[j]];

			had = x->ts < q->cut && x->item == best[i].item;
		}
		if (!had)
			list[n++] = best[i];
	}
	return n;
}

static double mean(const double *v, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i];
	return n ? sum / (double)n : 0;
}

static struct interval differences(struct arena *a, const double *x, const double *y, size_t n, uint64_t seed)
{
	double *d = arena_array(a, n + 1, sizeof(*d));

	for (size_t i = 0; i < n; i++)
		d[i] = x[i] - y[i];
	return n ? metric_interval(d, n, RESAMPLES, seed) : (struct interval){ 0 };
}

static void note(struct gate_result *r, const char *name, bool passed, double value)
{
	r->check[r->n_checks++] = (struct gate_check){ name, passed, value };
	if (!passed && !r->why)
		r->why = name;
}

/* Steps of this length through n people meet each once, near the golden section: early and late ones alike. */
static int64_t stride(int64_t n)
{
	int64_t step = n * 5 / 8;

	for (; step > 1; step++) {
		int64_t a = n, b = step;

		while (b) {
			int64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			break;
	}
	return step > 0 ? step : 1;
}

static bool goes_on(const struct asked *q, int64_t met, const struct gate_result *r)
{
	return met < q->past->people && r->people < GATE_MAX_PEOPLE && !(q->stop && atomic_load(q->stop));
}

static void compare(struct asked *q, const struct bundle *candidate, const struct bundle *deployed, uint64_t seed,
		    struct gate_result *r)
{
	size_t people = (size_t)q->past->people, n_best;
	int64_t step = stride(q->past->people);
	struct scores mine = { arena_array(q->a, people + 1, 8), arena_array(q->a, people + 1, 8) },
		      pop = { arena_array(q->a, people + 1, 8), arena_array(q->a, people + 1, 8) },
		      old = { arena_array(q->a, people + 1, 8), arena_array(q->a, people + 1, 8) };
	float *sold = train_popular(q->a, q->past, q->cut, POPULAR_DAYS, 0);
	struct ranked *best = arena_array(q->a, (size_t)q->past->items + 1, sizeof(*best));
	struct arena *scratch = arena_new("reco gate", SIZE_MAX);
	int32_t *back, *old_back = NULL, *to = translate(q->a, q->past, candidate, &back),
		*old_to = deployed ? translate(q->a, q->past, deployed, &old_back) : NULL;
	size_t known = 0, all = 0;

	n_best = rank_top(sold, q->past->items, 0, best, (size_t)q->past->items);
	for (int64_t met = 0, at = 0; goes_on(q, met, r); met++, at = (at + step) % q->past->people) {
		int32_t u = (int32_t)at, *wanted = arena_array(scratch, (size_t)(q->from[u + 1] - q->from[u]) + 1, sizeof(*wanted));
		size_t n = wanted_by(q, u, wanted), n_list, n_pop;
		struct ranked list[GATE_AT], popular[GATE_AT];
		struct metric m;

		if (n == 0) {
			arena_reset(scratch);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			known += to[wanted[i]] >= 0;
		all += n;
		n_pop = ask_popular(q, u, best, n_best, popular);
		m = metric_of(popular, n_pop, GATE_AT, wanted, n);
		pop.ndcg[r->people] = m.ndcg, pop.recall[r->people] = m.recall;
		n_list = ask_model(scratch, q, candidate, u, to, back, list);
		m = metric_of(list, fill_up(list, n_list, popular, n_pop), GATE_AT, wanted, n);
		mine.ndcg[r->people] = m.ndcg, mine.recall[r->people] = m.recall;
		if (deployed) {
			n_list = ask_model(scratch, q, deployed, u, old_to, old_back, list);
			m = metric_of(list, fill_up(list, n_list, popular, n_pop), GATE_AT, wanted, n);
			old.ndcg[r->people] = m.ndcg;
		}
		r->people++;
		arena_reset(scratch);
	}
	arena_free(scratch);
	r->recall = mean(mine.recall, r->people), r->ndcg = mean(mine.ndcg, r->people);
	r->popular_recall = mean(pop.recall, r->people), r->popular_ndcg = mean(pop.ndcg, r->people);
	r->over_popular = differences(q->a, mine.ndcg, pop.ndcg, r->people, seed);
	note(r, "known items", all == 0 || (double)known / (double)all >= LEAST_KNOWN, all ? (double)known / (double)all : 1);
	if (deployed) {
		r->deployed_ndcg = mean(old.ndcg, r->people);
		r->over_deployed = differences(q->a, mine.ndcg, old.ndcg, r->people, seed + 1);
	}
}

void gate_judge(struct arena *a, const struct past *past, int64_t cut, const struct bundle *candidate,
		const struct bundle *deployed, uint64_t seed, const atomic_bool *stop, struct gate_result *r)
{
	struct asked q = { .a = a, .past = past, .cut = cut, .stop = stop };

	*r = (struct gate_result){ .deployed_ndcg = -1 };
	note(r, "dated", candidate->data_to > 0, (double)candidate->data_to);
	note(r, "not past the cut", candidate->data_to <= cut, (double)(candidate->data_to - cut));
	if (r->why)
		return;
	if (deployed && (deployed->data_to <= 0 || deployed->data_to > cut))
		deployed = NULL; /* it has seen what is asked: no fair comparison */
	sort_by_person(&q);
	compare(&q, candidate, deployed, seed, r);
	r->enough = r->people >= GATE_MIN_PEOPLE;
	note(r, "enough people", r->enough, (double)r->people);
	note(r, "better than popular", r->over_popular.lo > 0, r->over_popular.mean);
	if (deployed)
		note(r, "not worse than deployed", r->over_deployed.hi >= 0 || r->over_deployed.mean >= -WORSE_BY * r->deployed_ndcg,
		     r->over_deployed.mean);
	r->passed = r->why == NULL;
}

/* ---- the data ---- */

enum { WEEKS = 5, USUAL_LEAST = 50 };

static int rising(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return a < b ? -1 : a > b;
}

void gate_volume(const struct past *past, int64_t until, struct gate_result *r)
{
	const double week = 7 * DAY_MS;
	int64_t n[WEEKS] = { 0 };
	double usual, share;

	for (size_t i = 0; i < past->n; i++) {
		double age = (double)(until - past->act[i].ts) / week;

		if (wants(&past->act[i]) && age >= 0 && age < WEEKS)
			n[(int)age]++;
	}
	qsort(n + 1, WEEKS - 1, sizeof(*n), rising);
	usual = (double)(n[2] + n[3]) / 2;
	if (past->n == 0 || (double)(until - past->act[0].ts) < WEEKS * week || usual < USUAL_LEAST)
		return;
	share = (double)n[0] / usual;
	note(r, "usual volume", share >= 0.5 && share <= 2, share);
	if (r->why && r->passed)
		r->passed = r->enough = false;
}

/* ---- as a stage ---- */

enum { NAME_LEN = 40 };

/* The names of the checks beside the numbers: pointers of another process say nothing. */
void gate_keep(const struct stages *stages, const struct gate_result *r)
{
	char name[GATE_CHECKS][NAME_LEN] = { { 0 } };
	struct gate_result bare = *r;

	bare.why = NULL;
	for (size_t i = 0; i < r->n_checks; i++) {
		snprintf(name[i], NAME_LEN, "%s", r->check[i].name);
		bare.check[i].name = NULL;
	}
	stage_keep(stages, "gate", (const struct stage_part[]){ { &bare, sizeof(bare) }, { name, sizeof(name) } }, 2);
}

bool gate_take(const struct stages *stages, struct arena *a, struct gate_result *r)
{
	struct stage_part part[2];
	const char(*name)[NAME_LEN];

	if (!stage_take(stages, a, "gate", part, 2))
		return false;
	*r = *(const struct gate_result *)part[0].p;
	name = part[1].p;
	for (size_t i = 0; i < r->n_checks; i++) {
		r->check[i].name = name[i];
		if (!r->check[i].passed && !r->why)
			r->why = name[i];
	}
	return true;
}
