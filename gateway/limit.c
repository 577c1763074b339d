#include "gateway/limit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/timeutil.h"
#include "gateway/limit_redis.h"

enum { SHARDS = 32, SETS = 128, WAYS = 8, RECONCILE_MS = 100, AHEAD_MAX = 16, AHEAD_US = 1000000 };

/* One address (or user, while Redis is away) in one class, as this process counts it. */
struct slot {
	uint64_t key; /* 0: free */
	int64_t tat;  /* wall clock, microseconds */
	int64_t per_minute;
	uint32_t pending; /* taken here, not yet told to Redis */
	uint32_t credit;  /* taken from Redis, not yet used here */
	int64_t credit_until;
	bool shared; /* reconciled with Redis at all */
};

struct shard {
	pthread_mutex_t mu;
	uint32_t dirty;
	struct slot slot[SETS][WAYS];
};

struct limiter {
	struct limit_conf conf;
	struct bucket_store *redis; /* NULL: none */
	atomic_bool stop;
	pthread_t thread;
	bool running;
	struct shard shards[SHARDS];
};

struct gcra gcra_of(int64_t per_minute)
{
	int64_t interval = per_minute > 0 ? 60000000 / per_minute : 0;

	if (interval < 1)
		interval = 1;
	return (struct gcra){ interval, interval * per_minute };
}

bool gcra_take(const struct gcra *g, int64_t now, int64_t *tat)
{
	int64_t from = *tat > now ? *tat : now;

	if (from + g->interval - now > g->window)
		return false;
	*tat = from + g->interval;
	return true;
}

static int64_t wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ahead: how far the theoretical arrival time is in front of now. */
static void describe(struct limit_answer *a, const struct gcra *g, int64_t per_minute, const char *policy,
		     int64_t ahead, int64_t retry_us)
{
	a->policy = policy;
	a->quota = per_minute;
	a->remaining = ahead < g->window ? (g->window - ahead) / g->interval : 0;
	a->reset_s = (ahead + 999999) / 1000000;
	a->retry_s = retry_us > 0 ? (retry_us + 999999) / 1000000 : 0;
}

static uint64_t hash_of(const char *scope, const char *who)
{
	char text[160];
	uint8_t sum[32];
	uint64_t h;
	int n = snprintf(text, sizeof text, "%s|%s", scope, who);

	sha256(text, n < (int)sizeof text ? (size_t)n : sizeof text - 1, sum);
	memcpy(&h, sum, sizeof h);
	return h ? h : 1;
}

/* The slot of a key, taking over the one that matters least when the set is full. Shard locked. */
static struct slot *slot_of(struct shard *s, uint64_t key)
{
	struct slot *set = s->slot[key >> 16 & (SETS - 1)], *free_slot = NULL;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (!free_slot || !set[i].key || (free_slot->key && set[i].tat < free_slot->tat))
			free_slot = &set[i];
	}
	*free_slot = (struct slot){ .key = key };
	return free_slot;
}

static bool take_here(struct limiter *l, const char *scope, const char *who, int64_t per_minute, bool shared,
		      struct limit_answer *a)
{
	uint64_t key = hash_of(scope, who);
	struct shard *s = &l->shards[key % SHARDS];
	struct gcra g = gcra_of(per_minute);
	int64_t now = wall_us(), ahead;
	struct slot *slot;
	bool ok;

	pthread_mutex_lock(&s->mu);
	slot = slot_of(s, key);
	slot->per_minute = per_minute;
	slot->shared = shared;
	/* A clock that was set back must not lock anybody out. */
	if (slot->tat > now + g.window)
		slot->tat = now + g.window;
	ok = gcra_take(&g, now, &slot->tat);
	if (ok && shared) {
		slot->pending++;
		s->dirty++;
	}
	ahead = slot->tat > now ? slot->tat - now : 0;
	pthread_mutex_unlock(&s->mu);
	describe(a, &g, per_minute, scope, ahead, ok ? 0 : ahead + g.interval - g.window);
	return ok;
}

