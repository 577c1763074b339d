#include "services/identity/backoff_rules.h"

static const struct backoff_rule rules[] = {
	[BACKOFF_ACCOUNT] = { 'a', 10, 1000, 30000, 86400 },
	[BACKOFF_PAIR] = { 'p', 4, 1000, 300000, 86400 },
	[BACKOFF_ADDRESS] = { 'i', 100, 1000, 300000, 3600 },
	[BACKOFF_FACTOR] = { 'f', 4, 1000, 300000, 86400 },
	[BACKOFF_MAIL] = { 'm', 3, 60000, 3600000, 86400 },
};

const struct backoff_rule *backoff_rule(enum backoff_kind kind)
{
	return &rules[kind];
}

int64_t backoff_delay_ms(enum backoff_kind kind, int32_t failures)
{
	const struct backoff_rule *r = &rules[kind];
	int64_t delay = r->base_ms;

	if (failures <= r->free)
		return 0;
	for (int32_t i = r->free + 1; i < failures && delay < r->cap_ms; i++)
		delay *= 2;
	return delay < r->cap_ms ? delay : r->cap_ms;
}
