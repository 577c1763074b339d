/* The gate before Argon2: never more at once than permits, never more waiting than places, in order, in time. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/timeutil.h"
#include "services/identity/hash_queue.h"

static void test_full_queue_refuses(void **state)
{
	struct hash_queue *q = hash_queue_new(1, 0);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(hash_queue_enter(q, mono_ms() + 1000, &e), OK);
	assert_int_equal(hash_queue_enter(q, mono_ms() + 1000, &e), E_UNAVAILABLE);
	assert_true(err_is(&e, "identity.busy"));
	assert_true(e.retry_after_ms > 0);
	hash_queue_leave(q);
	assert_int_equal(hash_queue_enter(q, mono_ms() + 1000, &e), OK);
	hash_queue_leave(q);
	hash_queue_free(q);
}

static void test_deadline(void **state)
{
	struct hash_queue *q = hash_queue_new(1, 5);
	struct err e = { 0 };
	int64_t start = mono_ms();

	(void)state;
	assert_int_equal(hash_queue_enter(q, start + 20000, &e), OK);
	assert_int_equal(hash_queue_enter(q, start + 50, &e), E_UNAVAILABLE);
	assert_in_range(mono_ms() - start, 50, 20000);
	hash_queue_leave(q); /* nobody waits any more: the permit must not be lost */
	assert_int_equal(hash_queue_enter(q, mono_ms() + 1000, &e), OK);
	hash_queue_leave(q);
	hash_queue_free(q);
}

struct crowd {
	struct hash_queue *q;
	atomic_int inside, most, passed, refused;
};

static void *visitor(void *arg)
{
	struct crowd *w = arg;
	struct err e = { 0 };

	for (int i = 0; i < 20; i++) {
		if (hash_queue_enter(w->q, mono_ms() + 20000, &e)) {
			atomic_fetch_add(&w->refused, 1);
			continue;
		}
		int now = atomic_fetch_add(&w->inside, 1) + 1, most = atomic_load(&w->most);

		while (now > most && !atomic_compare_exchange_weak(&w->most, &most, now))
			;
		sleep_ms(1);
		atomic_fetch_sub(&w->inside, 1);
		hash_queue_leave(w->q);
		atomic_fetch_add(&w->passed, 1);
	}
	return NULL;
}

static void crowd_of(int threads, int permits, int places, struct crowd *w)
{
	pthread_t t[16];

	w->q = hash_queue_new(permits, places);
	for (int i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&t[i], NULL, visitor, w), 0);
	for (int i = 0; i < threads; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	hash_queue_free(w->q);
}

static void test_bound(void **state)
{
	struct crowd enough = { 0 }, tight = { 0 };

	(void)state;
	assert_true(hash_queue_default_permits() >= 1);
	crowd_of(12, 2, 10, &enough);
	assert_int_equal(enough.most, 2);
	assert_int_equal(enough.passed, 12 * 20);
	assert_int_equal(enough.refused, 0);
	crowd_of(12, 1, 2, &tight);
	assert_int_equal(tight.most, 1);
	assert_true(tight.refused > 0);
	assert_int_equal(tight.passed + tight.refused, 12 * 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_queue_refuses),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
