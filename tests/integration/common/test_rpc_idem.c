/* Idempotency keys through the dispatcher, on a real database: scopes, replays, refusals, two twins at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/rpc_codec.h"
#include "common/timeutil.h"
#include "support/echo.h"
#include "support/pg_fixture.h"

/* A service of one method; the reply names the effect's number, so a replay is told from a second effect. */
static const struct pg_col n_cols[] = { { "n", PG_I64, 0 } };
static const struct pg_stmt add = {
	.name = "add",
	.sql = "INSERT INTO shop.effect (what) VALUES ($1) RETURNING n",
	.col = n_cols,
	.ncol = 1,
	.row_size = sizeof(int64_t),
};
static const struct pg_stmt *const stmts[] = { &add, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };
static const struct migration migrations[] = {
	{ 1, "effect",
	  "CREATE TABLE shop.effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);"
	  "INSERT INTO shop.audit_exempt VALUES ('effect', 'test')",
	  "0000000000000000000000000000000000000000000000000000000000000006" },
	{ 0, NULL, NULL, NULL },
};

RPC_HANDLER(shop_do, Common__V1__DeadLettersRequest, Common__V1__DeadLettersReply)

static const ProtobufCMethodDescriptor methods[] = {
	{ "Do", &common__v1__dead_letters_request__descriptor, &common__v1__dead_letters_reply__descriptor },
};
static const unsigned by_name[] = { 0 };
static const ProtobufCServiceDescriptor shop_descriptor = {
	.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
	.name = "shop.v1.Shop",
	.short_name = "Shop",
	.package = "shop.v1",
	.n_methods = 1,
	.methods = methods,
	.method_indices_by_name = by_name,
};
static const struct rpc_method shop_methods[] = { { "Do", shop_do_, RPC_WRITE | RPC_KEYED | RPC_KEY_NEEDED, 0 }, { 0 } };
static const struct rpc_method *const shop_tables[] = { shop_methods, NULL };
static const struct rpc_service services[] = { { &shop_descriptor, shop_tables }, { 0 } };

static struct pg_fixture *fx;
static struct pg_pool *pool;
static struct rpc_bound *bound;
static struct rpc_keys *server_keys, *client_keys;
static atomic_int handled;
static atomic_int slow_ms;

struct work {
	struct call *c;
	const char *what;
	Common__V1__DeadLettersReply *out;
};

static enum err_code work_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;
	int64_t *n;
	bool found;

	if (pg_row(pg, &add, PG_ARGS(P(w->what)), w->c->arena, &n, &found, e))
		return e->code;
	sleep_ms(atomic_load(&slow_ms));
	w->out->next_cursor = arena_printf(w->c->arena, "effect %lld", (long long)*n);
	return OK;
}

static enum err_code shop_do(struct call *c, const Common__V1__DeadLettersRequest *in, Common__V1__DeadLettersReply *out)
{
	struct work w = { c, in->cursor, out };

	atomic_fetch_add(&handled, 1);
	if (!strcmp(in->cursor, "refuse")) {
		err_detail(&c->err, "qty", "2", "too many");
		return err_set(&c->err, E_CONFLICT, "inventory.out_of_stock", "short");
	}
	if (!strcmp(in->cursor, "away"))
		return err_set(&c->err, E_UNAVAILABLE, "common.unavailable", "away");
	return call_tx(c, CALL_TX_ONLY, work_tx, &w);
}

struct outcome {
	enum err_code code;
	char slug[64], text[64];
	bool replayed;
	size_t n_details;
};

static void ask_as(const Common__V1__Principal *who, const char *key, const char *what, struct outcome *o)
{
	const struct rpc_env env = { .self = "echo", .bound = bound, .keys = server_keys, .pool = pool };
	struct arena *a = arena_new("test", 1 << 20);
	Common__V1__DeadLettersRequest in = COMMON__V1__DEAD_LETTERS_REQUEST__INIT;
	Common__V1__Request req = COMMON__V1__REQUEST__INIT;
	Common__V1__DeadLettersReply *reply;
	Common__V1__Reply *r;
	struct pg_bytes bytes;
	struct err e = { 0 };
	uint8_t print[32] = { (uint8_t)what[0], (uint8_t)what[1] };

	in.cursor = (char *)what;
	req.method = (char *)"shop.v1.Shop/Do";
	req.request_id = (char *)"request-0001";
	req.caller = (char *)"tester";
	req.callee = (char *)"echo";
	req.has_deadline_ms = 1;
	req.deadline_ms = 8000;
	req.principal = (Common__V1__Principal *)(uintptr_t)who;
	req.idempotency_key = (char *)key;
	req.has_fingerprint = key != NULL;
	req.fingerprint = (ProtobufCBinaryData){ key ? sizeof(print) : 0, print };
	assert_int_equal(rpc_request_pack(a, client_keys, &req, (struct rpc_body){ .msg = &in.base }, &bytes, &e), OK);
	bytes = rpc_dispatch(&env, a, bytes.data, bytes.len);
	r = common__v1__reply__unpack(NULL, bytes.len, bytes.data);
	*o = (struct outcome){ .code = (enum err_code)r->code, .replayed = r->replayed, .n_details = r->n_details };
	snprintf(o->slug, sizeof(o->slug), "%s", r->slug ? r->slug : "");
	if (r->has_payload) {
		reply = common__v1__dead_letters_reply__unpack(NULL, r->payload.len, r->payload.data);
		snprintf(o->text, sizeof(o->text), "%s", reply->next_cursor ? reply->next_cursor : "");
		common__v1__dead_letters_reply__free_unpacked(reply, NULL);
	}
	common__v1__reply__free_unpacked(r, NULL);
	arena_free(a);
}

