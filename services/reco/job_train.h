/* A training from the store to a judged model. */
#ifndef SOUK_RECO_JOB_TRAIN_H
#define SOUK_RECO_JOB_TRAIN_H

#include "services/reco/reco.h"

/*
 * Takes the training that waits, if any, and carries it to its end: reads what people did, trains on what came before a
 * cut and judges that, trains on everything with the same parameters, writes the file, and moves the model as far as
 * the gate lets it. done_r false: nothing waited. A training that fails is recorded and is no error.
 */
MUST_CHECK enum err_code train_run(struct reco_svc *, bool *done_r, struct err *);

/* Timer: queues a routine training when one is due, and starts `souk-reco --train` for what waits. */
enum err_code job_train(void *svc, struct arena *, struct err *);

#endif
