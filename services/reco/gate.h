/*
 * Whether a model may be shown to people. All events are cut at one instant: models were trained on what came before,
 * and are asked for what people did afterwards that was new to them.
 */
#ifndef SOUK_RECO_GATE_H
#define SOUK_RECO_GATE_H

#include <stdatomic.h>

#include "services/reco/artefact.h"
#include "services/reco/metric.h"
#include "services/reco/past.h"
#include "services/reco/stage.h"

enum { GATE_AT = 20, GATE_MIN_PEOPLE = 30, GATE_MAX_PEOPLE = 20000, GATE_CHECKS = 8 };

struct gate_check {
	const char *name; /* "dated", "not past the cut", "known items", "enough people", "better than popular", … */
	bool passed;
	double value;
};
struct gate_result {
	bool passed;	   /* every check */
	bool enough;	   /* to be sure of the verdict: people asked, and data as usual; without, a person decides */
	const char *why;   /* the first check that failed; NULL */
	size_t people;	   /* asked: everybody who wanted something, or GATE_MAX_PEOPLE of them */
	double recall, ndcg, popular_recall, popular_ndcg, deployed_ndcg; /* at GATE_AT; deployed -1: none to compare */
	struct interval over_popular, over_deployed; /* of the differences in NDCG, person by person */
	struct gate_check check[GATE_CHECKS];
	size_t n_checks;
};

/*
 * past holds both sides of the cut. candidate must not have seen the cut or later; deployed may be NULL, and is left out
 * of the comparison when it has seen past the cut (then only popularity is compared). When stop (may be NULL) becomes
 * true the result means nothing.
 */
void gate_judge(struct arena *, const struct past *past, int64_t cut, const struct bundle *candidate,
		const struct bundle *deployed, uint64_t seed, const atomic_bool *stop, struct gate_result *r);

/*
 * What came in during the last week before until, beside the median of the four weeks before: half as much or twice as much is a
 * broken intake, a campaign or a season, and a model that has passed waits for a person. Adds the check "usual volume"; a shop
 * younger than five weeks, or with too little to compare, has none.
 */
void gate_volume(const struct past *, int64_t until, struct gate_result *r);

/* As a stage of a training; false: there is none. */
bool gate_take(const struct stages *, struct arena *, struct gate_result *r);
void gate_keep(const struct stages *, const struct gate_result *);

#endif
