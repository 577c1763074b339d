/* Events applied once and in order, with a source that repeats itself, fails, races and poisons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/crypto.h"
#include "common/cursor.h"
#include "common/doorbell.h"
#include "common/inbox.h"
#include "common/log.h"
#include "common/node_db.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "support/pg_fixture.h"

static const struct pg_stmt effect = {
	.name = "effect", .sql = "INSERT INTO shop.effect (event_id, agg, version) VALUES ($1, $2, $3)",
};
static const struct pg_stmt doze = { .name = "doze", .sql = "SELECT pg_sleep(0.02)" };
static const struct pg_stmt *const stmts[] = { &effect, &doze, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };
static const struct migration shop_migrations[] = {
	{ 1, "effect",
	  "CREATE TABLE shop.effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text, agg text,"
	  " version bigint); SELECT shop.audit_attach('effect')",
	  "0000000000000000000000000000000000000000000000000000000000000006" },
	{ 0, NULL, NULL, NULL },
};

static struct pg_fixture *fx;
static struct pg_pool *pool;

/* ---- a source in memory ---- */
#define EVENTS_MAX 600
static struct {
	pthread_mutex_t mu;
	struct {
		char id[24], agg[16];
		int64_t version;
		bool garbage;
	} ev[EVENTS_MAX];
	size_t n;
	bool down, forgets; /* forgets: answers from the beginning whatever the cursor says */
	_Atomic int fetches;
} src = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void emit(const char *agg, int64_t version, bool garbage)
{
	(void)pthread_mutex_lock(&src.mu);
	assert_true(src.n < EVENTS_MAX);
	(void)snprintf(src.ev[src.n].id, sizeof(src.ev[0].id), "evt_%s_%lld", agg, (long long)version);
	(void)snprintf(src.ev[src.n].agg, sizeof(src.ev[0].agg), "%s", agg);
	src.ev[src.n].version = version;
	src.ev[src.n].garbage = garbage;
	src.n++;
	(void)pthread_mutex_unlock(&src.mu);
}

static Common__V1__Event *make_event(struct arena *a, size_t i)
{
	Common__V1__Event *ev = arena_alloc(a, sizeof(*ev));
	Common__V1__EventCursor *cur = arena_alloc(a, sizeof(*cur));
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;
	uint8_t *bytes;

	common__v1__event__init(ev);
	common__v1__event_cursor__init(cur);
	cur->epoch = 1;
	cur->xid = (int64_t)i + 100;
	cur->pos = (int64_t)i + 1;
	ev->cursor = cur;
	ev->event_id = arena_strdup(a, src.ev[i].id);
	ev->agg_type = arena_strdup(a, "user");
	ev->agg_id = arena_strdup(a, src.ev[i].agg);
	ev->agg_version = src.ev[i].version;
	ev->type = arena_strdup(a, "user.erased");
	ev->occurred_at = wall_ms();
	m.user_id = src.ev[i].agg;
	bytes = arena_alloc(a, 256);
	ev->payload.data = bytes;
	ev->payload.len = events__v1__user_erased__pack(&m, bytes);
	if (src.ev[i].garbage)
		memset(bytes, 0xff, ev->payload.len);
	return ev;
}

static enum err_code fetch(void *arg, const char *source, struct call *c, const Common__V1__FetchEventsRequest *req,
			   Common__V1__FetchEventsReply **out_r)
{
	Common__V1__FetchEventsReply *out = arena_alloc(c->arena, sizeof(*out));
	size_t at;

	(void)arg;
	assert_false(pg_in_tx());
	assert_string_equal(source, "identity");
	if (req->consumer) /* now and then */
		assert_string_equal(req->consumer, "shop");
	atomic_fetch_add(&src.fetches, 1);
	common__v1__fetch_events_reply__init(out);
	(void)pthread_mutex_lock(&src.mu);
	if (src.down) {
		(void)pthread_mutex_unlock(&src.mu);
		return err_set(&c->err, E_UNAVAILABLE, "rpc.unavailable", "down");
	}
	at = src.forgets ? 0 : (size_t)req->after->pos;
	out->events = arena_array(c->arena, EVENTS_MAX, sizeof(*out->events));
	for (; at < src.n && out->n_events < (size_t)req->limit; at++)
		out->events[out->n_events++] = make_event(c->arena, at);
	out->more = at < src.n;
	(void)pthread_mutex_unlock(&src.mu);
	*out_r = out;
	return OK;
}

