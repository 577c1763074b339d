/* Statements, rows, errors and the pool, on a real server. */
#include <string.h>
#include <pthread.h>

#include "common/pg_internal.h"
#include "shop_db.h"

struct all_row {
	const char *t;
	int32_t i;
	int64_t l;
	bool b;
	double f;
	struct pg_bytes y;
};
static const struct pg_col all_cols[] = { PG_COL(all_row, t), PG_COL(all_row, i), PG_COL(all_row, l),
					  PG_COL(all_row, b), PG_COL(all_row, f), PG_COL(all_row, y) };
static const struct pg_stmt echo = {
	.name = "echo",
	.sql = "SELECT $1::text AS t, $2::int AS i, $3::bigint AS l, $4::bool AS b, $5::float8 AS f, $6::bytea AS y",
	.col = all_cols, .ncol = 6, .row_size = sizeof(struct all_row),
};
struct one_row {
	int64_t n;
};
static const struct pg_col one_cols[] = { PG_COL(one_row, n) };
static const struct pg_stmt series = {
	.name = "series", .sql = "SELECT generate_series(1, $1::bigint)::bigint AS n LIMIT 1000",
	.col = one_cols, .ncol = 1, .row_size = sizeof(struct one_row), .flags = PG_REPLICA,
};
static const struct pg_stmt elements = {
	.name = "elements", .sql = "SELECT unnest($1::text[])::text AS t",
	.col = all_cols, .ncol = 1, .row_size = sizeof(struct all_row),
};
static const struct pg_stmt add = { .name = "add", .sql = "INSERT INTO shop.item (id, qty, parent) VALUES ($1, $2, $3)" };
static const struct pg_stmt size = {
	.name = "size", .sql = "SELECT count(*) AS n FROM shop.item", .col = one_cols, .ncol = 1,
	.row_size = sizeof(struct one_row),
};
static const struct pg_stmt doze = { .name = "doze", .sql = "SELECT pg_sleep($1::float8)" };
static const struct pg_stmt number = {
	.name = "number", .sql = "SELECT $1::text::bigint AS n", .col = one_cols, .ncol = 1,
	.row_size = sizeof(struct one_row),
};
static const struct pg_stmt *const stmts[] = { &echo, &series, &elements, &add, &size, &doze, &number, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };

static const struct migration shop_migrations[] = {
	{ 1, "item",
	  "CREATE TABLE shop.item (id text PRIMARY KEY, qty integer NOT NULL CONSTRAINT item_qty CHECK (qty > 0),"
	  " parent text CONSTRAINT item_parent REFERENCES shop.item (id));"
	  "INSERT INTO shop.audit_exempt VALUES ('item', 'test')",
	  "0000000000000000000000000000000000000000000000000000000000000001" },
	{ 0, NULL, NULL, NULL },
};

static int setup(void **state)
{
	(void)state;
	return shop_open(shop_migrations, tables, 3);
}

static void test_types(void **state)
{
	static const char raw[] = { 'a', 0, (char)0xff, '\\', '"' };
	struct pg_bytes y = { raw, sizeof(raw) };
	struct all_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();

	(void)state;
	assert_int_equal(pg_one(pg, &echo,
				PG_ARGS(P("it's \"\\ ü"), P(INT32_MIN), P(INT64_MIN), P(true), P(1.5e-300), P(y)), a, &row, &e),
			 OK);
	assert_string_equal(row->t, "it's \"\\ ü");
	assert_int_equal(row->i, INT32_MIN);
	assert_true(row->l == INT64_MIN);
	assert_true(row->b);
	assert_true(row->f == 1.5e-300);
	assert_int_equal(row->y.len, sizeof(raw));
	assert_memory_equal(row->y.data, raw, sizeof(raw));

	assert_int_equal(pg_one(pg, &echo, PG_ARGS(PG_NULL, PG_NULL, PG_NULL, PG_NULL, PG_NULL, PG_NULL), a, &row, &e),
			 OK);
	assert_null(row->t);
	assert_int_equal(row->i, 0);
	assert_false(row->b);
	assert_null(row->y.data);
	pg_return(pg);
}

