/* The audit log writes itself, and the daemon cannot help it, hinder it or change it. */
#include <stdio.h>
#include <string.h>

#include "common/audit.h"
#include "common/crypto.h"
#include "common/cursor.h"
#include "common/node_db.h"
#include "shop_db.h"

static const struct pg_stmt add = { .name = "add", .sql = "INSERT INTO shop.thing (id, n, secret) VALUES ($1, $2, $3)" };
static const struct pg_stmt change = { .name = "change", .sql = "UPDATE shop.thing SET n = $2, secret = $3 WHERE id = $1" };
static const struct pg_stmt drop = { .name = "drop", .sql = "DELETE FROM shop.thing WHERE id = $1" };
static const struct pg_stmt pair = { .name = "pair", .sql = "INSERT INTO shop.pair (b, a) VALUES ($1, $2)" };
static const struct pg_stmt *const stmts[] = { &add, &change, &drop, &pair, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };

static const struct migration shop_migrations[] = {
	{ 1, "thing",
	  "CREATE TABLE shop.thing (id text PRIMARY KEY, n integer, secret text);"
	  "CREATE TABLE shop.pair (a text, b text, PRIMARY KEY (a, b));"
	  "SELECT shop.audit_attach('thing', 'secret'); SELECT shop.audit_attach('pair');",
	  "0000000000000000000000000000000000000000000000000000000000000003" },
	{ 0, NULL, NULL, NULL },
};

static int setup(void **state)
{
	struct key32 key = { { 1 } };

	(void)state;
	cursor_use_key(&key);
	return shop_open(shop_migrations, tables, 2);
}

static enum err_code life(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	if (pg_exec(pg, &add, PG_ARGS(P("t1"), P(1), P("hush")), NULL, e) ||
	    pg_exec(pg, &change, PG_ARGS(P("t1"), P(2), P("hush")), NULL, e) ||
	    pg_exec(pg, &change, PG_ARGS(P("t1"), P(2), P("hush")), NULL, e) || /* changes nothing: no row */
	    pg_exec(pg, &change, PG_ARGS(P("t1"), P(2), P("other")), NULL, e) ||
	    pg_exec(pg, &drop, PG_ARGS(P("t1")), NULL, e))
		return e->code;
	return pg_exec(pg, &pair, PG_ARGS(P("bee"), P("ay")), NULL, e);
}

static void test_rows(void **state)
{
	const struct pg_actor who = { "user:usr_1", "req_12345678" };
	struct audit_filter f = { .table_name = "thing", .row_id = "t1" };
	struct audit_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg;
	size_t n = 0;

	(void)state;
	assert_int_equal(pg_tx(pool, 0, &who, life, NULL, &e), OK);
	pg = borrow();
	assert_int_equal(audit_page(pg, &f, 100, a, &row, &n, &e), OK);
	assert_int_equal(n, 4); /* newest first: delete, secret changed, n changed, insert */
	assert_string_equal(row[0].action, "delete");
	assert_null(row[0].after);
	assert_string_equal(row[3].action, "insert");
	assert_null(row[3].before);
	assert_string_equal(row[2].before, "{\"n\": 1, \"id\": \"t1\", \"secret\": \"***\"}");
	assert_string_equal(row[2].after, "{\"n\": 2, \"id\": \"t1\", \"secret\": \"***\"}");
	assert_string_equal(row[1].action, "update");
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(row[i].actor, "user:usr_1");
		assert_string_equal(row[i].request_id, "req_12345678");
		assert_string_equal(row[i].table_name, "thing");
		assert_true(!row[i].before || !strstr(row[i].before, "hush"));
		assert_true(!row[i].after || !strstr(row[i].after, "hush"));
	}
	f = (struct audit_filter){ .table_name = "pair" };
	assert_int_equal(audit_page(pg, &f, 100, a, &row, &n, &e), OK);
	assert_int_equal(n, 1);
	assert_string_equal(row[0].row_id, "ay:bee");
	f = (struct audit_filter){ .request_id = "req_12345678", .before_id = row[0].id };
	assert_int_equal(audit_page(pg, &f, 2, a, &row, &n, &e), OK);
	assert_int_equal(n, 2);
	f = (struct audit_filter){ .actor = "user:nobody" };
	assert_int_equal(audit_page(pg, &f, 2, a, &row, &n, &e), OK);
	assert_int_equal(n, 0);
	pg_return(pg);
}

