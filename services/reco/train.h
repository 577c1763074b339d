/* From what people did to a bundle of models. Deterministic: the same past, parameters and seed give the same bits. */
#ifndef SOUK_RECO_TRAIN_H
#define SOUK_RECO_TRAIN_H

#include "services/reco/artefact.h"
#include "services/reco/past.h"
#include "services/reco/stage.h"

struct train_params {
	int neighbours, factors, sweeps, threads;
	double ridge;		  /* of EASE */
	double half_life_days;	  /* of what an act says of taste */
	double basket_half_life_days;
	int keep;		  /* neighbours kept of each item for together and viewed */
	int sessions;		  /* the latest so many */
	uint64_t seed;
};
extern const struct train_params train_defaults;

/* Which part begins now and how much of the whole is done. */
typedef void train_progress(void *arg, const char *step, int percent);

/*
 * Everything before `until` (epoch ms) and nothing else. The bundle lives in the arena. False when stop was set
 * meanwhile; progress and stop may be NULL. Finished parts are kept in stages and taken over from there; NULL: neither.
 */
bool train_bundle(struct arena *, const struct past *, int64_t until, const struct train_params *, const struct stages *,
		  const atomic_bool *stop, train_progress *progress, void *arg, struct bundle *bundle_r);

/* Sales and views of the last days before an instant, decayed by half_life_days, per item of the past: a baseline. */
float *train_popular(struct arena *, const struct past *, int64_t until, double days, double half_life_days);

#endif
