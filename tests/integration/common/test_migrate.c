/* Migrations: twice, at once, changed, newer than the program, without a transaction, failing half-way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include "common/migrate.h"
#include "support/pg_fixture.h"

#define H(n) "000000000000000000000000000000000000000000000000000000000000000" #n
#define END  { 0, NULL, NULL, NULL }
#define M1   { 1, "one", "CREATE TABLE shop.a (id int PRIMARY KEY); SELECT ${schema}.audit_attach('a');", H(1) }
#define M2   { 2, "two", "ALTER TABLE shop.a ADD COLUMN n int", H(2) }
#define M3   { 3, "three", "-- what it needs\n-- min-binary-schema: 2\nALTER TABLE shop.a ADD COLUMN m int", H(3) }

static const struct migration release1[] = { M1, END };
static const struct migration release2[] = { M1, M2, END };
static const struct migration release3[] = { M1, M2, M3, END };

static struct pg_fixture *fx;

static int setup(void **state)
{
	(void)state;
	fx = pg_fixture_open("shop", release1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_fixture_close(fx);
	return 0;
}

static enum err_code run(const struct migration *m, struct err *e)
{
	return migrate_run(pg_fixture_migrate_dsn(fx), "shop", m, e);
}

static enum err_code check(const struct migration *m, struct err *e)
{
	enum err_code code;
	struct pg *pg = NULL;

	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "t", &pg, e), OK); /* as the daemon does it */
	code = migrate_check(pg, "shop", m, e);
	pg_disconnect(pg);
	return code;
}

static int64_t recorded(void)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM shop.migration WHERE set_name = 'shop'");
}

static void test_twice(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(run(release1, &e), OK);
	assert_int_equal(recorded(), 1);
	assert_int_equal(run(release2, &e), OK);
	assert_int_equal(run(release2, &e), OK);
	assert_int_equal(recorded(), 2);
	assert_int_equal(check(release2, &e), OK);
	assert_string_equal(pg_fixture_text(fx, "SELECT tableowner FROM pg_tables WHERE schemaname = 'shop' AND tablename = 'a'"),
			    "souk_shop_owner");
	assert_string_equal(pg_fixture_unaudited(fx, "shop"), "");
}

/* Release N runs on schema N+1, until a migration says it cannot. */
static void test_older_program(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(check(release1, &e), OK);
	assert_int_equal(run(release1, &e), OK); /* an old --migrate changes nothing */
	assert_int_equal(recorded(), 2);
	assert_int_equal(run(release3, &e), OK);
	assert_int_equal(check(release3, &e), OK);
	assert_int_equal(check(release2, &e), OK);
	assert_int_equal(check(release1, &e), E_INTERNAL);
	assert_string_equal(e.slug, "migrate.too_old");
}

static void test_missing(void **state)
{
	static const struct migration ahead[] = { M1, M2, M3, { 4, "four", "SELECT 1", H(4) }, END };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(check(ahead, &e), E_INTERNAL);
	assert_string_equal(e.slug, "migrate.missing");
}

static void test_changed(void **state)
{
	static const struct migration forged[] = { { 1, "one", "SELECT 1", H(9) }, M2, M3, END };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(check(forged, &e), E_INTERNAL);
	assert_string_equal(e.slug, "migrate.changed");
	assert_int_equal(run(forged, &e), E_INTERNAL);
	assert_string_equal(e.slug, "migrate.changed");
}

static void test_fails_whole(void **state)
{
	static const struct migration bad[] = {
		M1, M2, M3, { 4, "bad", "CREATE TABLE shop.half (id int); SELECT nonsense", H(4) }, END
	};
	struct err e = { 0 };

	(void)state;
	assert_int_equal(run(bad, &e), E_INTERNAL);
	assert_non_null(strstr(e.msg, "shop/0004_bad"));
	assert_non_null(strstr(e.msg, "nonsense"));
	assert_int_equal(recorded(), 3);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'"), 0);
}

static void test_no_transaction(void **state)
{
	static const struct migration more[] = {
		M1, M2, M3, { 4, "index", "-- no-transaction\nCREATE INDEX CONCURRENTLY a_n ON shop.a (n)", H(4) }, END
	};
	struct err e = { 0 };

	(void)state;
	assert_int_equal(run(more, &e), OK);
	assert_int_equal(run(more, &e), OK);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM pg_indexes WHERE indexname = 'a_n'"), 1);
	assert_string_equal(pg_fixture_text(fx, "SELECT tableowner FROM pg_tables WHERE tablename = 'a'"),
			    "souk_shop_owner");
}

/* Six migrators start at once on an empty schema; each finds the work done or does it. */
static void *migrator(void *arg)
{
	struct err e = { 0 };

	*(enum err_code *)arg = migrate_run(pg_fixture_migrate_dsn(fx), "crowd", NULL, &e);
	if (e.code)
		print_message("%s %s\n", e.slug, e.msg);
	return NULL;
}

static void test_at_once(void **state)
{
	enum err_code codes[6];
	pthread_t t[6];

	(void)state;
	pg_fixture_add_bare(fx, "crowd");
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&t[i], NULL, migrator, &codes[i]), 0);
	for (int i = 0; i < 6; i++) {
		(void)pthread_join(t[i], NULL);
		assert_int_equal(codes[i], OK);
	}
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM crowd.migration"),
			 pg_fixture_i64(fx, "SELECT count(*) FROM shop.migration WHERE set_name = 'common'"));
}

static void test_refusals(void **state)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_int_equal(migrate_run(pg_fixture_migrate_dsn(fx), "no_such", NULL, &e), E_INTERNAL);
	assert_non_null(strstr(e.msg, "schema.sql"));
	assert_int_equal(migrate_run(pg_fixture_migrate_dsn(fx), "x; DROP", NULL, &e), E_INTERNAL);
	assert_int_equal(migrate_run(pg_fixture_dsn(fx), "shop", release1, &e), E_INTERNAL); /* the runtime role may not */
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "t", &pg, &e), OK);
	assert_int_equal(migrate_check(pg, "no_such", NULL, &e), E_INTERNAL);
	assert_string_equal(e.slug, "migrate.missing");
	pg_disconnect(pg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twice),	    cmocka_unit_test(test_older_program), cmocka_unit_test(test_missing),
		cmocka_unit_test(test_changed),	    cmocka_unit_test(test_fails_whole),	  cmocka_unit_test(test_no_transaction),
		cmocka_unit_test(test_at_once),	    cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