/* ---- a consumer ---- */
static _Atomic int fail_left, fail_code, calls;
static char fail_agg[16];
static _Atomic bool slow;

static enum err_code apply(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__UserErased *m = (const void *)ev->msg;

	(void)arena_alloc(a, 1 << 16);
	assert_string_equal(svc, "svc");
	assert_true(pg_in_tx());
	assert_string_equal(m->user_id, ev->agg_id);
	atomic_fetch_add(&calls, 1);
	if (pg_exec(pg, &effect, PG_ARGS(P(ev->event_id), P(ev->agg_id), P(ev->agg_version)), NULL, e))
		return e->code;
	if (atomic_load(&slow) && pg_exec(pg, &doze, PG_NONE, NULL, e))
		return e->code;
	if (strcmp(fail_agg, ev->agg_id) == 0 && atomic_load(&fail_left) > 0) {
		atomic_fetch_sub(&fail_left, 1);
		return err_set(e, (enum err_code)atomic_load(&fail_code), "test.poison", "on purpose");
	}
	return OK;
}

static const struct inbox_handler handlers[] = {
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, apply, NULL },
	{ 0 },
};

static struct inbox *start_as(const char *source, const struct inbox_handler *h)
{
	struct inbox_source sources[] = { { source, NULL, NULL }, { 0 } };
	struct inbox_conf conf = { .consumer = "shop", .pool = pool, .handlers = h, .svc = (void *)(uintptr_t)"svc",
				   .sources = sources, .poll_ms = 10, .lease_s = 10, .retry_ms = 10, .max_attempts = 4,
				   .fetch = strcmp(source, "shop") != 0 ? fetch : NULL };
	struct inbox *in = NULL;
	struct err e = { 0 };

	assert_int_equal(inbox_start(&conf, &in, &e), OK);
	return in;
}

static struct inbox *begin(void)
{
	return start_as("identity", handlers);
}

static int setup(void **state)
{
	struct key32 key = { { 1 } };

	(void)state;
	log_set_level(LVL_CRITICAL);
	cursor_use_key(&key);
	fx = pg_fixture_open("shop", shop_migrations);
	pool = pg_fixture_pool(fx, tables, 6);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_pool_close(pool);
	pg_fixture_close(fx);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	pg_fixture_sql(fx, "DELETE FROM shop.effect; DELETE FROM shop.inbox; DELETE FROM shop.inbox_cursor;"
			   "DELETE FROM shop.dead_letter; DELETE FROM shop.outbox; DELETE FROM shop.audit_log");
	src.n = 0;
	src.down = src.forgets = false;
	fail_agg[0] = '\0';
	atomic_store(&fail_left, 0);
	atomic_store(&fail_code, E_RULE);
	atomic_store(&calls, 0);
	atomic_store(&src.fetches, 0);
	atomic_store(&slow, false);
	return 0;
}

static int64_t effects(void)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM shop.effect");
}

/* Until the query gives that number. */
static void until(int64_t want, const char *sql)
{
	for (int64_t start = mono_ms(); pg_fixture_i64(fx, "%s", sql) != want && mono_ms() < start + 20000;)
		sleep_ms(5);
	assert_int_equal(pg_fixture_i64(fx, "%s", sql), want);
}

static void until_effects(int64_t want)
{
	until(want, "SELECT count(*) FROM shop.effect");
}

