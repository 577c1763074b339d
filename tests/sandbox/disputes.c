/* Disputes: the buyer's bank takes the money back. Only opened, never argued. */
#include "events.h"
#include "journal.h"
#include "refunds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *dispute_json(const struct dispute *d)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:I, s:s, s:b, s:s, s:s, s:s}", "id", d->id,
		"object", "dispute", "amount", (json_int_t)d->amount, "charge", d->charge,
		"created", (json_int_t)d->created, "currency", d->currency, "livemode", 0,
		"payment_intent", d->intent, "reason", "fraudulent", "status", "needs_response");
}

static struct dispute *put(struct sandbox *sb, const char *id)
{
	struct dispute *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->row.id = d->id;
	if (table_put(&sb->disputes, &d->row))
		return d;
	free(d);
	return NULL;
}

void dispute_open(struct sandbox *sb, struct charge *c)
{
	struct dispute *d;
	char id[40];

	if (c->disputed || !c->captured)
		return;
	sandbox_id(sb, &sb->disputes, "dp_", 24, id);
	d = put(sb, id);
	if (!d)
		return;
	memcpy(d->charge, c->id, sizeof(d->charge));
	memcpy(d->intent, c->intent, sizeof(d->intent));
	memcpy(d->currency, c->currency, sizeof(d->currency));
	d->amount = c->amount_captured;
	d->created = clock_s();
	c->disputed = true;
	charge_save(sb, c);
	if (sb->journal)
		journal_add(sb, "dispute", dispute_json(d));
	event_emit(sb, "charge.dispute.created", dispute_json(d), NULL);
}

void dispute_later(struct sandbox *sb, const char *id)
{
	struct charge *c = charge_find(sb, id);

	if (c)
		dispute_open(sb, c);
}

void dispute_create(struct sandbox *sb, const struct request *q, struct reply *r)
{
	const char *intent = json_string_value(json_object_get(q->json, "payment_intent"));
	struct intent *pi = intent ? intent_find(sb, intent) : NULL;
	struct charge *c = pi ? charge_find(sb, pi->charge) : NULL;

	if (!c) {
		reply_missing(r, "payment_intent", intent ? intent : "");
		return;
	}
	if (c->disputed || !c->captured) {
		reply_error(r, 400,
			(struct api_error){ .code = "charge_not_disputable", .charge = c->id },
			"Only a captured charge can be disputed, and once.");
		return;
	}
	dispute_open(sb, c);
	reply_json(r, 200, charge_json(c));
}

bool dispute_load(struct sandbox *sb, const json_t *o)
{
	const char *id = NULL, *charge = NULL, *intent = NULL, *currency = NULL;
	json_int_t amount = 0, created = 0;
	struct dispute *d;

	if (json_unpack((json_t *)(uintptr_t)o, "{s:s, s:s, s:s, s:s, s:I, s:I}", "id", &id,
		    "charge", &charge, "payment_intent", &intent, "currency", &currency, "amount",
		    &amount, "created", &created))
		return false;
	d = put(sb, id);
	if (!d)
		return false;
	snprintf(d->charge, sizeof(d->charge), "%s", charge);
	snprintf(d->intent, sizeof(d->intent), "%s", intent);
	snprintf(d->currency, sizeof(d->currency), "%s", currency);
	d->amount = amount;
	d->created = created;
	return true;
}

void dispute_free(struct row *r)
{
	free(r);
}
