#include "api.h"
#include "events.h"
#include "idempotency.h"
#include "intents.h"
#include "ledger.h"
#include "refunds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- control handlers that fit nowhere else ---- */

static void faults_add(struct sandbox *sb, const struct request *q, struct reply *r)
{
	faults_post(&sb->faults, q, r);
}

static void faults_list(struct sandbox *sb, const struct request *q, struct reply *r)
{
	(void)q;
	faults_get(&sb->faults, r);
}

static void faults_remove(struct sandbox *sb, const struct request *q, struct reply *r)
{
	faults_delete(&sb->faults, q, r);
}

static void reset(struct sandbox *sb, const struct request *q, struct reply *r)
{
	(void)q;
	sandbox_reset(sb);
	reply_json(r, 200, json_pack("{s:b}", "reset", 1));
}

static void health(struct sandbox *sb, const struct request *q, struct reply *r)
{
	(void)sb;
	(void)q;
	reply_json(r, 200, json_pack("{s:s}", "status", "ok"));
}

static const struct route routes[] = {
	{ "POST", "/v1/payment_intents", OP_CREATE, intent_create, false },
	{ "GET", "/v1/payment_intents", OP_LIST, intent_list, false },
	{ "GET", "/v1/payment_intents/:id", OP_RETRIEVE, intent_retrieve, true },
	{ "POST", "/v1/payment_intents/:id/confirm", OP_CONFIRM, intent_confirm, true },
	{ "POST", "/v1/payment_intents/:id/capture", OP_CAPTURE, intent_capture, false },
	{ "POST", "/v1/payment_intents/:id/cancel", OP_CANCEL, intent_cancel, false },
	{ "POST", "/v1/payment_intents/:id/_authenticate", OP_AUTHENTICATE, intent_authenticate,
		true },
	{ "POST", "/v1/refunds", OP_REFUND, refund_create, false },
	{ "GET", "/v1/refunds", OP_LIST, refund_list, false },
	{ "GET", "/v1/refunds/:id", OP_RETRIEVE, refund_retrieve, false },
	{ "GET", "/v1/charges", OP_LIST, charge_list, false },
	{ "GET", "/v1/charges/:id", OP_RETRIEVE, charge_retrieve, false },
	{ "GET", "/v1/events", OP_LIST, event_list, false },
	{ "GET", "/v1/events/:id", OP_RETRIEVE, event_retrieve, false },
	{ "POST", "/_sandbox/faults", OP_CONTROL, faults_add, true },
	{ "GET", "/_sandbox/faults", OP_CONTROL, faults_list, true },
	{ "DELETE", "/_sandbox/faults", OP_CONTROL, faults_remove, true },
	{ "DELETE", "/_sandbox/faults/:id", OP_CONTROL, faults_remove, true },
	{ "GET", "/_sandbox/ledger", OP_CONTROL, ledger_get, true },
	{ "GET", "/_sandbox/stats", OP_CONTROL, ledger_stats, true },
	{ "GET", "/_sandbox/health", OP_CONTROL, health, true },
	{ "POST", "/_sandbox/reset", OP_CONTROL, reset, true },
	{ "POST", "/_sandbox/intents/:id/expire", OP_CONTROL, intent_expire, true },
	{ "POST", "/_sandbox/intents/:id/tamper", OP_CONTROL, intent_tamper, true },
	{ "POST", "/_sandbox/refunds/:id/fail", OP_CONTROL, refund_fail, true },
	{ "POST", "/_sandbox/disputes", OP_CONTROL, dispute_create, true },
	{ "POST", "/_sandbox/events", OP_CONTROL, event_inject, true },
	{ "POST", "/_sandbox/events/:id/deliver", OP_CONTROL, event_deliver, true },
};

static bool path_matches(const char *pattern, const char *path, char *id, size_t id_len)
{
	size_t n;

	id[0] = '\0';
	while (*pattern) {
		if (*pattern != ':') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		n = strcspn(path, "/");
		if (!n || n >= id_len)
			return false;
		memcpy(id, path, n);
		id[n] = '\0';
		path += n;
		pattern += strcspn(pattern, "/");
	}
	return !*path;
}

const struct route *api_route(const char *method, const char *path, struct request *q, bool *other)
{
	size_t i;

	*other = false;
	for (i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		if (!path_matches(routes[i].path, path, q->id, sizeof(q->id)))
			continue;
		if (!strcmp(routes[i].method, method))
			return &routes[i];
		*other = true;
	}
	return NULL;
}

/* ---- faults ---- */

static void server_error(struct reply *r)
{
	reply_error(r, 500, (struct api_error){ .type = "api_error" },
		"Something went wrong on the provider's side.");
}

