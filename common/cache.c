#include "common/cache.h"

#include <errno.h>
#include <hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/daemon.h"
#include "common/metrics.h"
#include "common/timeutil.h"

enum {
	CONNECTIONS_MAX = 256,
	KEYS_MAX = 512,
	CLOSED_FIRST_MS = 100, /* the first pause after a failure, doubled up to … */
	CLOSED_MAX_MS = 1000,
};

struct cache {
	char host[256], password[256];
	bool is_unix, down_by_conf;
	int port, db, timeout_ms;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t returned;
	int max, open; /* connections: allowed, borrowed or idle */
	int n_idle;
	redisContext *idle[CONNECTIONS_MAX];
	/* The circuit: after a failure nobody tries until closed_until, then one caller at a time. */
	int64_t closed_until;
	int pause_ms; /* 0: the circuit is whole */
	bool trying;
	struct metric *requests, *failures;
};

/* ---- the address ---- */

static bool copy(char *out, size_t size, const char *s, size_t n)
{
	if (n >= size)
		return false;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

static bool parse_number(const char *s, int max, int *n_r)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (!*s || *end || n < 0 || n > max)
		return false;
	*n_r = (int)n;
	return true;
}

/* "[:password@]host[:port][/db]"; the password may hold any character but '@'. */
static bool parse_redis(struct cache *c, const char *s)
{
	const char *at = strchr(s, '@'), *slash, *colon, *end;
	char port[8];

	if (at) {
		if (*s != ':' || !copy(c->password, sizeof(c->password), s + 1, (size_t)(at - s - 1)))
			return false;
		s = at + 1;
	}
	end = s + strlen(s);
	slash = strchr(s, '/');
	if (slash) {
		if (slash[1] && !parse_number(slash + 1, 1000, &c->db))
			return false;
		end = slash;
	}
	colon = memrchr(s, ':', (size_t)(end - s));
	c->port = 6379;
	if (colon) {
		if (!copy(port, sizeof(port), colon + 1, (size_t)(end - colon - 1)) || !parse_number(port, 65535, &c->port))
			return false;
		end = colon;
	}
	return end > s && copy(c->host, sizeof(c->host), s, (size_t)(end - s));
}

static bool parse_url(struct cache *c, const char *url)
{
	if (!url || !*url) {
		c->down_by_conf = true;
		return true;
	}
	if (!strncmp(url, "unix://", 7)) {
		c->is_unix = true;
		return url[7] == '/' && copy(c->host, sizeof(c->host), url + 7, strlen(url + 7));
	}
	return !strncmp(url, "redis://", 8) && parse_redis(c, url + 8);
}

enum err_code cache_open(const char *url, int connections, int timeout_ms, struct cache **c_r, struct err *e)
{
	struct cache *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		abort();
	if (!parse_url(c, url)) {
		free(c);
		return err_set(e, E_INVALID, "conf.invalid", "the address of Redis is none"); /* it may hold a password */
	}
	c->max = connections < 1 ? 1 : connections > CONNECTIONS_MAX ? CONNECTIONS_MAX : connections;
	c->timeout_ms = timeout_ms > 0 ? timeout_ms : 100;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->returned, &attr);
	pthread_condattr_destroy(&attr);
	c->requests = metric_counter("souk_cache_requests_total", "Commands sent to Redis", NULL);
	c->failures = metric_counter("souk_cache_failures_total", "Commands that Redis did not answer", NULL);
	*c_r = c;
	return OK;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	while (c->n_idle)
		redisFree(c->idle[--c->n_idle]);
	explicit_bzero(c->password, sizeof(c->password));
	pthread_cond_destroy(&c->returned);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

bool cache_up(struct cache *c)
{
	bool up;

	pthread_mutex_lock(&c->lock);
	up = !c->down_by_conf && !c->pause_ms;
	pthread_mutex_unlock(&c->lock);
	return up;
}

/* ---- connections ---- */

static bool simple(redisContext *rc, int argc, const char **argv)
{
	redisReply *r = redisCommandArgv(rc, argc, argv, NULL);
	bool ok = r && r->type == REDIS_REPLY_STATUS;

	if (r)
		freeReplyObject(r);
	return ok;
}

