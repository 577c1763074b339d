/* What people did, in memory for a training: names as numbers, events in the order of time. */
#ifndef SOUK_RECO_PAST_H
#define SOUK_RECO_PAST_H

#include <stdint.h>

#include "common/arena.h"
#include "services/reco/reco_db_features.h"
#include "services/reco/stage.h"

struct act {
	int64_t ts;
	int32_t person, session, basket; /* -1: nobody, no session, no order */
	int32_t item, kind;		 /* enum reco_kind */
	int32_t rating;
};

struct past {
	struct act *act; /* by rising time */
	size_t n;
	int32_t people, sessions, baskets, items;
	const char **item; /* ids, ascending: an item's number is its place here */
};

enum { PAST_OF_ONE = 2000 };

struct past_builder;
struct past_builder *past_begin(void);
/* A page's row; impressions are left out. Times must not fall. */
void past_add(struct past_builder *, const struct reco_event *);
/*
 * Ends the builder; the past lives in the arena. Of one person only the latest PAST_OF_ONE acts are kept: a robot's
 * thousands say nothing, and what is learnt from one person costs the square of them.
 */
void past_end(struct past_builder *, struct arena *, struct past *past_r);
void past_drop(struct past_builder *); /* ends it without a result */

/* As a stage of a training; false: there is none. People and sessions are numbers in it, as in the past itself. */
bool past_take(const struct stages *, struct arena *, struct past *past_r);
void past_keep(const struct stages *, const struct past *);

/* The same with everything at or past an instant left out; items keep their numbers. */
struct past past_before(const struct past *, int64_t until);

#endif
