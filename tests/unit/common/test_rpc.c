/* Binding, envelope and dispatch without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/rpc_codec.h"
#include "common/timeutil.h"
#include "support/echo.h"

static struct arena *arena;
static struct rpc_keys *server_keys, *client_keys;
static struct rpc_bound *bound;
static struct echo echo = { .id = "unit" };
static uint8_t pair_key[32];

/* ---- binding ---- */

static enum err_code nothing(struct call *c, const ProtobufCMessage *in, ProtobufCMessage *out)
{
	(void)c, (void)in, (void)out;
	return OK;
}

static enum err_code bind(const struct rpc_method *one, const struct rpc_method *two, struct err *e)
{
	const struct rpc_method *tables[] = { one, two, NULL };
	const struct rpc_service services[] = { { &echo_descriptor, tables }, { 0 } };
	struct rpc_bound *b = NULL;
	enum err_code rc = rpc_bind(services, &b, e);

	rpc_bound_free(b);
	return rc;
}

#define ASSERT_BIND_FAILS(one, two, text)                                                                              \
	do {                                                                                                           \
		struct err e_ = { 0 };                                                                                 \
		assert_int_equal(bind(one, two, &e_), E_INTERNAL);                                                     \
		if (!strstr(e_.msg, text))                                                                             \
			fail_msg("%s", e_.msg);                                                                        \
	} while (0)

static void test_bind(void **state)
{
	const struct rpc_method get[] = { { "Get", nothing, RPC_READ, 0 }, { 0 } };
	const struct rpc_method rest[] = { { "Do", nothing, RPC_WRITE, 0 }, { "Keyed", nothing, RPC_WRITE, 0 }, { 0 } };
	const struct rpc_method unknown[] = { { "Nope", nothing, RPC_READ, 0 }, { 0 } };
	const struct rpc_method no_fn[] = { { "Get", NULL, RPC_READ, 0 }, { 0 } };
	const struct rpc_method no_kind[] = { { "Get", nothing, 0, 0 }, { 0 } };
	const struct rpc_method both[] = { { "Get", nothing, RPC_READ | RPC_WRITE, 0 }, { 0 } };
	const struct rpc_method needed[] = { { "Get", nothing, RPC_WRITE | RPC_KEY_NEEDED, 0 }, { 0 } };
	const struct rpc_method large[] = { { "Get", nothing, RPC_READ, RPC_PAYLOAD_MAX + 1 }, { 0 } };
	static const struct rpc_method *const tables[] = { echo_methods, NULL };
	const struct rpc_service twice[] = { { &echo_descriptor, tables }, { &echo_descriptor, tables }, { 0 } };
	struct rpc_bound *b = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(bind(get, rest, &e), OK);
	assert_int_equal(bind(rest, get, &e), OK);
	ASSERT_BIND_FAILS(get, NULL, "is not served");
	ASSERT_BIND_FAILS(get, get, "served twice");
	ASSERT_BIND_FAILS(rest, unknown, "no rpc Nope");
	ASSERT_BIND_FAILS(rest, no_fn, "no function");
	ASSERT_BIND_FAILS(rest, no_kind, "RPC_READ or RPC_WRITE");
	ASSERT_BIND_FAILS(rest, both, "RPC_READ or RPC_WRITE");
	ASSERT_BIND_FAILS(rest, needed, "RPC_KEYED");
	ASSERT_BIND_FAILS(rest, large, "max_request");
	assert_int_equal(rpc_bind(twice, &b, &e), E_INTERNAL);
	assert_non_null(strstr(e.msg, "listed twice"));
}

/* ---- dispatch ---- */

static Common__V1__Request request_of(const char *method)
{
	Common__V1__Request r = COMMON__V1__REQUEST__INIT;

	r.method = (char *)method;
	r.request_id = (char *)"request-0001";
	r.traceparent = (char *)"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	r.has_deadline_ms = 1;
	r.deadline_ms = 2000;
	r.caller = (char *)"tester";
	r.callee = (char *)"echo";
	return r;
}