static redisContext *connect_new(const struct cache *c)
{
	struct timeval tv = { c->timeout_ms / 1000, c->timeout_ms % 1000 * 1000 };
	const char *auth[] = { "AUTH", c->password };
	char db[12];
	const char *choose[] = { "SELECT", db };
	redisContext *rc = c->is_unix ? redisConnectUnixWithTimeout(c->host, tv)
				      : redisConnectWithTimeout(c->host, c->port, tv);

	if (!rc)
		return NULL;
	snprintf(db, sizeof(db), "%d", c->db);
	if (rc->err || redisSetTimeout(rc, tv) != REDIS_OK || (*c->password && !simple(rc, 2, auth)) ||
	    (c->db && !simple(rc, 2, choose))) {
		redisFree(rc);
		return NULL;
	}
	if (!c->is_unix)
		(void)redisEnableKeepAlive(rc);
	return rc;
}

static enum err_code down(struct err *e, const char *why)
{
	return err_set(e, E_UNAVAILABLE, "common.unavailable", "redis: %s", why);
}

/* Called with the lock held. False: nobody may try now. */
static bool circuit_lets_through(struct cache *c)
{
	if (!c->pause_ms)
		return true;
	if (c->trying || mono_ms() < c->closed_until)
		return false;
	c->trying = true;
	return true;
}

/* A place to work in: an idle connection (*rc_r set) or the right to open one (*rc_r NULL). */
static enum err_code borrow(struct cache *c, redisContext **rc_r, struct err *e)
{
	int64_t until = mono_ms() + c->timeout_ms;
	struct timespec ts = { until / 1000, until % 1000 * 1000000 };
	int rc = 0;

	if (c->down_by_conf)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "no redis is configured");
	pthread_mutex_lock(&c->lock);
	if (!circuit_lets_through(c)) {
		pthread_mutex_unlock(&c->lock);
		return down(e, "away, not asked again yet");
	}
	while (!c->n_idle && c->open == c->max && !rc)
		rc = pthread_cond_timedwait(&c->returned, &c->lock, &ts);
	if (!c->n_idle && c->open == c->max) {
		c->trying = false;
		pthread_mutex_unlock(&c->lock);
		return down(e, "all connections are busy");
	}
	*rc_r = c->n_idle ? c->idle[--c->n_idle] : NULL;
	c->open += !*rc_r;
	pthread_mutex_unlock(&c->lock);
	return OK;
}

/* rc NULL: the connection is gone. ok: Redis answered. */
static void give_back(struct cache *c, redisContext *rc, bool ok)
{
	bool was_down, is_down;

	pthread_mutex_lock(&c->lock);
	was_down = c->pause_ms;
	c->trying = false;
	if (ok) {
		c->pause_ms = 0;
	} else {
		c->pause_ms = !c->pause_ms			  ? CLOSED_FIRST_MS
			      : c->pause_ms * 2 < CLOSED_MAX_MS ? c->pause_ms * 2
								  : CLOSED_MAX_MS;
		c->closed_until = mono_ms() + c->pause_ms;
	}
	is_down = c->pause_ms;
	if (rc)
		c->idle[c->n_idle++] = rc;
	else
		c->open--;
	pthread_cond_signal(&c->returned);
	pthread_mutex_unlock(&c->lock);
	if (was_down != is_down)
		daemon_degraded("redis", is_down);
}

/* Redis was restarted: what lies idle is as dead as the connection that just told us. */
static void drop_idle(struct cache *c)
{
	redisContext *old[CONNECTIONS_MAX];
	int n;

	pthread_mutex_lock(&c->lock);
	n = c->n_idle;
	memcpy(old, c->idle, (size_t)n * sizeof(*old));
	c->n_idle = 0;
	c->open -= n;
	pthread_cond_broadcast(&c->returned);
	pthread_mutex_unlock(&c->lock);
	while (n)
		redisFree(old[--n]);
}

/* ---- commands ---- */

struct command {
	const char **argv;
	size_t *len;
	int n, max;
};

static void command_init(struct command *cmd, struct arena *a, int max)
{
	cmd->argv = arena_array(a, (size_t)max, sizeof(*cmd->argv));
	cmd->len = arena_array(a, (size_t)max, sizeof(*cmd->len));
	cmd->n = 0;
	cmd->max = max;
}

static void arg(struct command *cmd, const void *p, size_t n)
{
	if (cmd->n == cmd->max)
		abort(); /* sized by the caller */
	cmd->argv[cmd->n] = p ? p : "";
	cmd->len[cmd->n++] = p ? n : 0;
}

static void arg_text(struct command *cmd, const char *s)
{
	arg(cmd, s, strlen(s));
}