/* What Redis knows is at least what we know: later requests counted here start from there. */
static void learn(struct limiter *l, uint64_t key, int64_t per_minute, int64_t ahead)
{
	struct shard *s = &l->shards[key % SHARDS];
	int64_t tat = wall_us() + ahead;
	struct slot *slot;

	pthread_mutex_lock(&s->mu);
	slot = slot_of(s, key);
	slot->per_minute = per_minute;
	if (slot->tat < tat)
		slot->tat = tat;
	pthread_mutex_unlock(&s->mu);
}

/* ---- reconciling ---- */

static struct bucket_take take_of(uint64_t key, int64_t per_minute, uint32_t n, bool force)
{
	struct gcra g = gcra_of(per_minute);

	return (struct bucket_take){ .key = key, .interval = g.interval, .window = g.window, .n = n, .force = force };
}

static size_t collect(struct shard *s, struct bucket_take *list, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; s->dirty && i < SETS * WAYS && n < max; i++) {
		struct slot *slot = &s->slot[i / WAYS][i % WAYS];

		if (!slot->pending)
			continue;
		list[n++] = take_of(slot->key, slot->per_minute, slot->pending, true);
		slot->pending = 0;
	}
	if (n < max)
		s->dirty = 0;
	pthread_mutex_unlock(&s->mu);
	return n;
}

static void *reconcile(void *arg)
{
	struct limiter *l = arg;
	struct bucket_take list[BUCKET_BATCH];

	while (!atomic_load(&l->stop)) {
		sleep_ms(RECONCILE_MS);
		for (int i = 0; i < SHARDS; i++) {
			size_t n = collect(&l->shards[i], list, BUCKET_BATCH);

			if (!n || !bucket_take_all(l->redis, list, n))
				continue;
			for (size_t k = 0; k < n; k++)
				learn(l, list[k].key, list[k].window / list[k].interval, list[k].ahead);
		}
	}
	return NULL;
}

/* ---- the question ---- */

bool limiter_guard(struct limiter *l, const char *bucket, struct limit_answer *a_r)
{
	*a_r = (struct limit_answer){ 0 };
	return !l->conf.guard || take_here(l, "address", bucket, l->conf.guard, false, a_r);
}

static int64_t quota_of(const struct limiter *l, enum rate_class c, bool user)
{
	switch (c) {
	case RATE_READ:
	case RATE_WRITE:
		return user ? l->conf.user : l->conf.anonymous;
	case RATE_AUTH:
		return l->conf.auth;
	case RATE_SUGGEST:
		return l->conf.suggest;
	case RATE_EVENTS:
		return l->conf.events;
	case RATE_NONE:
		break;
	}
	return 0;
}

static const char *scope_of(enum rate_class c, bool user)
{
	switch (c) {
	case RATE_AUTH:
		return "auth";
	case RATE_SUGGEST:
		return user ? "suggest" : "suggest-address";
	case RATE_EVENTS:
		return user ? "events" : "events-address";
	default:
		return user ? "user" : "anonymous";
	}
}

static enum err_code exhausted(const struct limit_answer *a, struct err *e)
{
	e->retry_after_ms = (int)((a->retry_s ? a->retry_s : 1) * 1000);
	return err_set(e, E_EXHAUSTED, "common.rate_limited", "%s: %lld a minute", a->policy, (long long)a->quota);
}

/*
 * A reader's allowance is taken from Redis a few at a time while more than half of it is left, and used up here within a
 * second: never more than the quota is given out, and near its end every request is counted by itself.
 */
static uint32_t ahead_of(int64_t quota)
{
	int64_t n = quota / 25;

	return n < 1 ? 1 : n > AHEAD_MAX ? AHEAD_MAX : (uint32_t)n;
}

