/* The event log: nothing is lost, whatever commits late or moves to another cluster. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/node_db.h"
#include "common/outbox.h"
#include "events.pb-c.h"
#include "shop_db.h"

static int setup(void **state)
{
	(void)state;
	return shop_open(NULL, NULL, 4);
}

static int empty(void **state)
{
	(void)state;
	pg_fixture_sql(fx, "DELETE FROM shop.outbox; DELETE FROM shop.outbox_consumer");
	return 0;
}

/* ---- a publisher and a consumer ---- */
struct pub {
	const char *agg, *type;
	int64_t from, n;
};

static enum err_code publish_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct pub *p = arg;
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;

	m.user_id = (char *)(uintptr_t)p->agg;
	for (int64_t i = 0; i < p->n; i++)
		if (outbox_put(pg, "user", p->agg, p->from + i, p->type, &m.base, e))
			return e->code;
	return OK;
}

static void publish(const char *agg, const char *type, int64_t from, int64_t n)
{
	struct pub p = { agg, type, from, n };
	struct err e = { 0 };

	assert_int_equal(pg_tx(pool, 0, NULL, publish_tx, &p, &e), OK);
}

static struct outbox_event *got;
static size_t n_got;
static bool more;
static bool held; /* this test keeps a transaction open */

static struct outbox_cursor fetch(struct outbox_cursor after, const char *type, int32_t limit)
{
	struct outbox_cursor seen = { 0 };
	struct err e = { 0 };
	struct pg *pg = NULL;

	if (!held)
		pg_fixture_settle(fx);
	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(outbox_fetch(pg, after, type ? &type : NULL, type ? 1 : 0, limit, a, &got, &n_got, &seen, &more, &e),
			 OK);
	pg_return(pg);
	return seen;
}

static const struct outbox_cursor start = { 0 };

static void test_fields(void **state)
{
	const Events__V1__UserErased *m;
	ProtobufCAllocator al = arena_pb(a);

	(void)state;
	log_ctx_set("req_12345678", NULL, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	publish("usr_1", "user.erased", 7, 1);
	log_ctx_clear();
	fetch(start, NULL, 10);
	assert_int_equal(n_got, 1);
	assert_string_equal(got->type, "user.erased");
	assert_string_equal(got->agg_type, "user");
	assert_string_equal(got->agg_id, "usr_1");
	assert_int_equal(got->agg_version, 7);
	assert_string_equal(got->traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	assert_in_range(wall_ms() - got->occurred_at, 0, 60000);
	m = events__v1__user_erased__unpack(&al, got->payload.len, got->payload.data);
	assert_string_equal(m->user_id, "usr_1");
}

static void test_order_and_pages(void **state)
{
	struct outbox_cursor at = start;
	int64_t next = 1;

	(void)state;
	for (int64_t i = 0; i < 5; i++)
		publish("usr_1", "user.erased", 1 + i * 10, 10);
	do {
		at = fetch(at, NULL, 7);
		for (size_t i = 0; i < n_got; i++)
			assert_int_equal(got[i].agg_version, next++);
	} while (more);
	assert_int_equal(next, 51);
	at = fetch(at, NULL, 7);
	assert_int_equal(n_got, 0);
}

/*
 * The lost commit: T1 takes its place in the log and stays open, T2 comes later and commits. Reading T2 now and moving
 * on would lose T1 for ever, so T2 is held back until T1 ends.
 */
static void test_late_commit(void **state)
{
	struct outbox_cursor at;
	struct err e = { 0 };
	struct pg *t1 = NULL;

	(void)state;
	publish("usr_0", "user.erased", 1, 1);
	at = fetch(start, NULL, 10);
	assert_int_equal(n_got, 1);
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "t1", &t1, &e), OK);
	assert_int_equal(pg_script(t1,
				   "BEGIN; INSERT INTO shop.outbox (epoch, event_id, agg_type, agg_id, agg_version, type, payload)"
				   " SELECT epoch, 'evt_slow', 'user', 'usr_1', 1, 'user.erased', '' FROM shop.cluster",
				   &e),
			 OK);
	publish("usr_2", "user.erased", 1, 1);
	held = true;
	at = fetch(at, NULL, 10);
	held = false;
	assert_int_equal(n_got, 0);
	assert_false(more);
	assert_int_equal(pg_script(t1, "COMMIT", &e), OK);
	at = fetch(at, NULL, 10);
	assert_int_equal(n_got, 2);
	assert_string_equal(got[0].event_id, "evt_slow");
	assert_string_equal(got[1].agg_id, "usr_2");
	/* The same with an end that is no commit. */
	assert_int_equal(pg_script(t1, "BEGIN; SELECT pg_current_xact_id()", &e), OK);
	publish("usr_3", "user.erased", 1, 1);
	held = true;
	at = fetch(at, NULL, 10);
	held = false;
	assert_int_equal(n_got, 0);
	assert_int_equal(pg_script(t1, "ROLLBACK", &e), OK);
	fetch(at, NULL, 10);
	assert_int_equal(n_got, 1);
	pg_disconnect(t1);
}

