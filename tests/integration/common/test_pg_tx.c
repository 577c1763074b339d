/* Transactions: who is recorded, what is retried, what is never pretended. */
#include <string.h>
#include <pthread.h>

#include "common/pg_internal.h"
#include "shop_db.h"

struct text_row {
	const char *t;
};
static const struct pg_col text_cols[] = { PG_COL(text_row, t) };
static const struct pg_stmt who_stmt = {
	.name = "who",
	.sql = "SELECT current_setting('souk.actor', true) || '|' || current_setting('souk.request_id', true) AS t",
	.col = text_cols, .ncol = 1, .row_size = sizeof(struct text_row),
};
static const struct pg_stmt add = { .name = "add", .sql = "INSERT INTO shop.item (id) VALUES ($1)" };
static const struct pg_stmt bump = { .name = "bump", .sql = "UPDATE shop.item SET n = n + 1 WHERE id = $1" };
static const struct pg_stmt look = {
	.name = "look", .sql = "SELECT n::text AS t FROM shop.item WHERE id = $1",
	.col = text_cols, .ncol = 1, .row_size = sizeof(struct text_row),
};
static const struct pg_stmt broken = {
	.name = "broken", .sql = "SELECT (1 / n)::text AS t FROM shop.item WHERE id = $1",
	.col = text_cols, .ncol = 1, .row_size = sizeof(struct text_row),
};
static const struct pg_stmt twice = { .name = "twice", .sql = "INSERT INTO shop.late (k) VALUES (1)" };
static const struct pg_stmt suicide = { .name = "suicide", .sql = "SELECT pg_terminate_backend(pg_backend_pid())" };
static const struct pg_stmt *const stmts[] = { &who_stmt, &add, &bump, &look, &broken, &twice, &suicide, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };

static const struct migration shop_migrations[] = {
	{ 1, "item",
	  "CREATE TABLE shop.item (id text PRIMARY KEY, n integer NOT NULL DEFAULT 0);"
	  "CREATE TABLE shop.late (k integer, CONSTRAINT late_k UNIQUE (k) DEFERRABLE INITIALLY DEFERRED);"
	  "INSERT INTO shop.audit_exempt VALUES ('item', 'test'), ('late', 'test')",
	  "0000000000000000000000000000000000000000000000000000000000000002" },
	{ 0, NULL, NULL, NULL },
};

static int setup(void **state)
{
	(void)state;
	return shop_open(shop_migrations, tables, 4);
}

static int empty(void **state)
{
	(void)state;
	pg_fault_inject(PG_FAULT_ERROR, 0);
	pg_fixture_sql(fx, "DELETE FROM shop.item; DELETE FROM shop.late");
	assert_false(pg_in_tx());
	return 0;
}

static int64_t items(void)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM shop.item");
}

static enum err_code read_who(struct pg *pg, void *arg, struct err *e)
{
	struct text_row *row = NULL;

	assert_true(pg_in_tx());
	if (pg_one(pg, &who_stmt, PG_NONE, a, &row, e))
		return e->code;
	*(const char **)arg = row->t;
	return OK;
}

static void test_actor(void **state)
{
	const char *seen = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, &(struct pg_actor){ "user:o'brien\\", "req_'; DROP" }, read_who, &seen, &e), OK);
	assert_string_equal(seen, "user:o'brien\\|req_'; DROP");
	assert_int_equal(pg_tx(pool, 0, NULL, read_who, &seen, &e), OK);
	assert_string_equal(seen, "system|");
	assert_int_equal(pg_tx(pool, 0, &(struct pg_actor){ "user:\xff", "r" }, read_who, &seen, &e), OK);
	assert_string_equal(seen, "invalid|r");
	assert_false(pg_in_tx());
}

struct script {
	const char *id;
	int calls, fail_first;
	enum err_code code;
	int fault_at_call;
	enum pg_fault fault;
};

static enum err_code put(struct pg *pg, void *arg, struct err *e)
{
	struct script *s = arg;

	s->calls++;
	if (pg_exec(pg, &add, PG_ARGS(P(s->id)), NULL, e))
		return e->code;
	if (s->calls <= s->fail_first)
		return err_set(e, s->code, "test.fail", "call %d", s->calls);
	if (s->fault_at_call == s->calls)
		pg_fault_inject(s->fault, 1); /* the next statement is COMMIT */
	return OK;
}

