/* What moves an intent from state to state. Each step saves, emits its event, then answers. */
#include "events.h"
#include "intents.h"
#include "journal.h"
#include "refunds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void settled(
	struct sandbox *sb, struct intent *pi, const char *event, const struct request *q)
{
	intent_save(sb, pi);
	event_emit(sb, event, intent_json(sb, pi, q ? q->base_url : sandbox_base(sb)), q);
}

static struct charge *new_charge(struct sandbox *sb, struct intent *pi)
{
	struct charge *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	sandbox_id(sb, &sb->charges, "ch_", 24, c->id);
	memcpy(c->intent, pi->id, sizeof(c->intent));
	memcpy(c->currency, pi->currency, sizeof(c->currency));
	c->row.id = c->id;
	c->card = pi->card;
	c->amount = pi->amount;
	c->created = clock_s();
	if (!table_put(&sb->charges, &c->row)) {
		free(c);
		return NULL;
	}
	memcpy(pi->charge, c->id, sizeof(pi->charge));
	return c;
}

static void payment_failed(struct sandbox *sb, struct intent *pi, const char *code,
	const char *decline_code, const char *message, const struct request *q)
{
	json_decref(pi->last_error);
	pi->last_error = json_pack("{s:s, s:s, s:s*, s:s, s:s*}", "type",
		decline_code ? "card_error" : "invalid_request_error", "code", code, "decline_code",
		decline_code, "message", message, "charge", *pi->charge ? pi->charge : NULL);
	pi->status = INTENT_REQUIRES_PAYMENT_METHOD;
	pi->method[0] = '\0';
	pi->card = NULL;
	settled(sb, pi, "payment_intent.payment_failed", q);
}

static void decline(struct sandbox *sb, struct intent *pi, const struct request *q)
{
	const struct card *card = pi->card;
	struct charge *c = new_charge(sb, pi);

	if (c) {
		c->failed = true;
		charge_save(sb, c);
	}
	payment_failed(sb, pi, card->code, card->decline_code, card_message(card), q);
}

static void approve(struct sandbox *sb, struct intent *pi, const struct request *q)
{
	struct charge *c = new_charge(sb, pi);

	json_decref(pi->last_error);
	pi->last_error = NULL;
	if (pi->manual) {
		pi->status = INTENT_REQUIRES_CAPTURE;
		pi->capturable = pi->amount;
	} else {
		pi->status = INTENT_SUCCEEDED;
		pi->received = pi->amount;
	}
	if (c) {
		c->captured = !pi->manual;
		c->amount_captured = pi->received;
		charge_save(sb, c);
	}
	settled(sb, pi,
		pi->manual ? "payment_intent.amount_capturable_updated"
			   : "payment_intent.succeeded",
		q);
	if (c && c->captured && pi->card->disputed)
		sandbox_after(sb, sb->conf.async_ms, dispute_later, c->id);
}

static void async_result(struct sandbox *sb, const char *id)
{
	struct intent *pi = intent_find(sb, id);

	if (!pi || pi->status != INTENT_PROCESSING || !pi->card)
		return;
	if (pi->card->charge == CARD_ASYNC_FAIL)
		decline(sb, pi, NULL);
	else
		approve(sb, pi, NULL);
}

void intent_resume(struct sandbox *sb)
{
	uint64_t seq;

	for (seq = sb->intents.first; seq < table_end(&sb->intents); seq++) {
		struct intent *pi = (struct intent *)table_at(&sb->intents, seq);

		if (pi->status == INTENT_PROCESSING)
			sandbox_after(sb, sb->conf.async_ms, async_result, pi->id);
	}
}

void intent_pay(struct sandbox *sb, struct intent *pi, const struct request *q)
{
	switch (pi->card->charge) {
	case CARD_OK:
		approve(sb, pi, q);
		break;
	case CARD_DECLINE:
		decline(sb, pi, q);
		break;
	case CARD_ASYNC_OK:
	case CARD_ASYNC_FAIL:
		pi->status = INTENT_PROCESSING;
		settled(sb, pi, "payment_intent.processing", q);
		sandbox_after(sb, sb->conf.async_ms, async_result, pi->id);
		break;
	}
}