/* One try. NULL when the connection failed; then rc is no longer usable. */
static redisReply *send_once(redisContext *rc, const struct command *cmd)
{
	return redisCommandArgv(rc, cmd->n, cmd->argv, cmd->len);
}

/*
 * Sends and returns the reply (to be freed), or NULL with the error set. An error reply is an error too; its text is
 * kept in e->msg behind "redis: ".
 */
static redisReply *run(struct cache *c, const struct command *cmd, struct err *e)
{
	redisContext *rc = NULL;
	redisReply *r = NULL;
	bool fresh;

	if (borrow(c, &rc, e))
		return NULL;
	metric_add(c->requests, 1);
	fresh = !rc;
	if (rc && !(r = send_once(rc, cmd))) {
		/* A connection that was closed while idle says nothing about Redis now; a time-out does. */
		fresh = rc->err == REDIS_ERR_EOF || (rc->err == REDIS_ERR_IO && errno != EAGAIN && errno != ETIMEDOUT);
		redisFree(rc);
		rc = NULL;
		drop_idle(c);
	}
	if (!r && fresh && (rc = connect_new(c)) && !(r = send_once(rc, cmd))) {
		redisFree(rc);
		rc = NULL;
	}
	give_back(c, rc, r != NULL);
	if (!r) {
		metric_add(c->failures, 1);
		down(e, "no answer");
	} else if (r->type == REDIS_REPLY_ERROR) {
		down(e, r->str);
		freeReplyObject(r);
		r = NULL;
	}
	return r;
}

static enum err_code odd(redisReply *r, struct err *e)
{
	if (r)
		freeReplyObject(r);
	return r ? err_set(e, E_INTERNAL, "common.internal", "redis: reply of an unexpected type") : e->code;
}

static struct pg_bytes bytes_of(const redisReply *r, struct arena *a)
{
	if (r->type != REDIS_REPLY_STRING)
		return (struct pg_bytes){ NULL, 0 };
	return (struct pg_bytes){ arena_dup(a, r->str, (size_t)r->len), (size_t)r->len };
}

enum err_code cache_get(struct cache *c, const char *key, struct arena *a, struct pg_bytes *val_r, bool *found_r,
			struct err *e)
{
	const char *argv[2];
	size_t len[2];
	struct command cmd = { argv, len, 0, 2 };
	redisReply *r;

	arg_text(&cmd, "GET");
	arg_text(&cmd, key);
	r = run(c, &cmd, e);
	if (!r || (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_NIL))
		return odd(r, e);
	*found_r = r->type == REDIS_REPLY_STRING;
	if (*found_r)
		*val_r = bytes_of(r, a);
	freeReplyObject(r);
	return OK;
}

enum err_code cache_set(struct cache *c, const char *key, struct pg_bytes val, int64_t ttl_ms, struct err *e)
{
	const char *argv[5];
	size_t len[5];
	struct command cmd = { argv, len, 0, 5 };
	char ttl[24];
	redisReply *r;

	arg_text(&cmd, "SET");
	arg_text(&cmd, key);
	arg(&cmd, val.data, val.len);
	if (ttl_ms > 0) {
		snprintf(ttl, sizeof(ttl), "%lld", (long long)ttl_ms);
		arg_text(&cmd, "PX");
		arg_text(&cmd, ttl);
	}
	r = run(c, &cmd, e);
	if (!r || r->type != REDIS_REPLY_STATUS)
		return odd(r, e);
	freeReplyObject(r);
	return OK;
}

static enum err_code too_many(size_t n, struct err *e)
{
	return err_set(e, E_INTERNAL, "common.internal", "redis: %zu keys in one command", n);
}

enum err_code cache_del(struct cache *c, const char *const *keys, size_t n, struct err *e)
{
	const char *argv[KEYS_MAX + 1];
	size_t len[KEYS_MAX + 1], i;
	struct command cmd = { argv, len, 0, KEYS_MAX + 1 };
	redisReply *r;

	if (!n)
		return OK;
	if (n > KEYS_MAX)
		return too_many(n, e);
	arg_text(&cmd, "DEL");
	for (i = 0; i < n; i++)
		arg_text(&cmd, keys[i]);
	r = run(c, &cmd, e);
	if (!r || r->type != REDIS_REPLY_INTEGER)
		return odd(r, e);
	freeReplyObject(r);
	return OK;
}

enum err_code cache_mget(struct cache *c, const char *const *keys, size_t n, struct arena *a, struct pg_bytes *vals_r,
			 struct err *e)
{
	struct command cmd;
	redisReply *r;
	size_t i;