static void some_fetches(int n)
{
	int from = atomic_load(&src.fetches);

	for (int64_t start = mono_ms(); atomic_load(&src.fetches) < from + n && mono_ms() < start + 20000;)
		sleep_ms(2);
	assert_true(atomic_load(&src.fetches) >= from + n);
}

/* Each exactly once, each aggregate in the order of its versions. */
static void assert_clean(int64_t n)
{
	assert_int_equal(effects(), n);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(DISTINCT event_id) FROM shop.effect"), n);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM (SELECT version, lag(version) OVER (PARTITION BY agg"
					    " ORDER BY n) AS before FROM shop.effect) x WHERE before >= version"),
			 0);
}

static void test_applies(void **state)
{
	struct inbox *in = begin();

	(void)state;
	for (int64_t v = 1; v <= 250; v++)
		emit(v % 2 ? "odd" : "even", v, false);
	until_effects(250);
	emit("odd", 251, false);
	until_effects(251);
	inbox_stop(in);
	assert_clean(251);
	assert_int_equal(pg_fixture_i64(fx, "SELECT pos FROM shop.inbox_cursor"), 251);
	assert_string_equal(pg_fixture_text(fx, "SELECT owner FROM shop.inbox_cursor"), ""); /* the lease is given back */
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.audit_log WHERE actor = 'service:identity'"
					    " AND request_id = after ->> 'event_id'"),
			 251);
	in = begin(); /* goes on where it was */
	emit("odd", 252, false);
	until_effects(252);
	inbox_stop(in);
	assert_clean(252);
}

/* The inbox alone: the source goes by no cursor and sends everything again and again. */
static void test_inbox_alone(void **state)
{
	struct inbox *in;

	(void)state;
	for (int64_t v = 1; v <= 30; v++)
		emit("a", v, false);
	src.forgets = true; /* the same answer again and again */
	in = begin();
	until_effects(30);
	some_fetches(3);
	inbox_stop(in);
	assert_clean(30);
}

/*
 * The event of one aggregate is poison. It is retried, then dead; its followers wait, others do not; after a repair and
 * a replay everything is applied in order.
 */
static void test_poison(void **state)
{
	Common__V1__DeadLettersRequest list = COMMON__V1__DEAD_LETTERS_REQUEST__INIT;
	Common__V1__DeadLettersReply dead = COMMON__V1__DEAD_LETTERS_REPLY__INIT;
	Common__V1__ReplayDeadLetterRequest ask = COMMON__V1__REPLAY_DEAD_LETTER_REQUEST__INIT;
	Common__V1__ReplayDeadLetterReply done = COMMON__V1__REPLAY_DEAD_LETTER_REPLY__INIT;
	Common__V1__LagReply lag = COMMON__V1__LAG_REPLY__INIT;
	struct arena *a = arena_new("test", 1 << 20);
	struct err e = { 0 };
	struct pg *pg = NULL;
	struct inbox *in;

	(void)state;
	(void)snprintf(fail_agg, sizeof(fail_agg), "bad");
	atomic_store(&fail_left, 1000000);
	for (int64_t v = 1; v <= 10; v++) {
		emit("good", v, false);
		emit("bad", v, false);
	}
	in = begin();
	until(1, "SELECT count(*) FROM shop.dead_letter WHERE state = 'dead'");
	assert_int_equal(effects(), 10);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.dead_letter WHERE state = 'parked'"), 9);
	assert_int_equal(pg_fixture_i64(fx, "SELECT attempts FROM shop.dead_letter WHERE state = 'dead'"), 4);
	emit("bad", 11, false); /* comes later: waits too */
	emit("good", 11, false);
	until_effects(11);
	until(10, "SELECT count(*) FROM shop.dead_letter WHERE state = 'parked'");

	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(node_db_dead_letters(pg, a, &list, &dead, &e), OK);
	assert_int_equal(dead.n_data, 11);
	assert_string_equal(dead.data[0]->event_id, "evt_bad_1");
	assert_non_null(strstr(dead.data[0]->error, "dead: test.poison"));
	assert_int_equal(node_db_event_lag(pg, a, &lag, &e), OK);
	assert_int_equal(lag.n_data, 1);
	assert_int_equal(lag.data[0]->dead_letters, 1);
	assert_int_equal(lag.data[0]->parked, 10);
	ask.id = dead.data[5]->id; /* not the first of its aggregate */
	assert_int_equal(node_db_replay(pg, a, &ask, &done, &e), E_NOT_FOUND);

	atomic_store(&fail_left, 0); /* repaired */
	ask.id = dead.data[0]->id;
	assert_int_equal(node_db_replay(pg, a, &ask, &done, &e), OK);
	assert_int_equal(done.replayed, 1);
	pg_return(pg);
	until_effects(22);
	until(0, "SELECT count(*) FROM shop.dead_letter");
	emit("bad", 12, false); /* no longer parked */
	until_effects(23);
	inbox_stop(in);
	assert_clean(23);
	arena_free(a);
}

