/* What an intent is: rendering, the journal, finding and listing. */
#include "intents.h"
#include "journal.h"
#include "lists.h"

#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
	[INTENT_REQUIRES_PAYMENT_METHOD] = "requires_payment_method",
	[INTENT_REQUIRES_CONFIRMATION] = "requires_confirmation",
	[INTENT_REQUIRES_ACTION] = "requires_action",
	[INTENT_PROCESSING] = "processing",
	[INTENT_REQUIRES_CAPTURE] = "requires_capture",
	[INTENT_SUCCEEDED] = "succeeded",
	[INTENT_CANCELED] = "canceled",
};

const char *intent_status_name(enum intent_status s)
{
	return status_names[s];
}

struct intent *intent_find(const struct sandbox *sb, const char *id)
{
	return (struct intent *)table_find(&sb->intents, id);
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

static json_t *next_action(const struct sandbox *sb, const struct intent *pi, const char *base_url)
{
	struct text url = TEXT_INIT(1024);
	json_t *o;

	(void)sb;
	if (pi->status != INTENT_REQUIRES_ACTION)
		return json_null();
	text_fmt(&url, "%s/3ds/%s?client_secret=%s", base_url, pi->id, pi->secret);
	o = json_pack("{s:s, s:{s:s, s:o}}", "type", "redirect_to_url", "redirect_to_url", "url",
		url.data ? url.data : "", "return_url", text_or_null(pi->return_url));
	text_free(&url);
	return o;
}

json_t *intent_json(const struct sandbox *sb, const struct intent *pi, const char *base_url)
{
	json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:I, s:s, s:b}", "id",
		pi->id, "object", "payment_intent", "amount", (json_int_t)pi->amount,
		"amount_capturable", (json_int_t)pi->capturable, "amount_received",
		(json_int_t)pi->received, "capture_method", pi->manual ? "manual" : "automatic",
		"client_secret", pi->secret, "confirmation_method", "automatic", "created",
		(json_int_t)pi->created, "currency", pi->currency, "livemode", 0);

	if (!o)
		return NULL;
	json_object_set_new(
		o, "canceled_at", pi->canceled_at ? json_integer(pi->canceled_at) : json_null());
	json_object_set_new(o, "cancellation_reason", text_or_null(pi->cancel_reason));
	json_object_set_new(o, "description", text_or_null(pi->description));
	json_object_set_new(o, "receipt_email", text_or_null(pi->receipt_email));
	json_object_set_new(o, "latest_charge", text_or_null(pi->charge));
	json_object_set_new(o, "payment_method", text_or_null(pi->method));
	json_object_set_new(o, "payment_method_types", json_copy(pi->types));
	json_object_set_new(o, "last_payment_error",
		pi->last_error ? json_deep_copy(pi->last_error) : json_null());
	json_object_set_new(o, "metadata", json_copy(pi->metadata));
	json_object_set_new(o, "next_action", next_action(sb, pi, base_url));
	json_object_set_new(o, "status", json_string(status_names[pi->status]));
	return o;
}

/* ---- journal ---- */

void intent_save(struct sandbox *sb, const struct intent *pi)
{
	json_t *o;

	if (!sb->journal)
		return;
	o = intent_json(sb, pi, "");
	if (o) {
		json_object_set_new(o, "_card", text_or_null(pi->card ? pi->card->method : NULL));
		json_object_set_new(o, "_return_url", text_or_null(pi->return_url));
	}
	journal_add(sb, "intent", o);
}

static void copy_word(char *out, size_t len, const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	out[0] = '\0';
	if (s && strlen(s) < len)
		memcpy(out, s, strlen(s) + 1);
}

static char *copy_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? strdup(s) : NULL;
}

