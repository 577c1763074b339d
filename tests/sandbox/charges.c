/* Charges: one per attempt to pay an intent. */
#include "intents.h"
#include "journal.h"
#include "lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPTURE_WINDOW_S (7 * 86400)

struct charge *charge_find(const struct sandbox *sb, const char *id)
{
	return (struct charge *)table_find(&sb->charges, id);
}

/* What of the charge was given back: refunds, and the part of an authorisation that was never
 * captured. */
static int64_t given_back(const struct charge *c)
{
	if (c->released)
		return c->amount;
	return c->captured ? c->amount - c->amount_captured + c->refunded : 0;
}

json_t *charge_json(const struct charge *c)
{
	int64_t back = given_back(c);
	json_t *o = json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:b, s:I, s:s, s:b, s:b, s:s, s:b, s:b, s:s}", "id",
		c->id, "object", "charge", "amount", (json_int_t)c->amount, "amount_captured",
		(json_int_t)c->amount_captured, "amount_refunded", (json_int_t)back, "captured",
		(int)c->captured, "created", (json_int_t)c->created, "currency", c->currency,
		"disputed", (int)c->disputed, "livemode", 0, "payment_intent", c->intent, "paid",
		(int)!c->failed, "refunded", (int)(back > 0 && back == c->amount), "status",
		c->failed ? "failed" : "succeeded");
	json_t *details;

	if (!o || !c->card)
		return o;
	if (c->failed) {
		json_object_set_new(o, "failure_code",
			json_string(c->card->code ? c->card->code : "card_declined"));
		json_object_set_new(o, "failure_message", json_string(card_message(c->card)));
	}
	details = json_pack("{s:s, s:s}", "brand", c->card->brand, "last4", c->card->last4);
	if (!c->captured && !c->failed)
		json_object_set_new(
			details, "capture_before", json_integer(c->created + CAPTURE_WINDOW_S));
	json_object_set_new(o, "payment_method_details",
		json_pack("{s:s, s:o}", "type", "card", "card", details));
	return o;
}

void charge_save(struct sandbox *sb, const struct charge *c)
{
	json_t *o;

	if (!sb->journal)
		return;
	o = charge_json(c);
	json_object_set_new(o, "_refunded", json_integer(c->refunded));
	json_object_set_new(o, "_released", json_boolean(c->released));
	if (c->card)
		json_object_set_new(o, "_card", json_string(c->card->method));
	journal_add(sb, "charge", o);
}

static int64_t whole(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void word(char *out, size_t len, const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	snprintf(out, len, "%s", s ? s : "");
}

bool charge_load(struct sandbox *sb, const json_t *o)
{
	const char *id = json_string_value(json_object_get(o, "id"));
	const char *card = json_string_value(json_object_get(o, "_card"));
	const char *status = json_string_value(json_object_get(o, "status"));
	struct charge *c = id ? charge_find(sb, id) : NULL;

	if (!id || !status)
		return false;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return false;
		word(c->id, sizeof(c->id), o, "id");
		c->row.id = c->id;
		if (!table_put(&sb->charges, &c->row)) {
			free(c);
			return false;
		}
	}
	word(c->intent, sizeof(c->intent), o, "payment_intent");
	word(c->currency, sizeof(c->currency), o, "currency");
	c->card = card ? card_by_method(card) : NULL;
	c->failed = !strcmp(status, "failed");
	c->captured = json_is_true(json_object_get(o, "captured"));
	c->disputed = json_is_true(json_object_get(o, "disputed"));
	c->released = json_is_true(json_object_get(o, "_released"));
	c->amount = whole(o, "amount");
	c->amount_captured = whole(o, "amount_captured");
	c->refunded = whole(o, "_refunded");
	c->created = whole(o, "created");
	return true;
}

void charge_free(struct row *r)
{
	free(r);
}

static bool of_intent(const struct row *r, const struct request *q)
{
	const char *intent = form_get(q->form, "payment_intent");

	return !intent || !strcmp(((const struct charge *)r)->intent, intent);
}

static int64_t created_of(const struct row *r)
{
	return ((const struct charge *)r)->created;
}

static json_t *render(const struct sandbox *sb, const struct row *r, const struct request *q)
{
	(void)sb;
	(void)q;
	return charge_json((const struct charge *)r);
}

void charge_list(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "payment_intent", NULL };
	static const struct list_view view = {
		.url = "/v1/charges",
		.what = "charge",
		.match = of_intent,
		.created = created_of,
		.render = render,
		.params = params,
	};

	list_reply(sb, &sb->charges, &view, q, r);
}

void charge_retrieve(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct charge *c = charge_find(sb, q->id);

	if (c)
		reply_json(r, 200, charge_json(c));
	else
		reply_missing(r, "charge", q->id);
}
