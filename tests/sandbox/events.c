#include "events.h"
#include "journal.h"
#include "lists.h"
#include "webhooks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "2024-06-20"

void event_unref(struct event *e)
{
	if (atomic_fetch_sub(&e->refs, 1) > 1)
		return;
	free(e->body);
	free(e);
}

void event_free(struct row *r)
{
	event_unref((struct event *)r);
}

/* Webhook order and faults go by intent, whichever of its objects an event is about. */
static void name_object(struct event *e, const json_t *object)
{
	const char *intent = json_string_value(json_object_get(object, "payment_intent"));
	const char *id = json_string_value(json_object_get(object, "id"));

	snprintf(e->object, sizeof(e->object), "%s", intent ? intent : id ? id : "");
}

static struct event *keep(struct sandbox *sb, json_t *body, const char *id, const char *type)
{
	struct event *e = calloc(1, sizeof(*e));
	struct row *old;

	if (!e)
		return NULL;
	e->refs = 1;
	snprintf(e->id, sizeof(e->id), "%s", id);
	snprintf(e->type, sizeof(e->type), "%s", type);
	e->row.id = e->id;
	e->created = json_integer_value(json_object_get(body, "created"));
	name_object(e, json_object_get(json_object_get(body, "data"), "object"));
	e->body = json_dumps(body, JSON_COMPACT);
	if (!e->body || !table_put(&sb->events, &e->row)) {
		event_unref(e);
		return NULL;
	}
	e->len = strlen(e->body);
	while ((int64_t)sb->events.n > sb->conf.events_max) {
		old = table_pop(&sb->events);
		event_free(old);
		sb->stats.events_pruned++;
	}
	return e;
}

static bool subscribed(const char *list, const char *type)
{
	size_t len = strlen(type);
	const char *p;

	if (!strcmp(list, "*"))
		return true;
	for (p = strstr(list, type); p; p = strstr(p + len, type))
		if ((p == list || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static void send_it(struct sandbox *sb, struct event *e)
{
	struct hook_plan plan;

	if (!subscribed(sb->conf.webhook_events, e->type))
		return;
	plan = faults_hook(&sb->faults, e->type, e->object, &sb->stats.fired);
	webhooks_queue(sb, e, &plan);
}

void event_emit(struct sandbox *sb, const char *type, json_t *object, const struct request *q)
{
	struct event *e;
	json_t *body;
	char id[40];

	sandbox_id(sb, &sb->events, "evt_", 24, id);
	body = json_pack("{s:s, s:s, s:s, s:I, s:{s:o}, s:b, s:i, s:s, s:{s:s*, s:s*}}", "id", id,
		"object", "event", "api_version", API_VERSION, "created", (json_int_t)clock_s(),
		"data", "object", object, "livemode", 0, "pending_webhooks", 1, "type", type,
		"request", "id", q ? q->request_id : NULL, "idempotency_key", q ? q->key : NULL);
	e = body ? keep(sb, body, id, type) : NULL;
	if (e) {
		if (sb->journal)
			journal_add(sb, "event", json_incref(body));
		send_it(sb, e);
	}
	json_decref(body);
}

bool event_load(struct sandbox *sb, const json_t *o, bool delivered)
{
	const char *id = json_string_value(json_object_get(o, "id"));
	const char *type = json_string_value(json_object_get(o, "type"));
	struct event *e = id && type ? keep(sb, (json_t *)(uintptr_t)o, id, type) : NULL;

	if (e && !delivered)
		send_it(sb, e);
	return e;
}

void event_mark_delivered(struct sandbox *sb, const char *id)
{
	sandbox_lock(sb);
	journal_add(sb, "delivered", json_string(id));
	sandbox_unlock(sb);
}

/* ---- reading ---- */

void event_retrieve(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct event *e = (struct event *)table_find(&sb->events, q->id);

	if (e)
		reply_json(r, 200, json_loads(e->body, 0, NULL));
	else
		reply_missing(r, "event", q->id);
}

static bool matches(const struct row *row, const struct request *q)
{
	const struct event *e = (const struct event *)row;
	const char *type = form_get(q->form, "type");
	size_t i, named = 0;

	if (type && strcmp(type, e->type))
		return false;
	for (i = 0; i < q->form->n; i++) {
		if (strncmp(q->form->pair[i].name, "types[", 6))
			continue;
		if (!strcmp(q->form->pair[i].value, e->type))
			return true;
		named++;
	}
	return !named;
}

static int64_t created_of(const struct row *row)
{
	return ((const struct event *)row)->created;
}

static json_t *render(const struct sandbox *sb, const struct row *row, const struct request *q)
{
	(void)sb;
	(void)q;
	return json_loads(((const struct event *)row)->body, 0, NULL);
}

void event_list(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "type", "types[", NULL };
	static const struct list_view view = {
		.url = "/v1/events",
		.what = "event",
		.match = matches,
		.created = created_of,
		.render = render,
		.params = params,
	};

	list_reply(sb, &sb->events, &view, q, r);
}

/* ---- control ---- */

void event_inject(struct sandbox *sb, const struct request *q, struct reply *r)
{
	const char *type = json_string_value(json_object_get(q->json, "type"));
	json_t *object = json_object_get(q->json, "object");
	struct event *e;

	if (!type || strlen(type) >= sizeof(e->type) || !json_is_object(object)) {
		reply_error(r, 400, (struct api_error){ .code = "event_invalid" },
			"type and object are needed.");
		return;
	}
	event_emit(sb, type, json_deep_copy(object), q);
	e = (struct event *)table_at(&sb->events, table_end(&sb->events) - 1);
	reply_json(r, 200, json_pack("{s:s}", "id", e ? e->id : ""));
}

void event_deliver(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct event *e = (struct event *)table_find(&sb->events, q->id);
	json_int_t times = json_integer_value(json_object_get(q->json, "times"));
	struct hook_plan plan = { .copies = times < 1 ? 1 : times > 1000 ? 1000 : (int)times };

	if (!e) {
		reply_missing(r, "event", q->id);
		return;
	}
	webhooks_queue(sb, e, &plan);
	reply_json(r, 200, json_pack("{s:i}", "queued", plan.copies));
}
