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
const char *lease_owner(void); /* host:pid:random */

#endif