static int64_t whole(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void replace_json(json_t **slot, json_t *v)
{
	json_decref(*slot);
	*slot = v;
}

static void intent_read(struct intent *pi, const json_t *o)
{
	const char *card = json_string_value(json_object_get(o, "_card"));
	const char *status = json_string_value(json_object_get(o, "status"));
	const char *capture = json_string_value(json_object_get(o, "capture_method"));
	json_t *error = json_object_get(o, "last_payment_error");
	int i;

	for (i = 0; status && i <= INTENT_CANCELED; i++)
		if (!strcmp(status, status_names[i]))
			pi->status = (enum intent_status)i;
	pi->manual = capture && !strcmp(capture, "manual");
	pi->card = card ? card_by_method(card) : NULL;
	copy_word(pi->secret, sizeof(pi->secret), o, "client_secret");
	copy_word(pi->currency, sizeof(pi->currency), o, "currency");
	copy_word(pi->cancel_reason, sizeof(pi->cancel_reason), o, "cancellation_reason");
	copy_word(pi->method, sizeof(pi->method), o, "payment_method");
	copy_word(pi->charge, sizeof(pi->charge), o, "latest_charge");
	pi->amount = whole(o, "amount");
	pi->capturable = whole(o, "amount_capturable");
	pi->received = whole(o, "amount_received");
	pi->created = whole(o, "created");
	pi->canceled_at = whole(o, "canceled_at");
	free(pi->description);
	free(pi->receipt_email);
	free(pi->return_url);
	pi->description = copy_text(o, "description");
	pi->receipt_email = copy_text(o, "receipt_email");
	pi->return_url = copy_text(o, "_return_url");
	replace_json(&pi->metadata, json_incref(json_object_get(o, "metadata")));
	replace_json(&pi->types, json_incref(json_object_get(o, "payment_method_types")));
	replace_json(&pi->last_error, json_is_object(error) ? json_incref(error) : NULL);
}

bool intent_load(struct sandbox *sb, const json_t *o)
{
	const char *id = json_string_value(json_object_get(o, "id"));
	struct intent *pi = id ? intent_find(sb, id) : NULL;

	if (!id || strlen(id) >= sizeof(pi->id))
		return false;
	if (!pi) {
		pi = calloc(1, sizeof(*pi));
		if (!pi)
			return false;
		memcpy(pi->id, id, strlen(id) + 1);
		pi->row.id = pi->id;
		if (!table_put(&sb->intents, &pi->row)) {
			free(pi);
			return false;
		}
	}
	intent_read(pi, o);
	return true;
}

void intent_free(struct row *r)
{
	struct intent *pi = (struct intent *)r;

	free(pi->description);
	free(pi->receipt_email);
	free(pi->return_url);
	json_decref(pi->metadata);
	json_decref(pi->types);
	json_decref(pi->last_error);
	free(pi);
}

/* ---- reading ---- */

bool intent_params_known(const struct request *q, struct reply *r, const char *const *names)
{
	size_t i, j;

	for (i = 0; i < q->form->n; i++) {
		const char *name = q->form->pair[i].name;

		if (!strncmp(name, "expand[", 7) || !strcmp(name, "key"))
			continue;
		for (j = 0; names[j]; j++) {
			size_t n = strlen(names[j]);

			if (names[j][n - 1] == '[' ? !strncmp(name, names[j], n)
						   : !strcmp(name, names[j]))
				break;
		}
		if (!names[j]) {
			reply_param(r, name, "parameter_unknown", "Received unknown parameter: %s.",
				name);
			return false;
		}
	}
	return true;
}

struct intent *intent_of_request(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct intent *pi = intent_find(sb, q->id);
	const char *secret = form_get(q->form, "client_secret");

	if (!pi) {
		reply_missing(r, "payment_intent", q->id);
		return NULL;
	}
	if ((q->publishable && !secret) || (secret && strcmp(secret, pi->secret))) {
		reply_param(r, "client_secret", "payment_intent_invalid_parameter",
			"The client secret does not belong to this payment intent.");
		return NULL;
	}
	return pi;
}

static json_t *shown(const struct sandbox *sb, const struct intent *pi, const struct request *q)
{
	json_t *o = intent_json(sb, pi, q->base_url);
	const struct charge *c = *pi->charge ? charge_find(sb, pi->charge) : NULL;
	size_t i;

	if (q->publishable)
		json_object_del(o, "metadata"); /* the browser never sees it */
	for (i = 0; c && !q->publishable && i < q->form->n; i++)
		if (!strncmp(q->form->pair[i].name, "expand[", 7) &&
			!strcmp(q->form->pair[i].value, "latest_charge"))
			json_object_set_new(o, "latest_charge", charge_json(c));
	return o;
}

void intent_retrieve(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "client_secret", NULL };
	struct intent *pi;

	if (!intent_params_known(q, r, params))
		return;
	pi = intent_of_request(sb, q, r);
	if (pi)
		reply_json(r, 200, shown(sb, pi, q));
}

static int64_t created_of(const struct row *r)
{
	return ((const struct intent *)r)->created;
}

static json_t *render(const struct sandbox *sb, const struct row *r, const struct request *q)
{
	return intent_json(sb, (const struct intent *)r, q->base_url);
}

void intent_list(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const struct list_view view = {
		.url = "/v1/payment_intents",
		.what = "payment_intent",
		.created = created_of,
		.render = render,
	};

	list_reply(sb, &sb->intents, &view, q, r);
}

void intent_tamper(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct intent *pi = intent_find(sb, q->id);
	const char *currency = json_string_value(json_object_get(q->json, "currency"));
	json_t *amount = json_object_get(q->json, "amount"),
	       *metadata = json_object_get(q->json, "metadata");

	if (!pi) {
		reply_missing(r, "payment_intent", q->id);
		return;
	}
	if (json_is_integer(amount))
		pi->amount = json_integer_value(amount);
	if (currency && strlen(currency) == 3)
		memcpy(pi->currency, currency, 4);
	if (json_is_object(metadata))
		replace_json(&pi->metadata, json_deep_copy(metadata));
	intent_save(sb, pi);
	reply_json(r, 200, intent_json(sb, pi, q->base_url));
}