static void test_arrays(void **state)
{
	const char *const v[] = { "plain", "a,b", "q\"uote", "back\\slash", "", "NULL", NULL, "{}" };
	struct all_row *rows = NULL;
	struct one_row *many = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();
	size_t n = 0;

	(void)state;
	assert_int_equal(pg_rows(pg, &elements, PG_ARGS(pg_p_text_array(a, v, 8)), a, &rows, &n, &e), OK);
	assert_int_equal(n, 8);
	for (size_t i = 0; i < n; i++) {
		if (v[i])
			assert_string_equal(rows[i].t, v[i]);
		else
			assert_null(rows[i].t);
	}
	assert_int_equal(pg_rows(pg, &elements, PG_ARGS(pg_p_text_array(a, v, 0)), a, &rows, &n, &e), OK);
	assert_int_equal(n, 0);
	assert_null(rows);
	assert_int_equal(pg_rows(pg, &series, PG_ARGS(P((int64_t)700)), a, &many, &n, &e), OK);
	assert_int_equal(n, 700);
	assert_int_equal(many[699].n, 700);
	pg_return(pg);
}

static void test_errors(void **state)
{
	struct one_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();
	int64_t n = 0;

	(void)state;
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("x1"), P(1), PG_NULL), &n, &e), OK);
	assert_int_equal(n, 1);
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("x1"), P(1), PG_NULL), &n, &e), E_CONFLICT);
	assert_string_equal(pg_constraint(pg), "item_pkey");
	assert_string_equal(e.slug, "pg.constraint");
	assert_int_equal(err_info(e.slug)->code, E_INTERNAL); /* unmapped: the client learns nothing */
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("x2"), P(0), PG_NULL), &n, &e), E_RULE);
	assert_string_equal(pg_constraint(pg), "item_qty");
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("x2"), P(1), P("nobody")), &n, &e), E_RULE);
	assert_string_equal(pg_constraint(pg), "item_parent");
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("bad\xff"), P(1), PG_NULL), &n, &e), E_INVALID);
	assert_string_equal(e.slug, "common.invalid_input");
	assert_string_equal(pg_constraint(pg), "");
	assert_int_equal(pg_one(pg, &number, PG_ARGS(P("99999999999999999999")), a, &row, &e), E_INVALID);
	assert_int_equal(pg_one(pg, &number, PG_ARGS(P("7")), a, &row, &e), OK);
	assert_int_equal(row->n, 7);
	assert_int_equal(pg_exec(pg, &doze, PG_ARGS(P(0.0), P(1)), &n, &e), E_INTERNAL); /* one parameter too many */
	assert_int_equal(pg_one(pg, &number, PG_ARGS(P("8")), a, &row, &e), OK);
	pg_return(pg);
	pg_fixture_sql(fx, "DELETE FROM shop.item");
}

static void test_unlisted(void **state)
{
	static const struct pg_stmt stray = { .name = "stray", .sql = "SELECT 1" };
	struct err e = { 0 };
	struct pg *pg = borrow();

	(void)state;
	assert_int_equal(pg_exec(pg, &stray, PG_NONE, NULL, &e), E_INTERNAL);
	assert_string_equal(e.slug, "pg.statement");
	pg_return(pg);
}

static void test_memory_bound(void **state)
{
	struct arena *small = arena_new("small", 2048);
	struct one_row *rows = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();
	size_t n = 0;

	(void)state;
	assert_int_equal(pg_rows(pg, &series, PG_ARGS(P((int64_t)1000)), small, &rows, &n, &e), E_INTERNAL);
	pg_return(pg);
	arena_free(small);
}

/* A typo stops the start; so do two statements of one name and columns without a row size. */
static void test_open_refuses(void **state)
{
	static const struct pg_stmt typo = { .name = "typo", .sql = "SELECT nothing FROM shop.item" };
	static const struct pg_stmt twin = { .name = "echo", .sql = "SELECT 1" };
	static const struct pg_stmt sizeless = { .name = "sizeless", .sql = "SELECT 1 AS n", .col = one_cols, .ncol = 1 };
	const struct pg_stmt *const bad[][3] = { { &typo, NULL }, { &echo, &twin, NULL }, { &sizeless, NULL } };
	const struct pg_conf conf = { .dsn = pg_fixture_dsn(fx), .pool = 1, .app = "t", .schema = "shop" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct pg_stmt *const *const t[] = { bad[i], NULL };
		struct pg_pool *p = NULL;
		struct err e = { 0 };

		assert_int_equal(pg_pool_open(&conf, t, &p, &e), E_INTERNAL);
		assert_null(p);
	}
}

