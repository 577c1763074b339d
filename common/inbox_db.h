/* The statements of the inbox. Used by inbox.c, node_db.c and timer.c. */
#ifndef SOUK_INBOX_DB_H
#define SOUK_INBOX_DB_H

#include "common/outbox.h"

struct inbox_key { /* an aggregate of a source that has waiting events */
	const char *agg_type, *agg_id;
};
struct inbox_waiting {
	const char *id, *event_id, *type, *agg_type, *agg_id, *traceparent;
	int64_t agg_version, occurred_at;
	int32_t attempts;
	struct pg_bytes payload;
};

/* Takes or prolongs the lease on a source; *mine_r and, when mine, its cursor. */
MUST_CHECK enum err_code inbox_db_lease(struct pg *, const char *source, int lease_s, struct arena *, bool *mine_r,
					struct outbox_cursor *at_r, struct err *);
MUST_CHECK enum err_code inbox_db_release(struct pg *, const char *source, struct err *);
/* Locks the cursor row for this transaction; *mine_r false when another process holds the lease now. */
MUST_CHECK enum err_code inbox_db_hold(struct pg *, const char *source, struct arena *, bool *mine_r, struct err *);
/* Compare-and-set; *moved_r false when the cursor is elsewhere or not ours. last_occurred_at 0: no event was applied. */
MUST_CHECK enum err_code inbox_db_move(struct pg *, const char *source, struct outbox_cursor from,
				       struct outbox_cursor to, int64_t last_occurred_at, bool *moved_r, struct err *);
MUST_CHECK enum err_code inbox_db_behind(struct pg *, const char *source, int64_t n, struct err *);

/* Records the event; *fresh_r: it was new. */
MUST_CHECK enum err_code inbox_db_fresh(struct pg *, const char *source, const char *event_id, struct arena *,
					bool *fresh_r, struct err *);
/* Records those of the batch whose aggregate has no waiting event, and returns the ids that were new. */
MUST_CHECK enum err_code inbox_db_fresh_free(struct pg *, const char *source, const struct inbox_waiting *ev, size_t n,
					     struct arena *, const char ***fresh_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code inbox_db_blocked(struct pg *, const char *source, struct arena *, struct inbox_key **rows_r,
					  size_t *n_r, struct err *);
/* Does an event of the same aggregate wait? The answer holds while the cursor is held. */
MUST_CHECK enum err_code inbox_db_waits(struct pg *, const char *source, const struct inbox_waiting *, struct arena *,
					bool *yes_r, struct err *);
/* state "parked", or "retrying" with a pause before the second attempt. Nothing when it waits already. */
MUST_CHECK enum err_code inbox_db_wait(struct pg *, const char *source, const struct inbox_waiting *, const char *state,
				       int64_t pause_ms, const char *error, struct err *);
MUST_CHECK enum err_code inbox_db_due(struct pg *, const char *source, struct arena *, struct inbox_waiting **rows_r,
				      size_t *n_r, struct err *);
/* A failed retry: again after the pause, or dead. */
MUST_CHECK enum err_code inbox_db_failed(struct pg *, const char *id, bool dead, int64_t pause_ms, const char *error,
					 struct err *);
/* A retry that worked: the event leaves, the next one of its aggregate is due. */
MUST_CHECK enum err_code inbox_db_done(struct pg *, const char *source, const struct inbox_waiting *, struct err *);

struct inbox_counts {
	int64_t dead, waiting;
};
MUST_CHECK enum err_code inbox_db_counts(struct pg *, const char *source, struct arena *, struct inbox_counts *counts_r,
					 struct err *);
/* Ids older than any event that can still be fetched (8 days); a timer's job. */
MUST_CHECK enum err_code inbox_db_prune(struct pg *, int64_t *removed_r, struct err *);

#endif
