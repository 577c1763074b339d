/* What one combined statement admits, asked of PostgreSQL itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libpq-fe.h>

#include "common/timeutil.h"
#include "tests/support/pg_fixture.h"

extern const struct migration inventory_migrations[];

static struct pg_fixture *fx;

static int open_world(void **state)
{
	(void)state;
	fx = pg_fixture_open("inventory", inventory_migrations);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	pg_fixture_close(fx);
	return 0;
}

static void stock(const char *variant, int units)
{
	pg_fixture_sql(fx, "INSERT INTO inventory.stock (variant_id, vendor_id, sku, on_hand) VALUES ('%s', 'v', '%s', %d)", variant,
		       variant, units);
}

#define BATCH                                                                                                          \
	"SELECT string_agg(outcome || ':' || available, ' ' ORDER BY ord)"                                             \
	" FROM inventory.reserve_batch('%s', %s, %s, %s, %s, array_fill(900, ARRAY[%d]), %d)"

static void assert_books(const char *variant, int reserved)
{
	assert_int_equal(pg_fixture_i64(fx, "SELECT reserved FROM inventory.stock WHERE variant_id = '%s'", variant), reserved);
	assert_int_equal(pg_fixture_i64(fx,
					"SELECT coalesce(sum(l.qty), 0)::bigint FROM inventory.reservation_line l JOIN"
					" inventory.reservation r ON r.id = l.reservation_id WHERE r.state = 'active' AND"
					" l.variant_id = '%s'",
					variant),
			 reserved);
}

/* In their order; one that does not fit does not stop a smaller one. */
static void test_order(void **state)
{
	(void)state;
	stock("o", 5);
	assert_string_equal(pg_fixture_text(fx, BATCH, "o", "ARRAY['o1','o2','o3','o4']", "ARRAY['a1','a2','a3','a4']",
					    "ARRAY[3,4,2,1]", "ARRAY['','','','']", 4, 0),
			    "ok:5 short:2 ok:2 short:0");
	assert_books("o", 5);
	assert_string_equal(pg_fixture_text(fx, BATCH, "nowhere", "ARRAY['o9']", "ARRAY['a9']", "ARRAY[1]", "ARRAY['']", 1, 0),
			    "unknown:0");
}

/* The same key before, and twice in one batch: held once. */
static void test_keys(void **state)
{
	(void)state;
	stock("k", 5);
	assert_string_equal(pg_fixture_text(fx, BATCH, "k", "ARRAY['k1']", "ARRAY['b1']", "ARRAY[2]", "ARRAY['']", 1, 0), "ok:5");
	assert_string_equal(pg_fixture_text(fx, BATCH, "k", "ARRAY['k1','k2','k2','k3']", "ARRAY['b2','b3','b4','b5']",
					    "ARRAY[2,1,1,2]", "ARRAY['','','','']", 4, 0),
			    "known:3 ok:3 known:2 ok:2");
	assert_books("k", 5);
}

/* A request and its own repeat in one batch: the repeat takes nothing, so neither stock nor cap refuse it. */
static void test_repeats(void **state)
{
	(void)state;
	stock("r", 3);
	assert_string_equal(pg_fixture_text(fx, BATCH, "r", "ARRAY['r1','r1','r2','r2']", "ARRAY['g1','g2','g3','g4']", "ARRAY[2,2,1,1]",
					    "ARRAY['','','','']", 4, 0),
			    "ok:3 known:1 ok:1 known:0");
	assert_books("r", 3);
	stock("s", 9);
	assert_string_equal(pg_fixture_text(fx, BATCH, "s", "ARRAY['s1','s1']", "ARRAY['h1','h2']", "ARRAY[3,3]", "ARRAY['ann','ann']",
					    2, 4),
			    "ok:9 known:6");
	assert_books("s", 3);
}

/* The cap counts what an owner holds already and what the same batch gives it. */
static void test_cap(void **state)
{
	(void)state;
	stock("c", 100);
	assert_string_equal(pg_fixture_text(fx, BATCH, "c", "ARRAY['c1']", "ARRAY['d1']", "ARRAY[2]", "ARRAY['ann']", 1, 5), "ok:100");
	assert_string_equal(pg_fixture_text(fx, BATCH, "c", "ARRAY['c2','c3','c4','c5']", "ARRAY['d2','d3','d4','d5']",
					    "ARRAY[2,2,9,1]", "ARRAY['ann','ann','','ann']", 4, 5),
			    "ok:98 capped:96 ok:96 ok:87");
	assert_books("c", 14);
}

/* Somebody else's open transaction has a key of the batch: that one is known in the end, and its unit goes to the next. */
static void test_lost_key(void **state)
{
	PGconn *other = PQconnectdb(pg_fixture_admin_dsn(fx)), *mine = PQconnectdb(pg_fixture_admin_dsn(fx));
	PGresult *r;

	(void)state;
	stock("l", 1);
	assert_int_equal(PQstatus(other), CONNECTION_OK);
	assert_int_equal(PQstatus(mine), CONNECTION_OK);
	r = PQexec(other, "BEGIN; INSERT INTO inventory.reservation (id, key, expires_at) VALUES ('x1', 'l1', now())");
	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
	assert_int_equal(PQsendQuery(mine, "SELECT string_agg(outcome, ' ' ORDER BY ord) FROM inventory.reserve_batch('l',"
					   " ARRAY['l1','l2','l3'], ARRAY['e1','e2','e3'], ARRAY[1,1,1], ARRAY['','',''],"
					   " ARRAY[900,900,900], 0)"),
			 1);
	while (!pg_fixture_i64(fx, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock'",
			       PQbackendPID(mine)))
		sleep_ms(5);
	PQclear(PQexec(other, "COMMIT"));
	r = PQgetResult(mine);
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	assert_string_equal(PQgetvalue(r, 0, 0), "known ok short");
	PQclear(r);
	PQfinish(mine);
	PQfinish(other);
	assert_books("l", 1);
}

/* The answer of a new one says when it ends, as the row does. */
static void test_expires(void **state)
{
	(void)state;
	stock("t", 1);
	assert_int_equal(pg_fixture_i64(fx, "WITH b AS MATERIALIZED (SELECT expires_at FROM inventory.reserve_batch('t',"
					    " ARRAY['t1'], ARRAY['f1'], ARRAY[1], ARRAY[''], ARRAY[600], 0))"
					    " SELECT expires_at - (extract(epoch FROM now()) * 1000)::bigint FROM b"),
			 600000);
	assert_int_equal(pg_fixture_i64(fx, "SELECT extract(epoch FROM expires_at - created_at)::bigint FROM"
					    " inventory.reservation WHERE key = 't1'"),
			 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_keys),    cmocka_unit_test(test_cap),
		cmocka_unit_test(test_lost_key), cmocka_unit_test(test_expires), cmocka_unit_test(test_repeats),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
