/*
 * nng 1.5.2 can hang when a socket closes; a process must end all the same. Closing is therefore done in a thread of
 * its own that is waited for only so long.
 */
#ifndef SOUK_CLOSE_WITHIN_H
#define SOUK_CLOSE_WITHIN_H

#include <stdbool.h>
#include "common/compiler.h"

/*
 * Calls close(what) and waits at most `ms` for it. False when it did not come back: then nothing that nng may still
 * use may be freed, and `what` stays reachable until the process ends.
 */
MUST_CHECK bool close_within(void (*close)(void *what), void *what, int ms);

#endif
