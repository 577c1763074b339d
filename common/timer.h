/*
 * Periodic work of a daemon: one thread, the jobs one after another; a job guarded by a lease runs on one replica at a
 * time. The jobs of the mechanisms (sealing the audit log, pruning outbox and inbox, sweeping keys,
 * measuring who is behind the outbox) run in every table, so that no
 * daemon forgets them; an empty table is fine.
 */
#ifndef SOUK_TIMER_H
#define SOUK_TIMER_H

#include "common/arena.h"
#include "common/pg.h"

struct timer_job {
	const char *name;   /* also the lease's name when leased */
	int64_t every_ms;   /* jittered by a tenth */
	bool leased;
	/* Runs outside any transaction; the arena is reset after it. An error is logged and the job runs again next time. */
	enum err_code (*fn)(void *svc, struct arena *, struct err *);
};
struct timers;
MUST_CHECK enum err_code timers_start(const struct timer_job *jobs /* ends with {0} */, struct pg_pool *, void *svc,
				      struct timers **t_r, struct err *);
void timers_kick(struct timers *, const char *name); /* run it now */
void timers_stop(struct timers *);		      /* waits for the job under way */

#endif
