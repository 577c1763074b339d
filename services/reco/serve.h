/* The models that answer: mapped files, exchanged without a pause when another is deployed; and what was answered. */
#ifndef SOUK_RECO_SERVE_H
#define SOUK_RECO_SERVE_H

#include "services/reco/artefact.h"
#include "services/reco/reco.h"

struct serve *serve_new(void);
void serve_free(struct serve *); /* NULL is fine; nobody may hold a model any more */

/* A model as long as it is held. */
struct loaded {
	struct artefact *file;
	char version[ARTEFACT_VERSION_LEN];
	char model_id[64];
	atomic_int held;
};
/*
 * The model of a visitor: the canary for its share of the subjects, by a stable hash, else the main one. NULL: none is
 * deployed or readable. variant_r is "main", "canary" or "none". subject NULL: nobody in particular gets the main one.
 */
struct loaded *serve_take(struct serve *, const char *subject, const char **variant_r);
void serve_give_back(struct loaded *); /* NULL is fine */

/*
 * Whether there may be pins at all: without any, answers do not ask for them. Told when one is made here, and found out by
 * the timer, within a second, when another replica has made the first.
 */
bool serve_pins(const struct serve *);
void serve_pins_set(struct serve *, bool there);

/* Timer: looks whether another model is deployed, opens it, exchanges it. A file that cannot be read is told of once. */
enum err_code job_models(void *svc, struct arena *, struct err *);

/* What was answered, for the report; written by the timer, at most a tenth of a second later: many at once would keep a processor from the requests. */
struct answered {
	const char *request_id, *type, *placement, *variant, *version, *subject; /* subject NULL: nobody */
	bool fallback;
	const char *const *items;
	size_t n;
};
void serve_note(struct serve *, const struct answered *);
enum err_code job_answers(void *svc, struct arena *, struct err *);

#endif
