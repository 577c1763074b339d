/*
 * Who gets which model: the main one, and a canary beside it for a share of the visitors. Everything here runs inside the
 * caller's transaction, after deploy_now has locked what is deployed; models' rows are locked behind that, in this order
 * everywhere.
 */
#ifndef SOUK_RECO_DEPLOY_H
#define SOUK_RECO_DEPLOY_H

#include "services/reco/reco.h"
#include "services/reco/reco_db_model.h"

struct deployed {
	struct deployment_row *main, *canary; /* NULL: none */
};
MUST_CHECK enum err_code deploy_now(struct pg *, struct arena *, bool lock, struct deployed *r, struct err *);

/* E_RULE "reco.artefact_bad" or E_CONFLICT "reco.model_gone" when a model's file cannot be served from. */
MUST_CHECK enum err_code deploy_readable(const struct reco_svc *, struct arena *, const struct model_row *, struct err *);

/*
 * The model answers for everybody from now on; the one before is retired and is what a rollback goes back to. A canary
 * that becomes the main model is no canary any more.
 */
MUST_CHECK enum err_code deploy_main(struct pg *, const struct deployed *, const struct model_row *, const char *who,
				     const char *why, struct err *);
/* The model answers for a share, judged after so many hours (0: by a person only); a canary before it is retired. */
MUST_CHECK enum err_code deploy_canary(struct pg *, const struct deployed *, const struct model_row *, int32_t share_percent,
				       int32_t hours, const char *who, const char *why, struct err *);
/* The canary is retired; its visitors get the main model. */
MUST_CHECK enum err_code deploy_withdraw(struct pg *, const struct deployed *, const char *who, const char *why, struct err *);
/* The model before, locked, is main again and the one after it retired. There is no going back a second time. */
MUST_CHECK enum err_code deploy_back(struct pg *, const struct deployed *, const struct model_row *before, const char *who,
				     const char *why, struct err *);

#endif
