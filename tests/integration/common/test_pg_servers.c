/* Behind a real PgBouncer in transaction mode, and beside a real streaming standby (tests/support/pg_servers.sh). */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/arena.h"
#include "common/pg.h"
#include "common/timeutil.h"

enum { THREADS = 6, ROUNDS = 60 };

struct n_row {
	int64_t n;
};
static const struct pg_col n_cols[] = { PG_COL(n_row, n) };
static const struct pg_stmt add = { .name = "add", .sql = "UPDATE app.tally SET n = n + $1::bigint WHERE id = 1" };
static const struct pg_stmt total = {
	.name = "total", .sql = "SELECT n FROM app.tally WHERE id = 1", .col = n_cols, .ncol = 1,
	.row_size = sizeof(struct n_row), .flags = PG_REPLICA,
};
static const struct pg_stmt standby = {
	.name = "standby", .sql = "SELECT pg_is_in_recovery()::int::bigint AS n", .col = n_cols, .ncol = 1,
	.row_size = sizeof(struct n_row), .flags = PG_REPLICA,
};
static const struct pg_stmt timeout = {
	.name = "timeout", .sql = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)::bigint AS n",
	.col = n_cols, .ncol = 1, .row_size = sizeof(struct n_row),
};
static const struct pg_stmt backends = {
	.name = "backends", .sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'app'", .col = n_cols,
	.ncol = 1, .row_size = sizeof(struct n_row),
};
static const struct pg_stmt *const list[] = { &add, &total, &standby, &timeout, &backends, NULL };
static const struct pg_stmt *const *const stmts[] = { list, NULL };

static char dir[] = "/tmp/souk-pg.XXXXXX", direct[128], pooled[128], replica[128];

static int script(const char *what)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		execl("/bin/bash", "bash", SOUK_SOURCE_DIR "/tests/support/pg_servers.sh", what, dir, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int start(void **state)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	if (!mkdtemp(dir) || script("start"))
		return -1;
	snprintf(direct, sizeof(direct), "host=%s port=5432 user=postgres dbname=postgres", dir);
	snprintf(pooled, sizeof(pooled), "host=%s port=6432 user=app dbname=postgres", dir);
	snprintf(replica, sizeof(replica), "host=%s port=5433 user=app dbname=postgres", dir);
	if (pg_connect(direct, "test", &pg, &e) ||
	    pg_script(pg,
		      "CREATE ROLE app LOGIN; ALTER ROLE app SET statement_timeout = '7s'; CREATE SCHEMA app;"
		      "CREATE TABLE app.tally (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO app.tally VALUES (1, 0);"
		      "GRANT USAGE ON SCHEMA app TO app; GRANT SELECT, UPDATE ON app.tally TO app",
		      &e)) {
		print_error("%s\n", e.msg);
		return -1;
	}
	pg_disconnect(pg);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return script("stop");
}

static struct pg_pool *open_pool(const char *replica_dsn)
{
	const struct pg_conf conf = { .dsn = pooled, .replica_dsn = replica_dsn, .pool = THREADS,
				      .transaction_pooler = true, .app = "test" };
	struct pg_pool *p = NULL;
	struct err e = { 0 };

	if (pg_pool_open(&conf, stmts, &p, &e))
		fail_msg("%s", e.msg);
	return p;
}

static int64_t ask(struct pg *pg, const struct pg_stmt *st)
{
	struct arena *a = arena_new("test", 1 << 16);
	const struct n_row *row = NULL;
	struct err e = { 0 };
	int64_t n;

	if (pg_one(pg, st, PG_NONE, a, &row, &e))
		fail_msg("%s: %s", st->name, e.msg);
	n = row->n;
	arena_free(a);
	return n;
}

static int64_t ask_primary(struct pg_pool *p, const struct pg_stmt *st)
{
	struct err e = { 0 };
	struct pg *pg = NULL;
	int64_t n;

	assert_int_equal(pg_borrow(p, mono_ms() + 20000, &pg, &e), OK);
	n = ask(pg, st);
	pg_return(pg);
	return n;
}

static enum err_code add_twice(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	if (pg_exec(pg, &add, PG_ARGS(P((int64_t)1)), NULL, e) || pg_exec(pg, &add, PG_ARGS(P((int64_t)1)), NULL, e))
		return e->code;
	return OK;
}

static void *adder(void *arg)
{
	const struct pg_actor who = { "system", "req_1" };
	struct err e = { 0 };

	for (int i = 0; i < ROUNDS; i++)
		if (pg_tx(arg, mono_ms() + 60000, &who, add_twice, NULL, &e))
			return strdup(e.msg);
	return NULL;
}

/* More clients than server connections, each transaction wherever there is a place. */
static void many_share_two_connections(void **state)
{
	struct pg_pool *p = open_pool(NULL);
	pthread_t thread[THREADS];
	char *why = NULL;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, adder, p), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], (void **)&why);
		if (why)
			fail_msg("%s", why);
	}
	assert_int_equal(ask_primary(p, &total), 2 * THREADS * ROUNDS);
	assert_in_range(ask_primary(p, &backends), 1, 2);
	assert_int_equal(ask_primary(p, &timeout), 7); /* the role's setting, on whichever connection */
	pg_pool_close(p);
}

/* Where a read-marked statement goes, within the deadline. */
static bool reads_come_from(struct pg_pool *p, bool from_standby)
{
	int64_t until = mono_ms() + 30000;
	bool seen;

	do {
		struct err e = { 0 };
		struct pg *pg = NULL;

		assert_int_equal(pg_borrow_read(p, mono_ms() + 20000, &pg, &e), OK);
		seen = ask(pg, &standby) == 1;
		pg_return(pg);
		if (seen == from_standby)
			return true;
		poll(NULL, 0, 50);
	} while (mono_ms() < until);
	return false;
}

static void reads_go_to_the_standby_and_fall_back(void **state)
{
	struct pg_pool *p = open_pool(replica);
	const struct pg_actor who = { "system", "req_1" };
	int64_t until, before, seen;
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_true(reads_come_from(p, true));
	assert_int_equal(ask_primary(p, &standby), 0); /* what is not marked stays where it is written */

	before = ask_primary(p, &total);
	assert_int_equal(pg_tx(p, mono_ms() + 20000, &who, add_twice, NULL, &e), OK);
	until = mono_ms() + 30000;
	do {
		assert_int_equal(pg_borrow_read(p, mono_ms() + 20000, &pg, &e), OK);
		seen = ask(pg, &total);
		pg_return(pg);
	} while (seen != before + 2 && mono_ms() < until);
	assert_int_equal(seen, before + 2);

	assert_int_equal(script("standby-stop"), 0);
	assert_true(reads_come_from(p, false));
	assert_int_equal(script("standby-start"), 0);
	assert_true(reads_come_from(p, true));
	pg_pool_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_share_two_connections),
		cmocka_unit_test(reads_go_to_the_standby_and_fall_back),
	};

	if (access("/usr/sbin/pgbouncer", X_OK)) {
		print_error("pgbouncer is not installed: run deploy/install-packages.sh\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