static void unexpected(struct sandbox *sb, const struct intent *pi, const struct request *q,
	const char *verb, struct reply *r)
{
	reply_error(r, 400,
		(struct api_error){ .code = "payment_intent_unexpected_state",
			.charge = *pi->charge ? pi->charge : NULL,
			.intent = intent_json(sb, pi, q->base_url) },
		"You cannot %s this payment intent because its status is %s.", verb,
		intent_status_name(pi->status));
}

/* The card of this confirmation: a stored method, a new number, or the one given at creation.
 * False: answered. */
static bool choose_card(
	struct sandbox *sb, struct intent *pi, const struct request *q, struct reply *r)
{
	const char *method = form_get(q->form, "payment_method");
	const char *number = form_get(q->form, "payment_method_data[card][number]");
	const struct card *card = NULL;

	if (!method && !number && pi->card)
		return true;
	if (!method && !number) {
		reply_param(r, "payment_method", "parameter_missing",
			"A payment method is needed to confirm this payment intent.");
		return false;
	}
	if (method)
		card = card_by_method(method);
	else
		card = card_by_number(number);
	if (!card) {
		if (method)
			reply_missing(r, "PaymentMethod", method);
		else
			reply_error(r, 402,
				(struct api_error){
					.type = "card_error", .code = "incorrect_number" },
				"The card number is not a test card.");
		return false;
	}
	pi->card = card;
	rng_id(&sb->rng, "pm_", 24, pi->method);
	return true;
}

static void answer(struct sandbox *sb, struct intent *pi, const struct request *q, struct reply *r)
{
	const char *code = json_string_value(json_object_get(pi->last_error, "code"));
	json_t *o = intent_json(sb, pi, q->base_url);

	if (q->publishable)
		json_object_del(o, "metadata");
	if (pi->status != INTENT_REQUIRES_PAYMENT_METHOD || !pi->last_error) {
		reply_json(r, 200, o);
		return;
	}
	reply_error(r, 402,
		(struct api_error){ .type = "card_error",
			.code = code,
			.decline_code =
				json_string_value(json_object_get(pi->last_error, "decline_code")),
			.charge = *pi->charge ? pi->charge : NULL,
			.intent = o },
		"%s", json_string_value(json_object_get(pi->last_error, "message")));
}

void intent_confirm_known(
	struct sandbox *sb, struct intent *pi, const struct request *q, struct reply *r)
{
	const char *return_url = form_get(q->form, "return_url");

	if (pi->status != INTENT_REQUIRES_PAYMENT_METHOD &&
		pi->status != INTENT_REQUIRES_CONFIRMATION &&
		pi->status != INTENT_REQUIRES_ACTION) {
		unexpected(sb, pi, q, "confirm", r);
		return;
	}
	if (!choose_card(sb, pi, q, r))
		return;
	if (return_url && *return_url) {
		free(pi->return_url);
		pi->return_url = strdup(return_url);
	}
	if (pi->card->secure) {
		pi->status = INTENT_REQUIRES_ACTION;
		settled(sb, pi, "payment_intent.requires_action", q);
	} else {
		intent_pay(sb, pi, q);
	}
	answer(sb, pi, q, r);
}

void intent_confirm(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "payment_method", "payment_method_data[",
		"client_secret", "return_url", "receipt_email", "use_stripe_sdk",
		"payment_method_options[", NULL };
	struct intent *pi;

	if (!intent_params_known(q, r, params))
		return;
	pi = intent_of_request(sb, q, r);
	if (pi)
		intent_confirm_known(sb, pi, q, r);
}

void intent_authenticate(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct intent *pi = intent_of_request(sb, q, r);
	const char *outcome = form_get(q->form, "outcome");

	if (!pi)
		return;
	if (!outcome || (strcmp(outcome, "succeed") && strcmp(outcome, "fail"))) {
		reply_param(r, "outcome", NULL, "outcome must be succeed or fail.");
		return;
	}
	if (pi->status != INTENT_REQUIRES_ACTION) {
		unexpected(sb, pi, q, "authenticate", r);
		return;
	}
	if (!strcmp(outcome, "succeed"))
		intent_pay(sb, pi, q);
	else
		payment_failed(sb, pi, "payment_intent_authentication_failure", NULL,
			"The buyer did not pass the bank's check.", q);
	reply_json(r, 200, intent_json(sb, pi, q->base_url));
}

