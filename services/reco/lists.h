/* Recommendations of a whole shop's customers at once: what an evaluation scores. */
#ifndef SOUK_RECO_LISTS_H
#define SOUK_RECO_LISTS_H

#include "services/reco/ials.h"
#include "services/reco/metric.h"
#include "services/reco/rank.h"
#include "services/reco/sparse.h"

struct lists {
	int32_t users;
	int k;
	int32_t *n;	  /* of a user */
	struct ranked *r; /* user u: r[u * k .. u * k + n[u]) */
};

struct lists_conf {
	const struct sparse *seen;    /* users x items: never recommended again; NULL: nothing is hidden */
	const struct sparse *history; /* what a model may know of a user, with weights */
	const float *prior;	      /* per item, times the score; NULL: none */
	int k, threads;
};

void lists_popular(struct arena *a, const struct lists_conf *c, const float *popularity, struct lists *l_r);
void lists_items(struct arena *a, const struct lists_conf *c, const struct sparse *model, struct lists *l_r);
void lists_factors(struct arena *a, const struct lists_conf *c, const struct ials *model, struct lists *l_r);
/* Rank fusion of two; lists of k_out. */
void lists_fuse(struct arena *a, const struct lists *x, const struct lists *y, double weight_y, double damp, int k_out,
		struct lists *l_r);
/* Users whom l says nothing get the other's list. */
void lists_fill(struct lists *l, const struct lists *other);

/* One value of each metric per user with something in wanted; arrays of wanted->rows at most. Returns how many. */
struct lists_score {
	size_t n;
	double *recall, *ndcg, *hit, *mrr;
};
void lists_score(struct arena *a, const struct lists *l, const struct sparse *wanted, size_t k, struct lists_score *s_r);

#endif