static void test_check_stmts(void **state)
{
	static const struct pg_col wrong_name[] = { { "m", PG_I64, 0 } }, wrong_type[] = { { "n", PG_BOOL, 0 } };
	const struct pg_stmt a_name = { .name = "a", .sql = "SELECT 1::bigint AS n", .col = wrong_name, .ncol = 1, .row_size = 8 };
	const struct pg_stmt a_type = { .name = "b", .sql = "SELECT 1::bigint AS n", .col = wrong_type, .ncol = 1, .row_size = 8 };
	const struct pg_stmt *const bad[][2] = { { &a_name, NULL }, { &a_type, NULL } };
	struct err e = { 0 };
	struct pg *pg = borrow();

	(void)state;
	assert_int_equal(pg_check_stmts(pg, tables, &e), OK);
	for (size_t i = 0; i < 2; i++) {
		const struct pg_stmt *const *const t[] = { bad[i], NULL };

		assert_int_equal(pg_check_stmts(pg, t, &e), E_INTERNAL);
	}
	pg_return(pg);
}

/* The pool is empty until one comes back; those who waited longest get it first. */
struct wait_arg {
	pthread_t thread;
	int order;
	int *next;
	pthread_mutex_t *mu;
};

static void *waiter(void *arg)
{
	struct wait_arg *w = arg;
	struct err e = { 0 };
	struct pg *pg = NULL;

	if (pg_borrow(pool, mono_ms() + 10000, &pg, &e) == OK) {
		(void)pthread_mutex_lock(w->mu);
		w->order = (*w->next)++;
		(void)pthread_mutex_unlock(w->mu);
		pg_return(pg);
	}
	return NULL;
}

static int queue_length(void)
{
	int n = 0;

	(void)pthread_mutex_lock(&pool->mu);
	for (struct pg_waiter *w = pool->first; w; w = w->next)
		n++;
	(void)pthread_mutex_unlock(&pool->mu);
	return n;
}

static void test_fifo_and_deadline(void **state)
{
	struct pg *held[3] = { borrow(), borrow(), borrow() }, *none = NULL;
	pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
	struct wait_arg w[5];
	struct err e = { 0 };
	int64_t start = mono_ms();
	int next = 0;

	(void)state;
	assert_int_equal(pg_borrow(pool, start + 50, &none, &e), E_UNAVAILABLE);
	assert_string_equal(e.slug, "common.overloaded");
	assert_in_range(mono_ms() - start, 45, 3000);
	assert_int_equal(queue_length(), 0);
	for (int i = 0; i < 5; i++) {
		w[i] = (struct wait_arg){ .order = -1, .next = &next, .mu = &mu };
		assert_int_equal(pthread_create(&w[i].thread, NULL, waiter, &w[i]), 0);
		while (queue_length() != i + 1)
			sleep_ms(1);
	}
	pg_return(held[0]); /* the only one that goes round: whoever has it is before whoever gets it next */
	for (int i = 0; i < 5; i++) {
		(void)pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].order, i);
	}
	pg_return(held[1]);
	pg_return(held[2]);
}

static void kill_backends(void)
{
	pg_fixture_sql(fx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'souk_shop'"
			   " AND datname = current_database()");
	while (pg_fixture_i64(fx, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'souk_shop'"
				  " AND datname = current_database()"))
		sleep_ms(1);
}

