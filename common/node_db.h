/* What the Node service of every daemon reads and does in its schema. Permissions are the caller's business. */
#ifndef SOUK_NODE_DB_H
#define SOUK_NODE_DB_H

#include "common.pb-c.h"
#include "common/pg.h"

/* Replies are filled in the arena; lists stop early at about half a megabyte and say so by cursor or more. */

/*
 * Events for a consumer, at most 200. A request that names its consumer also reports that everything up to `after`
 * is applied. On the primary only.
 */
MUST_CHECK enum err_code node_db_fetch_events(struct pg *, struct arena *, const Common__V1__FetchEventsRequest *,
					      Common__V1__FetchEventsReply *out, struct err *);

/* Dead, retrying and parked events, oldest first; default 50, at most 200. */
MUST_CHECK enum err_code node_db_dead_letters(struct pg *, struct arena *, const Common__V1__DeadLettersRequest *,
					      Common__V1__DeadLettersReply *out, struct err *);

/*
 * Makes one dead letter, or the first of an aggregate, due at once with its attempts forgotten; what is parked behind it
 * follows by itself. common.not_found when there is none. Call it inside pg_tx.
 */
MUST_CHECK enum err_code node_db_replay(struct pg *, struct arena *, const Common__V1__ReplayDeadLetterRequest *,
					Common__V1__ReplayDeadLetterReply *out, struct err *);

/* Newest first; default 50, at most 200. */
MUST_CHECK enum err_code node_db_audit_page(struct pg *, struct arena *, const Common__V1__AuditPageRequest *,
					    Common__V1__AuditPageReply *out, struct err *);

MUST_CHECK enum err_code node_db_event_lag(struct pg *, struct arena *, Common__V1__LagReply *out, struct err *);

#endif
