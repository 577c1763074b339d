/* The models' files: what nobody goes back to is removed. */
#ifndef SOUK_RECO_FILES_H
#define SOUK_RECO_FILES_H

#include "services/reco/reco.h"

enum { FILES_KEPT = 5 }; /* of the latest models, beside what is deployed and what a rollback goes back to */

/*
 * Timer: removes the files of rejected models and of all but the latest; and what trainings that were killed left in the
 * folder more than a day ago; and the stages of trainings that are over.
 */
enum err_code job_files(void *svc, struct arena *, struct err *);

#endif
