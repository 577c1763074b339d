/* A souk-identity without its transport: real PostgreSQL, real keys, handlers called as the dispatcher calls them. */
#ifndef SOUK_TEST_IDENTITY_WORLD_H
#define SOUK_TEST_IDENTITY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/crypto.h"
#include "common/cursor.h"
#include "common/jws.h"
#include "common/timeutil.h"
#include "services/identity/identity.h"
#include "services/identity/token.h"
#include "tests/support/invariants.h"
#include "tests/support/pg_fixture.h"

#define UNUSED_FN __attribute__((unused))
#define PASSWORD  "kitchen teapot 7"

static struct world {
	struct pg_fixture *fx;
	struct pg_pool *pool;
	struct identity_conf conf;
	struct identity_svc svc;
	struct arena *arena; /* of the test's own thread */
	char dir[64];
} w;

static int world_open(void **state)
{
	struct err e = { 0 };

	(void)state;
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/souk-identity-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	assert_int_equal(keys_init(w.dir, &e), OK);
	assert_int_equal(cursor_init(w.dir, &e), OK);
	w.fx = pg_fixture_open("identity", identity_migrations);
	w.pool = pg_fixture_pool(w.fx, identity_stmts, 8);
	w.arena = arena_new("test", 64 << 20);
	/* Hashes that cost little: what they protect is not the question here. */
	w.conf = (struct identity_conf){ .issuer = "souk",
					 .access_ttl_s = 900,
					 .argon2_memory_kib = 64,
					 .argon2_passes = 1,
					 .hash_permits = 2,
					 .hash_queue = 100,
					 .address_free = 100,
					 .sessions_max = 20,
					 .fresh_login_s = 900,
					 .d = { .keys_dir = w.dir, .contexts = 256 } };
	if (identity_svc_open(&w.conf, w.pool, &w.svc, &e))
		fail_msg("%s: %s", e.slug, e.msg);
	return 0;
}

/* Fails when the tables do not agree at the end: sessions and their tokens, the audit chain, no event given up. */
static int world_close(void **state)
{
	const char *args[] = { "rm", "-rf", w.dir, NULL };
	char broken[400];

	(void)state;
	snprintf(broken, sizeof(broken), "%s", invariants_broken(w.fx, "identity", true));
	identity_svc_close(&w.svc);
	pg_pool_close(w.pool);
	pg_fixture_close(w.fx);
	arena_free(w.arena);
	if (fork() == 0)
		execvp(args[0], (char *const *)args);
	if (*broken) { /* a group's teardown that fails does not count with cmocka */
		print_error("%s\n", broken);
		exit(1);
	}
	return 0;
}

static const struct principal nobody = { .user_id = "", .session_id = "", .audience = "", .vendor_id = "", .service = "" };

static UNUSED_FN struct principal service(const char *name)
{
	struct principal p = nobody;

	p.kind = WHO_SERVICE;
	p.service = name;
	return p;
}

/* Whoever holds these tokens. */
static UNUSED_FN struct principal bearer(const Identity__V1__TokenReply *t)
{
	struct principal p = nobody;

	p.kind = WHO_USER;
	p.user_id = t->user_id;
	p.session_id = t->session_id;
	p.audience = t->audience;
	p.vendor_id = t->vendor_id ? t->vendor_id : "";
	p.roles = (const char *const *)t->roles;
	p.n_roles = t->n_roles;
	p.perms = (const char *const *)t->perms;
	p.n_perms = t->n_perms;
	return p;
}