	if (!n)
		return OK;
	if (n > KEYS_MAX)
		return too_many(n, e);
	command_init(&cmd, a, (int)n + 1);
	arg_text(&cmd, "MGET");
	for (i = 0; i < n; i++)
		arg_text(&cmd, keys[i]);
	r = run(c, &cmd, e);
	if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != n)
		return odd(r, e);
	for (i = 0; i < n; i++)
		vals_r[i] = bytes_of(r->element[i], a);
	freeReplyObject(r);
	return OK;
}

/* ---- scripts ---- */

/* The name Redis gives a script, asked once; several caches may share a script. */
static enum err_code script_name(struct cache *c, struct cache_script *s, char sha[41], struct err *e)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	const char *argv[3];
	size_t len[3];
	struct command cmd = { argv, len, 0, 3 };
	redisReply *r;

	pthread_mutex_lock(&lock);
	memcpy(sha, s->sha, sizeof(s->sha));
	pthread_mutex_unlock(&lock);
	if (*sha)
		return OK;
	arg_text(&cmd, "SCRIPT");
	arg_text(&cmd, "LOAD");
	arg_text(&cmd, s->lua);
	r = run(c, &cmd, e);
	if (!r || r->type != REDIS_REPLY_STRING || r->len != 40)
		return odd(r, e);
	memcpy(sha, r->str, 41);
	freeReplyObject(r);
	pthread_mutex_lock(&lock);
	memcpy(s->sha, sha, 41);
	pthread_mutex_unlock(&lock);
	return OK;
}

static enum err_code take_ints(redisReply *r, int64_t *ints_r, size_t n_ints, struct err *e)
{
	size_t i;

	if (r->type == REDIS_REPLY_INTEGER) {
		if (n_ints)
			ints_r[0] = r->integer;
	} else if (r->type == REDIS_REPLY_ARRAY) {
		for (i = 0; i < r->elements && i < n_ints; i++)
			if (r->element[i]->type == REDIS_REPLY_INTEGER)
				ints_r[i] = r->element[i]->integer;
			else
				return odd(r, e);
	} else if (n_ints) {
		return odd(r, e);
	}
	freeReplyObject(r);
	return OK;
}

enum err_code cache_eval(struct cache *c, struct cache_script *s, const char *const *keys, size_t n_keys,
			 const struct pg_bytes *args, size_t n_args, int64_t *ints_r, size_t n_ints, struct err *e)
{
	const char *argv[KEYS_MAX + 3];
	size_t len[KEYS_MAX + 3], i;
	struct command cmd = { argv, len, 0, KEYS_MAX + 3 };
	char sha[41], count[16];
	redisReply *r;

	if (n_keys + n_args > KEYS_MAX)
		return too_many(n_keys + n_args, e);
	if (script_name(c, s, sha, e))
		return e->code;
	snprintf(count, sizeof(count), "%zu", n_keys);
	arg_text(&cmd, "EVALSHA");
	arg_text(&cmd, sha);
	arg_text(&cmd, count);
	for (i = 0; i < n_keys; i++)
		arg_text(&cmd, keys[i]);
	for (i = 0; i < n_args; i++)
		arg(&cmd, args[i].data, args[i].len);
	r = run(c, &cmd, e);
	if (!r && strstr(e->msg, "NOSCRIPT")) { /* restarted or flushed: EVAL brings it back */
		argv[0] = "EVAL";
		len[0] = 4;
		argv[1] = s->lua;
		len[1] = strlen(s->lua);
		r = run(c, &cmd, e);
	}
	if (!r)
		return e->code;
	return take_ints(r, ints_r, n_ints, e);
}

enum err_code cache_incr(struct cache *c, const char *key, int64_t ttl_ms, int64_t *val_r, struct err *e)
{
	/* One script, so that no counter is left without its end. */
	static struct cache_script script = {
		.lua = "local v = redis.call('INCR', KEYS[1]) "
		       "if v == 1 and tonumber(ARGV[1]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end "
		       "return v",
	};
	char ttl[24];
	int64_t v = 0;

	snprintf(ttl, sizeof(ttl), "%lld", (long long)ttl_ms);
	if (cache_eval(c, &script, &key, 1, &(struct pg_bytes){ ttl, strlen(ttl) }, 1, &v, 1, e))
		return e->code;
	*val_r = v;
	return OK;
}
