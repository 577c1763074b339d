/* Real orders with times: everything is cut at one instant, what comes after is to be found. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "services/reco/ease.h"
#include "services/reco/offline.h"
#include "services/reco/orders.h"

#define AT 20
#define HALF_LIFE 60.0 /* days in which a purchase loses half of what it says of taste */
#define RIDGE 10
#define BASKET_HALF_LIFE 180.0
#define BASKET_MAX 100

struct cut {
	struct arena *a;
	const struct orders *o;
	float day;
	struct sparse bought, recent, wanted; /* plain; decayed; of the test, new to the customer */
};

static float decay(double age, double half_life)
{
	return (float)pow(0.5, age / half_life);
}

/* Purchases before the cut, by customer; with decay each counts by its age. */
static void history(const struct cut *c, double half_life, struct sparse *m_r)
{
	struct cell *cells = arena_array(c->a, c->o->n, sizeof(*cells));
	size_t n = 0;

	for (size_t i = 0; i < c->o->n; i++) {
		const struct order_line *l = &c->o->lines[i];

		if (l->customer >= 0 && l->day < c->day)
			cells[n++] = (struct cell){ l->customer, l->item, half_life > 0 ? decay(c->day - l->day, half_life) : 1 };
	}
	sparse_build(c->a, c->o->customers, c->o->items, cells, n, m_r);
}

static int by_number(const void *x, const void *y)
{
	int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;

	return a < b ? -1 : a > b;
}

static bool holds(const struct sparse *m, int32_t row, int32_t col)
{
	return bsearch(&col, m->idx + m->ptr[row], (size_t)sparse_len(m, row), sizeof(col), by_number) != NULL;
}

static void future(struct cut *c)
{
	struct cell *cells = arena_array(c->a, c->o->n, sizeof(*cells));
	size_t n = 0;

	for (size_t i = 0; i < c->o->n; i++) {
		const struct order_line *l = &c->o->lines[i];

		if (l->customer >= 0 && l->day >= c->day && !holds(&c->bought, l->customer, l->item))
			cells[n++] = (struct cell){ l->customer, l->item, 1 };
	}
	sparse_build(c->a, c->o->customers, c->o->items, cells, n, &c->wanted);
}

/* Order lines of an item in the last days before the cut (days 0: ever). */
static float *sales(const struct cut *c, float days)
{
	float *s = arena_array(c->a, (size_t)c->o->items, sizeof(*s));

	for (size_t i = 0; i < c->o->n; i++) {
		const struct order_line *l = &c->o->lines[i];

		if (l->day < c->day && (days <= 0 || l->day >= c->day - days))
			s[l->item]++;
	}
	return s;
}

static void personal(struct offline *o, struct cut *c, const struct lists *fallback, double half_life, double ridge, bool prior,
		     const char *name, double floor_a, double floor_b)
{
	const struct ease_params p = { 300, ridge, 0, o->threads };
	struct lists_conf conf = { &c->bought, NULL, NULL, 100, o->threads };
	float *boost = sales(c, 30);
	struct sparse x, model;
	struct lists l;
	struct lists_score s;

	history(c, half_life, &x);
	for (int32_t i = 0; i < c->o->items; i++)
		boost[i] = powf(boost[i] + 1, 0.25f);
	conf.history = &x;
	conf.prior = prior ? boost : NULL;
	(void)ease_train(c->a, &x, &p, NULL, &model);
	lists_items(c->a, &conf, &model, &l);
	lists_fill(&l, fallback);
	lists_score(c->a, &l, &c->wanted, AT, &s);
	offline_row(o, name, &s, floor_a, floor_b, false);
}

static void customers(struct offline *o, struct cut *c, int days)
{
	const struct lists_conf conf = { &c->bought, &c->bought, NULL, 100, o->threads };
	bool month = days <= 45;
	struct lists pop;
	struct lists_score s;

	fprintf(o->out, "orders: %d customers, %d items, %zu lines; the last %d days are to be found\n  %-34s %-25s  %-25s\n",
		c->o->customers, c->o->items, c->o->n, days, "model (items new to the customer)", "Recall@20", "NDCG@20");
	lists_popular(c->a, &conf, sales(c, 0), &pop);
	lists_score(c->a, &pop, &c->wanted, AT, &s);
	offline_row(o, "popularity, all time", &s, 0, 0, false);
	lists_popular(c->a, &conf, sales(c, 14), &pop);
	lists_score(c->a, &pop, &c->wanted, AT, &s);
	offline_row(o, "popularity, 14 days", &s, 0, 0, false);
	personal(o, c, &pop, 0, 50, false, "sparse EASE, undated", 0, 0);
	personal(o, c, &pop, HALF_LIFE, RIDGE, false, "sparse EASE, decayed", 0, 0);
	personal(o, c, &pop, HALF_LIFE, RIDGE, true, "sparse EASE, decayed, prior", month ? 0.105 : 0.09, month ? 0.098 : 0.106);
}

