#include "gateway/limit_redis.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CARRIERS = 2, NUMBER = 24, ARGS = 4 };

enum state { WAITING, DONE, FAILED, CARRY };

struct want {
	struct bucket_take *take;
	enum state state;
	pthread_cond_t changed;
	struct want *next;
};

struct bucket_store {
	struct cache *redis;
	pthread_mutex_t mu;
	struct want *first, *last;
	int carriers; /* threads with a round trip under way */
};

/*
 * Redis' clock decides, so that gateways need not agree. Per key: interval, window, how many, forced. Three numbers per
 * key come back: allowed, ahead, retry.
 */
static struct cache_script script = { .lua =
	"local t=redis.call('TIME') local now=t[1]*1000000+t[2] local out={} "
	"for i,key in ipairs(KEYS) do local a=i*4-3 "
	"local step,window,n,force=tonumber(ARGV[a]),tonumber(ARGV[a+1]),tonumber(ARGV[a+2]),ARGV[a+3]=='1' "
	"local tat=tonumber(redis.call('GET',key) or '0') if tat<now then tat=now end "
	"local new,ok,retry=tat+step*n,1,0 "
	"if new-now>window then if force then new=now+window else ok=0 retry=new-now-window new=tat end end "
	"if ok==1 then redis.call('SET',key,string.format('%.0f',new),'PX',math.ceil((new-now)/1000)+1) end "
	"out[i*3-2]=ok out[i*3-1]=new-now out[i*3]=retry end "
	"return out" };

struct bucket_store *bucket_store_new(struct cache *redis)
{
	struct bucket_store *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->redis = redis;
	pthread_mutex_init(&s->mu, NULL);
	return s;
}

void bucket_store_free(struct bucket_store *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->mu);
	free(s);
}

struct trip { /* the texts of one round trip; too large for a small stack */
	char name[BUCKET_BATCH][32], text[BUCKET_BATCH][3][NUMBER];
	const char *keys[BUCKET_BATCH];
	struct pg_bytes args[BUCKET_BATCH * ARGS];
	int64_t out[BUCKET_BATCH * 3];
};

static struct pg_bytes number(char text[NUMBER], int64_t v)
{
	return (struct pg_bytes){ text, (size_t)snprintf(text, NUMBER, "%lld", (long long)v) };
}

static void describe(struct trip *t, size_t i, const struct bucket_take *b)
{
	struct pg_bytes *arg = &t->args[i * ARGS];

	snprintf(t->name[i], sizeof t->name[i], "rl:%016llx", (unsigned long long)b->key);
	t->keys[i] = t->name[i];
	arg[0] = number(t->text[i][0], b->interval);
	arg[1] = number(t->text[i][1], b->window);
	arg[2] = number(t->text[i][2], b->n);
	arg[3] = (struct pg_bytes){ b->force ? "1" : "0", 1 };
}

static void answer(const struct trip *t, size_t i, struct bucket_take *b)
{
	b->allowed = t->out[i * 3] != 0;
	b->ahead = t->out[i * 3 + 1];
	b->retry = t->out[i * 3 + 2];
}

static bool ask(struct bucket_store *s, struct trip *t, size_t n)
{
	struct err e;

	/* No look at cache_up first: only those who ask notice that Redis is back. */
	e.n_details = 0;
	return cache_eval(s->redis, &script, t->keys, n, t->args, n * ARGS, t->out, n * 3, &e) == OK;
}

bool bucket_take_all(struct bucket_store *s, struct bucket_take *list, size_t n)
{
	struct trip *t = malloc(sizeof *t);
	bool ok;

	if (!t)
		abort();
	for (size_t i = 0; i < n; i++)
		describe(t, i, &list[i]);
	ok = ask(s, t, n);
	for (size_t i = 0; ok && i < n; i++)
		answer(t, i, &list[i]);
	free(t);
	return ok;
}

/* Locked. */
static size_t pick(struct bucket_store *s, struct want *batch[BUCKET_BATCH])
{
	size_t n = 0;

	while (s->first && n < BUCKET_BATCH) {
		batch[n++] = s->first;
		s->first = s->first->next;
	}
	if (!s->first)
		s->last = NULL;
	return n;
}

/* Locked; unlocked during the round trip. */
static void carry(struct bucket_store *s, struct trip *t)
{
	struct want *batch[BUCKET_BATCH];
	size_t n = pick(s, batch);
	bool ok;

	pthread_mutex_unlock(&s->mu);
	for (size_t i = 0; i < n; i++)
		describe(t, i, batch[i]->take);
	ok = ask(s, t, n);
	for (size_t i = 0; ok && i < n; i++)
		answer(t, i, batch[i]->take);
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < n; i++) {
		batch[i]->state = ok ? DONE : FAILED;
		pthread_cond_signal(&batch[i]->changed);
	}
}

/* Locked. Nobody may be left waiting without somebody who carries. */
static void hand_over(struct bucket_store *s)
{
	struct want *next = s->first;

	while (next && next->state != WAITING)
		next = next->next;
	if (next) {
		next->state = CARRY;
		pthread_cond_signal(&next->changed);
	} else {
		s->carriers--;
	}
}

bool bucket_take_one(struct bucket_store *s, struct bucket_take *take)
{
	struct want me = { .take = take, .state = WAITING, .changed = PTHREAD_COND_INITIALIZER };
	struct trip *t = NULL;

	pthread_mutex_lock(&s->mu);
	*(s->last ? &s->last->next : &s->first) = &me;
	s->last = &me;
	if (s->carriers < CARRIERS) {
		s->carriers++;
		me.state = CARRY;
	}
	while (me.state == WAITING)
		pthread_cond_wait(&me.changed, &s->mu);
	if (me.state == CARRY) {
		t = malloc(sizeof *t);
		if (!t)
			abort();
		/* Others may be in front of us; then it takes another round. */
		while (me.state == CARRY)
			carry(s, t);
		hand_over(s);
	}
	pthread_mutex_unlock(&s->mu);
	pthread_cond_destroy(&me.changed);
	free(t);
	return me.state == DONE;
}
