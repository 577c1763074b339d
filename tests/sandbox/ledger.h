/* What the sandbox believes happened, for comparing with Souk's own books. */
#ifndef SANDBOX_LEDGER_H
#define SANDBOX_LEDGER_H

#include "sandbox.h"

/*
 * GET /_sandbox/ledger?limit=&after=: intents in order of creation, each with its charges and
 * refunds:
 * {"data":[…], "next": "…"|null, "totals":{…}}. after is the `next` of the page before.
 */
void ledger_get(struct sandbox *sb, const struct request *q, struct reply *r);
void ledger_stats(struct sandbox *sb, const struct request *q, struct reply *r);

#endif