/* True: one taken before is used. Else *n_r is how many to ask Redis for. */
static bool use_credit(struct limiter *l, uint64_t key, const struct gcra *g, int64_t quota, uint32_t *n_r, int64_t *ahead_r)
{
	struct shard *s = &l->shards[key % SHARDS];
	int64_t now = wall_us();
	struct slot *slot;
	bool ok;

	pthread_mutex_lock(&s->mu);
	slot = slot_of(s, key);
	ok = slot->credit > 0 && now < slot->credit_until && slot->credit_until <= now + AHEAD_US;
	slot->credit -= ok ? 1 : slot->credit;
	*ahead_r = slot->tat - now - (int64_t)slot->credit * g->interval;
	*n_r = *ahead_r < g->window / 2 ? ahead_of(quota) : 1;
	pthread_mutex_unlock(&s->mu);
	*ahead_r = *ahead_r > 0 ? *ahead_r : 0;
	return ok;
}

static void keep_credit(struct limiter *l, uint64_t key, uint32_t n)
{
	struct shard *s = &l->shards[key % SHARDS];
	struct slot *slot;

	pthread_mutex_lock(&s->mu);
	slot = slot_of(s, key);
	slot->credit += n;
	slot->credit_until = wall_us() + AHEAD_US;
	pthread_mutex_unlock(&s->mu);
}

/* False when Redis did not answer. */
static bool take_shared(struct limiter *l, struct bucket_take *t, uint32_t n)
{
	t->n = n;
	if (!bucket_take_one(l->redis, t))
		return false;
	if (n == 1 || t->allowed) {
		if (n > 1)
			keep_credit(l, t->key, n - 1);
		return true;
	}
	t->n = 1;
	return bucket_take_one(l->redis, t);
}

enum err_code limiter_check(struct limiter *l, enum rate_class c, const char *user_id, const char *bucket, bool unsafe,
			    struct limit_answer *a_r, struct err *e)
{
	bool user = user_id && c != RATE_AUTH, ok;
	const char *scope = scope_of(c, user), *who = user ? user_id : bucket;
	int64_t quota = quota_of(l, c, user);
	struct bucket_take t;
	struct gcra g;
	uint32_t n = 1;
	int64_t ahead;

	*a_r = (struct limit_answer){ 0 };
	if (!quota)
		return OK;
	if (!user && !unsafe && c != RATE_AUTH) {
		ok = take_here(l, scope, who, quota, l->redis != NULL, a_r);
		return ok ? OK : exhausted(a_r, e);
	}
	g = gcra_of(quota);
	t = take_of(hash_of(scope, who), quota, 1, false);
	if (l->redis && user && !unsafe && use_credit(l, t.key, &g, quota, &n, &ahead)) {
		describe(a_r, &g, quota, scope, ahead, 0);
		return OK;
	}
	if (l->redis && take_shared(l, &t, n)) {
		describe(a_r, &g, quota, scope, t.ahead - (t.allowed ? (int64_t)(t.n - 1) * g.interval : 0),
			 t.allowed ? 0 : t.retry);
		learn(l, t.key, quota, t.ahead);
		return t.allowed ? OK : exhausted(a_r, e);
	}
	if (c == RATE_AUTH && l->redis) {
		e->retry_after_ms = 1000;
		return err_set(e, E_UNAVAILABLE, "gateway.limiter_away", "no Redis to count sign-ins");
	}
	ok = take_here(l, scope, who, quota, false, a_r);
	return ok ? OK : exhausted(a_r, e);
}

struct limiter *limiter_new(const struct limit_conf *conf, struct cache *redis)
{
	struct limiter *l = calloc(1, sizeof *l);

	if (!l)
		abort();
	l->conf = *conf;
	l->redis = redis ? bucket_store_new(redis) : NULL;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&l->shards[i].mu, NULL);
	l->running = redis && !pthread_create(&l->thread, NULL, reconcile, l);
	return l;
}

void limiter_free(struct limiter *l)
{
	if (!l)
		return;
	atomic_store(&l->stop, true);
	if (l->running)
		pthread_join(l->thread, NULL);
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&l->shards[i].mu);
	bucket_store_free(l->redis);
	free(l);
}
