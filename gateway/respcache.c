#include "gateway/respcache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timeutil.h"
#include "gateway/respcache_internal.h"

enum { GEN_SLOTS = 8192, FLIGHT_BUCKETS = 64 };

struct rc_flight {
	struct rc_flight *next;
	uint8_t key[32];
	int users; /* leader and waiters */
	bool landed;
	struct rc_entry *entry;
	pthread_cond_t done;
};

struct bucket {
	pthread_mutex_t mu;
	struct rc_flight *first;
};

struct respcache {
	struct lru *lru;
	struct cache *redis;
	int local_ms;
	_Atomic uint32_t epoch;
	_Atomic uint32_t gen[GEN_SLOTS];
	struct bucket flights[FLIGHT_BUCKETS];
};

static void entry_free(struct lru_item *it)
{
	free(it);
}

struct respcache *respcache_new(size_t max_bytes, int local_ms, struct cache *redis)
{
	struct respcache *rc = calloc(1, sizeof *rc);

	if (!rc)
		abort();
	rc->lru = lru_new(max_bytes, entry_free);
	rc->redis = redis;
	rc->local_ms = local_ms;
	for (int i = 0; i < FLIGHT_BUCKETS; i++)
		pthread_mutex_init(&rc->flights[i].mu, NULL);
	return rc;
}

void respcache_free(struct respcache *rc)
{
	if (!rc)
		return;
	lru_free(rc->lru);
	for (int i = 0; i < FLIGHT_BUCKETS; i++)
		pthread_mutex_destroy(&rc->flights[i].mu);
	free(rc);
}

struct cache *respcache_cache(const struct respcache *rc)
{
	return rc->redis;
}

/* ---- generations in the process ---- */

static uint32_t slot_of(const char *word)
{
	uint32_t h = 2166136261u;

	for (; *word; word++)
		h = (h ^ (unsigned char)*word) * 16777619u;
	return (h ^ h >> 13) % GEN_SLOTS;
}

void respcache_changed(struct respcache *rc, const char *word)
{
	atomic_fetch_add(&rc->gen[slot_of(word)], 1);
}

void respcache_flush(struct respcache *rc)
{
	atomic_fetch_add(&rc->epoch, 1);
}

void respcache_gens(struct respcache *rc, struct rc_gens *g)
{
	g->epoch = atomic_load(&rc->epoch);
	for (size_t i = 0; i < g->n; i++) {
		g->slot[i] = slot_of(g->word[i]);
		g->seen[i] = atomic_load(&rc->gen[g->slot[i]]);
	}
}

static bool unchanged(struct respcache *rc, const struct rc_gens *g)
{
	if (g->epoch != atomic_load(&rc->epoch))
		return false;
	for (size_t i = 0; i < g->n; i++)
		if (g->seen[i] != atomic_load(&rc->gen[g->slot[i]]))
			return false;
	return true;
}

/* ---- entries ---- */

struct rc_entry *respcache_get(struct respcache *rc, const uint8_t key[32])
{
	struct rc_entry *en = (struct rc_entry *)lru_get(rc->lru, key);

	if (!en)
		return NULL;
	if (mono_ms() < en->fresh_until && unchanged(rc, &en->gens))
		return en;
	lru_drop(rc->lru, &en->item);
	lru_release(rc->lru, &en->item);
	return NULL;
}

void respcache_release(struct respcache *rc, struct rc_entry *en)
{
	if (en)
		lru_release(rc->lru, &en->item);
}

struct rc_entry *respcache_entry(struct respcache *rc, const uint8_t key[32], const struct rc_gens *g, int status,
				 const char *etag, const void *body, size_t len, int64_t life_ms)
{
	struct rc_entry *en = malloc(sizeof *en + len + 1);

	if (!en)
		abort();
	memset(en, 0, sizeof *en);
	memcpy(en->item.key, key, 32);
	atomic_init(&en->item.refs, 1);
	en->item.size = sizeof *en + len + 1;
	en->gens = *g;
	en->fresh_until = mono_ms() + (life_ms < rc->local_ms ? life_ms : rc->local_ms);
	en->expires_wall = wall_ms() + life_ms;
	en->status = status;
	snprintf(en->etag, sizeof en->etag, "%s", etag);
	en->len = len;
	memcpy(en->body, body, len);
	en->body[len] = '\0';
	return en;
}

/* ---- single flight ---- */

static struct bucket *bucket_of(struct respcache *rc, const uint8_t key[32])
{
	return &rc->flights[key[3] % FLIGHT_BUCKETS];
}

static struct rc_flight *flight_new(const uint8_t key[32])
{
	struct rc_flight *f = calloc(1, sizeof *f);
	pthread_condattr_t attr;

	if (!f)
		abort();
	memcpy(f->key, key, 32);
	f->users = 1;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->done, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

/* Bucket locked. */
static void leave(struct respcache *rc, struct rc_flight *f)
{
	if (--f->users)
		return;
	respcache_release(rc, f->entry);
	pthread_cond_destroy(&f->done);
	free(f);
}

static bool await(struct rc_flight *f, struct bucket *b, int64_t deadline_ms)
{
	struct timespec ts = { .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000 };

	while (!f->landed)
		if (pthread_cond_timedwait(&f->done, &b->mu, &ts))
			return f->landed;
	return true;
}

enum rc_join respcache_join(struct respcache *rc, const uint8_t key[32], int64_t deadline_ms, struct rc_flight **f_r,
			    struct rc_entry **r)
{
	struct bucket *b = bucket_of(rc, key);
	enum rc_join how = RC_LEAD;
	struct rc_flight *f;

	pthread_mutex_lock(&b->mu);
	for (;;) {
		for (f = b->first; f && memcmp(f->key, key, 32); f = f->next)
			;
		if (!f) {
			f = *f_r = flight_new(key);
			f->next = b->first;
			b->first = f;
			break;
		}
		f->users++;
		how = await(f, b, deadline_ms) ? RC_GOT : RC_LATE;
		*r = f->entry;
		if (*r)
			atomic_fetch_add(&(*r)->item.refs, 1);
		leave(rc, f);
		if (how == RC_LATE || *r)
			break;
		how = RC_LEAD; /* the leader had nothing to share: the first of us takes over */
	}
	pthread_mutex_unlock(&b->mu);
	return how;
}

void respcache_land(struct respcache *rc, struct rc_flight *f, struct rc_entry *en, bool store)
{
	struct bucket *b = bucket_of(rc, f->key);

	if (en && store && unchanged(rc, &en->gens))
		lru_put(rc->lru, &en->item);
	pthread_mutex_lock(&b->mu);
	for (struct rc_flight **at = &b->first; *at; at = &(*at)->next)
		if (*at == f) {
			*at = f->next;
			break;
		}
	f->landed = true;
	f->entry = en;
	if (en)
		atomic_fetch_add(&en->item.refs, 1);
	pthread_cond_broadcast(&f->done);
	leave(rc, f);
	pthread_mutex_unlock(&b->mu);
}
