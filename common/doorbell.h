/*
 * The lossy doorbell: after a commit a tiny PUB message tells consumers that there is something to fetch, and which
 * ids changed. Nothing depends on its arrival: heartbeat each second, gaps are counted per instance.
 */
#ifndef SOUK_DOORBELL_H
#define SOUK_DOORBELL_H

#include <stdbool.h>

#include "common/compiler.h"
#include "common/err.h"

struct doorbell;
MUST_CHECK enum err_code doorbell_open(const char *listen_url, const char *source, struct doorbell **b_r, struct err *);
/*
 * From any thread, never blocks. Rings are coalesced to one message per 10 ms. changed_id ("product:prd_…") may be NULL;
 * so may the doorbell: a daemon without one rings nowhere.
 */
void doorbell_ring(struct doorbell *, const char *topic, const char *changed_id);
void doorbell_close(struct doorbell *); /* NULL is fine */
const char *doorbell_url(const struct doorbell *); /* the real address when listening on port 0 */

/*
 * Listening: fn runs on the listener's own thread, must not block long; what it is given lives until it returns.
 * gap: something may have been missed: the first ring of an instance, a jump in its numbers, a lost connection, three
 * seconds of silence (then source is "" when it never spoke, and there are no topics).
 */
struct doorbell_ring {
	const char *source;
	bool gap, heartbeat;
	const char *const *topics;
	size_t n_topics;
	const char *const *changed;
	size_t n_changed;
};
typedef void doorbell_fn(const struct doorbell_ring *, void *arg);
struct doorbell_listener;
MUST_CHECK enum err_code doorbell_listen(const char *urls, int resolve_ms, doorbell_fn *, void *arg,
					 struct doorbell_listener **l_r, struct err *);
void doorbell_unlisten(struct doorbell_listener *);

#endif
