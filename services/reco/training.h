/* Trainings as administrators see them. */
#ifndef SOUK_RECO_TRAINING_H
#define SOUK_RECO_TRAINING_H

#include "reco.pb-c.h"
#include "services/reco/reco_db_model.h"

void training_fill(const struct training_row *, Reco__V1__Training *);

#endif
