/* Idempotency keys: one effect, the same answer, whatever happens in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include "common.pb-c.h"
#include "common/crypto.h"
#include "common/idem.h"
#include "common/pg_internal.h"
#include "common/timeutil.h"
#include "identity.pb-c.h"
#include "support/pg_fixture.h"

static const struct pg_stmt add = { .name = "add", .sql = "INSERT INTO shop.effect (what) VALUES ($1)" };
static const struct pg_stmt *const stmts[] = { &add, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };
static const struct migration shop_migrations[] = {
	{ 1, "effect",
	  "CREATE TABLE shop.effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);"
	  "INSERT INTO shop.audit_exempt VALUES ('effect', 'test')",
	  "0000000000000000000000000000000000000000000000000000000000000005" },
	{ 0, NULL, NULL, NULL },
};
static const uint8_t print1[32] = { 1 }, print2[32] = { 2 };

static struct pg_fixture *fx;
static struct pg_pool *pool;
static struct keyring *ring;

static int setup(void **state)
{
	static const char key[] = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	struct err e = { 0 };

	(void)state;
	fx = pg_fixture_open("shop", shop_migrations);
	pool = pg_fixture_pool(fx, tables, 8);
	assert_int_equal(keyring_parse(key, sizeof(key) - 1, &ring, &e), OK);
	idem_seal_with(pool, ring);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_pool_close(pool);
	keyring_free(ring);
	pg_fixture_close(fx);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	pg_fixture_sql(fx, "DELETE FROM shop.effect; DELETE FROM shop.idempotency");
	return 0;
}

static int64_t effects(void)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM shop.effect");
}

/* A request as rpc.c runs it. */
struct req {
	struct call c;
	Common__V1__HealthReply out;
	enum idem_found found;
	struct pg_bytes reply;
};

static struct req *begin_as(const char *scope, const char *key, const uint8_t *print)
{
	struct arena *a = arena_new("req", 1 << 20);
	struct req *r = arena_alloc(a, sizeof(*r));

	common__v1__health_reply__init(&r->out);
	r->c = (struct call){ .arena = a, .method = "Do", .request_id = "req_00000001", .deadline_ms = mono_ms() + 10000,
			      .idem_key = key, .fingerprint = print, .out = &r->out.base, .pool = pool };
	r->c.who.kind = WHO_USER;
	r->c.who.user_id = "usr_1";
	r->found = IDEM_NEW;
	if (idem_lookup(&r->c, scope, &r->found, &r->reply))
		assert_int_not_equal(r->c.err.code, OK);
	return r;
}

static struct req *begin(const char *key)
{
	return begin_as("user:usr_1", key, print1);
}

static void end(struct req *r)
{
	arena_free(r->c.arena);
}

static enum err_code effect(struct pg *pg, void *arg, struct err *e)
{
	struct req *r = arg;

	if (pg_exec(pg, &add, PG_ARGS(P("x")), NULL, e))
		return e->code;
	r->out.service = (char *)(uintptr_t)"answer ü";
	return OK;
}

static enum err_code refuse(struct pg *pg, void *arg, struct err *e)
{
	if (effect(pg, arg, e))
		return e->code;
	err_detail(e, "qty", "3", "only %d left", 3);
	return err_set(e, E_CONFLICT, "inventory.out_of_stock", "short");
}

static void assert_replay(struct req *r)
{
	ProtobufCAllocator al = arena_pb(r->c.arena);
	Common__V1__HealthReply *got;

	assert_int_equal(r->c.err.code, OK);
	assert_int_equal(r->found, IDEM_REPLAY);
	assert_true(r->c.replayed);
	got = common__v1__health_reply__unpack(&al, r->reply.len, r->reply.data);
	assert_non_null(got);
	assert_string_equal(got->service, "answer ü");
}

static void test_replay(void **state)
{
	struct req *r = begin("k1");

	(void)state;
	assert_int_equal(r->found, IDEM_NEW);
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect, r), OK);
	end(r);
	r = begin("k1");
	assert_replay(r);
	end(r);
	assert_int_equal(effects(), 1);
	/* Sealed: the answer is not readable in the table. */
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM shop.idempotency WHERE position('answer'::bytea IN reply) > 0"), 0);
}

/* Should a method that hands out a refresh token ever take a key: the token is not stored, the rest is. */
static void test_no_secret(void **state)
{
	Identity__V1__TokenReply out = IDENTITY__V1__TOKEN_REPLY__INIT, *got;
	struct req *r = begin("k1");
	ProtobufCAllocator al;

	(void)state;
	out.access_token = (char *)(uintptr_t)"access";
	out.hdr_refresh_token = (char *)(uintptr_t)"secret";
	r->c.out = &out.base;
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect, r), OK);
	assert_string_equal(out.hdr_refresh_token, "secret"); /* the caller still gets it */
	end(r);
	r = begin("k1");
	assert_int_equal(r->found, IDEM_REPLAY);
	al = arena_pb(r->c.arena);
	got = identity__v1__token_reply__unpack(&al, r->reply.len, r->reply.data);
	assert_string_equal(got->access_token, "access");
	assert_null(got->hdr_refresh_token);
	end(r);
}

