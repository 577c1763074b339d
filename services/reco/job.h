/* Jobs of the timer that keep what was collected in order. */
#ifndef SOUK_RECO_JOB_H
#define SOUK_RECO_JOB_H

#include "services/reco/reco.h"

MUST_CHECK enum err_code job_count(void *svc, struct arena *, struct err *);  /* events into item_day */
MUST_CHECK enum err_code job_months(void *svc, struct arena *, struct err *); /* partitions made ahead, old ones dropped */
MUST_CHECK enum err_code job_sweep(void *svc, struct arena *, struct err *);  /* keys, visitors and carts of long ago */

#endif
