#include "gateway/lru.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 16, CHAINS = 512 };

struct shard {
	pthread_mutex_t mu;
	struct lru_item *chain[CHAINS];
	struct lru_item *newest, *oldest;
	size_t bytes;
};

struct lru {
	size_t max_per_shard;
	void (*release)(struct lru_item *);
	struct shard shards[SHARDS];
};

struct lru *lru_new(size_t max_bytes, void (*release)(struct lru_item *))
{
	struct lru *l = calloc(1, sizeof *l);

	if (!l)
		abort();
	l->max_per_shard = max_bytes / SHARDS;
	l->release = release;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&l->shards[i].mu, NULL);
	return l;
}

static struct shard *shard_of(struct lru *l, const uint8_t key[32])
{
	return &l->shards[key[0] % SHARDS];
}

static struct lru_item **chain_of(struct shard *s, const uint8_t key[32])
{
	return &s->chain[(key[1] | key[2] << 8) % CHAINS];
}

void lru_release(struct lru *l, struct lru_item *it)
{
	if (it && atomic_fetch_sub(&it->refs, 1) == 1)
		l->release(it);
}

static void unlink_age(struct shard *s, struct lru_item *it)
{
	*(it->newer ? &it->newer->older : &s->newest) = it->older;
	*(it->older ? &it->older->newer : &s->oldest) = it->newer;
}

static void link_newest(struct shard *s, struct lru_item *it)
{
	it->newer = NULL;
	it->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = it;
	s->newest = it;
}

/* Out of chain and ages; the map's reference goes to the caller. */
static struct lru_item *take_out(struct shard *s, struct lru_item **at)
{
	struct lru_item *it = *at;

	*at = it->chain;
	unlink_age(s, it);
	s->bytes -= it->size;
	return it;
}

static struct lru_item **find(struct shard *s, const uint8_t key[32])
{
	struct lru_item **at = chain_of(s, key);

	while (*at && memcmp((*at)->key, key, 32))
		at = &(*at)->chain;
	return at;
}

struct lru_item *lru_get(struct lru *l, const uint8_t key[32])
{
	struct shard *s = shard_of(l, key);
	struct lru_item *it;

	pthread_mutex_lock(&s->mu);
	it = *find(s, key);
	if (it) {
		atomic_fetch_add(&it->refs, 1);
		if (s->newest != it) {
			unlink_age(s, it);
			link_newest(s, it);
		}
	}
	pthread_mutex_unlock(&s->mu);
	return it;
}

void lru_put(struct lru *l, struct lru_item *it)
{
	struct shard *s = shard_of(l, it->key);
	struct lru_item **at, *gone = NULL, *old;

	if (it->size > l->max_per_shard)
		return;
	atomic_fetch_add(&it->refs, 1);
	pthread_mutex_lock(&s->mu);
	at = find(s, it->key);
	if (*at) {
		gone = take_out(s, at);
		gone->chain = NULL;
	}
	while (s->oldest && s->bytes + it->size > l->max_per_shard) {
		old = take_out(s, find(s, s->oldest->key));
		old->chain = gone;
		gone = old;
	}
	at = chain_of(s, it->key);
	it->chain = *at;
	*at = it;
	link_newest(s, it);
	s->bytes += it->size;
	pthread_mutex_unlock(&s->mu);
	for (; gone; gone = old) {
		old = gone->chain;
		lru_release(l, gone);
	}
}

void lru_drop(struct lru *l, struct lru_item *it)
{
	struct shard *s = shard_of(l, it->key);
	struct lru_item **at;
	bool mine;

	pthread_mutex_lock(&s->mu);
	at = find(s, it->key);
	mine = *at == it;
	if (mine)
		take_out(s, at);
	pthread_mutex_unlock(&s->mu);
	if (mine)
		lru_release(l, it);
}

size_t lru_bytes(const struct lru *l)
{
	size_t n = 0;

	for (int i = 0; i < SHARDS; i++)
		n += l->shards[i].bytes;
	return n;
}

void lru_free(struct lru *l)
{
	if (!l)
		return;
	for (int i = 0; i < SHARDS; i++) {
		struct lru_item *it = l->shards[i].newest, *older;

		for (; it; it = older) {
			older = it->older;
			lru_release(l, it);
		}
		pthread_mutex_destroy(&l->shards[i].mu);
	}
	free(l);
}