static void test_scopes(void **state)
{
	struct req *r = begin("k1");

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect, r), OK);
	end(r);
	r = begin_as("user:usr_2", "k1", print1); /* another user's same key is another key */
	assert_int_equal(r->found, IDEM_NEW);
	assert_int_equal(r->c.err.code, OK);
	end(r);
	r = begin_as("user:usr_1", "k1", print2);
	assert_int_equal(r->c.err.code, E_RULE);
	assert_string_equal(r->c.err.slug, "idem.key_reused");
	end(r);
	r = begin_as(NULL, "k1", print1);
	assert_string_equal(r->c.err.slug, "idem.key_needs_scope");
	end(r);
}

/* The handler failed: nothing of the effect, nothing of the key, so the next try runs. */
static enum err_code fail_soft(struct pg *pg, void *arg, struct err *e)
{
	if (effect(pg, arg, e))
		return e->code;
	return err_set(e, E_UNAVAILABLE, "common.unavailable", "later");
}

static void test_failure_leaves_nothing(void **state)
{
	struct req *r = begin("k1");

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, fail_soft, r), E_UNAVAILABLE);
	end(r);
	assert_int_equal(effects(), 0);
	r = begin("k1");
	assert_int_equal(r->found, IDEM_NEW);
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect, r), OK);
	end(r);
	assert_int_equal(effects(), 1);
}

static void test_refusal_is_kept(void **state)
{
	struct req *r = begin("k1");

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, refuse, r), E_CONFLICT);
	idem_store_refusal(&r->c);
	end(r);
	assert_int_equal(effects(), 0);
	r = begin("k1");
	assert_int_equal(r->found, IDEM_REPLAY);
	assert_int_equal(r->c.err.code, E_CONFLICT);
	assert_string_equal(r->c.err.slug, "inventory.out_of_stock");
	assert_int_equal(r->c.err.n_details, 1);
	assert_string_equal(r->c.err.details[0].field, "qty");
	assert_string_equal(r->c.err.details[0].value, "3");
	assert_string_equal(r->c.err.details[0].message, "only 3 left");
	idem_store_refusal(&r->c);
	end(r);
	/* What the key itself is refused for is not an answer. */
	r = begin_as("user:usr_1", "k1", print2);
	idem_store_refusal(&r->c);
	end(r);
	r = begin("k1");
	assert_string_equal(r->c.err.slug, "inventory.out_of_stock");
	end(r);
}

/* Twelve requests with one key at once: one effect, and everybody ends with the one answer. */
static void *racer(void *arg)
{
	pthread_barrier_t *start = arg;
	const char *bad = NULL;
	struct req *r = begin("race");
	enum err_code code;

	(void)pthread_barrier_wait(start);
	code = r->c.err.code;
	if (!code && r->found == IDEM_NEW)
		code = call_tx(&r->c, CALL_TX_ONLY, effect, r);
	if (code && idem_raced(&r->c)) { /* as rpc.c does */
		end(r);
		r = begin("race");
		code = r->c.err.code;
		if (!code && r->found != IDEM_REPLAY)
			bad = "raced but no replay";
	}
	if (code)
		bad = "error";
	if (code)
		print_message("%s %s\n", r->c.err.slug, r->c.err.msg);
	end(r);
	return (void *)(uintptr_t)bad;
}

static void test_race(void **state)
{
	pthread_barrier_t start;
	pthread_t t[12];

	(void)state;
	assert_int_equal(pthread_barrier_init(&start, NULL, 12), 0);
	for (int i = 0; i < 12; i++)
		assert_int_equal(pthread_create(&t[i], NULL, racer, &start), 0);
	for (int i = 0; i < 12; i++) {
		void *bad;

		(void)pthread_join(t[i], &bad);
		if (bad)
			fail_msg("%s", (const char *)bad);
	}
	assert_int_equal(effects(), 1);
	(void)pthread_barrier_destroy(&start);
}

static enum err_code first(struct pg *pg, void *arg, struct err *e)
{
	struct req *r = arg;

	idem_resource(&r->c, "chk_1");
	return effect(pg, arg, e);
}

static void expire_lease(void)
{
	pg_fixture_sql(fx, "UPDATE shop.idempotency SET lease_until = now() - interval '1 second'");
}