/* Faults that stand before the idempotency layer. */
static bool is_early(const struct fault *f)
{
	return f->kind == FAULT_CLOSE_BEFORE || f->kind == FAULT_STATUS_429 ||
	       f->kind == FAULT_CONFLICT_409 || (f->kind == FAULT_500_UNSTORED && !f->processed);
}

static void refuse(const struct fault *f, struct reply *r)
{
	switch (f->kind) {
	case FAULT_CLOSE_BEFORE:
		r->wire = f->reset ? WIRE_RESET : WIRE_CLOSE;
		break;
	case FAULT_STATUS_429:
		reply_error(
			r, 429, (struct api_error){ .code = "rate_limit" }, "Too many requests.");
		r->retry_after = (int)f->retry_after;
		break;
	case FAULT_CONFLICT_409:
		reply_error(r, 409, (struct api_error){ .code = "idempotency_key_in_use" },
			"Another request with this idempotency key is still running.");
		r->should_retry = 1;
		break;
	default:
		server_error(r);
		break;
	}
	if (f->should_retry)
		r->should_retry = f->should_retry;
}

static void change_amount(struct reply *r, int64_t delta)
{
	json_t *o = json_loads(r->body, 0, NULL), *amount = json_object_get(o, "amount");
	int status = r->status;

	if (json_is_integer(amount)) {
		json_object_set_new(o, "amount", json_integer(json_integer_value(amount) + delta));
		reply_json(r, status, o);
	} else {
		json_decref(o);
	}
}

static void pad(struct reply *r, int64_t bytes)
{
	struct text t = TEXT_INIT(65u << 20);
	static const char blank[1025] = { [0 ... 1023] = ' ' };

	text_add(&t, r->body, r->len);
	while ((int64_t)t.len < bytes && !t.over)
		text_add(&t, blank, 1024);
	if (!t.over && t.data)
		reply_text(r, r->status, r->type, t.data, t.len);
	else
		text_free(&t);
}

/* Faults that spoil an answer already decided (and kept for its key). */
static void spoil(const struct fault *f, struct reply *r)
{
	if (!r->body)
		return;
	switch (f->kind) {
	case FAULT_CLOSE_AFTER:
		r->wire = f->reset ? WIRE_RESET : WIRE_CLOSE;
		break;
	case FAULT_500_UNSTORED:
		server_error(r);
		break;
	case FAULT_TRUNCATE_BODY:
		r->wire = WIRE_TRUNCATE;
		r->cut = f->bytes;
		break;
	case FAULT_INVALID_JSON:
		if (r->len > 2)
			r->body[r->len / 2] = '\x01';
		r->body[r->len - 1] = '{';
		break;
	case FAULT_WRONG_AMOUNT:
		change_amount(r, f->amount_delta);
		break;
	case FAULT_SLOW_DRIP:
		r->wire = WIRE_DRIP;
		r->drip_ms = f->delay_ms;
		break;
	case FAULT_HUGE_BODY:
		pad(r, f->bytes);
		break;
	default:
		break;
	}
	if (f->should_retry)
		r->should_retry = f->should_retry;
}

/* ---- the pipeline ---- */

static void execute(struct sandbox *sb, const struct route *route, const struct request *q,
	const struct api_plan *plan, struct reply *r)
{
	bool stored_500 = plan->hit && plan->what.kind == FAULT_500_STORED;

	if (!stored_500 || plan->what.processed)
		route->fn(sb, q, r);
	if (stored_500) {
		r->unstored = false;
		server_error(r);
	}
}

/* What a fault's "object" is compared with: the path's id, else the intent that the parameters
 * name. */
static const char *object_of(const struct request *q)
{
	const char *intent = form_get(q->form, "payment_intent");

	return *q->id ? q->id : intent ? intent : "";
}

void api_run(
	struct sandbox *sb, const struct route *route, const struct request *q, struct reply *r)
{
	struct api_plan plan;
	enum idem_verdict verdict;
	bool early;

	sandbox_lock(sb);
	sb->stats.requests[route->op]++;
	if (route->op == OP_CONTROL) {
		route->fn(sb, q, r);
		sandbox_unlock(sb);
		return;
	}
	plan = faults_api(&sb->faults, route->op, object_of(q), &sb->stats.fired);
	early = plan.hit && is_early(&plan.what);
	verdict = early ? IDEM_ANSWERED : idem_claim(sb, q, r);
	sandbox_unlock(sb);

	sandbox_sleep(sb, plan.before_ms);
	if (early) {
		refuse(&plan.what, r);
		return;
	}
	if (verdict != IDEM_ANSWERED) {
		sandbox_lock(sb);
		execute(sb, route, q, &plan, r);
		if (verdict == IDEM_CLAIMED)
			idem_finish(sb, q, r);
		sandbox_unlock(sb);
	}
	if (plan.hit)
		spoil(&plan.what, r);
	sandbox_sleep(sb, plan.after_ms);
}
