/*
 * Everything that arrives packed from another process. The first two bytes choose: a message type of any service
 * (guard, unpack, pack, unpack again), a request to a daemon as it is or properly signed around the bytes, or a reply
 * as a client reads it. Nothing may crash, and nothing unsigned may be executed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cart.pb-c.h"
#include "catalog.pb-c.h"
#include "checkout.pb-c.h"
#include "common.pb-c.h"
#include "identity.pb-c.h"
#include "inventory.pb-c.h"
#include "notify.pb-c.h"
#include "search.pb-c.h"

#include "common/crypto.h"
#include "common/log.h"
#include "common/pb_guard.h"
#include "common/rpc_codec.h"
#include "../support/echo.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCServiceDescriptor *const services[] = {
	&common__v1__node__descriptor,		 &cart__v1__cart__descriptor,		&catalog__v1__catalog__descriptor,
	&checkout__v1__checkout__descriptor,	 &identity__v1__identity__descriptor,	&inventory__v1__inventory__descriptor,
	&notify__v1__notify__descriptor,	 &search__v1__search__descriptor,
};
static const ProtobufCMessageDescriptor *const envelopes[] = {
	&common__v1__request__descriptor, &common__v1__reply__descriptor, &common__v1__ring__descriptor,
	&common__v1__event__descriptor,
};

static struct rpc_keys *server_keys, *client_keys;
static struct rpc_bound *bound;
static struct echo echo = { .id = "fuzz" };
static struct arena *arena;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static const ProtobufCMessageDescriptor *choose(unsigned n)
{
	size_t s;

	if (n < sizeof(envelopes) / sizeof(*envelopes))
		return envelopes[n];
	n -= (unsigned)(sizeof(envelopes) / sizeof(*envelopes));
	for (s = 0; s < sizeof(services) / sizeof(*services); s++) {
		if (n < 2 * services[s]->n_methods)
			return n & 1 ? services[s]->methods[n / 2].output : services[s]->methods[n / 2].input;
		n -= 2 * services[s]->n_methods;
	}
	return NULL;
}

static void try_message(const ProtobufCMessageDescriptor *desc, const uint8_t *p, size_t n)
{
	ProtobufCMessage *msg = NULL, *again = NULL;
	struct err e = { 0 };
	uint8_t *packed;
	size_t len;

	if (pb_unpack(desc, p, n, arena, &msg, &e)) {
		need(e.code == E_INVALID || e.code == E_TOO_LARGE);
		return;
	}
	need(protobuf_c_message_check(msg));
	len = protobuf_c_message_get_packed_size(msg);
	packed = arena_alloc(arena, len + 1);
	need(protobuf_c_message_pack(msg, packed) == len);
	need(pb_unpack(desc, packed, len, arena, &again, &e) == OK || e.code == E_TOO_LARGE);
}

static Common__V1__Reply *dispatch(struct pg_bytes bytes)
{
	const struct rpc_env env = { .self = "echo", .bound = bound, .keys = server_keys, .svc = &echo };
	struct pg_bytes out = rpc_dispatch(&env, arena, bytes.data, bytes.len);
	ProtobufCMessage *msg = NULL;
	struct err e = { 0 };

	need(out.len > 0);
	need(pb_unpack(&common__v1__reply__descriptor, out.data, out.len, arena, &msg, &e) == OK);
	return (Common__V1__Reply *)(void *)msg;
}

static void try_unsigned(const uint8_t *p, size_t n)
{
	int before = atomic_load(&echo.executed);
	Common__V1__Reply *reply = dispatch((struct pg_bytes){ p, n });

	need(reply->code != OK);
	need(atomic_load(&echo.executed) == before);
}

static void try_signed(const uint8_t *p, size_t n)
{
	Common__V1__Request req = COMMON__V1__REQUEST__INIT;
	struct pg_bytes bytes;
	struct err e = { 0 };
	Common__V1__Reply *reply;

	/* "sleep" and "big" are the echo's own commands and would only waste the fuzzer's time. */
	if (memmem(p, n, "sleep", 5) || memmem(p, n, "big", 3))
		return;
	req.method = (char *)"echo.v1.Echo/Get";
	req.request_id = (char *)"request-0001";
	req.caller = (char *)"tester";
	req.callee = (char *)"echo";
	req.has_deadline_ms = 1;
	req.deadline_ms = 1000;
	if (rpc_request_pack(arena, client_keys, &req, (struct rpc_body){ .raw = { p, n } }, &bytes, &e))
		return;
	reply = dispatch(bytes);
	need(reply->code != E_DENIED && reply->code != E_INTERNAL);
}

static void try_reply(const uint8_t *p, size_t n)
{
	ProtobufCMessage *msg = NULL;
	struct err e = { 0 };

	if (pb_unpack(&common__v1__reply__descriptor, p, n, arena, &msg, &e))
		return;
	rpc_reply_to_err((const Common__V1__Reply *)(const void *)msg, &e);
	need(e.code < E_CODE_MAX_);
}

static void start(void)
{
	struct err e = { 0 };

	log_init("fuzz", LVL_CRITICAL);
	server_keys = echo_keys("echo", "tester", NULL);
	client_keys = echo_keys("tester", "tester", NULL);
	need(rpc_bind(echo_services, &bound, &e) == OK);
	arena = arena_new("fuzz", 4 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *desc;
	unsigned n;

	if (size < 2)
		return 0;
	if (!arena)
		start();
	n = (unsigned)(data[0] | data[1] << 8);
	data += 2;
	size -= 2;
	if (n >= 0xfff0) {
		if (n == 0xffff)
			try_unsigned(data, size);
		else if (n == 0xfffe)
			try_signed(data, size);
		else
			try_reply(data, size);
	} else if ((desc = choose(n % 1024))) {
		try_message(desc, data, size);
	}
	arena_reset(arena);
	return 0;
}