static struct pg_bytes pack(Common__V1__Request *r, const char *text)
{
	Common__V1__Json in = COMMON__V1__JSON__INIT;
	struct pg_bytes bytes = { 0 };
	struct err e = { 0 };

	in.text = (char *)text;
	if (rpc_request_pack(arena, client_keys, r, (struct rpc_body){ .msg = &in.base }, &bytes, &e))
		fail_msg("%s", e.msg);
	return bytes;
}

static Common__V1__Reply *dispatch(struct pg_bytes bytes)
{
	const struct rpc_env env = { .self = "echo", .bound = bound, .keys = server_keys, .svc = &echo };
	struct pg_bytes out = rpc_dispatch(&env, arena, bytes.data, bytes.len);
	Common__V1__Reply *reply = common__v1__reply__unpack(NULL, out.len, out.data);

	assert_non_null(reply);
	assert_true(reply->has_version && reply->version == RPC_ENVELOPE_VERSION);
	assert_true(reply->has_code);
	return reply;
}

static void expect(struct pg_bytes bytes, enum err_code code, const char *slug)
{
	Common__V1__Reply *reply = dispatch(bytes);

	if (reply->code != code || (slug && strcmp(reply->slug ? reply->slug : "", slug) != 0))
		fail_msg("%u %s (%s) instead of %d %s", reply->code, reply->slug, reply->message, code, slug);
	common__v1__reply__free_unpacked(reply, NULL);
}

static void test_dispatch(void **state)
{
	Common__V1__Request r = request_of("echo.v1.Echo/Get");
	Common__V1__Reply *reply;
	Common__V1__Json *json;

	(void)state;
	reply = dispatch(pack(&r, "hello"));
	assert_int_equal(reply->code, OK);
	assert_null(reply->slug);
	json = common__v1__json__unpack(NULL, reply->payload.len, reply->payload.data);
	assert_string_equal(json->text, "hello");
	common__v1__json__free_unpacked(json, NULL);
	common__v1__reply__free_unpacked(reply, NULL);
	reply = dispatch(pack(&r, "fail"));
	assert_int_equal(reply->code, E_RULE);
	assert_int_equal(reply->n_details, 2);
	assert_int_equal(reply->retry_after_ms, 1500);
	common__v1__reply__free_unpacked(reply, NULL);
	reply = dispatch(pack(&r, "pending"));
	assert_int_equal(reply->code, E_PENDING);
	assert_true(reply->has_payload && reply->payload.len > 0);
	common__v1__reply__free_unpacked(reply, NULL);
	r.method = (char *)"echo.v1.Echo/Nope";
	expect(pack(&r, "x"), E_NOT_FOUND, "rpc.method_unknown");
	r.method = (char *)"Get";
	expect(pack(&r, "x"), E_NOT_FOUND, "rpc.method_unknown");
	r = request_of("echo.v1.Echo/Get");
	r.deadline_ms = 0;
	expect(pack(&r, "x"), E_UNAVAILABLE, "common.deadline");
	r.has_deadline_ms = 0;
	expect(pack(&r, "x"), E_UNAVAILABLE, "common.deadline");
}

static void test_bad_request_id_is_replaced(void **state)
{
	Common__V1__Request r = request_of("echo.v1.Echo/Get");
	Common__V1__Reply *reply;
	Common__V1__Json *json;

	(void)state;
	r.request_id = (char *)"bad id\n";
	reply = dispatch(pack(&r, "who"));
	json = common__v1__json__unpack(NULL, reply->payload.len, reply->payload.data);
	assert_non_null(strstr(json->text, "req_"));
	assert_null(strstr(json->text, "bad id"));
	common__v1__json__free_unpacked(json, NULL);
	common__v1__reply__free_unpacked(reply, NULL);
}

