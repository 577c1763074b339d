/*
 * A canary is judged by who clicked. Of the visitors who may get it and saw a recommendation since it began, the share
 * who clicked one is compared with the same among the others; a visitor counts once, however often he looks or clicks.
 */
#ifndef SOUK_RECO_CANARY_H
#define SOUK_RECO_CANARY_H

#include "services/reco/reco.h"
#include "services/reco/reco_db_serve.h"

enum { CANARY_VISITORS = 100 }; /* of each side, below which nothing can be said */

/*
 * How far the canary's share lies below (negative) or above the other, in standard errors of the difference; 0 when there
 * are too few visitors to say anything.
 */
double canary_distance(const struct canary_counts *);

enum canary_verdict { CANARY_GOES_ON, CANARY_WITHDRAWN, CANARY_STAYS };
/*
 * Below -3 it is withdrawn at any look: an equal model meets that in about one canary of a hundred, looked at fifty times.
 * When its time is over: below -1.645 (surely worse, one-sided 95 %) it is withdrawn, else it stays and becomes the main
 * model; so too when too few visitors came, since the gate has passed it.
 */
enum canary_verdict canary_judge(const struct canary_counts *, bool over);

/* Timer: looks at the canary fifty times in its life, at most once a minute, and carries out the verdict. */
enum err_code job_canary(void *svc, struct arena *, struct err *);

#endif
