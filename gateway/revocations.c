#include "gateway/revocations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timeutil.h"

enum { BUCKETS = 1024, KEEP_MS = 20 * 60 * 1000 }; /* a token lives 15 min, plus skew */

struct entry {
	struct entry *next;
	char id[64]; /* "s:" session or "u:" user */
	int64_t min_version, before_s, seen_ms;
};

struct revocations {
	pthread_mutex_t mu;
	_Atomic int64_t state;
	struct entry *bucket[BUCKETS];
};

struct revocations *revocations_new(void)
{
	struct revocations *r = calloc(1, sizeof *r);

	if (!r)
		abort();
	pthread_mutex_init(&r->mu, NULL);
	r->state = 1;
	return r;
}

void revocations_free(struct revocations *r)
{
	struct entry *e, *next;

	if (!r)
		return;
	for (int i = 0; i < BUCKETS; i++)
		for (e = r->bucket[i]; e; e = next) {
			next = e->next;
			free(e);
		}
	pthread_mutex_destroy(&r->mu);
	free(r);
}

static struct entry **bucket_of(struct revocations *r, const char *id)
{
	uint32_t h = 2166136261u;

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return &r->bucket[(h ^ h >> 16) % BUCKETS];
}

/* Finds or makes; entries that are too old to matter are dropped on the way. */
static struct entry *entry_of(struct revocations *r, const char *id, bool make)
{
	struct entry **at = bucket_of(r, id), *e, *found = NULL;
	int64_t now = mono_ms();

	while ((e = *at)) {
		if (!strcmp(e->id, id)) {
			found = e;
		} else if (now - e->seen_ms > KEEP_MS) {
			*at = e->next;
			free(e);
			continue;
		}
		at = &e->next;
	}
	if (found || !make)
		return found;
	e = calloc(1, sizeof *e);
	if (!e)
		abort();
	snprintf(e->id, sizeof e->id, "%s", id);
	*at = e;
	return e;
}

void revocations_add(struct revocations *r, const char *session_id, const char *user_id, int64_t min_version,
		     int64_t at_ms)
{
	bool session = session_id && *session_id;
	char id[64];
	struct entry *e;

	if (!session && (!user_id || !*user_id))
		return;
	snprintf(id, sizeof id, "%s%s", session ? "s:" : "u:", session ? session_id : user_id);
	pthread_mutex_lock(&r->mu);
	e = entry_of(r, id, true);
	e->seen_ms = mono_ms();
	if (min_version > e->min_version)
		e->min_version = min_version;
	if (at_ms / 1000 > e->before_s)
		e->before_s = at_ms / 1000;
	atomic_fetch_add(&r->state, 1);
	pthread_mutex_unlock(&r->mu);
}

bool revocations_hit(struct revocations *r, const char *session_id, const char *user_id, int64_t version,
		     int64_t iat_s)
{
	char id[64];
	struct entry *e;
	bool hit = false;

	pthread_mutex_lock(&r->mu);
	if (*session_id) {
		snprintf(id, sizeof id, "s:%s", session_id);
		hit = entry_of(r, id, false) != NULL;
	}
	if (!hit && *user_id) {
		snprintf(id, sizeof id, "u:%s", user_id);
		e = entry_of(r, id, false);
		hit = e && (e->min_version ? version < e->min_version : iat_s < e->before_s);
	}
	pthread_mutex_unlock(&r->mu);
	return hit;
}

int64_t revocations_state(const struct revocations *r)
{
	return atomic_load_explicit(&((struct revocations *)(uintptr_t)r)->state, memory_order_acquire);
}