/* Fails twice, then works: nobody has to help. */
static void test_heals(void **state)
{
	struct inbox *in;

	(void)state;
	(void)snprintf(fail_agg, sizeof(fail_agg), "a");
	atomic_store(&fail_left, 3);
	for (int64_t v = 1; v <= 5; v++)
		emit("a", v, false);
	in = begin();
	until_effects(5);
	until(0, "SELECT count(*) FROM shop.dead_letter");
	inbox_stop(in);
	assert_clean(5);
}

static void test_garbage(void **state)
{
	struct inbox *in;

	(void)state;
	emit("a", 1, false);
	emit("b", 1, true);
	emit("c", 1, false);
	in = begin();
	until(1, "SELECT count(*) FROM shop.dead_letter WHERE state = 'dead' AND agg_id = 'b'");
	inbox_stop(in);
	assert_clean(2);
}

/* E_UNAVAILABLE is nobody's fault: the cursor waits, nothing is set aside, nothing is lost. */
static void test_outage(void **state)
{
	struct inbox *in;

	(void)state;
	(void)snprintf(fail_agg, sizeof(fail_agg), "b");
	atomic_store(&fail_code, E_UNAVAILABLE);
	atomic_store(&fail_left, 5); /* batch and single, twice and a half: below the limit of five singles */
	emit("a", 1, false);
	emit("b", 1, false);
	emit("c", 1, false);
	in = begin();
	until_effects(3);
	inbox_stop(in);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.dead_letter"), 0);
	assert_clean(3);
}

/* ... but an event that is always "unavailable" cannot stop the others for ever. */
static void test_stuck(void **state)
{
	struct inbox *in;

	(void)state;
	(void)snprintf(fail_agg, sizeof(fail_agg), "b");
	atomic_store(&fail_code, E_UNAVAILABLE);
	atomic_store(&fail_left, 1000000);
	emit("b", 1, false);
	emit("c", 1, false);
	in = begin();
	until_effects(1);
	until(1, "SELECT count(*) FROM shop.dead_letter");
	atomic_store(&fail_left, 0);
	until_effects(2);
	inbox_stop(in);
	assert_clean(2);
}

/*
 * Two pullers at once. They are one process and so share the lease: the worst case of a lease that two believe to hold.
 * The compare-and-set of the cursor keeps the effects single and ordered.
 */
static void test_two_pullers(void **state)
{
	struct inbox *one, *two;

	(void)state;
	atomic_store(&slow, true);
	one = begin();
	two = begin();
	for (int64_t v = 1; v <= 120; v++) {
		emit("a", v, false);
		if (v % 10 == 0)
			sleep_ms(5);
	}
	until_effects(120);
	inbox_stop(one);
	inbox_stop(two);
	assert_clean(120);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.dead_letter"), 0);
}

