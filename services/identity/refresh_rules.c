#include "services/identity/refresh_rules.h"

#include <string.h>

/* Hashes of secrets nobody can choose: comparing them in variable time tells nothing. */
static bool same(const unsigned char *a, const unsigned char *b)
{
	return memcmp(a, b, REFRESH_HASH_LEN) == 0;
}

static void rotate(struct refresh_family *f, const unsigned char *successor, int64_t now)
{
	memcpy(f->previous, f->current, REFRESH_HASH_LEN);
	memcpy(f->current, successor, REFRESH_HASH_LEN);
	f->has_previous = true;
	f->generation++;
	f->rotated_at = now;
	f->expires_at = now + REFRESH_SLIDING_MS;
	if (f->expires_at > f->absolute_at)
		f->expires_at = f->absolute_at;
}

enum refresh_verdict refresh_step(const struct refresh_family *before, const unsigned char *presented,
				  const unsigned char *successor, int64_t now, struct refresh_family *after)
{
	*after = *before;
	if (before->revoked || now >= before->expires_at || now >= before->absolute_at)
		return REFRESH_OVER;
	if (same(presented, before->current)) {
		rotate(after, successor, now);
		return REFRESH_ROTATE;
	}
	if (before->has_previous && same(presented, before->previous) &&
	    now - before->rotated_at <= REFRESH_GRACE_MS)
		return REFRESH_AGAIN;
	after->revoked = true;
	return REFRESH_REUSE;
}
