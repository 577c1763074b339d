/* A training's parameters as a JSON object: as stored beside a model, and as an administrator gives them. */
#ifndef SOUK_RECO_PARAMS_H
#define SOUK_RECO_PARAMS_H

#include "common/arena.h"
#include "common/err.h"
#include "services/reco/train.h"

/*
 * Over the standard ones; text NULL is {}. What is unknown, no number or out of range leaves the standard one, and with e
 * it is an err_detail of the field "params" (then call err_set).
 */
void params_read(const char *text, struct train_params *p_r, struct err *e);

/* All of them, always in the same order: equal texts are equal parameters. */
const char *params_text(struct arena *, const struct train_params *);

#endif
