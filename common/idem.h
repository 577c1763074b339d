/*
 * Idempotency keys, stored in the owning daemon's schema with the effect itself (decisions 20).
 * Table <schema>.idempotency(scope, method, key) : fingerprint, state running|done, attempt, lease_until, resource_id,
 * code, reply (of a refusal: a packed common.v1.Reply with slug and details), expires_at (24 h).  Used by rpc_server (lookup and replay) and call_tx (begin, finalise).
 */
#ifndef SOUK_IDEM_H
#define SOUK_IDEM_H

#include "common/call.h"

enum idem_found { IDEM_NEW, IDEM_REPLAY, IDEM_RESUME };

/*
 * Looked up before the handler runs. IDEM_REPLAY: *reply_r is the stored packed reply, or c->err the stored error.
 * IDEM_RESUME: an earlier attempt died; idem_resume(c) names what it began. Errors: idem.key_reused (422) for another
 * fingerprint, idem.in_flight (409) while the first still runs, idem.key_needs_scope (400) for an anonymous
 * caller without a cart token. A field hdr_refresh_token of a reply is never stored.
 *
 * Two requests with one key at once: the effect's transaction inserts the key first, so the second waits there for the
 * first and is then undone (idem_raced). A lease is what is left of the request's deadline and 2 s.
 */
MUST_CHECK enum err_code idem_lookup(struct call *c, const char *scope, enum idem_found *found_r,
				     struct pg_bytes *reply_r);
const char *idem_resume(const struct call *c);		     /* NULL unless resuming */
void idem_resource(struct call *c, const char *resource_id); /* before or inside a CALL_TX_FIRST */

/* Called by call_tx inside its transaction, and by rpc_server to store a definite refusal (404, 409, 410, 412, 422). */
MUST_CHECK enum err_code idem_begin(struct call *c, struct pg *, unsigned flags);
MUST_CHECK enum err_code idem_keep_resource(struct call *c, struct pg *); /* what fn named, at the end of FIRST */
MUST_CHECK enum err_code idem_finish(struct call *c, struct pg *);
void idem_committed(struct call *c, unsigned flags); /* the transaction of idem_begin is durable */
void idem_store_refusal(struct call *c);

/*
 * True when a transaction of this call was undone because another request with the same key came first. The caller of the
 * handler then clears the error and looks the key up again: usually it is a replay by now.
 */
bool idem_raced(const struct call *c);

/*
 * Stored replies are sealed with this ring (column "<schema>.idempotency.reply"), because they may hold personal data.
 * Without one they are stored as they are. Once, before the first request.
 */
struct keyring;
void idem_seal_with(struct pg_pool *, const struct keyring *);

MUST_CHECK enum err_code idem_sweep(struct pg *, int64_t *removed_r, struct err *); /* expired keys; a timer's job */

#endif