/* A connection that died while idle is replaced without anybody noticing. */
static void test_dead_idle(void **state)
{
	struct one_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg;
	int64_t n = 0;

	(void)state;
	kill_backends();
	pg = borrow();
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("d1"), P(1), PG_NULL), &n, &e), OK);
	/* It dies again while borrowed: a read is repeated, a write is not. */
	kill_backends();
	assert_int_equal(pg_one(pg, &size, PG_NONE, a, &row, &e), OK);
	assert_int_equal(row->n, 1);
	kill_backends();
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("d2"), P(1), PG_NULL), &n, &e), E_UNAVAILABLE);
	assert_string_equal(e.slug, "pg.unavailable");
	pg_return(pg);
	pg = borrow();
	assert_int_equal(pg_one(pg, &size, PG_NONE, a, &row, &e), OK);
	assert_int_equal(row->n, 1);
	pg_return(pg);
	pg_fixture_sql(fx, "DELETE FROM shop.item");
}

static void test_answer_lost(void **state)
{
	struct one_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();
	int64_t n = 0;

	(void)state;
	pg_fault_inject(PG_FAULT_DROP_AFTER_SEND, 1);
	assert_int_equal(pg_one(pg, &size, PG_NONE, a, &row, &e), OK); /* a read: asked again */
	pg_fault_inject(PG_FAULT_DROP_BEFORE, 1);
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("l1"), P(1), PG_NULL), &n, &e), E_UNAVAILABLE);
	pg_return(pg);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.item"), 0);
}

/* libpq had no memory for an answer: the command is still out, and the connection is of no use to anybody. */
static void test_unread_answer(void **state)
{
	struct one_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();
	int64_t n = 0;

	(void)state;
	assert_int_equal(PQsendQuery(pg->c, "SELECT 1"), 1);
	assert_int_equal(pg_one(pg, &size, PG_NONE, a, &row, &e), OK); /* a read: asked again on a new one */
	assert_int_equal(PQsendQuery(pg->c, "SELECT 1"), 1);
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("u1"), P(1), PG_NULL), &n, &e), E_UNAVAILABLE);
	pg_return(pg);
	pg = borrow();
	assert_int_equal(pg_one(pg, &size, PG_NONE, a, &row, &e), OK);
	pg_return(pg);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.item"), 0);
}

/* PostgreSQL goes and comes back: refusals at once meanwhile, and no help needed afterwards. */
static void test_away(void **state)
{
	struct err e = { 0 };
	struct pg *pg = NULL;
	char db[64];
	int64_t start;

	(void)state;
	(void)snprintf(db, sizeof(db), "%s", pg_fixture_text(fx, "SELECT current_database()"));
	pg_fixture_sql(fx, "ALTER DATABASE %s CONNECTION LIMIT 0", db);
	kill_backends();
	assert_int_equal(pg_borrow(pool, mono_ms() + 2000, &pg, &e), E_UNAVAILABLE);
	assert_false(pg_pool_up(pool));
	pg_fixture_sql(fx, "ALTER DATABASE %s CONNECTION LIMIT -1", db);
	start = mono_ms();
	while (!pg_pool_up(pool) && mono_ms() < start + 10000)
		sleep_ms(5);
	assert_true(pg_pool_up(pool)); /* by itself: nobody borrowed */
	pg_return(borrow());
}

static void test_open_without_server(void **state)
{
	const struct pg_conf conf = { .dsn = "host=/nonexistent user=x dbname=x", .pool = 1, .app = "t", .schema = "shop" };
	struct pg_pool *p = NULL;
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_int_equal(pg_pool_open(&conf, tables, &p, &e), OK);
	assert_false(pg_pool_up(p));
	assert_int_equal(pg_borrow(p, mono_ms() + 100, &pg, &e), E_UNAVAILABLE);
	assert_string_equal(e.slug, "pg.unavailable");
	pg_pool_close(p);
}

/* PG_POOLER=transaction: nothing is prepared, everything else is the same. */
static void test_transaction_pooler(void **state)
{
	const struct pg_conf conf = { .dsn = pg_fixture_dsn(fx), .pool = 1, .transaction_pooler = true, .app = "t",
				      .schema = "shop" };
	struct pg_pool *p = NULL;
	struct one_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg = NULL;
	PGresult *r;

	(void)state;
	assert_int_equal(pg_pool_open(&conf, tables, &p, &e), OK);
	assert_int_equal(pg_borrow(p, 0, &pg, &e), OK);
	assert_int_equal(pg_one(pg, &number, PG_ARGS(P("9")), a, &row, &e), OK);
	assert_int_equal(row->n, 9);
	r = PQexec(pg->c, "SELECT count(*) FROM pg_prepared_statements");
	assert_string_equal(PQgetvalue(r, 0, 0), "0");
	PQclear(r);
	pg_return(pg);
	pg_pool_close(p);
}

