/* Through the real transport: trust, idempotency keys, a full hash queue, and how long a refused login takes. */
#include "world.h"

#include <pthread.h>

#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "services/identity/hash_queue.h"

static struct rpc_server *server;
static struct rpc_keys *own_keys, *gateway_keys;
static struct rpc_client *client;

static int serve(void **state)
{
	static char url[96];

	(void)world_open(state);
	(void)snprintf(url, sizeof(url), "ipc://%s/socket", w.dir);
	w.conf.d.listen = url;
	w.conf.d.contexts = 40;
	w.conf.d.resolve_ms = 1000;
	MUST(rpc_keys_load(w.dir, "identity", &own_keys, e));
	MUST(rpc_keys_load(w.dir, "gateway", &gateway_keys, e));
	MUST(rpc_server_start(&w.conf.d, "identity", identity_services, own_keys, w.pool, &w.svc, &server, e));
	MUST(rpc_client_open("gateway", "identity", url, 1000, gateway_keys, &client, e));
	return 0;
}

static int unserve(void **state)
{
	rpc_client_close(client);
	rpc_server_stop(server);
	rpc_keys_free(own_keys);
	rpc_keys_free(gateway_keys);
	return world_close(state);
}

static enum err_code send_in(struct arena *a, const char *method, const struct principal *who, const char *key,
			     const ProtobufCMessage *in, const ProtobufCMessageDescriptor *desc, void *out_r, struct err *e)
{
	struct rpc_opts opts = { .idem_key = key, .timeout_ms = 20000 };
	uint8_t fingerprint[SHA256_LEN], packed[4096];
	enum err_code code;
	struct call c;

	sha256(packed, protobuf_c_message_pack(in, packed), fingerprint);
	opts.fingerprint = key ? fingerprint : NULL;
	call_init_service(&c, "gateway", a, 30000);
	c.who = *who;
	code = rpc_call(client, &c, arena_printf(a, "identity.v1.Identity/%s", method), in, desc, out_r, &opts);
	if (e)
		err_copy(e, &c.err);
	return code;
}

static Identity__V1__CreateAddressRequest home(const char *line1)
{
	Identity__V1__CreateAddressRequest in = IDENTITY__V1__CREATE_ADDRESS_REQUEST__INIT;

	in.name = (char *)"Canaryname";
	in.line1 = (char *)line1;
	in.city = (char *)"Canarycity";
	in.country = (char *)"PT";
	return in;
}

#define CREATE(who, key, in, out_r, e)                                                             \
	send_in(w.arena, "CreateAddress", who, key, &(in)->base, &identity__v1__address__descriptor, out_r, e)

/* The same key gives the same address, in full; what is kept for that is sealed. */
static void test_idempotency(void **state)
{
	Identity__V1__CreateAddressRequest in = home("Canarystreet 1"), other = home("Canarystreet 2");
	Identity__V1__EraseMeRequest erase = IDENTITY__V1__ERASE_ME_REQUEST__INIT;
	struct principal me = bearer(newcomer("keyed@example.com"));
	Identity__V1__Address *first, *again;
	Identity__V1__LogoutReply *gone;

	(void)state;
	MUST(CREATE(&me, "key-0000001", &in, &first, e));
	MUST(CREATE(&me, "key-0000001", &in, &again, e));
	assert_string_equal(first->id, again->id);
	assert_string_equal(again->line1, "Canarystreet 1");
	assert_string_equal(again->hdr_etag, first->hdr_etag);
	REFUSED(CREATE(&me, "key-0000001", &other, &again, e), "idem.key_reused");
	MUST(CREATE(&me, "key-0000002", &other, &again, e));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.address WHERE user_id = '%s'", me.user_id), 2);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.idempotency WHERE reply IS NOT NULL"), 2);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.idempotency WHERE strpos(reply::text,"
					      " encode('Canary', 'hex')) > 0"), 0);
	MUST(send_in(w.arena, "EraseMe", &me, NULL, &erase.base, &identity__v1__logout_reply__descriptor, &gone, e));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.idempotency"), 0);
}

/* A login's tokens are made anew each time: its key is ignored and nothing of it is kept. */
static void test_login_ignores_keys(void **state)
{
	Identity__V1__LoginRequest in = IDENTITY__V1__LOGIN_REQUEST__INIT;
	Identity__V1__TokenReply *a, *b;
	int64_t before = pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.idempotency");

	(void)state;
	register_user("nokey@example.com");
	in.email = (char *)"nokey@example.com";
	in.password = (char *)PASSWORD;
	MUST(send_in(w.arena, "Login", &nobody, "key-0000003", &in.base, &identity__v1__token_reply__descriptor, &a, e));
	MUST(send_in(w.arena, "Login", &nobody, "key-0000003", &in.base, &identity__v1__token_reply__descriptor, &b, e));
	assert_string_not_equal(a->session_id, b->session_id);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.idempotency"), before);
}

/* ---- the hash queue is full ---- */
struct visitor {
	enum err_code code;
	int retry_after_ms;
	char slug[64];
};