struct baskets {
	struct sparse all;   /* every basket's items */
	float *day;
};

static void baskets_build(const struct cut *c, struct baskets *b)
{
	struct cell *cells = arena_array(c->a, c->o->n, sizeof(*cells));

	b->day = arena_array(c->a, (size_t)c->o->baskets, sizeof(*b->day));
	for (size_t i = 0; i < c->o->n; i++) {
		const struct order_line *l = &c->o->lines[i];

		cells[i] = (struct cell){ l->basket, l->item, 1 };
		b->day[l->basket] = l->day;
	}
	sparse_build(c->a, c->o->baskets, c->o->items, cells, c->o->n, &b->all);
}

/* Bought together: from the baskets before the cut, each worth less the larger and older it is. */
static void pairs(const struct offline *o, const struct cut *c, const struct baskets *b, struct sparse *model_r)
{
	const struct pair_params p = { 0.5, 0, 1000 };
	float *weight = sparse_user_weights(c->a, &b->all, 0.5);
	struct sparse t, gram;

	for (int32_t i = 0; i < c->o->baskets; i++)
		weight[i] = b->day[i] < c->day ? weight[i] * decay(c->day - b->day[i], BASKET_HALF_LIFE) : 0;
	sparse_transpose(c->a, &b->all, &t);
	sparse_gram(c->a, &b->all, &t, weight, BASKET_MAX, o->threads, &gram);
	pair_train(c->a, &gram, &p, model_r);
}

static void together(struct offline *o, struct cut *c)
{
	struct lists_score s = { 0 }, pop = { 0 };
	struct baskets b;
	struct sparse model;
	float *scores = arena_array(c->a, (size_t)c->o->items, sizeof(*scores)), *ones, *count = sales(c, 0);
	uint64_t seed = o->seed;

	baskets_build(c, &b);
	pairs(o, c, &b, &model);
	s.hit = arena_array(c->a, (size_t)c->o->baskets, sizeof(double));
	s.mrr = arena_array(c->a, (size_t)c->o->baskets, sizeof(double));
	pop.hit = arena_array(c->a, (size_t)c->o->baskets, sizeof(double));
	pop.mrr = arena_array(c->a, (size_t)c->o->baskets, sizeof(double));
	ones = b.all.val; /* each item of a basket counts once */
	for (int32_t i = 0; i < c->o->baskets; i++) {
		int64_t from = b.all.ptr[i], len = sparse_len(&b.all, i), hide;
		struct ranked top[AT];
		struct metric m;

		if (b.day[i] < c->day || len < 2)
			continue;
		hide = from + (int64_t)(metric_random(&seed) % (uint64_t)len);
		for (int pass = 0; pass < 2; pass++) {
			if (pass) {
				memcpy(scores, count, (size_t)c->o->items * sizeof(*scores));
			} else {
				memset(scores, 0, (size_t)c->o->items * sizeof(*scores));
				ease_score(&model, b.all.idx + from, ones + from, (size_t)(hide - from), scores);
				ease_score(&model, b.all.idx + hide + 1, ones, (size_t)(from + len - hide - 1), scores);
			}
			for (int64_t k = from; k < from + len; k++)
				if (k != hide)
					scores[b.all.idx[k]] = -INFINITY;
			m = metric_of(top, rank_top(scores, c->o->items, 0, top, AT), AT, b.all.idx + hide, 1);
			(pass ? pop.hit : s.hit)[s.n] = m.hit;
			(pass ? pop.mrr : s.mrr)[s.n] = m.mrr;
		}
		pop.n = ++s.n;
	}
	fprintf(o->out, "  %-34s %-25s  %-25s\n", "bought together (one line hidden)", "HR@20", "MRR@20");
	offline_row(o, "popularity", &pop, 0, 0, true);
	offline_row(o, "shrunk cosine of baskets", &s, 0.37, 0.135, true);
}

enum err_code offline_orders(struct offline *o, const char *orders, int days, struct err *e)
{
	struct arena *a = arena_new("reco offline", SIZE_MAX);
	struct orders data;
	struct cut c = { .a = a, .o = &data };

	if (orders_read(a, orders, &data, e) == OK) {
		c.day = data.last_day - (float)days;
		history(&c, 0, &c.bought);
		future(&c);
		customers(o, &c, days);
		if (days <= 45)
			together(o, &c);
	}
	arena_free(a);
	return e->code;
}