static const struct rpc_method *method_named(const char *name)
{
	for (const struct rpc_method *const *t = identity_services[0].tables; *t; t++)
		for (const struct rpc_method *m = *t; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	fail_msg("no method %s", name);
	return NULL;
}

/* Runs one method; the reply is in the arena. On failure *e says why. */
static enum err_code ask_in(struct arena *a, const char *name, const struct principal *who, const void *in, void *out_r,
			    struct err *e)
{
	const ProtobufCMethodDescriptor *desc =
		protobuf_c_service_descriptor_get_method_by_name(identity_services[0].desc, name);
	ProtobufCMessage *out = arena_alloc(a, desc->output->sizeof_message);
	struct call c = { .arena = a,
			  .method = name,
			  .request_id = "req_test00001",
			  .traceparent = "",
			  .deadline_ms = mono_ms() + 60000,
			  .who = *who,
			  .caller = "gateway",
			  .out = out,
			  .pool = w.pool,
			  .svc = &w.svc };
	enum err_code code;

	protobuf_c_message_init(desc->output, out);
	code = method_named(name)->fn(&c, in, out);
	assert_int_equal(code, c.err.code);
	assert_false(pg_in_tx());
	if (e)
		err_copy(e, &c.err);
	if (out_r)
		memcpy(out_r, &out, sizeof(out));
	return code;
}

#define ASK(name, who, in, out_r, e) ask_in(w.arena, name, who, in, out_r, e)

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct err e_ = { 0 };                                                             \
		struct err *e = &e_;                                                               \
		if (expr)                                                                          \
			fail_msg("%s: %s (%s)", #expr, e_.slug, e_.msg);                           \
		(void)e;                                                                           \
	} while (0)
#define REFUSED(expr, want)                                                                        \
	do {                                                                                       \
		struct err e_ = { 0 };                                                             \
		struct err *e = &e_;                                                               \
		(void)(expr);                                                                      \
		if (strcmp(e_.slug, want) != 0)                                                    \
			fail_msg("%s: %s (%s), not %s", #expr, e_.slug, e_.msg, want);             \
	} while (0)

/* ---- people ---- */
static UNUSED_FN void register_user(const char *email)
{
	Identity__V1__RegisterRequest in = IDENTITY__V1__REGISTER_REQUEST__INIT;
	Identity__V1__RegisterReply *out;

	in.email = (char *)email;
	in.password = (char *)PASSWORD;
	in.name = (char *)"Ann Example";
	in.phone = (char *)"+4915112345678";
	MUST(ASK("RegisterUser", &nobody, &in, &out, e));
	assert_string_equal(out->status, "accepted");
}

static enum err_code try_login(const char *email, const char *password, const char *audience, const char *vendor_id,
			       Identity__V1__TokenReply **t_r, struct err *e)
{
	Identity__V1__LoginRequest in = IDENTITY__V1__LOGIN_REQUEST__INIT;

	in.email = (char *)email;
	in.password = (char *)password;
	in.audience = (char *)audience;
	in.vendor_id = (char *)vendor_id;
	in.has_refresh_in_body = in.refresh_in_body = 1;
	in.hdr_client_ip = (char *)"203.0.113.9";
	in.hdr_user_agent = (char *)"test agent/1.0";
	return ASK("Login", &nobody, &in, t_r, e);
}

static UNUSED_FN Identity__V1__TokenReply *login_as(const char *email, const char *audience)
{
	Identity__V1__TokenReply *t = NULL;

	MUST(try_login(email, PASSWORD, audience, NULL, &t, e));
	return t;
}

static UNUSED_FN Identity__V1__TokenReply *login(const char *email)
{
	return login_as(email, NULL);
}

static UNUSED_FN Identity__V1__TokenReply *newcomer(const char *email)
{
	register_user(email);
	return login(email);
}

/* The token of the newest link of a kind, as notify asks for it. */
static UNUSED_FN char *mailed_token(const char *user_id, const char *kind)
{
	Identity__V1__LinkRequest in = IDENTITY__V1__LINK_REQUEST__INIT;
	struct principal notify = service("notify");
	Identity__V1__Link *out = NULL;
	char id[64];

	(void)snprintf(id, sizeof(id), "%s",
		       pg_fixture_text(w.fx, "SELECT id FROM identity.link WHERE user_id = '%s' AND kind = '%s'"
					     " ORDER BY id DESC LIMIT 1", user_id, kind));
	in.link_id = id;
	MUST(ASK("MakeLink", &notify, &in, &out, e));
	assert_string_equal(out->kind, kind);
	return out->token;
}

static UNUSED_FN void verify_address(const char *user_id)
{
	Identity__V1__VerifyEmailRequest in = IDENTITY__V1__VERIFY_EMAIL_REQUEST__INIT;

	in.token = mailed_token(user_id, "verify_email");
	MUST(ASK("VerifyEmail", &nobody, &in, NULL, e));
}

/* An administrator made by hand; returns tokens of the admin side. */
static UNUSED_FN Identity__V1__TokenReply *administrator(const char *email, const char *role)
{
	Identity__V1__TokenReply *t = newcomer(email);

	pg_fixture_sql(w.fx, "INSERT INTO identity.user_role (user_id, role) VALUES ('%s', '%s')", t->user_id, role);
	return login_as(email, "admin");
}

static UNUSED_FN enum err_code refresh_in(struct arena *a, const char *token, const char *audience,
					  Identity__V1__TokenReply **t_r, struct err *e)
{
	Identity__V1__RefreshRequest in = IDENTITY__V1__REFRESH_REQUEST__INIT;

	in.refresh_token = (char *)token;
	in.audience = (char *)audience;
	return ask_in(a, "Refresh", &nobody, &in, t_r, e);
}
#define REFRESH(token, t_r, e) refresh_in(w.arena, token, NULL, t_r, e)

#endif