static void test_actors(void **state)
{
	struct err e = { 0 };
	struct pg *pg = borrow();

	(void)state;
	assert_int_equal(pg_exec(pg, &add, PG_ARGS(P("sys"), P(1), PG_NULL), NULL, &e), OK);
	pg_return(pg);
	assert_string_equal(pg_fixture_text(fx, "SELECT actor FROM shop.audit_log WHERE row_id = 'sys'"), "system");
	pg_fixture_sql(fx, "INSERT INTO shop.thing VALUES ('hand', 1)");
	assert_string_equal(pg_fixture_text(fx, "SELECT actor FROM shop.audit_log WHERE row_id = 'hand'"),
			    pg_fixture_text(fx, "SELECT 'db:' || session_user"));
}

/* A rolled back change leaves no trace. */
static enum err_code undone(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	if (pg_exec(pg, &add, PG_ARGS(P("ghost"), P(1), PG_NULL), NULL, e))
		return e->code;
	return err_set(e, E_RULE, "test.fail", "no");
}

static void test_rollback(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pg_tx(pool, 0, NULL, undone, NULL, &e), E_RULE);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.audit_log WHERE row_id = 'ghost'"), 0);
}

static void test_runtime_cannot(void **state)
{
	static const char *const refused[] = {
		"INSERT INTO shop.audit_log (epoch, actor, request_id, action, table_name, row_id) VALUES (1,'','','insert','','')",
		"UPDATE shop.audit_log SET actor = 'x'",
		"DELETE FROM shop.audit_log",
		"TRUNCATE shop.audit_log",
		"ALTER TABLE shop.audit_log DISABLE TRIGGER ALL",
		"ALTER TABLE shop.thing DISABLE TRIGGER audit",
		"ALTER TABLE shop.thing ENABLE REPLICA TRIGGER audit",
		"DROP TRIGGER audit ON shop.thing",
		"DROP TABLE shop.audit_log",
		"TRUNCATE shop.thing",
		"SET session_replication_role = replica",
		"UPDATE shop.audit_head SET hash = ''",
		"DELETE FROM shop.audit_batch",
		"INSERT INTO shop.audit_batch VALUES (1, '1', 1, 1, '')",
		"INSERT INTO shop.audit_exempt VALUES ('thing', 'because')",
		"DELETE FROM shop.audit_exempt",
		"CREATE OR REPLACE FUNCTION shop.audit_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"ALTER FUNCTION shop.audit_row() OWNER TO souk_shop",
		"ALTER FUNCTION shop.audit_row() SECURITY INVOKER",
		"SELECT shop.audit_attach('thing')",
		"SELECT setval('shop.audit_log_id_seq', 1)",
	};
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "t", &pg, &e), OK);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (pg_script(pg, refused[i], &e) == OK || !strstr(e.msg, "42501"))
			fail_msg("allowed or refused for another reason: %s: %s", refused[i], e.msg);
	/* What a temporary object or a search_path of the caller says is nothing to the SECURITY DEFINER functions. */
	assert_int_equal(pg_script(pg, "SET search_path = shop, public", &e), OK);
	assert_int_equal(pg_script(pg, "INSERT INTO shop.thing VALUES ('path', 1)", &e), OK);
	pg_disconnect(pg);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.audit_log WHERE row_id = 'path'"), 1);
}

static int64_t seal(int32_t max)
{
	struct err e = { 0 };
	struct pg *pg = borrow();
	int64_t n = -1;

	assert_int_equal(audit_seal(pg, max, a, &n, &e), OK);
	pg_return(pg);
	return n;
}

/* An open transaction holds the chain back at its place, so that no row comes in before a sealed one. */
static void test_chain(void **state)
{
	int64_t all = pg_fixture_i64(fx, "SELECT count(*) FROM shop.audit_log");
	struct err e = { 0 };
	struct pg *slow = NULL;

	(void)state;
	pg_fixture_settle(fx);
	assert_int_equal(seal(2), 2);
	assert_int_equal(seal(1000), all - 2);
	assert_int_equal(seal(1000), 0);
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "slow", &slow, &e), OK);
	assert_int_equal(pg_script(slow, "BEGIN; INSERT INTO shop.thing VALUES ('slow', 1)", &e), OK);
	pg_fixture_sql(fx, "INSERT INTO shop.thing VALUES ('fast', 1)");
	assert_int_equal(seal(1000), 0);
	assert_int_equal(pg_script(slow, "COMMIT", &e), OK);
	pg_disconnect(slow);
	pg_fixture_settle(fx);
	assert_int_equal(seal(1000), 2);
	assert_string_equal(pg_fixture_text(fx, "SELECT coalesce(shop.audit_verify()::text, 'well')"), "well");
	assert_int_equal(pg_fixture_i64(fx, "SELECT rows FROM shop.audit_head"), all + 2);
}