/* Begun with its first transaction, finished with its last; in between the key is in flight. */
static void test_first_and_last(void **state)
{
	struct req *r = begin("k1"), *other;

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_FIRST, first, r), OK);
	other = begin("k1");
	assert_int_equal(other->c.err.code, E_CONFLICT);
	assert_string_equal(other->c.err.slug, "idem.in_flight");
	assert_true(other->c.err.retry_after_ms > 0);
	end(other);
	assert_string_equal(pg_fixture_text(fx, "SELECT resource_id FROM shop.idempotency"), "chk_1");
	assert_int_equal(call_tx(&r->c, CALL_TX_PLAIN, effect, r), OK);
	assert_int_equal(call_tx(&r->c, CALL_TX_LAST, effect, r), OK);
	end(r);
	r = begin("k1");
	assert_replay(r);
	end(r);
	assert_int_equal(effects(), 3);
}

/* The first attempt died: the retry resumes what it began, and the first, should it wake up, may not finish. */
static void test_resume(void **state)
{
	struct req *dead = begin("k1"), *r, *third;

	(void)state;
	assert_int_equal(call_tx(&dead->c, CALL_TX_FIRST, first, dead), OK);
	expire_lease();
	r = begin("k1");
	assert_int_equal(r->c.err.code, OK);
	assert_int_equal(r->found, IDEM_RESUME);
	assert_string_equal(idem_resume(&r->c), "chk_1");
	third = begin("k1"); /* one at a time */
	assert_string_equal(third->c.err.slug, "idem.in_flight");
	end(third);
	assert_int_equal(call_tx(&dead->c, CALL_TX_LAST, effect, dead), E_CONFLICT);
	assert_true(idem_raced(&dead->c));
	assert_int_equal(effects(), 1); /* undone with it */
	end(dead);
	assert_int_equal(call_tx(&r->c, CALL_TX_LAST, effect, r), OK);
	end(r);
	r = begin("k1");
	assert_replay(r);
	end(r);
	assert_int_equal(effects(), 2);
}

/* A refusal after the first transaction ends the key. */
static void test_refused_later(void **state)
{
	struct req *r = begin("k1");

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_FIRST, first, r), OK);
	(void)err_set(&r->c.err, E_RULE, "cart.empty", "nothing");
	idem_store_refusal(&r->c);
	end(r);
	r = begin("k1");
	assert_int_equal(r->found, IDEM_REPLAY);
	assert_string_equal(r->c.err.slug, "cart.empty");
	end(r);
}

/* COMMIT's answer is lost: the client is told so, and its retry learns what happened. */
static enum err_code effect_then_drop(struct pg *pg, void *arg, struct err *e)
{
	if (effect(pg, arg, e))
		return e->code;
	pg_fault_inject(PG_FAULT_DROP_AFTER_SEND, 2); /* idem_finish, then COMMIT */
	return OK;
}

static void test_unknown_outcome(void **state)
{
	struct req *r = begin("k1");

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect_then_drop, r), E_UNAVAILABLE);
	assert_string_equal(r->c.err.slug, "pg.outcome_unknown");
	end(r);
	while (effects() == 0)
		sleep_ms(2);
	r = begin("k1");
	assert_replay(r);
	end(r);
}

static void test_expiry(void **state)
{
	struct req *r = begin("k1");
	struct err e = { 0 };
	struct pg *pg = NULL;
	int64_t n = 0;

	(void)state;
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect, r), OK);
	end(r);
	pg_fixture_sql(fx, "UPDATE shop.idempotency SET expires_at = now() - interval '1 second'");
	r = begin_as("user:usr_1", "k1", print2); /* forgotten, though still in the table */
	assert_int_equal(r->found, IDEM_NEW);
	assert_int_equal(call_tx(&r->c, CALL_TX_ONLY, effect, r), OK);
	end(r);
	assert_int_equal(effects(), 2);
	pg_fixture_sql(fx, "UPDATE shop.idempotency SET expires_at = now() - interval '1 second'");
	assert_int_equal(pg_borrow(pool, 0, &pg, &e), OK);
	assert_int_equal(idem_sweep(pg, &n, &e), OK);
	assert_int_equal(n, 1);
	pg_return(pg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_replay, empty),
		cmocka_unit_test_setup(test_no_secret, empty),
		cmocka_unit_test_setup(test_scopes, empty),
		cmocka_unit_test_setup(test_failure_leaves_nothing, empty),
		cmocka_unit_test_setup(test_refusal_is_kept, empty),
		cmocka_unit_test_setup(test_race, empty),
		cmocka_unit_test_setup(test_first_and_last, empty),
		cmocka_unit_test_setup(test_resume, empty),
		cmocka_unit_test_setup(test_refused_later, empty),
		cmocka_unit_test_setup(test_unknown_outcome, empty),
		cmocka_unit_test_setup(test_expiry, empty),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
