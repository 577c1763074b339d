/* The rotation of refresh tokens: every case of the step, and random histories that must keep its promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/identity/refresh_rules.h"

static void hash_of(unsigned n, unsigned char out[REFRESH_HASH_LEN])
{
	memset(out, 0, REFRESH_HASH_LEN);
	memcpy(out, &n, sizeof(n));
}

/* A family whose tokens are numbers: current, its predecessor, rotated at 0. */
static struct refresh_family family(unsigned current, bool has_previous)
{
	struct refresh_family f = { .has_previous = has_previous,
				    .expires_at = REFRESH_SLIDING_MS,
				    .absolute_at = REFRESH_ABSOLUTE_MS };

	hash_of(current, f.current);
	if (has_previous)
		hash_of(current - 1, f.previous);
	return f;
}

static enum refresh_verdict step(struct refresh_family *f, unsigned presented, int64_t now)
{
	unsigned char hash[REFRESH_HASH_LEN], next[REFRESH_HASH_LEN];
	struct refresh_family after;
	enum refresh_verdict v;

	hash_of(presented, hash);
	hash_of(presented + 1, next);
	v = refresh_step(f, hash, next, now, &after);
	*f = after;
	return v;
}

static void test_current_rotates(void **state)
{
	struct refresh_family f = family(5, true);
	unsigned char want[REFRESH_HASH_LEN];

	(void)state;
	assert_int_equal(step(&f, 5, 1000), REFRESH_ROTATE);
	hash_of(6, want);
	assert_memory_equal(f.current, want, REFRESH_HASH_LEN);
	hash_of(5, want);
	assert_memory_equal(f.previous, want, REFRESH_HASH_LEN);
	assert_true(f.has_previous);
	assert_int_equal(f.generation, 1);
	assert_int_equal(f.rotated_at, 1000);
	assert_int_equal(f.expires_at, 1000 + REFRESH_SLIDING_MS);
}

static void test_sliding_ends_at_absolute(void **state)
{
	struct refresh_family f = family(5, false);

	(void)state;
	f.expires_at = f.absolute_at;
	assert_int_equal(step(&f, 5, REFRESH_ABSOLUTE_MS - 1), REFRESH_ROTATE);
	assert_int_equal(f.expires_at, REFRESH_ABSOLUTE_MS);
	assert_int_equal(step(&f, 6, REFRESH_ABSOLUTE_MS), REFRESH_OVER);
}

static void test_predecessor_in_grace(void **state)
{
	struct refresh_family f = family(5, true), before = f;

	(void)state;
	assert_int_equal(step(&f, 4, REFRESH_GRACE_MS), REFRESH_AGAIN);
	assert_memory_equal(&f, &before, sizeof(f));
	assert_int_equal(step(&f, 4, REFRESH_GRACE_MS + 1), REFRESH_REUSE);
	assert_true(f.revoked);
}

static void test_older_is_reuse_at_once(void **state)
{
	struct refresh_family f = family(5, true);

	(void)state;
	assert_int_equal(step(&f, 3, 1), REFRESH_REUSE);
	assert_true(f.revoked);
	assert_int_equal(step(&f, 5, 2), REFRESH_OVER);
}

/* Before the first rotation there is no predecessor: an all-zero hash is not one. */
static void test_no_predecessor(void **state)
{
	struct refresh_family f = family(5, false);

	(void)state;
	assert_int_equal(step(&f, 0, 1), REFRESH_REUSE);
}

/* Every combination of state, token and moment against the table in words. */
static void test_exhaustive(void **state)
{
	static const int64_t moments[] = { 0, REFRESH_GRACE_MS, REFRESH_GRACE_MS + 1, REFRESH_SLIDING_MS - 1,
					   REFRESH_SLIDING_MS, REFRESH_ABSOLUTE_MS };
	unsigned cases = 0;

	(void)state;
	for (int bits = 0; bits < 4; bits++)
		for (unsigned token = 2; token <= 6; token++)
			for (size_t m = 0; m < sizeof(moments) / sizeof(moments[0]); m++) {
				struct refresh_family f = family(5, bits & 1);
				enum refresh_verdict want = REFRESH_REUSE;

				f.revoked = bits & 2;
				if (f.revoked || moments[m] >= REFRESH_SLIDING_MS)
					want = REFRESH_OVER;
				else if (token == 5)
					want = REFRESH_ROTATE;
				else if (token == 4 && (bits & 1) && moments[m] <= REFRESH_GRACE_MS)
					want = REFRESH_AGAIN;
				assert_int_equal(step(&f, token, moments[m]), want);
				assert_int_equal(f.revoked, (bits & 2) || want == REFRESH_REUSE);
				cases++;
			}
	assert_int_equal(cases, 4 * 5 * 6);
}

/*
 * A client and a thief with a copy of one of its tokens. Whatever they do in whatever order: never two different live
 * tokens, and once both have used what they hold more than the grace time apart, the family has ended.
 */
static void test_random_histories(void **state)
{
	(void)state;
	srand(7);
	for (int run = 0; run < 20000; run++) {
		struct refresh_family f = family(100, false);
		unsigned held[2] = { 100, 100 };
		int64_t now = 0;
		bool diverged = false;

		for (int i = 0; i < 12; i++) {
			int who = rand() % 2;
			int64_t generation = f.generation;
			enum refresh_verdict v;

			now += rand() % 4 == 0 ? REFRESH_GRACE_MS + 1 + rand() % 100000 : rand() % 3000;
			v = step(&f, held[who], now);
			assert_true(f.generation == generation || v == REFRESH_ROTATE);
			assert_true(!f.revoked || v == REFRESH_REUSE || v == REFRESH_OVER);
			if (v == REFRESH_ROTATE || v == REFRESH_AGAIN) {
				unsigned char mine[REFRESH_HASH_LEN];

				held[who]++;
				hash_of(held[who], mine);
				assert_memory_equal(mine, f.current, REFRESH_HASH_LEN);
			} else {
				diverged = true;
			}
			if (diverged)
				assert_true(f.revoked);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_current_rotates),	     cmocka_unit_test(test_sliding_ends_at_absolute),
		cmocka_unit_test(test_predecessor_in_grace), cmocka_unit_test(test_older_is_reuse_at_once),
		cmocka_unit_test(test_no_predecessor),	     cmocka_unit_test(test_exhaustive),
		cmocka_unit_test(test_random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
