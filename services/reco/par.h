/* Work split over a few threads. What is computed does not depend on how many there are. */
#ifndef SOUK_RECO_PAR_H
#define SOUK_RECO_PAR_H

#include <stdatomic.h>
#include <stdint.h>

#define PAR_MAX 16

/* Pieces [from, to) of 0..n, each at most step long and always cut at the same places; worker is 0..threads-1. */
typedef void par_fn(void *arg, int worker, int64_t from, int64_t to);

/*
 * Returns when all pieces are done. A thread that cannot be started is done without: its share falls to the others.
 * stop may be NULL; once it is set no further piece begins, and what was computed is worth nothing.
 */
void par_for(int threads, int64_t n, int64_t step, par_fn *fn, void *arg, const atomic_bool *stop);

#endif