static void test_commit_and_rollback(void **state)
{
	struct script ok = { .id = "a" }, bad = { .id = "b", .fail_first = 1, .code = E_RULE };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, put, &ok, &e), OK);
	assert_int_equal(pg_tx(pool, 0, NULL, put, &bad, &e), E_RULE);
	assert_string_equal(e.slug, "test.fail");
	assert_int_equal(bad.calls, 1);
	assert_int_equal(items(), 1);
}

static void test_retry(void **state)
{
	struct script some = { .id = "a", .fail_first = 3, .code = E_RETRY };
	struct script always = { .id = "b", .fail_first = 99, .code = E_RETRY };
	struct script late = { .id = "c", .fail_first = 99, .code = E_RETRY };
	struct script commit = { .id = "d", .fault_at_call = 1, .fault = PG_FAULT_RETRY };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, put, &some, &e), OK);
	assert_int_equal(some.calls, 4);
	assert_int_equal(pg_tx(pool, 0, NULL, put, &always, &e), E_RETRY);
	assert_int_equal(always.calls, 5);
	err_clear(&e);
	assert_int_equal(pg_tx(pool, mono_ms() + 1, NULL, put, &late, &e), E_RETRY); /* not past the deadline */
	assert_in_range(late.calls, 1, 2);
	assert_int_equal(pg_tx(pool, 0, NULL, put, &commit, &e), OK); /* 40001 of COMMIT itself */
	assert_int_equal(commit.calls, 2);
	assert_int_equal(items(), 2);
}

/* A failed statement whose error fn swallowed: COMMIT would roll back, and that must not look like success. */
static enum err_code careless(struct pg *pg, void *arg, struct err *e)
{
	struct err ignored = { 0 };

	(void)arg;
	(void)e;
	for (int i = 0; i < 2; i++)
		if (pg_exec(pg, &add, PG_ARGS(P("same")), NULL, &ignored) && i == 0)
			return ignored.code;
	return OK;
}

static void test_careless(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, careless, NULL, &e), E_INTERNAL);
	assert_int_equal(items(), 0);
}

static void test_outcome_unknown(void **state)
{
	struct script arrives = { .id = "a", .fault_at_call = 1, .fault = PG_FAULT_DROP_AFTER_SEND };
	struct script never = { .id = "b", .fault_at_call = 1, .fault = PG_FAULT_DROP_BEFORE };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, put, &arrives, &e), E_UNAVAILABLE);
	assert_string_equal(e.slug, "pg.outcome_unknown");
	assert_int_equal(arrives.calls, 1); /* never again: it may be done */
	for (int64_t start = mono_ms(); items() == 0 && mono_ms() < start + 5000;)
		sleep_ms(5);
	assert_int_equal(items(), 1); /* and so it was */
	assert_int_equal(pg_tx(pool, 0, NULL, put, &never, &e), E_UNAVAILABLE);
	assert_string_equal(e.slug, "pg.outcome_unknown");
	assert_int_equal(items(), 1);
}

static enum err_code dies_once(struct pg *pg, void *arg, struct err *e)
{
	int *calls = arg;

	if (pg_exec(pg, &add, PG_ARGS(P("x")), NULL, e))
		return e->code;
	if (++*calls == 1 && pg_exec(pg, &suicide, PG_NONE, NULL, e))
		return e->code;
	return OK;
}

static enum err_code always_dies(struct pg *pg, void *arg, struct err *e)
{
	++*(int *)arg;
	if (pg_exec(pg, &suicide, PG_NONE, NULL, e))
		return e->code;
	return OK;
}

/* The backend is killed in mid transaction: certainly not committed, so once more; but not for ever. */
static void test_killed(void **state)
{
	struct err e = { 0 };
	int calls = 0;

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, dies_once, &calls, &e), OK);
	assert_int_equal(calls, 2);
	assert_int_equal(items(), 1);
	calls = 0;
	assert_int_equal(pg_tx(pool, 0, NULL, always_dies, &calls, &e), E_UNAVAILABLE);
	assert_int_equal(calls, 2);
	assert_false(pg_in_tx());
}

