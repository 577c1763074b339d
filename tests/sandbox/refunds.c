#include "refunds.h"
#include "events.h"
#include "journal.h"
#include "lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
	[REFUND_SUCCEEDED] = "succeeded",
	[REFUND_PENDING_] = "pending",
	[REFUND_FAILED] = "failed",
};

static struct refund *refund_find(const struct sandbox *sb, const char *id)
{
	return (struct refund *)table_find(&sb->refunds, id);
}

json_t *refund_json(const struct refund *x)
{
	json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:O}", "id", x->id,
		"object", "refund", "amount", (json_int_t)x->amount, "charge", x->charge, "created",
		(json_int_t)x->created, "currency", x->currency, "payment_intent", x->intent,
		"status", status_names[x->status], "metadata", x->metadata);

	if (!o)
		return NULL;
	json_object_set_new(o, "reason", *x->reason ? json_string(x->reason) : json_null());
	if (x->status == REFUND_FAILED)
		json_object_set_new(o, "failure_reason", json_string("lost_or_stolen_card"));
	return o;
}

static void refund_save(struct sandbox *sb, const struct refund *x)
{
	if (sb->journal)
		journal_add(sb, "refund", refund_json(x));
}

/* ---- creation ---- */

/* The captured charge that the request names by payment_intent or charge. NULL: answered. */
static struct charge *charge_of_request(
	struct sandbox *sb, const struct request *q, struct reply *r)
{
	const char *intent = form_get(q->form, "payment_intent"),
		   *charge = form_get(q->form, "charge");
	struct intent *pi = intent ? intent_find(sb, intent) : NULL;
	struct charge *c;

	if (!intent && !charge) {
		reply_param(r, "charge", "parameter_missing",
			"One of payment_intent and charge must be given.");
		return NULL;
	}
	if (intent && !pi) {
		reply_missing(r, "payment_intent", intent);
		return NULL;
	}
	c = charge_find(sb, pi ? pi->charge : charge);
	if (!c && !pi) {
		reply_missing(r, "charge", charge);
		return NULL;
	}
	if (!c || !c->captured) {
		reply_error(r, 400, (struct api_error){ .code = "payment_intent_unexpected_state" },
			"There is no captured charge to refund.");
		return NULL;
	}
	return c;
}

static bool read_amount(
	const struct request *q, const struct charge *c, struct reply *r, int64_t *amount)
{
	int64_t left = c->amount_captured - c->refunded;
	int got;

	if (c->disputed) {
		reply_error(r, 400,
			(struct api_error){ .code = "charge_disputed", .charge = c->id },
			"The charge was disputed and cannot be refunded.");
		return false;
	}
	if (!left) {
		reply_error(r, 400,
			(struct api_error){ .code = "charge_already_refunded", .charge = c->id },
			"The charge has already been refunded.");
		return false;
	}
	*amount = left;
	got = form_int(q->form, "amount", 1, INT64_MAX, amount);
	if (!got) {
		reply_param(r, "amount", "parameter_invalid_integer",
			"The amount must be a positive whole number.");
		return false;
	}
	if (*amount > left) {
		reply_error(r, 400, (struct api_error){ .param = "amount", .charge = c->id },
			"At most %lld of the charge can still be refunded.", (long long)left);
		return false;
	}
	return true;
}

static json_t *read_metadata(const struct request *q)
{
	json_t *o = json_object();
	char key[64];
	size_t i;

	for (i = 0; i < q->form->n && json_object_size(o) < 50; i++)
		if (form_sub(q->form->pair[i].name, "metadata", key, sizeof(key)) && *key)
			json_object_set_new(o, key, json_string(q->form->pair[i].value));
	return o;
}

static struct refund *new_refund(
	struct sandbox *sb, const struct charge *c, int64_t amount, const struct request *q)
{
	struct refund *x = calloc(1, sizeof(*x));
	const char *reason = form_get(q->form, "reason");

	if (!x)
		return NULL;
	sandbox_id(sb, &sb->refunds, "re_", 24, x->id);
	x->row.id = x->id;
	memcpy(x->charge, c->id, sizeof(x->charge));
	memcpy(x->intent, c->intent, sizeof(x->intent));
	memcpy(x->currency, c->currency, sizeof(x->currency));
	snprintf(x->reason, sizeof(x->reason), "%s", reason ? reason : "");
	x->amount = amount;
	x->created = clock_s();
	x->metadata = read_metadata(q);
	if (!table_put(&sb->refunds, &x->row)) {
		refund_free(&x->row);
		return NULL;
	}
	return x;
}

/* ---- afterwards ---- */

static void emit_charge(struct sandbox *sb, const struct charge *c, const struct request *q)
{
	event_emit(sb, "charge.refunded", charge_json(c), q);
}

static void refund_completes(struct sandbox *sb, const char *id)
{
	struct refund *x = refund_find(sb, id);

	if (!x || x->status != REFUND_PENDING_)
		return;
	x->status = REFUND_SUCCEEDED;
	refund_save(sb, x);
	event_emit(sb, "refund.updated", refund_json(x), NULL);
}

