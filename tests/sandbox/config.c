#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_value(
	char *out, size_t len, const char *name, const char *fallback, char *why, size_t why_len)
{
	const char *v = getenv(name);

	if (!v)
		v = fallback;
	if (strlen(v) >= len) {
		snprintf(why, why_len, "%s is longer than %zu bytes", name, len - 1);
		return false;
	}
	memcpy(out, v, strlen(v) + 1);
	return true;
}

static bool parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	if (end == s || *end || errno || v < min || v > max)
		return false;
	*out = v;
	return true;
}

static bool int_value(int64_t *out, const char *name, int64_t fallback, int64_t min, int64_t max,
	char *why, size_t why_len)
{
	const char *v = getenv(name);

	if (!v || !*v) {
		*out = fallback;
		return true;
	}
	if (parse_int(v, min, max, out))
		return true;
	snprintf(why, why_len, "%s must be a whole number from %lld to %lld", name, (long long)min,
		(long long)max);
	return false;
}

static bool retry_value(struct config *c, char *why, size_t why_len)
{
	char list[256], *at = list, *item;

	if (!text_value(list, sizeof(list), "SANDBOX_WEBHOOK_RETRY_MS",
		    "500,1000,2000,5000,10000,30000,60000", why, why_len))
		return false;
	c->n_retry = 0;
	while ((item = strsep(&at, ","))) {
		if (!*item)
			continue;
		if (c->n_retry == CONFIG_RETRIES_MAX ||
			!parse_int(item, 0, 86400000, &c->retry_ms[c->n_retry])) {
			snprintf(why, why_len,
				"SANDBOX_WEBHOOK_RETRY_MS must be at most %d times in milliseconds",
				CONFIG_RETRIES_MAX);
			return false;
		}
		c->n_retry++;
	}
	return true;
}

bool config_load(struct config *c, char *why, size_t why_len)
{
	int64_t workers, threads, seed;

#define TEXT(member, name, fallback)                                                               \
	text_value(c->member, sizeof(c->member), name, fallback, why, why_len)
#define INT(out, name, fallback, min, max) int_value(out, name, fallback, min, max, why, why_len)
	memset(c, 0, sizeof(*c));
	if (!TEXT(listen, "SANDBOX_LISTEN", "127.0.0.1:8090") ||
		!TEXT(secret_key, "SANDBOX_SECRET_KEY", "sk_test_souk") ||
		!TEXT(publishable_key, "SANDBOX_PUBLISHABLE_KEY", "pk_test_souk") ||
		!TEXT(public_url, "SANDBOX_PUBLIC_URL", "") ||
		!TEXT(webhook_url, "SANDBOX_WEBHOOK_URL", "") ||
		!TEXT(webhook_events, "SANDBOX_WEBHOOK_EVENTS", "*") ||
		!TEXT(webhook_secret, "SANDBOX_WEBHOOK_SECRET", "whsec_souk") ||
		!TEXT(webhook_old_secret, "SANDBOX_WEBHOOK_OLD_SECRET", "whsec_souk_old") ||
		!TEXT(state_file, "SANDBOX_STATE_FILE", ""))
		return false;
	if (!INT(&c->webhook_delay_ms, "SANDBOX_WEBHOOK_DELAY_MS", 0, 0, 3600000) ||
		!INT(&c->webhook_timeout_ms, "SANDBOX_WEBHOOK_TIMEOUT_MS", 10000, 10, 60000) ||
		!INT(&workers, "SANDBOX_WEBHOOK_WORKERS", 8, 1, 64) ||
		!INT(&c->webhook_queue, "SANDBOX_WEBHOOK_QUEUE", 100000, 1, 10000000) ||
		!INT(&c->async_ms, "SANDBOX_ASYNC_MS", 500, 0, 3600000) ||
		!INT(&seed, "SANDBOX_SEED", 0, 0, INT64_MAX) ||
		!INT(&threads, "SANDBOX_THREADS", 128, 2, 2000) ||
		!INT(&c->events_max, "SANDBOX_EVENTS_MAX", 50000, 100, 10000000) ||
		!INT(&c->keys_max, "SANDBOX_KEYS_MAX", 200000, 100, 10000000))
		return false;
#undef TEXT
#undef INT
	c->webhook_workers = (int)workers;
	c->threads = (int)threads;
	c->seed = (uint64_t)seed;
	return retry_value(c, why, why_len);
}
