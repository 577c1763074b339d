#include "services/reco/hot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/timeutil.h"

#define WAYS 4

/* Texts as offsets, so that a copy needs no look at each of them; 0: none. */
struct item {
	uint32_t id, reason, because;
	double score;
};
/* One block: items, then texts, which begin with a byte of nobody's. */
struct slot {
	char key[KEPT_KEY_LEN];
	int64_t until;
	uint32_t n, own, bytes;
	void *block;
};
struct hot {
	pthread_mutex_t lock;
	struct slot slot[HOT_SLOTS];
};

struct hot *hot_new(void)
{
	struct hot *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

void hot_free(struct hot *h)
{
	if (!h)
		return;
	for (int i = 0; i < HOT_SLOTS; i++)
		free(h->slot[i].block);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* The first of the WAYS places where a key may be. */
static struct slot *places(struct hot *h, const char *key)
{
	uint32_t at = 2166136261u; /* FNV-1a */

	for (; *key; key++)
		at = (at ^ (unsigned char)*key) * 16777619u;
	return &h->slot[(at ^ at >> 16) % (HOT_SLOTS / WAYS) * WAYS];
}

/* Lock held. Where the key is; else, to put, the place of what ends first, NULL to get. */
static struct slot *find(struct hot *h, const char *key, bool put)
{
	struct slot *s = places(h, key), *first = s;

	for (int i = 0; i < WAYS; i++) {
		if (s[i].block && strcmp(s[i].key, key) == 0)
			return &s[i];
		first = s[i].until < first->until ? &s[i] : first;
	}
	return put ? first : NULL;
}

bool hot_get(struct hot *h, struct arena *a, const char *key, struct candidates *c)
{
	struct slot *s;
	struct item *item = NULL;
	const char *texts;
	uint32_t n = 0, own = 0;

	if (!h)
		return false;
	pthread_mutex_lock(&h->lock);
	s = find(h, key, false);
	if (s && s->until > mono_ms() && s->n <= c->room) {
		n = s->n, own = s->own;
		item = arena_dup(a, s->block, s->bytes);
	}
	pthread_mutex_unlock(&h->lock);
	if (!item)
		return false;
	texts = (const char *)(item + n);
	for (uint32_t i = 0; i < n; i++)
		c->list[i] = (struct candidate){ texts + item[i].id, texts + item[i].reason,
						 item[i].because ? texts + item[i].because : NULL, item[i].score };
	c->n = n;
	c->own = own;
	return true;
}

/* Most have the reason of the one before. */
static uint32_t add(char *texts, uint32_t *at, const char *s, uint32_t before)
{
	uint32_t begin = *at;

	if (!s)
		return 0;
	if (before && strcmp(texts + before, s) == 0)
		return before;
	memcpy(texts + begin, s, strlen(s) + 1);
	*at += (uint32_t)strlen(s) + 1;
	return begin;
}

static size_t length(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

void hot_put(struct hot *h, const char *key, const struct candidates *c, int64_t life_ms)
{
	size_t n = c->n < HOT_ITEMS ? c->n : HOT_ITEMS, bytes = n * sizeof(struct item) + 1;
	struct item *item;
	struct slot *s;
	uint32_t at = 1;
	void *old;

	for (size_t i = 0; i < n; i++)
		bytes += length(c->list[i].id) + length(c->list[i].reason) + length(c->list[i].because);
	if (!h || n == 0 || bytes > HOT_BYTES || strlen(key) >= KEPT_KEY_LEN)
		return;
	item = calloc(1, bytes);
	if (!item)
		return;
	for (size_t i = 0; i < n; i++) {
		char *texts = (char *)(item + n);

		item[i].id = add(texts, &at, c->list[i].id, 0);
		item[i].reason = add(texts, &at, c->list[i].reason, i ? item[i - 1].reason : 0);
		item[i].because = add(texts, &at, c->list[i].because, i ? item[i - 1].because : 0);
		item[i].score = c->list[i].score;
	}
	pthread_mutex_lock(&h->lock);
	s = find(h, key, true);
	old = s->block;
	memcpy(s->key, key, strlen(key) + 1);
	s->until = mono_ms() + (life_ms < HOT_MS ? life_ms : HOT_MS);
	s->n = (uint32_t)n, s->own = (uint32_t)(c->own < n ? c->own : n);
	s->bytes = (uint32_t)(n * sizeof(struct item)) + at;
	s->block = item;
	pthread_mutex_unlock(&h->lock);
	free(old);
}
