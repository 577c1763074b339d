/* What a bundle recommends to one person, one session, or beside products. Items of the own history are left out. */
#ifndef SOUK_RECO_PERSON_H
#define SOUK_RECO_PERSON_H

#include "services/reco/artefact.h"
#include "services/reco/rank.h"

struct liking {
	int32_t item;
	float weight; /* > 0 */
};

/* EASE and factors, fused by rank, with a prior of recent sales. Best first; returns how many, at most k. */
size_t person_next(struct arena *scratch, const struct bundle *, const struct liking *h, size_t n, struct ranked *top, size_t k);

/* Neighbours of several items together: of a product page one, of a cart all. */
enum near_kind { NEAR_LIKED, NEAR_TOGETHER, NEAR_VIEWED };
size_t person_near(struct arena *scratch, const struct bundle *, enum near_kind, const struct liking *h, size_t n,
		   struct ranked *top, size_t k);

/* What a session goes on to see; items oldest first. */
size_t person_session(struct arena *scratch, const struct bundle *, const int32_t *items, size_t n, struct ranked *top, size_t k);

/* What sells, best first. */
size_t person_popular(struct arena *scratch, const struct bundle *, struct ranked *top, size_t k);

#endif