static void refund_fails(struct sandbox *sb, const char *id)
{
	struct refund *x = refund_find(sb, id);
	struct charge *c = x ? charge_find(sb, x->charge) : NULL;

	if (!x || x->status == REFUND_FAILED)
		return;
	x->status = REFUND_FAILED;
	refund_save(sb, x);
	if (c) {
		c->refunded -= x->amount;
		charge_save(sb, c);
	}
	event_emit(sb, "refund.updated", refund_json(x), NULL);
	event_emit(sb, "refund.failed", refund_json(x), NULL);
}

void refund_resume(struct sandbox *sb)
{
	uint64_t seq;

	for (seq = sb->refunds.first; seq < table_end(&sb->refunds); seq++) {
		struct refund *x = (struct refund *)table_at(&sb->refunds, seq);

		if (x->status == REFUND_PENDING_)
			sandbox_after(sb, sb->conf.async_ms, refund_completes, x->id);
	}
}

void refund_create(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "payment_intent", "charge", "amount", "metadata[",
		"reason", NULL };
	struct charge *c;
	struct refund *x;
	int64_t amount;

	if (!intent_params_known(q, r, params))
		return;
	c = charge_of_request(sb, q, r);
	if (!c || !read_amount(q, c, r, &amount))
		return;
	x = new_refund(sb, c, amount, q);
	if (!x) {
		reply_json(r, 500, NULL);
		return;
	}
	c->refunded += amount;
	x->status =
		c->card && c->card->refund == REFUND_PENDING ? REFUND_PENDING_ : REFUND_SUCCEEDED;
	refund_save(sb, x);
	charge_save(sb, c);
	event_emit(sb, "refund.created", refund_json(x), q);
	emit_charge(sb, c, q);
	if (x->status == REFUND_PENDING_)
		sandbox_after(sb, sb->conf.async_ms, refund_completes, x->id);
	else if (c->card && c->card->refund == REFUND_FAILS_LATER)
		sandbox_after(sb, sb->conf.async_ms, refund_fails, x->id);
	reply_json(r, 200, refund_json(x));
}

void refund_fail(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct refund *x = refund_find(sb, q->id);

	if (!x) {
		reply_missing(r, "refund", q->id);
		return;
	}
	refund_fails(sb, x->id);
	reply_json(r, 200, refund_json(x));
}

/* ---- reading ---- */

void refund_retrieve(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct refund *x = refund_find(sb, q->id);

	if (x)
		reply_json(r, 200, refund_json(x));
	else
		reply_missing(r, "refund", q->id);
}

static bool matches(const struct row *row, const struct request *q)
{
	const struct refund *x = (const struct refund *)row;
	const char *intent = form_get(q->form, "payment_intent"),
		   *charge = form_get(q->form, "charge");

	return (!intent || !strcmp(x->intent, intent)) && (!charge || !strcmp(x->charge, charge));
}

static int64_t created_of(const struct row *row)
{
	return ((const struct refund *)row)->created;
}

static json_t *render(const struct sandbox *sb, const struct row *row, const struct request *q)
{
	(void)sb;
	(void)q;
	return refund_json((const struct refund *)row);
}

void refund_list(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "payment_intent", "charge", NULL };
	static const struct list_view view = {
		.url = "/v1/refunds",
		.what = "refund",
		.match = matches,
		.created = created_of,
		.render = render,
		.params = params,
	};

	list_reply(sb, &sb->refunds, &view, q, r);
}

bool refund_load(struct sandbox *sb, const json_t *o)
{
	const char *id = NULL, *charge = NULL, *intent = NULL, *currency = NULL, *status = NULL;
	json_int_t amount = 0, created = 0;
	struct refund *x;
	json_t *metadata;
	int i;

	if (json_unpack((json_t *)(uintptr_t)o, "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "id",
		    &id, "charge", &charge, "payment_intent", &intent, "currency", &currency,
		    "status", &status, "amount", &amount, "created", &created, "metadata",
		    &metadata))
		return false;
	x = refund_find(sb, id);
	if (!x) {
		x = calloc(1, sizeof(*x));
		if (!x)
			return false;
		snprintf(x->id, sizeof(x->id), "%s", id);
		x->row.id = x->id;
		if (!table_put(&sb->refunds, &x->row)) {
			free(x);
			return false;
		}
	}
	snprintf(x->charge, sizeof(x->charge), "%s", charge);
	snprintf(x->intent, sizeof(x->intent), "%s", intent);
	snprintf(x->currency, sizeof(x->currency), "%s", currency);
	x->amount = amount;
	x->created = created;
	json_decref(x->metadata);
	x->metadata = json_incref(metadata);
	for (i = 0; i <= REFUND_FAILED; i++)
		if (!strcmp(status, status_names[i]))
			x->status = (enum refund_status)i;
	return true;
}

void refund_free(struct row *r)
{
	json_decref(((struct refund *)r)->metadata);
	free(r);
}
