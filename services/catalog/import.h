/*
 * Bulk import. Chunks arrive in order of their sequence numbers and are stored as they come; after the close a worker
 * (one replica at a time, by lease) parses them into staged rows with their errors, then applies the good ones in batches of
 * at most 500, resuming where it stopped.
 */
#ifndef SOUK_CATALOG_IMPORT_H
#define SOUK_CATALOG_IMPORT_H

#include "common/arena.h"
#include "common/err.h"

/* A timer's job: one step of the oldest import that has something to do. */
enum err_code import_work(void *svc, struct arena *a, struct err *e);

#endif