void intent_capture(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "amount_to_capture", "metadata[",
		"statement_descriptor_suffix", NULL };
	struct intent *pi = intent_of_request(sb, q, r);
	struct charge *c;
	int64_t amount;
	int got;

	if (!pi || !intent_params_known(q, r, params))
		return;
	if (pi->status != INTENT_REQUIRES_CAPTURE) {
		unexpected(sb, pi, q, "capture", r);
		return;
	}
	amount = pi->capturable;
	got = form_int(q->form, "amount_to_capture", 1, INT64_MAX, &amount);
	if (!got || amount > pi->capturable) {
		reply_param(r, "amount_to_capture",
			got ? "amount_too_large" : "parameter_invalid_integer",
			"At most %lld can be captured.", (long long)pi->capturable);
		return;
	}
	if (pi->card && pi->card->capture_fails) {
		reply_error(r, 400,
			(struct api_error){ .code = "charge_expired_for_capture",
				.charge = pi->charge,
				.intent = intent_json(sb, pi, q->base_url) },
			"The authorisation can no longer be captured.");
		return;
	}
	pi->status = INTENT_SUCCEEDED;
	pi->received = amount;
	pi->capturable = 0;
	c = charge_find(sb, pi->charge);
	if (c) {
		c->captured = true;
		c->amount_captured = amount;
		charge_save(sb, c);
	}
	settled(sb, pi, "payment_intent.succeeded", q);
	if (c && pi->card && pi->card->disputed)
		sandbox_after(sb, sb->conf.async_ms, dispute_later, c->id);
	reply_json(r, 200, intent_json(sb, pi, q->base_url));
}

static void cancel(
	struct sandbox *sb, struct intent *pi, const char *reason, const struct request *q)
{
	struct charge *c =
		pi->status == INTENT_REQUIRES_CAPTURE ? charge_find(sb, pi->charge) : NULL;

	if (c) {
		c->released = true;
		charge_save(sb, c);
	}
	pi->status = INTENT_CANCELED;
	pi->capturable = 0;
	pi->canceled_at = clock_s();
	snprintf(pi->cancel_reason, sizeof(pi->cancel_reason), "%s", reason);
	settled(sb, pi, "payment_intent.canceled", q);
}

void intent_cancel(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "cancellation_reason", NULL };
	static const char *const reasons[] = { "", "duplicate", "fraudulent",
		"requested_by_customer", "abandoned", NULL };
	const char *reason = form_get(q->form, "cancellation_reason");
	struct intent *pi = intent_of_request(sb, q, r);
	size_t i;

	if (!pi || !intent_params_known(q, r, params))
		return;
	if (!reason)
		reason = "";
	for (i = 0; reasons[i] && strcmp(reasons[i], reason);)
		i++;
	if (!reasons[i]) {
		reply_param(r, "cancellation_reason", NULL,
			"cancellation_reason is not one of the known reasons.");
		return;
	}
	if (pi->status == INTENT_SUCCEEDED || pi->status == INTENT_CANCELED ||
		pi->status == INTENT_PROCESSING) {
		unexpected(sb, pi, q, "cancel", r);
		return;
	}
	cancel(sb, pi, reason, q);
	reply_json(r, 200, intent_json(sb, pi, q->base_url));
}

void intent_expire(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct intent *pi = intent_find(sb, q->id);

	if (!pi) {
		reply_missing(r, "payment_intent", q->id);
		return;
	}
	if (pi->status != INTENT_REQUIRES_CAPTURE) {
		unexpected(sb, pi, q, "expire", r);
		return;
	}
	cancel(sb, pi, "automatic", NULL);
	reply_json(r, 200, intent_json(sb, pi, q->base_url));
}
