/* One holder at a time, by PostgreSQL's clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
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

/* Takes the lease in a process that is then killed; its owner id. */
static void take_and_die(char who[160])
{
	int p[2];
	pid_t child;

	assert_int_equal(pipe(p), 0);
	child = fork();
	if (child == 0) {
		(void)!write(p[1], lease_owner(), strlen(lease_owner()));
		_exit(0);
	}
	close(p[1]);
	memset(who, 0, 160);
	assert_true(read(p[0], who, 159) > 0);
	close(p[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* What a killed process of this machine held is free at its successor's start; others' stays. */
static void test_dead_holder(void **state)
{
	struct err e = { 0 };
	char dead[160], alive[160];

	(void)state;
	take_and_die(dead); /* before this process knows its own id: fork and the random part */
	(void)snprintf(alive, sizeof(alive), "%.*s:%ld:00", (int)strcspn(lease_owner(), ":"), lease_owner(), (long)getppid());
	pg_fixture_sql(fx, "INSERT INTO shop.lease (name, owner, lease_until) VALUES ('a', '%s', now() + interval '1 h'),"
			   " ('b', '%s', now() + interval '1 h'), ('c', 'elsewhere.1:1:00', now() + interval '1 h');"
			   "INSERT INTO shop.inbox_cursor (source, owner, lease_until) VALUES ('a', '%s', now() + interval '1 h'),"
			   " ('b', '%s', now() + interval '1 h')", dead, alive, dead, alive);
	assert_int_equal(lease_free_dead(pool, &e), OK);
	assert_string_equal(pg_fixture_text(fx, "SELECT string_agg(name, '' ORDER BY name) FROM shop.lease WHERE lease_until > now()"),
			    "bc");
	assert_string_equal(pg_fixture_text(fx, "SELECT string_agg(source, '') FROM shop.inbox_cursor WHERE lease_until > now()"), "b");
	assert_true(take("a", 60));
	assert_int_equal(lease_free_dead(pool, &e), OK); /* ours is ours */
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.lease WHERE name = 'a' AND lease_until > now()"), 1);
	pg_fixture_sql(fx, "DELETE FROM shop.lease; DELETE FROM shop.inbox_cursor");
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dead_holder), cmocka_unit_test(test_one_holder), cmocka_unit_test(test_race) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
