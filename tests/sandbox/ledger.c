#include "ledger.h"
#include "intents.h"
#include "refunds.h"
#include "webhooks.h"

#include <string.h>

#define PAGE_MAX 1000

/* Charges and refunds of the intents from..to are found in one walk each, and hung on by id. */
static json_t *charge_entry(const struct charge *c)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:b, s:b, s:b}", "id", c->id, "amount",
		(json_int_t)c->amount, "amount_captured", (json_int_t)c->amount_captured,
		"amount_refunded", (json_int_t)c->refunded, "status",
		c->failed ? "failed" : "succeeded", "captured", (int)c->captured, "released",
		(int)c->released, "disputed", (int)c->disputed);
}

static json_t *refund_entry(const struct refund *x)
{
	json_t *full = refund_json(x), *o = json_object();
	static const char *const kept[] = { "id", "amount", "charge", "status", "metadata", NULL };
	size_t i;

	for (i = 0; kept[i]; i++)
		json_object_set(o, kept[i], json_object_get(full, kept[i]));
	json_decref(full);
	return o;
}

static json_t *intent_entry(const struct intent *pi)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:I, s:O, s:[], s:[]}", "id", pi->id,
		"amount", (json_int_t)pi->amount, "amount_received", (json_int_t)pi->received,
		"amount_capturable", (json_int_t)pi->capturable, "currency", pi->currency, "status",
		intent_status_name(pi->status), "capture_method",
		pi->manual ? "manual" : "automatic", "created", (json_int_t)pi->created, "metadata",
		pi->metadata, "charges", "refunds");
}

static void hang(json_t *by_id, const char *intent, const char *list, json_t *entry)
{
	json_t *o = json_object_get(by_id, intent);

	if (o)
		json_array_append_new(json_object_get(o, list), entry);
	else
		json_decref(entry);
}

/* Objects older than the page's first intent cannot belong to it, so the walks start at the right
 * creation time. */
static void add_parts(struct sandbox *sb, json_t *by_id, int64_t since)
{
	uint64_t i;

	for (i = table_end(&sb->charges); i-- > sb->charges.first;) {
		const struct charge *c = (struct charge *)table_at(&sb->charges, i);

		if (c->created < since)
			break;
		if (json_object_get(by_id, c->intent))
			hang(by_id, c->intent, "charges", charge_entry(c));
	}
	for (i = table_end(&sb->refunds); i-- > sb->refunds.first;) {
		const struct refund *x = (struct refund *)table_at(&sb->refunds, i);

		if (x->created < since)
			break;
		if (json_object_get(by_id, x->intent))
			hang(by_id, x->intent, "refunds", refund_entry(x));
	}
}

static json_t *totals(const struct sandbox *sb)
{
	json_t *o = json_object(), *states = json_object();
	int64_t captured = 0, refunded = 0, capturable = 0, count[INTENT_CANCELED + 1] = { 0 };
	uint64_t i;
	int s;

	for (i = sb->intents.first; i < table_end(&sb->intents); i++) {
		const struct intent *pi = (struct intent *)table_at(&sb->intents, i);

		count[pi->status]++;
		capturable += pi->capturable;
	}
	for (i = sb->charges.first; i < table_end(&sb->charges); i++) {
		const struct charge *c = (struct charge *)table_at(&sb->charges, i);

		captured += c->amount_captured;
		refunded += c->refunded;
	}
	for (s = 0; s <= INTENT_CANCELED; s++)
		json_object_set_new(
			states, intent_status_name((enum intent_status)s), json_integer(count[s]));
	json_object_set_new(o, "intents", json_integer((json_int_t)sb->intents.n));
	json_object_set_new(o, "states", states);
	json_object_set_new(o, "captured", json_integer(captured));
	json_object_set_new(o, "refunded", json_integer(refunded));
	json_object_set_new(o, "capturable", json_integer(capturable));
	json_object_set_new(o, "disputes", json_integer((json_int_t)sb->disputes.n));
	return o;
}

void ledger_get(struct sandbox *sb, const struct request *q, struct reply *r)
{
	int64_t limit = 200;
	const char *after = form_get(q->form, "after");
	struct intent *last = after && *after ? intent_find(sb, after) : NULL;
	uint64_t seq = last ? last->row.seq + 1 : sb->intents.first;
	json_t *data, *by_id;
	struct intent *pi = NULL;
	int64_t since = 0;

	if (!form_int(q->form, "limit", 1, PAGE_MAX, &limit) || (after && *after && !last)) {
		reply_error(r, 400, (struct api_error){ .code = "page_invalid" },
			"limit or after is not valid.");
		return;
	}
	data = json_array();
	by_id = json_object();
	for (; seq < table_end(&sb->intents) && (int64_t)json_array_size(data) < limit; seq++) {
		json_t *o;

		pi = (struct intent *)table_at(&sb->intents, seq);
		o = intent_entry(pi);
		if (!json_array_size(data))
			since = pi->created;
		json_object_set(by_id, pi->id, o);
		json_array_append_new(data, o);
	}
	add_parts(sb, by_id, since);
	json_decref(by_id);
	reply_json(r, 200,
		json_pack("{s:o, s:o, s:o}", "data", data, "next",
			pi && seq < table_end(&sb->intents) ? json_string(pi->id) : json_null(),
			"totals", totals(sb)));
}

static json_t *request_counts(const struct stats *s)
{
	json_t *o = json_object();
	int i;

	for (i = 0; i < OP_COUNT_; i++)
		json_object_set_new(o, op_name((enum op)i), json_integer(s->requests[i]));
	return o;
}

void ledger_stats(struct sandbox *sb, const struct request *q, struct reply *r)
{
	const struct stats *s = &sb->stats;
	struct webhook_stats w;

	(void)q;
	webhooks_stats(sb, &w);
	reply_json(r, 200,
		json_pack("{s:o, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I},"
			  " s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:I}",
			"requests", request_counts(s), "answers", "2xx", (json_int_t)s->by_class[2],
			"4xx", (json_int_t)s->by_class[4], "5xx", (json_int_t)s->by_class[5],
			"idempotency", "replayed", (json_int_t)s->replayed, "in_use",
			(json_int_t)s->in_use, "mismatched", (json_int_t)s->mismatched, "pruned",
			(json_int_t)s->keys_pruned, "faults", "fired", (json_int_t)s->fired,
			"closed", (json_int_t)s->closed, "webhooks", "queued", (json_int_t)w.queued,
			"sent", (json_int_t)w.sent, "ok", (json_int_t)w.ok, "failed",
			(json_int_t)w.failed, "retried", (json_int_t)w.retried, "given_up",
			(json_int_t)w.given_up, "dropped", (json_int_t)w.dropped, "duplicated",
			(json_int_t)w.duplicated, "reordered", (json_int_t)w.reordered,
			"overflowed", (json_int_t)w.overflowed, "totals", totals(sb),
			"events_pruned", (json_int_t)s->events_pruned));
}