/* Even a superuser's forgery is found: a changed row, a removed one, one slipped in, a cut tail. */
static void test_tampering(void **state)
{
	static const char *const forge[] = {
		"UPDATE shop.audit_log SET actor = 'user:else' WHERE id = (SELECT min(id) + 1 FROM shop.audit_log)",
		"DELETE FROM shop.audit_log WHERE id = (SELECT min(id) + 1 FROM shop.audit_log)",
		"UPDATE shop.audit_log SET after = after || '{\"n\": 7}' WHERE row_id = 'sys'",
		("INSERT INTO shop.audit_log (epoch, xid, actor, request_id, action, table_name, row_id)"
		 " SELECT epoch, xid, 'x', '', 'insert', 't', 'r' FROM shop.audit_log WHERE row_id = 'sys'"),
		"DELETE FROM shop.audit_log WHERE id = (SELECT max(id) FROM shop.audit_log)",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forge); i++) {
		pg_fixture_sql(fx, "BEGIN; %s", forge[i]);
		if (strcmp(pg_fixture_text(fx, "SELECT coalesce(shop.audit_verify()::text, 'well')"), "well") == 0)
			fail_msg("not found: %s", forge[i]);
		pg_fixture_sql(fx, "ROLLBACK");
	}
}

/* A migration that forgets to attach is named; so is one that attaches nonsense. */
static void test_unaudited(void **state)
{
	static const struct migration forgetful[] = {
		{ 1, "x", "CREATE TABLE lax.forgotten (id int); CREATE TABLE lax.kept (id int PRIMARY KEY);"
			  "SELECT lax.audit_attach('kept')",
		  "0000000000000000000000000000000000000000000000000000000000000004" },
		{ 0, NULL, NULL, NULL },
	};
	static const char *const bad[] = { "missing", "thing', 'no_such_column", "keyless" };
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_string_equal(pg_fixture_unaudited(fx, "shop"), "");
	pg_fixture_add(fx, "lax", forgetful);
	assert_string_equal(pg_fixture_unaudited(fx, "lax"), "forgotten");
	pg_fixture_sql(fx, "ALTER TABLE lax.kept DISABLE TRIGGER audit");
	assert_string_equal(pg_fixture_unaudited(fx, "lax"), "forgotten kept");
	pg_fixture_sql(fx, "CREATE TABLE shop.keyless (x int)");
	assert_int_equal(pg_connect(pg_fixture_admin_dsn(fx), "t", &pg, &e), OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char sql[128];

		(void)snprintf(sql, sizeof(sql), "SELECT shop.audit_attach('%s')", bad[i]);
		assert_int_equal(pg_script(pg, sql, &e), E_INTERNAL);
		assert_non_null(strstr(e.msg, "audit_attach"));
	}
	pg_disconnect(pg);
	pg_fixture_sql(fx, "DROP TABLE shop.keyless");
}

static void test_pages(void **state)
{
	Common__V1__AuditPageRequest in = COMMON__V1__AUDIT_PAGE_REQUEST__INIT;
	int64_t all = pg_fixture_i64(fx, "SELECT count(*) FROM shop.audit_log"), seen = 0, last = INT64_MAX;
	struct err e = { 0 };
	struct pg *pg = borrow();

	(void)state;
	in.has_limit = 1;
	in.limit = 3;
	do {
		Common__V1__AuditPageReply out = COMMON__V1__AUDIT_PAGE_REPLY__INIT;

		assert_int_equal(node_db_audit_page(pg, a, &in, &out, &e), OK);
		assert_in_range(out.n_data, 1, 3);
		for (size_t i = 0; i < out.n_data; i++, seen++) {
			assert_true(out.data[i]->id < last);
			last = out.data[i]->id;
			assert_int_equal(strlen(out.data[i]->hash), 64);
		}
		in.cursor = out.next_cursor;
	} while (in.cursor);
	assert_int_equal(seen, all);
	in.cursor = (char *)(uintptr_t)"forged";
	Common__V1__AuditPageReply out = COMMON__V1__AUDIT_PAGE_REPLY__INIT;

	assert_int_equal(node_db_audit_page(pg, a, &in, &out, &e), E_INVALID);
	pg_return(pg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	      cmocka_unit_test(test_actors), cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_runtime_cannot), cmocka_unit_test(test_chain),  cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_pages),	      cmocka_unit_test(test_unaudited),
	};

	return cmocka_run_group_tests(tests, setup, shop_close);
}
