/* One holder at a time, by PostgreSQL's clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/lease.h"
#include "support/pg_fixture.h"

static struct pg_fixture *fx;
static struct pg_pool *pool;

static int setup(void **state)
{
	(void)state;
	fx = pg_fixture_open("shop", NULL);
	pool = pg_fixture_pool(fx, NULL, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_pool_close(pool);
	pg_fixture_close(fx);
	return 0;
}

static bool take(const char *name, int seconds)
{
	struct err e = { 0 };
	struct pg *pg = NULL;
	bool mine = false;

	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(lease_take(pg, name, seconds, &mine, &e), OK);
	pg_return(pg);
	return mine;
}

static void release(const char *name)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(lease_release(pg, name, &e), OK);
	pg_return(pg);
}

static void test_one_holder(void **state)
{
	(void)state;
	assert_true(take("job", 60));
	assert_true(take("job", 60)); /* prolonged */
	pg_fixture_sql(fx, "UPDATE shop.lease SET owner = 'another' WHERE name = 'job'");
	assert_false(take("job", 60));
	release("job"); /* not ours: nothing happens */
	assert_string_equal(pg_fixture_text(fx, "SELECT owner FROM shop.lease WHERE name = 'job'"), "another");
	pg_fixture_sql(fx, "UPDATE shop.lease SET lease_until = now() - interval '1 ms' WHERE name = 'job'");
	assert_true(take("job", 60));
	assert_string_equal(pg_fixture_text(fx, "SELECT owner FROM shop.lease WHERE name = 'job'"), lease_owner());
	release("job");
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.lease"), 0);
}

/* Many at once on a name nobody holds: exactly one wins. Each is a session of its own, as each replica is. */
static void test_race(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		pg_fixture_sql(fx, "INSERT INTO shop.lease VALUES ('race%d', 'gone', now() - interval '1 s')", i);
		assert_true(take("fresh", 60));
		assert_int_equal(pg_fixture_i64(fx,
						"WITH w AS (INSERT INTO shop.lease AS l VALUES ('race%d', 'x', now() + interval '9 s')"
						" ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until"
						" WHERE l.lease_until < now() RETURNING 1) SELECT count(*) FROM w",
						i),
				 1);
		char name[16];

		(void)snprintf(name, sizeof(name), "race%d", i);
		assert_false(take(name, 60));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_one_holder), cmocka_unit_test(test_race) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