static void *login_thread(void *arg)
{
	Identity__V1__LoginRequest in = IDENTITY__V1__LOGIN_REQUEST__INIT;
	struct arena *a = arena_new("thread", 1 << 20);
	struct visitor *v = arg;
	struct err why = { 0 };
	Identity__V1__TokenReply *out;
	enum err_code code;

	in.email = (char *)"flood@example.com";
	in.password = (char *)PASSWORD;
	code = send_in(a, "Login", &nobody, NULL, &in.base, &identity__v1__token_reply__descriptor, &out, &why);
	v->retry_after_ms = why.retry_after_ms;
	(void)snprintf(v->slug, sizeof(v->slug), "%s", why.slug);
	__atomic_store_n(&v->code, code, __ATOMIC_RELEASE); /* last: whoever sees it may read the rest */
	arena_free(a);
	return NULL;
}

static void test_flood(void **state)
{
	struct hash_queue *wide = w.svc.hashes;
	struct principal me = bearer(newcomer("flood@example.com"));
	Identity__V1__MeRequest in = IDENTITY__V1__ME_REQUEST__INIT;
	struct visitor v[12] = { 0 };
	struct err why = { 0 };
	Identity__V1__User *u;
	pthread_t t[12];
	int busy = 0;

	(void)state;
	w.svc.hashes = hash_queue_new(1, 2);
	assert_int_equal(hash_queue_enter(w.svc.hashes, mono_ms() + 1000, &why), OK); /* somebody hashes for a while */
	for (int i = 0; i < 12; i++)
		assert_int_equal(pthread_create(&t[i], NULL, login_thread, &v[i]), 0);
	for (int64_t until = mono_ms() + 10000; busy < 10 && mono_ms() < until; sleep_ms(5))
		for (int i = busy = 0; i < 12; i++)
			busy += __atomic_load_n(&v[i].code, __ATOMIC_ACQUIRE) == E_UNAVAILABLE;
	/* Requests that hash nothing are answered meanwhile. */
	MUST(send_in(w.arena, "GetMe", &me, NULL, &in.base, &identity__v1__user__descriptor, &u, e));
	hash_queue_leave(w.svc.hashes);
	for (int i = busy = 0; i < 12; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		if (v[i].code == OK)
			continue;
		assert_string_equal(v[i].slug, "identity.busy");
		assert_true(v[i].retry_after_ms > 0);
		busy++;
	}
	assert_int_equal(busy, 10);
	hash_queue_free(w.svc.hashes);
	w.svc.hashes = wide;
}

/* Nobody but the named daemons, whatever principal they bring along. */
static void test_trust(void **state)
{
	Identity__V1__RevocationsRequest in = IDENTITY__V1__REVOCATIONS_REQUEST__INIT;
	Identity__V1__ContactRequest contact = IDENTITY__V1__CONTACT_REQUEST__INIT;
	struct principal gateway = service("gateway"), notify = service("notify"), me = bearer(newcomer("trust@example.com"));
	Identity__V1__RevocationsReply *out;
	struct err why = { 0 };

	(void)state;
	MUST(send_in(w.arena, "ListRevocations", &gateway, NULL, &in.base, &identity__v1__revocations_reply__descriptor, &out, e));
	REFUSED(send_in(w.arena, "ListRevocations", &me, NULL, &in.base, &identity__v1__revocations_reply__descriptor, &out, e),
		"common.forbidden");
	contact.user_id = (char *)me.user_id; /* the gateway's keys do not speak for notify */
	assert_int_not_equal(send_in(w.arena, "GetContact", &notify, NULL, &contact.base, &identity__v1__contact__descriptor,
				     &out, &why), OK);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

#define SAMPLES 15
/* An unknown address takes as long as a wrong password: the same costly hash is done for nobody. */
static void test_timing(void **state)
{
	int64_t took[2][SAMPLES];
	const char *email[2] = { "timing@example.com", "nobody-at-all@example.com" };

	(void)state;
	identity_svc_close(&w.svc);
	w.conf.argon2_memory_kib = 19456;
	w.conf.argon2_passes = 2;
	MUST(identity_svc_open(&w.conf, w.pool, &w.svc, e));
	register_user(email[0]);
	for (int i = 0; i < SAMPLES; i++)
		for (int k = 0; k < 2; k++) {
			int64_t start;

			pg_fixture_sql(w.fx, "DELETE FROM identity.backoff");
			start = mono_us();
			REFUSED(try_login(email[k], "wrong password", NULL, NULL, NULL, e), "identity.bad_credentials");
			took[k][i] = mono_us() - start;
		}
	for (int k = 0; k < 2; k++)
		qsort(took[k], SAMPLES, sizeof(took[k][0]), by_value);
	int64_t known = took[0][SAMPLES / 2], unknown = took[1][SAMPLES / 2];

	if (known > unknown * 13 / 10 || unknown > known * 13 / 10)
		fail_msg("median %lld us for a known address, %lld us for an unknown one", (long long)known, (long long)unknown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idempotency), cmocka_unit_test(test_login_ignores_keys),
		cmocka_unit_test(test_flood),	    cmocka_unit_test(test_trust),
		cmocka_unit_test(test_timing),
	};

	return cmocka_run_group_tests(tests, serve, unserve);
}
