/* A training from the store to a judged model. */
#ifndef SOUK_RECO_JOB_TRAIN_H
#define SOUK_RECO_JOB_TRAIN_H

#include <stdatomic.h>

#include "services/reco/reco.h"

/*
 * Takes the training that waits, if any, and carries it to its end: reads what people did, trains on what came before a
 * cut and judges that, trains on everything with the same parameters, writes the file, and moves the model as far as
 * the gate lets it. done_r false: nothing waited. A training that fails is recorded and is no error. stop is of
 * a process of its own, else NULL: set from outside it stops the training at the next piece of work, and it waits again; so
 * does one whose job was killed, two minutes later. A cancellation sets it, too. What was finished until then is kept in its folder, and the next attempt goes on from
 * there to the same bits.
 */
MUST_CHECK enum err_code train_run(struct reco_svc *, atomic_bool *stop, bool *done_r, struct err *);

/* Where a training keeps what it has finished; gone when the training is. */
const char *train_folder(const struct reco_svc *, struct arena *, const char *training_id);

/* Timer: queues a routine training when one is due, and starts `souk-reco --train` for what waits unless train_outside. */
enum err_code job_train(void *svc, struct arena *, struct err *);

/* Tells the training that was started to stop, and waits a moment for it; after the timers have stopped. */
void train_stop(struct reco_svc *);

#endif