/* A consumer of rare events moves past the others without getting them. */
static void test_types(void **state)
{
	struct outbox_cursor at;

	(void)state;
	publish("usr_1", "user.noise", 1, 100);
	publish("usr_1", "user.rare", 1, 2);
	publish("usr_1", "user.noise", 101, 50);
	at = fetch(start, "user.rare", 200);
	assert_int_equal(n_got, 2);
	assert_string_equal(got[0].type, "user.rare");
	assert_false(more);
	assert_int_equal(at.pos, pg_fixture_i64(fx, "SELECT max(pos) FROM shop.outbox"));
	at = fetch(start, "user.rare", 1); /* a full page: the look ends at its last row */
	assert_int_equal(n_got, 1);
	assert_true(more);
	at = fetch(at, "user.rare", 1);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].agg_version, 2);
	at = fetch(start, "user.none", 200);
	assert_int_equal(n_got, 0);
	assert_int_equal(at.pos, pg_fixture_i64(fx, "SELECT max(pos) FROM shop.outbox"));
}

/* More than one look can see: the cursor advances without a hit, and there is more. */
static void test_long_look(void **state)
{
	struct outbox_cursor at;

	(void)state;
	publish("usr_1", "user.noise", 1, 210);
	publish("usr_1", "user.rare", 1, 1);
	at = fetch(start, "user.rare", 200);
	assert_int_equal(n_got, 0);
	assert_true(more);
	at = fetch(at, "user.rare", 200);
	assert_int_equal(n_got, 1);
	assert_false(more);
}

/*
 * The database moves to another cluster (dump and restore), where transaction numbers are low again: new events would
 * fall below every cursor. The first connection raises the epoch, which comes first.
 */
static void test_restored_elsewhere(void **state)
{
	int64_t before = pg_fixture_i64(fx, "SELECT epoch FROM shop.cluster");
	struct outbox_cursor at;

	(void)state;
	publish("usr_1", "user.erased", 1, 3);
	/* As after a restore: the identity on record is another cluster's, and its transaction numbers were far ahead. */
	pg_fixture_sql(fx, "UPDATE shop.outbox SET xid = (xid::text::bigint + 4000000000)::text::xid8;"
			   "UPDATE shop.cluster SET identity = '6912345678901234567/00000001'");
	pg_pool_close(pool);
	pool = pg_fixture_pool(fx, NULL, 4); /* the daemon starts */
	assert_int_equal(pg_fixture_i64(fx, "SELECT epoch FROM shop.cluster"), before + 1);
	at = fetch(start, NULL, 10);
	assert_int_equal(n_got, 3); /* rows of the old epoch are visible though their numbers lie in the future */
	publish("usr_1", "user.erased", 4, 1);
	at = fetch(at, NULL, 10);
	assert_int_equal(n_got, 1);
	assert_int_equal(got->agg_version, 4);
	assert_int_equal(got->epoch, before + 1);
	/* Once, not with every connection. */
	pg_pool_close(pool);
	pool = pg_fixture_pool(fx, NULL, 4);
	assert_int_equal(pg_fixture_i64(fx, "SELECT epoch FROM shop.cluster"), before + 1);
}

/* An older state of the same cluster (another timeline): cursors may be ahead of the log, and still get what is new. */
static void test_restored_older(void **state)
{
	struct outbox_cursor ahead;

	(void)state;
	publish("usr_1", "user.erased", 1, 3);
	ahead = fetch(start, NULL, 10);
	pg_fixture_sql(fx, "DELETE FROM shop.outbox WHERE agg_version > 1;"
			   "UPDATE shop.cluster SET identity = split_part(identity, '/', 1) || '/00000000'");
	ahead.xid += 1000000;
	pg_pool_close(pool);
	pool = pg_fixture_pool(fx, NULL, 4);
	publish("usr_1", "user.erased", 2, 1);
	fetch(ahead, NULL, 10);
	assert_int_equal(n_got, 1);
}

static void test_outside_tx(void **state)
{
	struct pub p = { "usr_1", "user.erased", 1, 1 };
	struct err e = { 0 };
	struct pg *pg = NULL;

	(void)state;
	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(publish_tx(pg, &p, &e), E_INTERNAL);
	pg_return(pg);
}

static char rung[256];

static void note(void *arg, const char *topic, const char *id)
{
	size_t n = strlen(rung);

	(void)arg;
	(void)snprintf(rung + n, sizeof(rung) - n, "%s %s;", topic, id);
}

static enum err_code publish_and_fail(struct pg *pg, void *arg, struct err *e)
{
	if (publish_tx(pg, arg, e))
		return e->code;
	return err_set(e, E_RULE, "test.fail", "no");
}

static void test_rings_after_commit(void **state)
{
	struct pub p = { "usr_9", "user.erased", 1, 1 };
	struct err e = { 0 };

	(void)state;
	pg_on_note(pool, note, NULL);
	assert_int_equal(pg_tx(pool, 0, NULL, publish_and_fail, &p, &e), E_RULE);
	assert_string_equal(rung, "");
	assert_int_equal(pg_tx(pool, 0, NULL, publish_tx, &p, &e), OK);
	assert_string_equal(rung, "user.erased user:usr_9;");
	pg_on_note(pool, NULL, NULL);
}

