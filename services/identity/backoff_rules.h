/*
 * How long a guesser waits after failures: a growing delay, never a lock, so that an attacker can slow an account's
 * owner down but not shut him out. Pure.
 */
#ifndef SOUK_IDENTITY_BACKOFF_RULES_H
#define SOUK_IDENTITY_BACKOFF_RULES_H

#include <stdint.h>

enum backoff_kind {
	BACKOFF_ACCOUNT, /* all failures of one account, wherever from; short, because strangers cause it */
	BACKOFF_PAIR,	 /* one account from one address */
	BACKOFF_ADDRESS, /* one address (an IPv6 /64), whatever the account */
	BACKOFF_FACTOR,	 /* wrong second-factor codes of one account */
	BACKOFF_MAIL,	 /* mails asked for with one account (forgotten password) */
};

struct backoff_rule {
	char prefix;	 /* first letter of the stored key */
	int32_t free;	 /* failures without delay */
	int64_t base_ms; /* the first delay; it doubles */
	int64_t cap_ms;
	int32_t forget_s; /* this long without a failure, and counting begins anew */
};

const struct backoff_rule *backoff_rule(enum backoff_kind kind);
int64_t backoff_delay_ms(enum backoff_kind kind, int32_t failures);

#endif