static void test_lease_of_another(void **state)
{
	struct inbox *in;

	(void)state;
	pg_fixture_sql(fx, "INSERT INTO shop.inbox_cursor (source, owner, lease_until) VALUES ('identity', 'else', now() + interval '1 hour')");
	emit("a", 1, false);
	in = begin();
	sleep_ms(60);
	assert_int_equal(atomic_load(&src.fetches), 0);
	pg_fixture_sql(fx, "UPDATE shop.inbox_cursor SET lease_until = now()");
	until_effects(1);
	/* Taken from us in the middle: what we do with the old cursor is undone. */
	pg_fixture_sql(fx, "UPDATE shop.inbox_cursor SET owner = 'else', lease_until = now() + interval '1 hour'");
	emit("a", 2, false);
	some_fetches(1);
	sleep_ms(60);
	assert_int_equal(effects(), 1);
	inbox_stop(in);
	assert_string_equal(pg_fixture_text(fx, "SELECT owner FROM shop.inbox_cursor"), "else");
}

/* The backend is killed in the middle of batches. */
static void test_killed(void **state)
{
	struct inbox *in;

	(void)state;
	atomic_store(&slow, true);
	for (int64_t v = 1; v <= 100; v++)
		emit(v % 2 ? "a" : "b", v, false);
	in = begin();
	for (int i = 0; i < 6; i++) {
		int seen = atomic_load(&calls);

		while (atomic_load(&calls) < seen + 7 && effects() < 100)
			sleep_ms(1);
		pg_fixture_sql(fx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'souk_shop'"
				   " AND datname = current_database()");
	}
	until_effects(100);
	until(100, "SELECT pos FROM shop.inbox_cursor");
	inbox_stop(in);
	assert_clean(100);
}

/* The cursor alone: the inbox remembers nothing, but an effect and the cursor's step are one transaction. */
static void test_cursor_alone(void **state)
{
	pg_fixture_sql(fx, "CREATE FUNCTION shop.forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
			   " $$ BEGIN DELETE FROM shop.inbox; RETURN NULL; END $$");
	pg_fixture_sql(fx, "CREATE TRIGGER forget AFTER INSERT ON shop.inbox EXECUTE FUNCTION shop.forget()");
	test_killed(state);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.inbox"), 0);
	pg_fixture_sql(fx, "DROP TRIGGER forget ON shop.inbox; DROP FUNCTION shop.forget()");
}

static void test_source_down(void **state)
{
	struct inbox *in;

	(void)state;
	src.down = true;
	emit("a", 1, false);
	in = begin();
	some_fetches(2);
	assert_int_equal(effects(), 0);
	(void)pthread_mutex_lock(&src.mu);
	src.down = false;
	(void)pthread_mutex_unlock(&src.mu);
	until_effects(1);
	inbox_stop(in);
}

/* The later of two transactions may stand first in the log; in one batch their versions decide. */
static void test_version_order(void **state)
{
	struct inbox *in;

	(void)state;
	emit("a", 1, false);
	emit("b", 2, false);
	emit("a", 3, false);
	emit("b", 1, false);
	emit("a", 2, false);
	in = begin();
	until_effects(5);
	inbox_stop(in);
	assert_clean(5);
	assert_string_equal(pg_fixture_text(fx, "SELECT string_agg(agg || version, ' ' ORDER BY n) FROM shop.effect"),
			    "a1 b1 a2 b2 a3");
}

/* A daemon that consumes its own log, through its own pool. */
static enum err_code publish(struct pg *pg, void *arg, struct err *e)
{
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;

	m.user_id = arg;
	return outbox_put(pg, "user", arg, 1, "user.erased", &m.base, e);
}

static void test_own_log(void **state)
{
	static const struct inbox_handler own[] = {
		{ "shop", "user.erased", &events__v1__user_erased__descriptor, apply, NULL },
		{ 0 },
	};
	struct inbox *in = start_as("shop", own);
	struct err e = { 0 };
	char agg[16];

	(void)state;
	for (int i = 0; i < 20; i++) {
		(void)snprintf(agg, sizeof(agg), "usr_%d", i);
		assert_int_equal(pg_tx(pool, 0, NULL, publish, agg, &e), OK);
	}
	until_effects(20);
	until(1, "SELECT count(*) FROM shop.outbox_consumer c WHERE consumer = 'shop'"
		 " AND pos = (SELECT max(pos) FROM shop.outbox)");
	inbox_stop(in);
	assert_clean(20);
}

