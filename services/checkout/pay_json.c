#include "services/checkout/pay_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct pay_list {
	json_t *root, *data;
};

static const char *text(struct arena *a, const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? arena_strdup(a, s) : "";
}

static enum pi_status status_of(const char *word)
{
	static const struct {
		const char *word;
		enum pi_status status;
	} known[] = {
		{ "requires_action", PI_ACTION },	{ "processing", PI_PROCESSING },
		{ "requires_capture", PI_CAPTURABLE },	{ "succeeded", PI_SUCCEEDED },
		{ "canceled", PI_CANCELED },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].word, word) == 0)
			return known[i].status;
	return PI_WAITING;
}

static void read_intent(struct arena *a, const json_t *o, struct pay_intent *pi)
{
	const json_t *meta = json_object_get(o, "metadata"), *last = json_object_get(o, "last_payment_error");
	const char *decline = json_string_value(json_object_get(last, "decline_code"));
	const char *attempt = json_string_value(json_object_get(meta, "attempt"));

	pi->id = text(a, o, "id");
	pi->client_secret = text(a, o, "client_secret");
	pi->status_word = text(a, o, "status");
	pi->status = status_of(pi->status_word);
	pi->currency = text(a, o, "currency");
	pi->checkout_id = text(a, meta, "checkout_id");
	pi->attempt = attempt ? (int32_t)strtol(attempt, NULL, 10) : 0;
	pi->amount = json_integer_value(json_object_get(o, "amount"));
	pi->amount_received = json_integer_value(json_object_get(o, "amount_received"));
	pi->error_code = decline ? arena_strdup(a, decline) : text(a, last, "code");
	pi->error_message = text(a, last, "message");
}

static void read_refund(struct arena *a, const json_t *o, struct pay_refund *x)
{
	x->id = text(a, o, "id");
	x->status = text(a, o, "status");
	x->failure = text(a, o, "failure_reason");
	x->refund_id = text(a, json_object_get(o, "metadata"), "refund_id");
	x->amount = json_integer_value(json_object_get(o, "amount"));
}

static void read_error(struct arena *a, const json_t *err, struct pay_reply *r)
{
	const char *type = json_string_value(json_object_get(err, "type"));
	const json_t *intent = json_object_get(err, "payment_intent");

	r->code = text(a, err, "code");
	r->text = text(a, err, "message");
	r->mismatch_of_key = type && strcmp(type, "idempotency_error") == 0;
	if (json_is_object(intent))
		read_intent(a, intent, &r->intent);
}

static void blank(struct pay_reply *r)
{
	r->code = r->text = "";
	r->intent = (struct pay_intent){ .id = "", .client_secret = "", .status_word = "", .currency = "",
					 .checkout_id = "", .error_code = "", .error_message = "" };
	r->refund = (struct pay_refund){ .id = "", .status = "", .refund_id = "", .failure = "" };
}

static void read_object(struct arena *a, const json_t *o, struct pay_reply *r)
{
	const char *kind = json_string_value(json_object_get(o, "object"));

	if (kind && strcmp(kind, "payment_intent") == 0)
		read_intent(a, o, &r->intent);
	else if (kind && strcmp(kind, "refund") == 0)
		read_refund(a, o, &r->refund);
}

static json_t *load(const char *body, size_t len)
{
	json_t *o = body ? json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (o && !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

bool pay_json_reply(struct arena *a, const char *body, size_t len, struct pay_reply *r, const char **kind_r)
{
	json_t *o, *err;

	blank(r);
	*kind_r = "";
	o = load(body, len);
	if (!o)
		return false;
	err = json_object_get(o, "error");
	if (json_is_object(err)) {
		read_error(a, err, r);
	} else {
		*kind_r = text(a, o, "object");
		read_object(a, o, r);
	}
	json_decref(o);
	return true;
}

bool pay_json_list(struct arena *a, const char *body, size_t len, struct pay_list **l_r)
{
	json_t *o = load(body, len), *data = json_object_get(o, "data");
	struct pay_list *l;

	if (!json_is_array(data)) {
		json_decref(o);
		return false;
	}
	l = arena_alloc(a, sizeof(*l));
	l->root = o;
	l->data = data;
	*l_r = l;
	return true;
}

bool pay_json_entry(struct pay_list *l, struct arena *a, size_t i, struct pay_reply *r)
{
	const json_t *o = json_array_get(l->data, i);

	if (!o)
		return false;
	blank(r);
	read_object(a, o, r);
	return true;
}

bool pay_json_more(const struct pay_list *l)
{
	return json_is_true(json_object_get(l->root, "has_more"));
}

void pay_json_list_free(struct pay_list *l)
{
	json_decref(l->root);
}

bool pay_json_event(struct arena *a, const char *body, size_t len, struct pay_event *ev_r)
{
	json_t *o = load(body, len);
	const json_t *object = json_object_get(json_object_get(o, "data"), "object");
	const char *intent = json_string_value(json_object_get(object, "payment_intent"));
	bool ok = json_is_string(json_object_get(o, "id")) && json_is_string(json_object_get(o, "type"));

	if (ok) {
		ev_r->id = text(a, o, "id");
		ev_r->type = text(a, o, "type");
		ev_r->object_id = text(a, object, "id");
		ev_r->object_type = text(a, object, "object");
		ev_r->intent_id = intent ? arena_strdup(a, intent) :
				  strcmp(ev_r->object_type, "payment_intent") == 0 ? ev_r->object_id : "";
		ev_r->checkout_id = text(a, json_object_get(object, "metadata"), "checkout_id");
		ev_r->livemode = json_is_true(json_object_get(o, "livemode"));
	}
	json_decref(o);
	return ok;
}
