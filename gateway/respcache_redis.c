/*
 * The shared half of the response cache. A value begins with one line: format, expiry, status, generations, etag,
 * so that a reader can tell whether it still counts; the body follows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timeutil.h"
#include "gateway/respcache.h"
#include "gateway/respcache_internal.h"

enum { LINE_MAX_ = 512 };

/* KEYS: value, generations; ARGV: text, life in ms, the generations as read before loading. */
static struct cache_script store_script = { .lua =
	"for i=2,#KEYS do if (redis.call('GET',KEYS[i]) or '')~=ARGV[i+1] then return {0} end end "
	"redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) return {1}" };

static void value_key(char out[80], const char *name)
{
	snprintf(out, 80, "resp:%s", name);
}

/* "SR1 <expires> <status> <gen>,<gen>, <etag>\n" */
static bool parse(struct respcache *rc, const uint8_t key[32], struct pg_bytes v, const struct rc_gens *g,
		  struct rc_entry **r)
{
	char line[LINE_MAX_], gens[RC_GENS_MAX * 24 + 8] = "", want[sizeof gens] = "", etag[RC_ETAG_MAX];
	const char *end = memchr(v.data, '\n', v.len < LINE_MAX_ ? v.len : LINE_MAX_);
	int64_t expires, left;
	size_t n = 0, head;
	int status;

	if (!end)
		return false;
	head = (size_t)(end - (const char *)v.data);
	snprintf(line, sizeof line, "%.*s", (int)head, (const char *)v.data);
	if (sscanf(line, "SR1 %" SCNd64 " %d %103s %95s", &expires, &status, gens, etag) != 4)
		return false;
	for (size_t i = 0; i < g->n; i++)
		n += (size_t)snprintf(want + n, sizeof want - n, "%s,", g->redis[i]);
	snprintf(want + n, sizeof want - n, ".");
	left = expires - wall_ms();
	if (strcmp(gens, want) || left <= 0)
		return false;
	*r = respcache_entry(rc, key, g, status, strcmp(etag, "-") ? etag : "", end + 1, v.len - head - 1, left);
	return true;
}

struct rc_entry *respcache_fetch(struct respcache *rc, struct arena *a, const uint8_t key[32], const char *name,
				 struct rc_gens *g)
{
	const char *keys[RC_GENS_MAX + 1];
	struct pg_bytes vals[RC_GENS_MAX + 1];
	char value[80], gen[RC_GENS_MAX][112];
	struct cache *redis = respcache_cache(rc);
	struct rc_entry *en = NULL;
	struct err e;

	e.n_details = 0;
	g->redis_known = false;
	if (!redis)
		return NULL;
	value_key(value, name);
	keys[0] = value;
	for (size_t i = 0; i < g->n; i++) {
		snprintf(gen[i], sizeof gen[i], "gen:%s", g->word[i]);
		keys[i + 1] = gen[i];
	}
	if (cache_mget(redis, keys, g->n + 1, a, vals, &e))
		return NULL;
	for (size_t i = 0; i < g->n; i++)
		snprintf(g->redis[i], sizeof g->redis[i], "%.*s", (int)vals[i + 1].len,
			 vals[i + 1].data ? (const char *)vals[i + 1].data : "");
	g->redis_known = true;
	if (vals[0].data && !parse(rc, key, vals[0], g, &en))
		return NULL;
	return en;
}

void respcache_store(struct respcache *rc, const char *name, const struct rc_entry *en)
{
	const char *keys[RC_GENS_MAX + 1];
	struct pg_bytes args[RC_GENS_MAX + 2];
	char value[80], life[24], gen[RC_GENS_MAX][112];
	struct cache *redis = respcache_cache(rc);
	int64_t left = en->expires_wall - wall_ms(), stored;
	struct buf text;
	struct err e;

	e.n_details = 0;
	if (!redis || !en->gens.redis_known || left < 1000)
		return;
	buf_init(&text, en->len + LINE_MAX_);
	buf_fmt(&text, "SR1 %" PRId64 " %d ", en->expires_wall, en->status);
	value_key(value, name);
	keys[0] = value;
	for (size_t i = 0; i < en->gens.n; i++) {
		snprintf(gen[i], sizeof gen[i], "gen:%s", en->gens.word[i]);
		keys[i + 1] = gen[i];
		args[i + 2] = (struct pg_bytes){ en->gens.redis[i], strlen(en->gens.redis[i]) };
		buf_fmt(&text, "%s,", en->gens.redis[i]);
	}
	buf_fmt(&text, ". %s\n", en->etag[0] ? en->etag : "-");
	buf_add(&text, en->body, en->len);
	args[0] = (struct pg_bytes){ text.data, text.len };
	args[1] = (struct pg_bytes){ life, (size_t)snprintf(life, sizeof life, "%" PRId64, left) };
	/* Not stored is no fault: the next one loads again. */
	if (!buf_over(&text))
		stored = cache_eval(redis, &store_script, keys, en->gens.n + 1, args, en->gens.n + 2, &stored, 1, &e);
	(void)stored;
	buf_free(&text);
}
