#include "echo.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/timeutil.h"

static const ProtobufCMethodDescriptor methods[] = {
	{ "Get", &common__v1__json__descriptor, &common__v1__json__descriptor },
	{ "Do", &common__v1__json__descriptor, &common__v1__json__descriptor },
	{ "Keyed", &common__v1__json__descriptor, &common__v1__json__descriptor },
};
static const unsigned by_name[] = { 1, 0, 2 };

const ProtobufCServiceDescriptor echo_descriptor = {
	.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
	.name = "echo.v1.Echo",
	.short_name = "Echo",
	.c_name = "Echo__V1__Echo",
	.package = "echo.v1",
	.n_methods = 3,
	.methods = methods,
	.method_indices_by_name = by_name,
};

static enum err_code run(struct call *c, const Common__V1__Json *in, Common__V1__Json *out)
{
	struct echo *echo = c->svc;
	const char *text = in->text ? in->text : "";
	char *big, *end;
	long n;

	atomic_fetch_add(&echo->executed, 1);
	if (echo->report_fd > 0 && write(echo->report_fd, "x", 1) != 1)
		return err_set(&c->err, E_INTERNAL, "common.internal", "report");
	out->text = call_str(c, text);
	if (!strcmp(text, "id")) {
		out->text = call_str(c, echo->id);
	} else if (!strcmp(text, "who")) {
		out->text = arena_printf(c->arena, "%s %d %s %s %s", c->caller, (int)c->who.kind, c->who.user_id,
					 c->who.service, c->request_id);
	} else if (!strcmp(text, "left")) {
		out->text = arena_printf(c->arena, "%lld", (long long)(c->deadline_ms - mono_ms()));
	} else if (!strcmp(text, "fail")) {
		err_detail(&c->err, "qty", "3", "Only %d are left.", 3);
		err_detail(&c->err, "sku", NULL, "Unknown.");
		c->err.retry_after_ms = 1500;
		return err_set(&c->err, E_RULE, "echo.no_such_row", "told to fail");
	} else if (!strcmp(text, "pending")) {
		return err_set(&c->err, E_PENDING, "common.pending", "later");
	} else if (!strncmp(text, "big ", 4)) {
		n = strtol(text + 4, NULL, 10);
		big = arena_alloc(c->arena, (size_t)n + 1);
		memset(big, 'b', (size_t)n);
		out->text = big;
	} else if (!strncmp(text, "sleep ", 6)) {
		n = strtol(text + 6, &end, 10);
		atomic_fetch_add(&echo->running, 1);
		sleep_ms(n);
		atomic_fetch_sub(&echo->running, 1);
		out->text = call_str(c, *end ? end + 1 : "");
	}
	return OK;
}

RPC_HANDLER(echo_get, Common__V1__Json, Common__V1__Json)
RPC_HANDLER(echo_do, Common__V1__Json, Common__V1__Json)
RPC_HANDLER(echo_keyed, Common__V1__Json, Common__V1__Json)

static enum err_code echo_get(struct call *c, const Common__V1__Json *in, Common__V1__Json *out)
{
	return run(c, in, out);
}

static enum err_code echo_do(struct call *c, const Common__V1__Json *in, Common__V1__Json *out)
{
	return run(c, in, out);
}

static enum err_code echo_keyed(struct call *c, const Common__V1__Json *in, Common__V1__Json *out)
{
	return run(c, in, out);
}

const struct rpc_method echo_methods[] = {
	{ "Get", echo_get_, RPC_READ, (1 << 20) - 4096 },
	{ "Do", echo_do_, RPC_WRITE, 0 },
	{ "Keyed", echo_keyed_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};
static const struct rpc_method *const tables[] = { echo_methods, NULL };
const struct rpc_service echo_services[] = { { &echo_descriptor, tables }, { 0 } };

struct rpc_keys *echo_keys(const char *self, ...)
{
	struct rpc_keys *k = rpc_keys_new(self);
	uint8_t key[SHA256_LEN];
	const char *name;
	va_list ap;

	va_start(ap, self);
	while ((name = va_arg(ap, const char *))) {
		sha256(name, strlen(name), key);
		rpc_keys_add(k, name, "echo", key);
	}
	va_end(ap);
	return k;
}