/*
 * The doorbell: with polling only once a minute an event arrives within moments of its commit, also when another
 * transaction hid it at the time of the ring.
 */
static void test_bell(void **state)
{
	static const struct inbox_handler own[] = {
		{ "shop", "user.erased", &events__v1__user_erased__descriptor, apply, NULL },
		{ 0 },
	};
	char dir[] = "/tmp/souk-bell-XXXXXX", url[64];
	struct inbox_source sources[] = { { "shop", NULL, url }, { 0 } };
	struct inbox_conf conf = { .consumer = "shop", .pool = pool, .handlers = own, .svc = (void *)(uintptr_t)"svc",
				   .sources = sources, .poll_ms = 60000, .lease_s = 10 };
	struct doorbell *bell = NULL;
	struct inbox *in = NULL;
	struct err e = { 0 };
	struct pg *other = NULL;
	int64_t start;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(url, sizeof(url), "ipc://%s/bell", dir);
	assert_int_equal(doorbell_open(url, "shop", &bell, &e), OK);
	outbox_ring_by(pool, bell);
	assert_int_equal(inbox_start(&conf, &in, &e), OK);
	start = mono_ms();
	for (int i = 0; i < 3; i++) {
		char agg[16];

		(void)snprintf(agg, sizeof(agg), "usr_%d", i);
		assert_int_equal(pg_tx(pool, 0, NULL, publish, agg, &e), OK);
		until_effects(i + 1);
	}
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "other", &other, &e), OK);
	assert_int_equal(pg_script(other, "BEGIN; SELECT pg_current_xact_id()", &e), OK);
	assert_int_equal(pg_tx(pool, 0, NULL, publish, (void *)(uintptr_t)"usr_late", &e), OK);
	sleep_ms(60);
	assert_int_equal(effects(), 3);
	assert_int_equal(pg_script(other, "COMMIT", &e), OK);
	until_effects(4);
	assert_true(mono_ms() - start < 20000);
	pg_disconnect(other);
	inbox_stop(in);
	pg_on_note(pool, NULL, NULL);
	doorbell_close(bell);
	(void)rmdir(dir);
	assert_clean(4);
}

static void test_refuses(void **state)
{
	struct inbox_source none[] = { { 0 } }, other[] = { { "cart", NULL, NULL }, { 0 } };
	struct inbox_conf conf = { .consumer = "shop", .pool = pool, .handlers = handlers, .sources = none };
	struct inbox *in = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(inbox_start(&conf, &in, &e), E_INTERNAL); /* a handler without its source */
	conf.sources = other;
	assert_int_equal(inbox_start(&conf, &in, &e), E_INTERNAL);
	assert_null(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_applies, empty),
		cmocka_unit_test_setup(test_inbox_alone, empty),
		cmocka_unit_test_setup(test_poison, empty),
		cmocka_unit_test_setup(test_heals, empty),
		cmocka_unit_test_setup(test_garbage, empty),
		cmocka_unit_test_setup(test_outage, empty),
		cmocka_unit_test_setup(test_stuck, empty),
		cmocka_unit_test_setup(test_two_pullers, empty),
		cmocka_unit_test_setup(test_lease_of_another, empty),
		cmocka_unit_test_setup(test_killed, empty),
		cmocka_unit_test_setup(test_cursor_alone, empty),
		cmocka_unit_test_setup(test_source_down, empty),
		cmocka_unit_test_setup(test_version_order, empty),
		cmocka_unit_test_setup(test_own_log, empty),
		cmocka_unit_test_setup(test_bell, empty),
		cmocka_unit_test_setup(test_refuses, empty),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
