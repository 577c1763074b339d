/*
 * What a refresh token may do (decisions 31), as a pure step: no clock, no database. The daemon asks it after the
 * conditional UPDATE touched no row; tests drive it through random histories and compare PostgreSQL with it.
 *
 * A session is a family. Its current token rotates. Its immediate predecessor, within the grace time, gives the
 * same successor again (two tabs, a lost reply). Any other token that we once issued for it is a stolen one used late or
 * a thief's used first: the family ends.
 */
#ifndef SOUK_IDENTITY_REFRESH_RULES_H
#define SOUK_IDENTITY_REFRESH_RULES_H

#include <stdbool.h>
#include <stdint.h>

#define REFRESH_HASH_LEN 32
#define REFRESH_GRACE_MS 10000
#define REFRESH_SLIDING_MS INT64_C(604800000)	/* 7 days */
#define REFRESH_ABSOLUTE_MS INT64_C(2592000000) /* 30 days */

struct refresh_family {
	unsigned char current[REFRESH_HASH_LEN], previous[REFRESH_HASH_LEN];
	bool has_previous;
	bool revoked;
	int64_t generation;
	int64_t rotated_at, expires_at, absolute_at; /* ms, one clock */
};

enum refresh_verdict {
	REFRESH_ROTATE, /* the current token: a successor takes its place */
	REFRESH_AGAIN,	/* the predecessor within grace: the current token once more */
	REFRESH_REUSE,	/* an old token: the family is revoked */
	REFRESH_OVER,	/* expired or revoked already: sign in again */
};

/*
 * presented: hash of a token whose tag proves that we issued it for this family. successor: hash of what it
 * derives. *after is always written; it differs from *before only for ROTATE and REUSE.
 */
enum refresh_verdict refresh_step(const struct refresh_family *before, const unsigned char *presented,
				  const unsigned char *successor, int64_t now, struct refresh_family *after);

#endif