static void test_principals(void **state)
{
	Common__V1__Principal who = COMMON__V1__PRINCIPAL__INIT;
	Common__V1__Request r = request_of("echo.v1.Echo/Get");

	(void)state;
	r.principal = &who;
	expect(pack(&r, "x"), OK, NULL);
	who.has_kind = 1;
	who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_USER;
	expect(pack(&r, "x"), E_INVALID, "rpc.bad_request");
	who.user_id = (char *)"usr_1";
	expect(pack(&r, "x"), OK, NULL);
	who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_SERVICE;
	who.service = (char *)"checkout"; /* the caller is tester */
	expect(pack(&r, "x"), E_DENIED, "rpc.untrusted");
	who.service = (char *)"tester";
	expect(pack(&r, "x"), OK, NULL);
	who.kind = (Common__V1__Principal__Kind)9;
	expect(pack(&r, "x"), E_INVALID, "rpc.bad_request");
}

static void test_keys_of_requests(void **state)
{
	static uint8_t fingerprint[32];
	Common__V1__Request r = request_of("echo.v1.Echo/Keyed");

	(void)state;
	expect(pack(&r, "x"), OK, NULL);
	r.idempotency_key = (char *)"key-1";
	expect(pack(&r, "x"), E_INVALID, "idem.key_invalid"); /* no fingerprint */
	r.has_fingerprint = 1;
	r.fingerprint = (ProtobufCBinaryData){ sizeof(fingerprint), fingerprint };
	expect(pack(&r, "x"), E_INVALID, "idem.key_needs_scope"); /* an anonymous caller without a cart token */
	r.method = (char *)"echo.v1.Echo/Do"; /* knows no keys: ignored */
	expect(pack(&r, "x"), OK, NULL);
}

/* ---- the MAC ---- */

static struct pg_bytes repack(Common__V1__Request *r)
{
	size_t n = common__v1__request__get_packed_size(r);
	uint8_t *p = arena_alloc(arena, n + 1);

	common__v1__request__pack(r, p);
	return (struct pg_bytes){ p, n };
}

static Common__V1__Request *full_request(void)
{
	static uint8_t fingerprint[32] = { 1 };
	static char *roles[] = { "admin", "x" }, *perms[] = { "admin.audit" };
	Common__V1__Principal who = COMMON__V1__PRINCIPAL__INIT;
	Common__V1__Request r = request_of("echo.v1.Echo/Do");
	struct pg_bytes b;

	who.has_kind = 1;
	who.kind = COMMON__V1__PRINCIPAL__KIND__KIND_USER;
	who.user_id = (char *)"usr_1";
	who.session_id = (char *)"ses_1";
	who.audience = (char *)"vendor";
	who.vendor_id = (char *)"vnd_1";
	who.service = (char *)"";
	who.roles = roles;
	who.n_roles = 2;
	who.perms = perms;
	who.n_perms = 1;
	r.principal = &who;
	r.idempotency_key = (char *)"key-1";
	r.has_fingerprint = 1;
	r.fingerprint = (ProtobufCBinaryData){ sizeof(fingerprint), fingerprint };
	b = pack(&r, "hello");
	return common__v1__request__unpack(NULL, b.len, b.data);
}

enum { TAMPERS = 26 };

/* Changes one thing; each is covered by the MAC. */
static void tamper(Common__V1__Request *r, int what)
{
	Common__V1__Principal *p = r->principal;
	char **text[] = { &r->method,	 &r->request_id,  &r->traceparent, &r->idempotency_key, &p->user_id,
			  &p->session_id, &p->audience,   &p->vendor_id,   &p->service,		&p->roles[0],
			  &p->perms[0] };
	char *old;

	if (what < (int)(sizeof(text) / sizeof(*text))) {
		old = *text[what];
		*text[what] = malloc(strlen(old) + 2);
		snprintf(*text[what], strlen(old) + 2, "%s1", old);
		free(old);
		return;
	}
	switch (what) {
	case 11:
		r->deadline_ms++;
		break;
	case 12:
		r->fingerprint.data[0] ^= 1;
		break;
	case 13:
		r->has_fingerprint = 0;
		break;
	case 14:
		p->kind = COMMON__V1__PRINCIPAL__KIND__KIND_UNSPECIFIED;
		break;
	case 15:
		p->n_roles--;
		free(p->roles[p->n_roles]);
		break;
	case 16:
		r->issued_at++;
		break;
	case 17:
		r->payload.data[r->payload.len - 1] ^= 1;
		break;
	case 18:
		r->payload.len--;
		break;
	case 19:
		r->has_payload = 0;
		break;
	case 20:
		r->mac.data[31] ^= 0x80;
		break;
	case 21:
		r->mac.len = 31;
		break;
	case 22:
		r->mac.len = 0;
		break;
	case 23:
		r->has_mac = 0;
		break;
	case 24: /* the right MAC and one byte more */
		old = (char *)r->mac.data;
		r->mac.data = malloc(33);
		memcpy(r->mac.data, old, 32);
		r->mac.data[32] = 0;
		r->mac.len = 33;
		free(old);
		break;
	case 25: /* the last letter of one field becomes the first of the next */
		old = p->session_id;
		p->session_id = malloc(strlen(old) + 2);
		snprintf(p->session_id, strlen(old) + 2, "%c%s", p->user_id[strlen(p->user_id) - 1], old);
		p->user_id[strlen(p->user_id) - 1] = '\0';
		free(old);
		break;
	default:
		fail();
	}
}

