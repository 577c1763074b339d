#include "tests/support/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timeutil.h"

const struct principal who_nobody = { .user_id = "", .session_id = "", .audience = "", .vendor_id = "", .service = "" };

struct principal who_user(const char *user_id)
{
	struct principal p = who_nobody;

	p.kind = WHO_USER;
	p.user_id = user_id;
	p.audience = "shop";
	return p;
}

struct principal who_service(const char *name)
{
	struct principal p = who_nobody;

	p.kind = WHO_SERVICE;
	p.service = name;
	return p;
}

struct principal who_vendor(const char *vendor_id, const char *const *perm)
{
	struct principal p = who_user("usr_01jd0000000000000000000001");

	p.audience = "vendor";
	p.vendor_id = vendor_id;
	p.perms = perm;
	p.n_perms = 1;
	return p;
}

struct principal who_admin(const char *const *perm)
{
	struct principal p = who_user("usr_01jd0000000000000000000002");

	p.audience = "admin";
	p.perms = perm;
	p.n_perms = 1;
	return p;
}

static const struct rpc_method *find(const struct handlers *h, const char *name)
{
	for (const struct rpc_method *const *t = h->service->tables; *t; t++)
		for (const struct rpc_method *m = *t; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	fprintf(stderr, "no method %s\n", name);
	exit(1);
}

enum err_code handlers_ask(const struct handlers *h, struct arena *a, const char *method, const struct principal *who,
			   const void *in, void *out_r, struct err *e)
{
	const ProtobufCMethodDescriptor *desc =
		protobuf_c_service_descriptor_get_method_by_name(h->service->desc, method);
	ProtobufCMessage *out = arena_alloc(a, desc->output->sizeof_message);
	struct call c = { .arena = a, .method = method, .request_id = "req_test00001", .traceparent = "",
			  .deadline_ms = mono_ms() + 60000, .who = *who, .out = out, .pool = h->pool, .svc = h->svc,
			  .caller = who->kind == WHO_SERVICE ? who->service : "gateway" };
	enum err_code code;

	protobuf_c_message_init(desc->output, out);
	code = find(h, method)->fn(&c, in, out);
	if (code != c.err.code || pg_in_tx()) {
		fprintf(stderr, "%s: returned %d, error says %d, transaction open %d\n", method, code, c.err.code, pg_in_tx());
		exit(1);
	}
	if (e)
		err_copy(e, &c.err);
	if (out_r)
		memcpy(out_r, &out, sizeof(out));
	return code;
}