static void test_begin_lost(void **state)
{
	struct script s = { .id = "a" };
	struct err e = { 0 };

	(void)state;
	pg_fault_inject(PG_FAULT_DROP_BEFORE, 1);
	assert_int_equal(pg_tx(pool, 0, NULL, put, &s, &e), OK);
	assert_int_equal(s.calls, 2); /* BEGIN went with the first statement, which met the loss */
	assert_int_equal(items(), 1);
}

static enum err_code put_twice(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	if (pg_exec(pg, &twice, PG_NONE, NULL, e) || pg_exec(pg, &twice, PG_NONE, NULL, e))
		return e->code;
	return OK;
}

static void test_deferred_constraint(void **state)
{
	struct script s = { .id = "after" };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, put_twice, NULL, &e), E_CONFLICT);
	assert_non_null(strstr(e.msg, "late_k"));
	err_clear(&e);
	assert_int_equal(pg_tx(pool, 0, NULL, put, &s, &e), OK);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.late"), 0);
}

/* Two threads lock two rows in opposite order: one of them is told 40P01 and succeeds on its second try. */
struct cross {
	const char *first, *second;
	int calls;
	pthread_barrier_t *both;
	enum err_code code;
};

static enum err_code lock_both(struct pg *pg, void *arg, struct err *e)
{
	struct cross *x = arg;

	if (pg_exec(pg, &bump, PG_ARGS(P(x->first)), NULL, e))
		return e->code;
	if (++x->calls == 1)
		(void)pthread_barrier_wait(x->both);
	return pg_exec(pg, &bump, PG_ARGS(P(x->second)), NULL, e);
}

static void *cross_thread(void *arg)
{
	struct cross *x = arg;
	struct err e = { 0 };

	x->code = pg_tx(pool, mono_ms() + 20000, NULL, lock_both, x, &e);
	return NULL;
}

static void test_deadlock(void **state)
{
	pthread_barrier_t both;
	struct cross x[2] = { { .first = "a", .second = "b", .both = &both },
			      { .first = "b", .second = "a", .both = &both } };
	pthread_t t[2];

	(void)state;
	pg_fixture_sql(fx, "INSERT INTO shop.item (id) VALUES ('a'), ('b')");
	assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, cross_thread, &x[i]), 0);
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(t[i], NULL);
		assert_int_equal(x[i].code, OK);
	}
	assert_int_equal(x[0].calls + x[1].calls, 3);
	assert_int_equal(pg_fixture_i64(fx, "SELECT sum(n) FROM shop.item"), 4);
	(void)pthread_barrier_destroy(&both);
}

/* A real 40001 (the role's sessions are REPEATABLE READ here): the row changed after our snapshot. */
static enum err_code serialize(struct pg *pg, void *arg, struct err *e)
{
	struct text_row *row = NULL;
	int *calls = arg;

	if (pg_one(pg, &look, PG_ARGS(P("a")), a, &row, e))
		return e->code;
	if (++*calls == 1)
		pg_fixture_sql(fx, "UPDATE shop.item SET n = 100 WHERE id = 'a'");
	return pg_exec(pg, &bump, PG_ARGS(P("a")), NULL, e);
}

static void test_serialization(void **state)
{
	struct err e = { 0 };
	int calls = 0;

	(void)state;
	pg_fixture_sql(fx, "INSERT INTO shop.item (id) VALUES ('a'); ALTER ROLE souk_shop IN DATABASE %s SET"
			   " default_transaction_isolation = 'repeatable read'",
		       pg_fixture_text(fx, "SELECT current_database()"));
	pg_pool_close(pool);
	pool = pg_fixture_pool(fx, tables, 4);
	assert_int_equal(pg_tx(pool, 0, NULL, serialize, &calls, &e), OK);
	assert_int_equal(calls, 2);
	assert_int_equal(pg_fixture_i64(fx, "SELECT n FROM shop.item WHERE id = 'a'"), 101);
	pg_fixture_sql(fx, "ALTER ROLE souk_shop IN DATABASE %s RESET default_transaction_isolation",
		       pg_fixture_text(fx, "SELECT current_database()"));
	pg_pool_close(pool);
	pool = pg_fixture_pool(fx, tables, 4);
}