static void ask(const char *user, const char *key, const char *what, struct outcome *o)
{
	Common__V1__Principal who = COMMON__V1__PRINCIPAL__INIT;

	who.has_kind = 1;
	who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_USER;
	who.user_id = (char *)user;
	ask_as(&who, key, what, o);
}

static int64_t effects(void)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM shop.effect");
}

static void test_replay(void **state)
{
	struct outcome first, again;

	(void)state;
	ask("usr_1", "k1", "one", &first);
	assert_int_equal(first.code, OK);
	assert_false(first.replayed);
	ask("usr_1", "k1", "one", &again);
	assert_int_equal(again.code, OK);
	assert_true(again.replayed);
	assert_string_equal(again.text, first.text);
	assert_int_equal(atomic_load(&handled), 1);
	assert_int_equal(effects(), 1);
}

static void test_scopes(void **state)
{
	Common__V1__Principal service = COMMON__V1__PRINCIPAL__INIT;
	struct outcome o;

	(void)state;
	ask("usr_1", "k1", "one", &o);
	ask("usr_2", "k1", "one", &o); /* another user's key of the same name */
	assert_int_equal(o.code, OK);
	assert_false(o.replayed);
	service.has_kind = 1;
	service.kind = COMMON__V1__PRINCIPAL__KIND__KIND_SERVICE;
	service.service = (char *)"tester";
	ask_as(&service, "k1", "one", &o);
	assert_false(o.replayed);
	assert_int_equal(effects(), 3);
	ask_as(NULL, "k1", "one", &o);
	assert_int_equal(o.code, E_INVALID);
	assert_string_equal(o.slug, "idem.key_needs_scope");
	ask("usr_1", NULL, "one", &o);
	assert_int_equal(o.code, E_INVALID);
	assert_string_equal(o.slug, "idem.key_required");
	ask("usr_1", "k1", "two", &o);
	assert_int_equal(o.code, E_RULE);
	assert_string_equal(o.slug, "idem.key_reused");
	assert_int_equal(effects(), 3);
}

static void test_refusals_are_kept_and_troubles_are_not(void **state)
{
	struct outcome o;

	(void)state;
	ask("usr_1", "k1", "refuse", &o);
	assert_int_equal(o.code, E_CONFLICT);
	assert_false(o.replayed);
	ask("usr_1", "k1", "refuse", &o);
	assert_int_equal(o.code, E_CONFLICT);
	assert_string_equal(o.slug, "inventory.out_of_stock");
	assert_int_equal(o.n_details, 1);
	assert_true(o.replayed);
	assert_int_equal(atomic_load(&handled), 1);
	ask("usr_1", "k2", "away", &o);
	assert_int_equal(o.code, E_UNAVAILABLE);
	ask("usr_1", "k2", "away", &o);
	assert_false(o.replayed);
	assert_int_equal(atomic_load(&handled), 3);
}

static void *twin(void *arg)
{
	ask("usr_1", "k1", "one", arg);
	return NULL;
}

static void test_twins(void **state)
{
	enum { TWINS = 4 };
	struct outcome o[TWINS];
	pthread_t t[TWINS];
	int i, fresh = 0;

	(void)state;
	atomic_store(&slow_ms, 100);
	for (i = 0; i < TWINS; i++)
		pthread_create(&t[i], NULL, twin, &o[i]);
	for (i = 0; i < TWINS; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < TWINS; i++) {
		assert_int_equal(o[i].code, OK);
		assert_string_equal(o[i].text, o[0].text);
		fresh += !o[i].replayed;
	}
	assert_int_equal(fresh, 1);
	assert_int_equal(effects(), 1);
}

static int setup(void **state)
{
	struct err e = { 0 };

	(void)state;
	fx = pg_fixture_open("shop", migrations);
	pool = pg_fixture_pool(fx, tables, 6);
	server_keys = echo_keys("echo", "tester", NULL);
	client_keys = echo_keys("tester", "tester", NULL);
	return rpc_bind(services, &bound, &e);
}

static int teardown(void **state)
{
	(void)state;
	rpc_bound_free(bound);
	rpc_keys_free(server_keys);
	rpc_keys_free(client_keys);
	pg_pool_close(pool);
	pg_fixture_close(fx);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	atomic_store(&handled, 0);
	atomic_store(&slow_ms, 0);
	pg_fixture_sql(fx, "DELETE FROM shop.effect; DELETE FROM shop.idempotency");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_replay, empty),
		cmocka_unit_test_setup(test_scopes, empty),
		cmocka_unit_test_setup(test_refusals_are_kept_and_troubles_are_not, empty),
		cmocka_unit_test_setup(test_twins, empty),
	};

	log_init("test", LVL_CRITICAL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
