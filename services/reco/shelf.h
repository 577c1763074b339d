/*
 * Models beyond this machine. Where a bucket of an object store is named, the trainer puts each model's file there, and a
 * replica that does not have one fetches it into its own folder, whole and genuine or not at all. Without a bucket the folder
 * itself is what replicas share.
 */
#ifndef SOUK_RECO_SHELF_H
#define SOUK_RECO_SHELF_H

#include "services/reco/reco.h"

struct shelf;
/* NULL: there is no bucket. */
MUST_CHECK enum err_code shelf_open(const struct reco_conf *, struct shelf **r, struct err *);
void shelf_close(struct shelf *); /* NULL is fine */

/* Not within a transaction; what another side says may take its time. shelf NULL: nothing to do. */
MUST_CHECK enum err_code shelf_put(struct shelf *, struct arena *, const char *name, struct err *);
/* The file of the folder, fetched when it is missing or not the one of this digest. */
MUST_CHECK enum err_code shelf_fetch(struct shelf *, struct arena *, const char *name, const char *sha256, struct err *);
/* One that is not there, or cannot be removed now, is told in the log at most. */
void shelf_drop(struct shelf *, struct arena *, const char *name);

#endif