static void test_tampered(void **state)
{
	Common__V1__Request *r = full_request();
	int i, before;

	(void)state;
	expect(repack(r), OK, NULL);
	common__v1__request__free_unpacked(r, NULL);
	before = atomic_load(&echo.executed);
	for (i = 0; i < TAMPERS; i++) {
		Common__V1__Reply *reply;

		r = full_request();
		tamper(r, i);
		reply = dispatch(repack(r));
		if (reply->code != E_DENIED || strcmp(reply->slug, "rpc.untrusted") != 0)
			fail_msg("change %d: %u %s", i, reply->code, reply->slug);
		common__v1__reply__free_unpacked(reply, NULL);
		common__v1__request__free_unpacked(r, NULL);
	}
	assert_int_equal(atomic_load(&echo.executed), before);
}

static void resign(Common__V1__Request *r)
{
	uint8_t sha[32];
	struct pg_bytes in;

	sha256(r->payload.data, r->payload.len, sha);
	in = rpc_mac_input(arena, r, sha);
	hmac_sha256(pair_key, 32, in.data, in.len, r->mac.data);
}

static void test_age_and_names(void **state)
{
	Common__V1__Request *r = full_request();

	(void)state;
	resign(r);
	expect(repack(r), OK, NULL); /* what resign makes is good, so what follows fails for its own reason */
	r->issued_at = wall_ms() - RPC_AGE_MAX_MS - 1000;
	resign(r);
	expect(repack(r), E_DENIED, "rpc.untrusted");
	r->issued_at = wall_ms() + RPC_AGE_MAX_MS + 1000;
	resign(r);
	expect(repack(r), E_DENIED, "rpc.untrusted");
	r->issued_at = INT64_MIN;
	resign(r);
	expect(repack(r), E_DENIED, "rpc.untrusted");
	r->issued_at = wall_ms() - RPC_AGE_MAX_MS + 5000;
	resign(r);
	expect(repack(r), OK, NULL);
	r->version = 2;
	resign(r);
	expect(repack(r), E_INVALID, "rpc.bad_request");
	r->version = 1;
	memcpy(r->callee, "kart", 4); /* signed for another daemon */
	resign(r);
	expect(repack(r), E_DENIED, "rpc.untrusted");
	memcpy(r->callee, "echo", 4);
	memcpy(r->caller, "nobody", 6); /* no such pair */
	resign(r);
	expect(repack(r), E_DENIED, "rpc.untrusted");
	common__v1__request__free_unpacked(r, NULL);
}

