/* The Node service, the same in every daemon: health, its events, dead letters, audit pages, lag. */
#include <string.h>

#include "common/daemon.h"
#include "common/outbox.h"
#include "common/pg.h"
#include "common/rpc.h"
#include "common/rpc_codec.h"

enum { FETCH_MAX = 200, FETCH_BYTES = RPC_PAYLOAD_MAX / 2, TYPES_MAX = 64 };

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

static Common__V1__Event *event_of(struct call *c, const struct outbox_event *row)
{
	Common__V1__Event *ev = arena_alloc(c->arena, sizeof(*ev));
	Common__V1__EventCursor *cur = arena_alloc(c->arena, sizeof(*cur));

	common__v1__event__init(ev);
	common__v1__event_cursor__init(cur);
	cur->has_epoch = cur->has_xid = cur->has_pos = 1;
	cur->epoch = row->epoch;
	cur->xid = row->xid;
	cur->pos = row->pos;
	ev->cursor = cur;
	ev->event_id = (char *)row->event_id;
	ev->agg_type = (char *)row->agg_type;
	ev->agg_id = (char *)row->agg_id;
	ev->has_agg_version = ev->has_occurred_at = ev->has_payload = 1;
	ev->agg_version = row->agg_version;
	ev->occurred_at = row->occurred_at;
	ev->type = (char *)row->type;
	ev->traceparent = (char *)row->traceparent;
	ev->payload = (ProtobufCBinaryData){ row->payload.len, (uint8_t *)(uintptr_t)row->payload.data };
	return ev;
}

/* As many as fit well into one message; the first always does. */
static void fill_events(struct call *c, const struct outbox_event *rows, size_t n, int32_t limit,
			Common__V1__FetchEventsReply *out)
{
	size_t i, bytes = 0;

	out->events = arena_array(c->arena, n + 1, sizeof(*out->events));
	for (i = 0; i < n; i++) {
		Common__V1__Event *ev = event_of(c, &rows[i]);

		bytes += common__v1__event__get_packed_size(ev) + 8;
		if (i && bytes > FETCH_BYTES)
			break;
		out->events[i] = ev;
	}
	out->n_events = i;
	out->has_more = 1;
	out->more = i < n || n == (size_t)limit;
}

static enum err_code node_fetch_events(struct call *c, const Common__V1__FetchEventsRequest *in,
				       Common__V1__FetchEventsReply *out)
{
	int32_t limit = in->has_limit && in->limit > 0 && in->limit < FETCH_MAX ? in->limit : FETCH_MAX;
	const Common__V1__EventCursor zero = COMMON__V1__EVENT_CURSOR__INIT;
	const Common__V1__EventCursor *after = in->after ? in->after : &zero;
	struct outbox_event *rows = NULL;
	struct pg *pg;
	size_t n = 0;

	if (c->who.kind != WHO_SERVICE)
		return err_set(&c->err, E_DENIED, "common.forbidden", "only services pull events");
	if (in->n_types > TYPES_MAX)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "%zu event types", in->n_types);
	if (call_pg(c, &pg))
		return c->err.code;
	if (!outbox_fetch(pg, after->epoch, after->xid, after->pos,
			  in->n_types ? (const char *const *)in->types : NULL, in->n_types, limit, c->arena, &rows, &n,
			  &c->err))
		fill_events(c, rows, n, limit, out);
	pg_return(pg);
	return c->err.code;
}

static enum err_code node_dead_letters(struct call *c, const Common__V1__DeadLettersRequest *in,
				       Common__V1__DeadLettersReply *out)
{
	(void)in, (void)out;
	return err_set(&c->err, E_UNAVAILABLE, "common.not_implemented", "dead letters");
}

static enum err_code node_replay(struct call *c, const Common__V1__ReplayDeadLetterRequest *in,
				 Common__V1__ReplayDeadLetterReply *out)
{
	(void)in, (void)out;
	return err_set(&c->err, E_UNAVAILABLE, "common.not_implemented", "replay");
}

static enum err_code node_audit_page(struct call *c, const Common__V1__AuditPageRequest *in,
				     Common__V1__AuditPageReply *out)
{
	(void)in, (void)out;
	return err_set(&c->err, E_UNAVAILABLE, "common.not_implemented", "audit pages");
}

static enum err_code node_event_lag(struct call *c, const Common__V1__LagRequest *in, Common__V1__LagReply *out)
{
	(void)in, (void)out;
	return err_set(&c->err, E_UNAVAILABLE, "common.not_implemented", "lag");
}
