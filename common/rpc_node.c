/* The Node service, the same in every daemon: health, its events, dead letters, audit pages, lag. */
#include <string.h>

#include "common/daemon.h"
#include "common/node_db.h"
#include "common/rpc.h"

enum { TYPES_MAX = 64 };

RPC_HANDLER(node_health, Common__V1__HealthRequest, Common__V1__HealthReply)
RPC_HANDLER(node_fetch_events, Common__V1__FetchEventsRequest, Common__V1__FetchEventsReply)
RPC_HANDLER(node_dead_letters, Common__V1__DeadLettersRequest, Common__V1__DeadLettersReply)
RPC_HANDLER(node_replay, Common__V1__ReplayDeadLetterRequest, Common__V1__ReplayDeadLetterReply)
RPC_HANDLER(node_audit_page, Common__V1__AuditPageRequest, Common__V1__AuditPageReply)
RPC_HANDLER(node_event_lag, Common__V1__LagRequest, Common__V1__LagReply)

const struct rpc_method rpc_node_methods[] = {
	{ "Health", node_health_, RPC_READ | RPC_INTERNAL, 0 },
	{ "FetchEvents", node_fetch_events_, RPC_READ | RPC_INTERNAL, 0 },
	{ "DeadLetters", node_dead_letters_, RPC_READ, 0 },
	{ "ReplayDeadLetter", node_replay_, RPC_WRITE, 0 },
	{ "AuditPage", node_audit_page_, RPC_READ, 0 },
	{ "EventLag", node_event_lag_, RPC_READ, 0 },
	{ 0 },
};

static enum err_code node_health(struct call *c, const Common__V1__HealthRequest *in, Common__V1__HealthReply *out)
{
	const struct rpc_env *env = c->svc;
	char names[DAEMON_DEGRADED_MAX][32];
	size_t i;

	(void)in;
	out->service = call_str(c, env->self);
	out->version = call_str(c, daemon_version());
	out->has_draining = 1;
	out->draining = env->draining;
	out->n_degraded = daemon_degraded_list(names);
	out->degraded = arena_array(c->arena, out->n_degraded + 1, sizeof(*out->degraded));
	for (i = 0; i < out->n_degraded; i++)
		out->degraded[i] = call_str(c, names[i]);
	return OK;
}

/* A consumer's cursor lets events be dropped, so a process reports for itself only: "cart" or "cart/<part>". */
static bool own_name(const struct call *c, const char *consumer)
{
	size_t n = strlen(c->caller);

	return !consumer || !*consumer || (!strncmp(consumer, c->caller, n) && (!consumer[n] || consumer[n] == '/'));
}

static enum err_code node_fetch_events(struct call *c, const Common__V1__FetchEventsRequest *in,
				       Common__V1__FetchEventsReply *out)
{
	struct pg *pg;

	if (c->who.kind != WHO_SERVICE || !own_name(c, in->consumer))
		return err_set(&c->err, E_DENIED, "common.forbidden", "%s pulls events as %.40s", c->caller,
			       in->consumer ? in->consumer : "");
	if (in->n_types > TYPES_MAX)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "%zu event types", in->n_types);
	if (call_pg(c, &pg))
		return c->err.code;
	(void)!node_db_fetch_events(pg, c->arena, in, out, &c->err);
	pg_return(pg);
	return c->err.code;
}

static enum err_code node_dead_letters(struct call *c, const Common__V1__DeadLettersRequest *in,
				       Common__V1__DeadLettersReply *out)
{
	struct pg *pg;

	if (call_perm(c, "admin.events") || call_pg(c, &pg))
		return c->err.code;
	(void)!node_db_dead_letters(pg, c->arena, in, out, &c->err);
	pg_return(pg);
	return c->err.code;
}

struct replay {
	struct call *call;
	const Common__V1__ReplayDeadLetterRequest *in;
	Common__V1__ReplayDeadLetterReply *out;
};

static enum err_code replay_tx(struct pg *pg, void *arg, struct err *e)
{
	struct replay *r = arg;

	return node_db_replay(pg, r->call->arena, r->in, r->out, e);
}

static enum err_code node_replay(struct call *c, const Common__V1__ReplayDeadLetterRequest *in,
				 Common__V1__ReplayDeadLetterReply *out)
{
	struct replay r = { c, in, out };

	if (call_perm(c, "admin.events"))
		return c->err.code;
	return call_tx(c, CALL_TX_PLAIN, replay_tx, &r);
}

static enum err_code node_audit_page(struct call *c, const Common__V1__AuditPageRequest *in,
				     Common__V1__AuditPageReply *out)
{
	struct pg *pg;

	if (call_perm(c, "admin.audit") || call_pg(c, &pg))
		return c->err.code;
	(void)!node_db_audit_page(pg, c->arena, in, out, &c->err);
	pg_return(pg);
	return c->err.code;
}

static enum err_code node_event_lag(struct call *c, const Common__V1__LagRequest *in, Common__V1__LagReply *out)
{
	struct pg *pg;

	(void)in;
	if (call_perm(c, "admin.events") || call_pg(c, &pg))
		return c->err.code;
	(void)!node_db_event_lag(pg, c->arena, out, &c->err);
	pg_return(pg);
	return c->err.code;
}