/* What this daemon itself sent to another, thrown back at it: the key is in its ring, the callee is not it. */
static void test_reflected(void **state)
{
	struct rpc_keys *own = rpc_keys_new("echo");
	const struct rpc_env env = { .self = "echo", .bound = bound, .keys = own, .svc = &echo };
	Common__V1__Request r = request_of("echo.v1.Echo/Do");
	Common__V1__Json in = COMMON__V1__JSON__INIT;
	Common__V1__Reply *reply;
	struct pg_bytes bytes;
	struct err e = { 0 };

	(void)state;
	rpc_keys_add(own, "echo", "kart", pair_key);
	r.caller = (char *)"echo";
	r.callee = (char *)"kart";
	assert_int_equal(rpc_request_pack(arena, own, &r, (struct rpc_body){ .msg = &in.base }, &bytes, &e), OK);
	bytes = rpc_dispatch(&env, arena, bytes.data, bytes.len);
	reply = common__v1__reply__unpack(NULL, bytes.len, bytes.data);
	assert_int_equal(reply->code, E_DENIED);
	common__v1__reply__free_unpacked(reply, NULL);
	rpc_keys_free(own);
}

static void test_garbage(void **state)
{
	Common__V1__Request r = request_of("echo.v1.Echo/Do");
	struct pg_bytes good = pack(&r, "hello");
	uint8_t *copy = malloc(good.len);
	size_t i;

	(void)state;
	expect((struct pg_bytes){ "", 0 }, E_INVALID, "rpc.bad_request");
	expect((struct pg_bytes){ "GET / HTTP/1.1\r\n\r\n", 18 }, E_INVALID, "rpc.bad_request");
	for (i = 0; i < good.len; i++) { /* every truncation, every byte turned over */
		Common__V1__Reply *reply;

		memcpy(copy, good.data, good.len);
		reply = dispatch((struct pg_bytes){ copy, i });
		assert_true(reply->code == E_INVALID || reply->code == E_DENIED);
		common__v1__reply__free_unpacked(reply, NULL);
		copy[i] ^= 0xff;
		reply = dispatch((struct pg_bytes){ copy, good.len });
		assert_true(reply->code == E_INVALID || reply->code == E_DENIED);
		common__v1__reply__free_unpacked(reply, NULL);
		arena_reset(arena);
		good = pack(&r, "hello");
	}
	free(copy);
}

/* The payload is judged by its own type, after the envelope proved who sent it. */
static void test_bad_payload(void **state)
{
	Common__V1__Request r = request_of("echo.v1.Echo/Do");
	struct pg_bytes bytes;
	struct err e = { 0 };
	char *big = calloc(1, 300 << 10);

	(void)state;
	assert_int_equal(rpc_request_pack(arena, client_keys, &r,
					  (struct rpc_body){ .raw = { "\x0a\x02\xff\xfe", 4 } }, &bytes, &e),
			 OK);
	expect(bytes, E_INVALID, "rpc.bad_request");
	assert_int_equal(rpc_request_pack(arena, client_keys, &r, (struct rpc_body){ .raw = { big, 300 << 10 } }, &bytes, &e),
			 OK);
	expect(bytes, E_TOO_LARGE, "common.too_large");
	free(big);
}

static void test_counted(void **state)
{
	struct metric *ok = metric_counter("souk_rpc_server_requests_total", "Requests answered, by outcome",
					   "method=\"Echo/Get\",code=\"OK\"");
	Common__V1__Request r = request_of("echo.v1.Echo/Get");
	int64_t before;

	(void)state;
	expect(pack(&r, "x"), OK, NULL);
	before = metric_value(ok);
	assert_true(before > 0);
	expect(pack(&r, "x"), OK, NULL);
	assert_int_equal(metric_value(ok), before + 1);
}

static void test_refusal(void **state)
{
	struct pg_bytes bytes = rpc_refuse(arena, true, "common.draining", 100);
	Common__V1__Reply *reply = common__v1__reply__unpack(NULL, bytes.len, bytes.data);

	(void)state;
	assert_int_equal(reply->code, E_UNAVAILABLE);
	assert_string_equal(reply->slug, "common.draining");
	assert_true(reply->draining);
	assert_int_equal(reply->retry_after_ms, 100);
	common__v1__reply__free_unpacked(reply, NULL);
}

