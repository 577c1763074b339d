/*
 * Answers of public routes: at most 5 s in the process, longer in Redis, dropped when what they show changes.
 *
 * Staleness is decided by generations. In the process a generation is a counter by hash of its word ("product:<id>"),
 * raised when a daemon's doorbell names the word; in Redis it is the key "gen:<word>", raised by the owner. A filler
 * reads both before it loads; its answer counts only while they are unchanged.
 * One request loads, the others with the same key wait for it, each until its own deadline.
 */
#ifndef SOUK_GATEWAY_RESPCACHE_H
#define SOUK_GATEWAY_RESPCACHE_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/cache.h"
#include "gateway/lru.h"

#define RC_GENS_MAX 4
#define RC_ETAG_MAX 96

struct rc_gens { /* the words of one answer and what they stood at */
	size_t n;
	char word[RC_GENS_MAX][96];
	uint32_t slot[RC_GENS_MAX], seen[RC_GENS_MAX], epoch;
	char redis[RC_GENS_MAX][24]; /* value of gen:<word> as text, "" when absent */
	bool redis_known;
};

struct rc_entry { /* immutable once stored */
	struct lru_item item;
	struct rc_gens gens;
	int64_t fresh_until;  /* monotonic, ms: in this process */
	int64_t expires_wall; /* everywhere, ms */
	int status;
	char etag[RC_ETAG_MAX]; /* as sent, with quotes */
	size_t len;
	char body[];
};

struct rc_flight; /* one load under way */

struct respcache;
struct respcache *respcache_new(size_t max_bytes, int local_ms, struct cache *redis);
void respcache_free(struct respcache *);

/* A held entry that is fresh, or NULL. */
struct rc_entry *respcache_get(struct respcache *, const uint8_t key[32]);
void respcache_release(struct respcache *, struct rc_entry *);

enum rc_join { RC_LEAD, RC_GOT, RC_LATE };
/*
 * RC_LEAD: the caller loads and must call respcache_land; RC_GOT: *r holds what another one loaded (may be an answer
 * that is not stored, e.g. a 404); RC_LATE: the deadline passed.
 */
enum rc_join respcache_join(struct respcache *, const uint8_t key[32], int64_t deadline_ms, struct rc_flight **f_r,
			    struct rc_entry **r);
/* Ends a flight. entry may be NULL (nothing to share: the waiters try by themselves). store: keep it in the process. */
void respcache_land(struct respcache *, struct rc_flight *, struct rc_entry *entry, bool store);

/* Before loading. words: filled by the caller; this reads where they stand, in the process and (with a key) in Redis. */
void respcache_gens(struct respcache *, struct rc_gens *);
struct rc_entry *respcache_entry(struct respcache *, const uint8_t key[32], const struct rc_gens *, int status,
				 const char *etag, const void *body, size_t len, int64_t life_ms);

/* Redis. name: hex key of the canonical request. Both quietly do nothing without Redis. */
struct rc_entry *respcache_fetch(struct respcache *, struct arena *, const uint8_t key[32], const char *name,
				 struct rc_gens *gens /* filled as by respcache_gens */);
void respcache_store(struct respcache *, const char *name, const struct rc_entry *);

void respcache_changed(struct respcache *, const char *word); /* the doorbell named it */
void respcache_flush(struct respcache *);		       /* the doorbell may have missed something */

#endif