static enum err_code nest(struct pg *pg, void *arg, struct err *e)
{
	struct script inner = { .id = "inner" };

	(void)pg;
	(void)arg;
	return pg_tx(pool, 0, NULL, put, &inner, e);
}

static void test_nested(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, nest, NULL, &e), E_INTERNAL);
	assert_string_equal(e.slug, "pg.nested");
	assert_int_equal(items(), 0);
}

/* A savepoint undoes its part alone, its doorbell notes included. */
static enum err_code add_and_note(struct pg *pg, void *arg, struct err *e)
{
	struct script *s = arg;

	pg_note(pg, "t", s->id);
	if (pg_exec(pg, &add, PG_ARGS(P(s->id)), NULL, e))
		return e->code;
	return s->fail_first ? err_set(e, E_RULE, "test.fail", "on purpose") : OK;
}

static enum err_code with_savepoints(struct pg *pg, void *arg, struct err *e)
{
	struct script good = { .id = "good" }, bad = { .id = "bad", .fail_first = 1 }, dup = { .id = "good" };
	struct err inner = { 0 };

	(void)arg;
	if (pg_savepoint(pg, add_and_note, &good, e))
		return e->code;
	if (pg_savepoint(pg, add_and_note, &bad, &inner) != E_RULE)
		return err_set(e, E_INTERNAL, "test", "bad");
	if (pg_savepoint(pg, add_and_note, &dup, &inner) != E_CONFLICT) /* an aborted statement inside */
		return err_set(e, E_INTERNAL, "test", "dup");
	return pg_exec(pg, &add, PG_ARGS(P("last")), NULL, e);
}

static char notes[256];
static int commits;

static void on_note(void *arg, const char *topic, const char *id)
{
	size_t n = strlen(notes);

	(void)arg;
	assert_false(pg_in_tx());
	(void)snprintf(notes + n, sizeof(notes) - n, "%s:%s ", topic, id);
}

static void on_commit(void *arg)
{
	(void)arg;
	commits++;
}

static void test_savepoint_and_hooks(void **state)
{
	struct script undone = { .id = "undone", .fail_first = 1 };
	struct err e = { 0 };

	(void)state;
	pg_on_note(pool, on_note, NULL);
	pg_on_commit(pool, on_commit, NULL);
	assert_int_equal(pg_tx(pool, 0, NULL, with_savepoints, NULL, &e), OK);
	assert_int_equal(items(), 2);
	assert_string_equal(notes, "t:good ");
	assert_int_equal(commits, 1);
	assert_int_equal(pg_tx(pool, 0, NULL, add_and_note, &undone, &e), E_RULE);
	assert_int_equal(commits, 1);
	assert_string_equal(notes, "t:good ");
}

struct later {
	const char *id[3]; /* put without waiting */
	bool look, savepoint;
	enum err_code looked;
};

static enum err_code put_later(struct pg *pg, void *arg, struct err *e)
{
	struct later *l = arg;
	struct text_row *row = NULL;
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(l->id) && l->id[i]; i++)
		if (pg_later(pg, &add, PG_ARGS(P(l->id[i])), e))
			return e->code;
	if (!l->look)
		return OK;
	l->looked = pg_row(pg, &look, PG_ARGS(P(l->id[0])), a, &row, &found, e);
	if (!l->looked && !found)
		return err_set(e, E_INTERNAL, "test.order", "sent out of order");
	return l->looked;
}

static enum err_code later_in_savepoint(struct pg *pg, void *arg, struct err *e)
{
	struct err undone = { 0 };
	struct later *l = arg;

	if (pg_later(pg, &add, PG_ARGS(P("before")), e))
		return e->code;
	l->looked = pg_savepoint(pg, put_later, l, &undone);
	return pg_later(pg, &add, PG_ARGS(P("after")), e);
}

