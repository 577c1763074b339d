#include "services/reco/visitors.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"

#define SLOTS 8192 /* a power of two */
#define PROBES 8
#define HOUR_MS 3600000

struct slot {
	uint64_t who;
	int64_t hour;
	uint32_t used;
};
struct visitors {
	pthread_mutex_t lock;
	struct slot slot[SLOTS];
};

struct visitors *visitors_new(void)
{
	struct visitors *v = calloc(1, sizeof(*v)); /* pages nobody's visitor touches cost nothing */

	if (!v)
		abort();
	pthread_mutex_init(&v->lock, NULL);
	return v;
}

void visitors_free(struct visitors *v)
{
	if (!v)
		return;
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static struct slot *find(struct visitors *v, uint64_t who, int64_t hour)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < PROBES; i++) {
		struct slot *s = &v->slot[(who + i) & (SLOTS - 1)];
		bool old = s->hour != hour;

		if (!old && s->who == who)
			return s;
		if (!best || (old && best->hour == hour) || (old == (best->hour != hour) && s->used < best->used))
			best = s;
	}
	*best = (struct slot){ .who = who, .hour = hour };
	return best;
}

bool visitors_take(struct visitors *v, const char *who, int64_t now_ms, uint32_t cost, uint32_t limit)
{
	uint8_t hash[SHA256_LEN];
	uint64_t key;
	bool fits;

	sha256(who, strlen(who), hash);
	memcpy(&key, hash, sizeof(key));
	pthread_mutex_lock(&v->lock);
	struct slot *s = find(v, key, now_ms / HOUR_MS);

	fits = s->used + cost <= limit;
	if (fits)
		s->used += cost;
	pthread_mutex_unlock(&v->lock);
	return fits;
}

bool visitors_is_robot(const char *user_agent)
{
	static const char *const words[] = { "bot", "crawl", "spider", "slurp", "facebookexternalhit", "bingpreview",
					     "lighthouse", "pingdom", "uptime", "headless", "preview", NULL };

	for (size_t i = 0; user_agent && words[i]; i++)
		if (strcasestr(user_agent, words[i]))
			return true;
	return false;
}
