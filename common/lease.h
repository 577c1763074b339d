/* Leases: one replica at a time does a periodic job. PostgreSQL's clock only. */
#ifndef SOUK_LEASE_H
#define SOUK_LEASE_H

#include "common/pg.h"

/*
 * Takes or prolongs lease <schema>.lease(name) for this process (owner id made at start); *mine_r tells.
 * A holder that stalls past its lease may overlap with the next one: what it writes must be safe then too.
 */
MUST_CHECK enum err_code lease_take(struct pg *, const char *name, int seconds, bool *mine_r, struct err *);
MUST_CHECK enum err_code lease_release(struct pg *, const char *name, struct err *);
const char *lease_owner(void); /* host.namespace:pid:random */

/*
 * At a start: what processes of this machine (and pid namespace) held that are no more, is free at once, so that the
 * successor of a killed one need not wait for the lease to end. Both leases and the inbox's cursors.
 */
MUST_CHECK enum err_code lease_free_dead(struct pg_pool *, struct err *);

#endif