/* What nobody waited for is done in order, and its failure is that of whoever waits next. */
static void test_later(void **state)
{
	struct later fine = { .id = { "a", "b" }, .look = true }, again = { .id = { "c", "a" }, .look = true };
	struct later at_commit = { .id = { "d", "a" } }, inside = { .id = { "e", "a" } };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, put_later, &fine, &e), OK);
	assert_int_equal(items(), 2);
	assert_int_equal(pg_tx(pool, 0, NULL, put_later, &again, &e), E_CONFLICT);
	assert_int_equal(again.looked, E_CONFLICT);
	assert_non_null(strstr(e.msg, "add: 23505"));
	err_clear(&e);
	assert_int_equal(pg_tx(pool, 0, NULL, put_later, &at_commit, &e), E_CONFLICT);
	err_clear(&e);
	assert_int_equal(items(), 2);
	assert_int_equal(pg_tx(pool, 0, NULL, later_in_savepoint, &inside, &e), OK);
	assert_int_equal(inside.looked, E_CONFLICT);
	assert_int_equal(items(), 4); /* a, b, before, after */
}

/* A reason to try again met while queueing: nothing is committed, so all is done once more. */
static void test_later_retry(void **state)
{
	struct later l = { .id = { "a", "b", "c" } };
	struct err e = { 0 };

	(void)state;
	pg_fault_inject(PG_FAULT_RETRY, 5); /* BEGIN, who, a, b, c */
	assert_int_equal(pg_tx(pool, 0, NULL, put_later, &l, &e), OK);
	assert_int_equal(items(), 3);
}

/* Reads together: after what is queued, all or nothing, the connection usable after a failure. */
static enum err_code read_both(struct pg *pg, void *arg, struct err *e)
{
	const bool *fail = arg;
	struct text_row *x = NULL, *y = NULL;
	size_t n_x = 7, n_y = 7;
	const struct pg_param one[] = { P("one") }, none[] = { P("none") };
	const struct pg_read reads[] = {
		{ &look, one, 1, &x, &n_x },
		{ *fail ? &broken : &look, *fail ? one : none, 1, &y, &n_y },
	};

	if (pg_later(pg, &add, PG_ARGS(P("one")), e))
		return e->code;
	if (pg_reads(pg, reads, 2, a, e)) {
		assert_true(n_x == 7 && n_y == 7 && !x && !y);
		return e->code;
	}
	assert_int_equal(n_x, 1);
	assert_string_equal(x->t, "0");
	assert_int_equal(n_y, 0);
	return OK;
}

static void test_reads_together(void **state)
{
	struct text_row *rows = NULL;
	const struct pg_param one[] = { P("one") };
	bool fail = true;
	size_t n = 0;
	const struct pg_read read = { &look, one, 1, &rows, &n };
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, read_both, &fail, &e), E_INVALID);
	assert_non_null(strstr(e.msg, "broken: 22012"));
	err_clear(&e);
	assert_int_equal(items(), 0);
	fail = false;
	assert_int_equal(pg_tx(pool, 0, NULL, read_both, &fail, &e), OK);
	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	pg_fault_inject(PG_FAULT_DROP_BEFORE, 1);
	assert_int_equal(pg_reads(pg, &read, 1, a, &e), OK); /* plain, so asked again on a new connection */
	assert_int_equal(n, 1);
	pg_return(pg);
}

/* pg_return with something open: the next borrower gets a clean connection. */
static void test_abandoned(void **state)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(pg_savepoint(pg, put, NULL, &e), E_INTERNAL); /* outside a transaction */
	pg_return(pg);
	assert_int_equal(items(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_actor, empty),
		cmocka_unit_test_setup(test_commit_and_rollback, empty),
		cmocka_unit_test_setup(test_retry, empty),
		cmocka_unit_test_setup(test_careless, empty),
		cmocka_unit_test_setup(test_outcome_unknown, empty),
		cmocka_unit_test_setup(test_killed, empty),
		cmocka_unit_test_setup(test_begin_lost, empty),
		cmocka_unit_test_setup(test_deferred_constraint, empty),
		cmocka_unit_test_setup(test_deadlock, empty),
		cmocka_unit_test_setup(test_serialization, empty),
		cmocka_unit_test_setup(test_nested, empty),
		cmocka_unit_test_setup(test_savepoint_and_hooks, empty),
		cmocka_unit_test_setup(test_later, empty),
		cmocka_unit_test_setup(test_later_retry, empty),
		cmocka_unit_test_setup(test_reads_together, empty),
		cmocka_unit_test_setup(test_abandoned, empty),
	};

	return cmocka_run_group_tests(tests, setup, shop_close);
}