static int64_t prune(void)
{
	struct err e = { 0 };
	struct pg *pg = NULL;
	int64_t n = -1;

	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(outbox_prune(pg, &n, &e), OK);
	pg_return(pg);
	return n;
}

static void seen_by(const char *consumer, struct outbox_cursor at)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(outbox_consumer(pg, consumer, at, &e), OK);
	pg_return(pg);
}

static void test_retention(void **state)
{
	struct outbox_cursor half, all;

	(void)state;
	publish("usr_1", "user.erased", 1, 10);
	half = fetch(start, NULL, 5);
	all = fetch(half, NULL, 100);
	seen_by("quick", all);
	seen_by("slow", half);
	assert_int_equal(prune(), 0); /* young */
	pg_fixture_sql(fx, "UPDATE shop.outbox SET occurred_at = now() - interval '8 days'");
	assert_int_equal(prune(), 5); /* the slow one has not passed the rest */
	assert_int_equal(prune(), 0);
	pg_fixture_sql(fx, "UPDATE shop.outbox_consumer SET seen_at = now() - interval '31 days' WHERE consumer = 'slow'");
	assert_int_equal(prune(), 5); /* given up: it rebuilds from the owner */
}

static struct outbox_behind behind(void)
{
	struct outbox_behind b = { -1, -1 };
	struct err e = { 0 };
	struct pg *pg = NULL;

	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(outbox_behind(pg, a, &b, &e), OK);
	pg_return(pg);
	return b;
}

static void test_behind(void **state)
{
	struct outbox_cursor half, all;

	(void)state;
	publish("usr_1", "user.erased", 1, 10);
	assert_int_equal(behind().rows, 0); /* nobody waits */
	half = fetch(start, NULL, 4);
	all = fetch(half, NULL, 100);
	seen_by("quick", all);
	assert_int_equal(behind().rows, 0);
	assert_int_equal(behind().oldest_ms, 0);
	pg_fixture_sql(fx, "UPDATE shop.outbox SET occurred_at = now() - interval '1 hour' WHERE agg_version = 5");
	seen_by("slow", half);
	assert_int_equal(behind().rows, 6);
	assert_in_range(behind().oldest_ms, 3600000, 3900000);
	pg_fixture_sql(fx, "UPDATE shop.outbox_consumer SET seen_at = now() - interval '31 days' WHERE consumer = 'slow'");
	assert_int_equal(behind().rows, 0); /* given up */
}

/* What the Node service makes of it: the consumer is registered, large replies are cut and continued. */
static void test_node_fetch(void **state)
{
	Common__V1__FetchEventsRequest in = COMMON__V1__FETCH_EVENTS_REQUEST__INIT;
	Common__V1__EventCursor at = COMMON__V1__EVENT_CURSOR__INIT;
	struct err e = { 0 };
	struct pg *pg = NULL;
	int64_t next = 1;
	int rounds = 0;

	(void)state;
	pg_fixture_sql(fx, "INSERT INTO shop.outbox (epoch, event_id, agg_type, agg_id, agg_version, type, payload)"
			   " SELECT c.epoch, 'evt_' || i, 'user', 'usr_1', i, 'user.big', convert_to(repeat('x', 100000), 'UTF8')"
			   " FROM shop.cluster c, generate_series(1, 20) AS i");
	pg_fixture_settle(fx);
	in.consumer = (char *)(uintptr_t)"reader";
	in.after = &at;
	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	for (;;) {
		Common__V1__FetchEventsReply out = COMMON__V1__FETCH_EVENTS_REPLY__INIT;

		assert_int_equal(node_db_fetch_events(pg, a, &in, &out, &e), OK);
		assert_true(common__v1__fetch_events_reply__get_packed_size(&out) < 1 << 20);
		for (size_t i = 0; i < out.n_events; i++)
			assert_int_equal(out.events[i]->agg_version, next++);
		at = *out.seen;
		rounds++;
		if (!out.more)
			break;
	}
	assert_int_equal(next, 21);
	assert_true(rounds >= 4);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.outbox_consumer WHERE consumer = 'reader'"), 1);
	pg_return(pg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fields, empty),
		cmocka_unit_test_setup(test_order_and_pages, empty),
		cmocka_unit_test_setup(test_late_commit, empty),
		cmocka_unit_test_setup(test_types, empty),
		cmocka_unit_test_setup(test_long_look, empty),
		cmocka_unit_test_setup(test_restored_elsewhere, empty),
		cmocka_unit_test_setup(test_restored_older, empty),
		cmocka_unit_test_setup(test_outside_tx, empty),
		cmocka_unit_test_setup(test_rings_after_commit, empty),
		cmocka_unit_test_setup(test_retention, empty),
		cmocka_unit_test_setup(test_behind, empty),
		cmocka_unit_test_setup(test_node_fetch, empty),
	};

	return cmocka_run_group_tests(tests, setup, shop_close);
}
