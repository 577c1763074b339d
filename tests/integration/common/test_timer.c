/* Periodic jobs: they run, alone where leased, survive failures, stop at once; the mechanisms' jobs come with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/timer.h"
#include "common/timeutil.h"
#include "support/pg_fixture.h"

static struct pg_fixture *fx;
static struct pg_pool *pool;

static int setup(void **state)
{
	(void)state;
	log_set_level(LVL_CRITICAL);
	fx = pg_fixture_open("shop", NULL);
	pool = pg_fixture_pool(fx, NULL, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_pool_close(pool);
	pg_fixture_close(fx);
	return 0;
}

static _Atomic int quick_runs, failing_runs, rare_runs, leased_runs;

static enum err_code quick(void *svc, struct arena *a, struct err *e)
{
	(void)svc;
	(void)e;
	(void)arena_alloc(a, 1 << 20); /* reset after each run: many of them fit */
	assert_false(pg_in_tx());
	atomic_fetch_add(&quick_runs, 1);
	return OK;
}

static enum err_code failing(void *svc, struct arena *a, struct err *e)
{
	(void)svc;
	(void)a;
	atomic_fetch_add(&failing_runs, 1);
	return err_set(e, E_INTERNAL, "test.fail", "always");
}

static enum err_code rare(void *svc, struct arena *a, struct err *e)
{
	(void)a;
	(void)e;
	assert_string_equal(svc, "svc");
	atomic_fetch_add(&rare_runs, 1);
	return OK;
}

static enum err_code leased(void *svc, struct arena *a, struct err *e)
{
	(void)svc;
	(void)a;
	(void)e;
	atomic_fetch_add(&leased_runs, 1);
	return OK;
}

static const struct timer_job jobs[] = {
	{ "quick", 5, false, quick },	{ "failing", 5, false, failing }, { "rare", 3600000, false, rare },
	{ "leased", 5, true, leased },	{ 0 },
};

static void until(_Atomic int *n, int at_least)
{
	for (int64_t start = mono_ms(); atomic_load(n) < at_least && mono_ms() < start + 20000;)
		sleep_ms(2);
	assert_true(atomic_load(n) >= at_least);
}

static void test_runs(void **state)
{
	struct timers *t = NULL;
	struct err e = { 0 };
	int n;

	(void)state;
	/* Another replica holds the lease. */
	pg_fixture_sql(fx, "INSERT INTO shop.lease VALUES ('leased', 'another', now() + interval '1 hour')");
	assert_int_equal(timers_start(jobs, pool, "svc", &t, &e), OK);
	until(&quick_runs, 40);
	until(&failing_runs, 10); /* failures do not end it */
	assert_int_equal(atomic_load(&rare_runs), 0);
	timers_kick(t, "rare");
	until(&rare_runs, 1);
	assert_int_equal(atomic_load(&leased_runs), 0);
	pg_fixture_sql(fx, "UPDATE shop.lease SET lease_until = now() WHERE name = 'leased'");
	until(&leased_runs, 3);
	timers_stop(t);
	n = atomic_load(&quick_runs);
	sleep_ms(30);
	assert_int_equal(atomic_load(&quick_runs), n);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.lease WHERE name = 'leased'"), 0); /* given back */
}

/* An empty table still seals the audit log within seconds. */
static void test_mechanisms(void **state)
{
	static const struct timer_job none[] = { { 0 } };
	struct timers *t = NULL;
	struct err e = { 0 };
	int64_t start = mono_ms();

	(void)state;
	pg_fixture_sql(fx, "CREATE TABLE shop.t (id int PRIMARY KEY); SELECT shop.audit_attach('t'); INSERT INTO shop.t VALUES (1)");
	assert_int_equal(timers_start(none, pool, NULL, &t, &e), OK);
	while (pg_fixture_i64(fx, "SELECT rows FROM shop.audit_head") == 0 && mono_ms() < start + 10000)
		sleep_ms(20);
	assert_int_equal(pg_fixture_i64(fx, "SELECT rows FROM shop.audit_head"), 1);
	timers_kick(t, "souk.idem_sweep");
	timers_kick(t, "souk.outbox_prune");
	timers_kick(t, "souk.inbox_prune");
	/* Who is behind is told without anybody's asking. */
	pg_fixture_sql(fx, "INSERT INTO shop.outbox (epoch, event_id, agg_type, agg_id, agg_version, type, payload)"
			   " SELECT c.epoch, 'evt_1', 'user', 'usr_1', 1, 'user.erased', '' FROM shop.cluster c");
	pg_fixture_sql(fx, "INSERT INTO shop.outbox_consumer (consumer, epoch, xid, pos) VALUES ('slow', 0, '0', 0)");
	start = mono_ms();
	while (metric_value(metric_gauge("souk_outbox_pending_rows", "", NULL)) != 1 && mono_ms() < start + 30000)
		sleep_ms(20);
	assert_int_equal(metric_value(metric_gauge("souk_outbox_pending_rows", "", NULL)), 1);
	timers_stop(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_runs), cmocka_unit_test(test_mechanisms) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
