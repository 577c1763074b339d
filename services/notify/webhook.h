/* What the files of outgoing webhooks share. */
#ifndef SOUK_NOTIFY_WEBHOOK_H
#define SOUK_NOTIFY_WEBHOOK_H

#include "services/notify/notify.h"
#include "services/notify/notify_db.h"

#define WEBHOOK_SECRET_COLUMN "notify.webhook.secret"

/* E_NOT_FOUND notify.webhook_unknown */
MUST_CHECK enum err_code webhook_load(struct call *c, struct pg *pg, const char *id, struct webhook_row **w_r,
				      struct err *e);

/* "Souk-Signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of t.body>" */
const char *webhook_signature(struct arena *a, const char *secret, int64_t unix_s, const char *body);

#endif