static void test_error_from_the_wire(void **state)
{
	Common__V1__Reply r = COMMON__V1__REPLY__INIT;
	struct err e = { 0 };

	(void)state;
	r.has_code = 1;
	r.code = 77; /* a code that this build does not know */
	rpc_reply_to_err(&r, &e);
	assert_int_equal(e.code, E_INTERNAL);
	assert_string_equal(e.slug, "common.internal");
	r.code = E_CONFLICT;
	r.slug = (char *)"someday.new_reason";
	rpc_reply_to_err(&r, &e);
	assert_int_equal(e.code, E_CONFLICT);
	assert_string_equal(e.slug, "someday.new_reason");
}

/* ---- key files ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, 0600);
}

static void test_key_files(void **state)
{
	char dir[] = "/tmp/test_rpc_keys.XXXXXX", cmd[256];
	char hex[65];
	struct rpc_keys *k = NULL;
	struct err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(rpc_keys_load(dir, "cart", &k, &e), E_INTERNAL); /* none */
	assert_int_equal(rpc_keys_load("", "cart", &k, &e), E_INTERNAL);
	assert_int_equal(rpc_keys_load("/nonexistent/keys", "cart", &k, &e), E_INTERNAL);
	memset(hex, 'a', 64);
	hex[64] = '\0';
	write_file(dir, "pair-gateway-cart.key", hex);
	write_file(dir, "pair-cart-catalog.key", hex);
	write_file(dir, "pair-gateway-catalog.key", hex); /* not ours */
	write_file(dir, "cursor.key", hex);
	assert_int_equal(rpc_keys_load(dir, "cart", &k, &e), OK);
	assert_non_null(rpc_keys_find(k, "gateway", "cart"));
	assert_non_null(rpc_keys_find(k, "cart", "catalog"));
	assert_null(rpc_keys_find(k, "gateway", "catalog"));
	assert_null(rpc_keys_find(k, "cart", "gateway"));
	assert_int_equal(rpc_keys_find(k, "gateway", "cart")[0], 0xaa);
	rpc_keys_free(k);
	write_file(dir, "pair-identity-cart.key", "short");
	assert_int_equal(rpc_keys_load(dir, "cart", &k, &e), E_INTERNAL);
	snprintf(cmd, sizeof(cmd), "%s/pair-identity-cart.key", dir);
	unlink(cmd);
	snprintf(cmd, sizeof(cmd), "%s/pair-gateway-cart.key", dir);
	unlink(cmd);
	snprintf(cmd, sizeof(cmd), "%s/pair-cart-catalog.key", dir);
	unlink(cmd);
	snprintf(cmd, sizeof(cmd), "%s/pair-gateway-catalog.key", dir);
	unlink(cmd);
	snprintf(cmd, sizeof(cmd), "%s/cursor.key", dir);
	unlink(cmd);
	rmdir(dir);
}

static int setup(void **state)
{
	struct err e = { 0 };

	(void)state;
	arena = arena_new("test", 8 << 20);
	server_keys = echo_keys("echo", "tester", NULL);
	client_keys = echo_keys("tester", "tester", NULL);
	sha256("tester", 6, pair_key);
	return rpc_bind(echo_services, &bound, &e);
}

static int reset(void **state)
{
	(void)state;
	arena_reset(arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_bound_free(bound);
	rpc_keys_free(server_keys);
	rpc_keys_free(client_keys);
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_bind, reset),
		cmocka_unit_test_teardown(test_dispatch, reset),
		cmocka_unit_test_teardown(test_bad_request_id_is_replaced, reset),
		cmocka_unit_test_teardown(test_principals, reset),
		cmocka_unit_test_teardown(test_keys_of_requests, reset),
		cmocka_unit_test_teardown(test_tampered, reset),
		cmocka_unit_test_teardown(test_age_and_names, reset),
		cmocka_unit_test_teardown(test_reflected, reset),
		cmocka_unit_test_teardown(test_garbage, reset),
		cmocka_unit_test_teardown(test_bad_payload, reset),
		cmocka_unit_test_teardown(test_counted, reset),
		cmocka_unit_test_teardown(test_refusal, reset),
		cmocka_unit_test_teardown(test_error_from_the_wire, reset),
		cmocka_unit_test_teardown(test_key_files, reset),
	};

	log_init("test", LVL_CRITICAL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
