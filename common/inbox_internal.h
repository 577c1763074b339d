/* Shared by inbox.c (threads, fetching) and inbox_apply.c (transactions). */
#ifndef SOUK_INBOX_INTERNAL_H
#define SOUK_INBOX_INTERNAL_H

#include <pthread.h>

#include "common/id.h"
#include "common/inbox.h"
#include "common/inbox_db.h"
#include "common/metrics.h"

struct puller { /* one source */
	const struct inbox_conf *conf;
	const char *source;
	struct rpc_client *rpc;
	const char *types[64];
	size_t n_types;

	struct outbox_cursor at;
	bool mine;
	int64_t lease_until; /* by our clock, a little early */
	char stuck_id[ID_LEN * 2]; /* an event that met E_UNAVAILABLE, and how often in a row */
	int stuck;
	bool failing; /* fetching; logged once */
	bool got;     /* the last pull brought events */
	int64_t gap_ms; /* between two looks that rings ask for */
	int64_t tell_at, due_at; /* not before: the owner hears how far we are, failed events are looked for */

	struct doorbell_listener *listener;
	pthread_mutex_t mu;
	pthread_cond_t cv;
	pthread_t thread;
	bool has_thread, ring, stop;

	struct metric *applied, *duplicates, *failures, *lag, *dead, *waiting;
};

struct batch {
	struct inbox_waiting *ev; /* in the order of application */
	size_t n;
	struct outbox_cursor to;
	int64_t last_occurred_at;
};

/* OK; inbox.lost when another process took over; E_UNAVAILABLE, E_RETRY: try again later. Moves p->at. */
MUST_CHECK enum err_code inbox_apply(struct puller *, struct arena *, const struct batch *, struct err *);
/* The events whose time has come again; as above. */
MUST_CHECK enum err_code inbox_retry(struct puller *, struct arena *, struct err *);

#endif