static void test_replica(void **state)
{
	const struct pg_conf conf = { .dsn = pg_fixture_dsn(fx), .replica_dsn = pg_fixture_dsn(fx), .pool = 1,
				      .app = "t", .schema = "shop" };
	struct pg_pool *p = NULL;
	struct one_row *rows = NULL;
	struct err e = { 0 };
	struct pg *pg = NULL;
	size_t n;

	(void)state;
	assert_int_equal(pg_pool_open(&conf, tables, &p, &e), OK);
	pg_fault_lag(p, 0);
	assert_int_equal(pg_borrow_read(p, 0, &pg, &e), OK);
	assert_ptr_equal(pg->pool, p->replica);
	assert_int_equal(pg_rows(pg, &series, PG_ARGS(P((int64_t)2)), a, &rows, &n, &e), OK);
	assert_int_equal(pg_one(pg, &size, PG_NONE, a, &rows, &e), E_INTERNAL); /* not flagged for the replica */
	pg_return(pg);
	pg_fault_lag(p, 5001);
	assert_int_equal(pg_borrow_read(p, 0, &pg, &e), OK);
	assert_ptr_equal(pg->pool, p);
	pg_return(pg);
	pg_fault_lag(p, -1); /* measured again: this server is no standby and does not lag */
	for (int64_t start = mono_ms(); atomic_load(&p->lag_ms) != 0 && mono_ms() < start + 5000;)
		sleep_ms(10);
	assert_int_equal(atomic_load(&p->lag_ms), 0);
	pg_pool_close(p);
}

/* The roles of two daemons in one database cannot see each other, nor change their own schema. */
static void test_role_isolation(void **state)
{
	static const char *const refused[] = {
		"SELECT * FROM other.outbox",
		"INSERT INTO other.lease VALUES ('x', 'y', now())",
		"SELECT other.audit_seal(1)",
		"SET ROLE souk_other",
		"SET ROLE souk_other_owner",
		"SET ROLE souk_shop_owner",
		"CREATE TABLE shop.mine (x int)",
		"CREATE TABLE public.mine (x int)",
		"CREATE SCHEMA mine",
		"DROP TABLE shop.item",
		"ALTER TABLE shop.item ADD COLUMN x int",
		"TRUNCATE shop.item",
		"UPDATE shop.migration SET sha256 = ''",
		"UPDATE shop.cluster SET epoch = 0",
		"UPDATE shop.outbox SET type = ''",
		"CREATE TEMP TABLE mine (x int)",
	};
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	pg_fixture_add(fx, "other", NULL);
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "t", &pg, &e), OK);
	assert_int_equal(pg_script(pg, "SELECT count(*) FROM shop.item", &e), OK);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (pg_script(pg, refused[i], &e) == OK || !strstr(e.msg, "42501"))
			fail_msg("allowed or refused for another reason: %s: %s", refused[i], e.msg);
	pg_disconnect(pg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),	       cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_errors),	       cmocka_unit_test(test_unlisted),
		cmocka_unit_test(test_memory_bound),   cmocka_unit_test(test_open_refuses),
		cmocka_unit_test(test_check_stmts),    cmocka_unit_test(test_fifo_and_deadline),
		cmocka_unit_test(test_dead_idle),      cmocka_unit_test(test_answer_lost),
		cmocka_unit_test(test_away),	       cmocka_unit_test(test_open_without_server),
		cmocka_unit_test(test_unread_answer),
		cmocka_unit_test(test_transaction_pooler), cmocka_unit_test(test_replica),
		cmocka_unit_test(test_role_isolation),
	};

	return cmocka_run_group_tests(tests, setup, shop_close);
}
