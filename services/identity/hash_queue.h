/*
 * The gate before Argon2: a few hashes at once, a bounded line of waiting callers in order of arrival, and a refusal for
 * the rest, so that logins can never take the machine from the shop (decisions 6). The caller's thread does the work.
 */
#ifndef SOUK_IDENTITY_HASH_QUEUE_H
#define SOUK_IDENTITY_HASH_QUEUE_H

#include <stdint.h>

#include "common/err.h"

struct hash_queue;
struct hash_queue *hash_queue_new(int permits, int queue);
void hash_queue_free(struct hash_queue *); /* nobody may be inside; NULL is fine */

/* Takes a permit; identity.busy with retry_after_ms when the line is full or the deadline (monotonic) comes first. */
MUST_CHECK enum err_code hash_queue_enter(struct hash_queue *, int64_t deadline_ms, struct err *);
void hash_queue_leave(struct hash_queue *);

/* Half the processors of this process, at least one. */
int hash_queue_default_permits(void);

#endif
