/* Session nearest neighbours: what sessions like this one went on to see. For visitors nobody knows. */
#ifndef SOUK_RECO_SESSION_H
#define SOUK_RECO_SESSION_H

#include "services/reco/rank.h"
#include "services/reco/sparse.h"

struct session_params {
	int sample;	/* most recent sessions that share an item, looked at */
	int neighbours; /* of them the nearest, that vote */
	double decay;	/* weight of an item of the own session per step back from its end */
};

/* What `make -f Makefile.ci reco-eval` measures and the daemon serves with. */
extern const struct session_params session_usual;

struct session_model {
	struct sparse by_item; /* item -> sessions in time order, with the position in the session as value */
	int32_t n_items;
	int32_t n_sessions;
	const int64_t *ptr;   /* session -> items in time order */
	const int32_t *items;
	float *idf;	      /* of an item */
};

/* Sessions in time order: session s is items[ptr[s]..ptr[s+1]). Both must outlive the model. */
void session_build(struct arena *a, const int64_t *ptr, const int32_t *items, int32_t n_sessions, int32_t n_items,
		   struct session_model *m_r);

/* The k best next items of a session (oldest item first); items already seen may come again. Returns how many. */
size_t session_next(struct arena *scratch, const struct session_model *m, const struct session_params *p,
		    const int32_t *seen, size_t n, struct ranked *top, size_t k);

#endif
