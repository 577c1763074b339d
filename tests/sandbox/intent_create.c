/* POST /v1/payment_intents: validation, then the row. */
#include "intents.h"
#include "events.h"
#include "journal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define AMOUNT_MAX 99999999

/* Currencies the sandbox settles in and the least it charges in each, in minor units. */
static const struct {
	char code[4];
	int64_t least;
} currencies[] = {
	{ "usd", 50 },
	{ "eur", 50 },
	{ "gbp", 30 },
	{ "chf", 50 },
	{ "sek", 300 },
	{ "nok", 300 },
	{ "dkk", 250 },
	{ "pln", 200 },
	{ "czk", 1500 },
	{ "huf", 17500 },
	{ "ron", 200 },
	{ "bgn", 100 },
	{ "cad", 50 },
	{ "aud", 50 },
	{ "nzd", 50 },
	{ "jpy", 50 },
	{ "krw", 500 },
	{ "cny", 400 },
	{ "hkd", 400 },
	{ "sgd", 50 },
	{ "inr", 50 },
	{ "mxn", 1000 },
	{ "brl", 50 },
	{ "try", 1500 },
	{ "zar", 800 },
	{ "kwd", 150 },
	{ "bhd", 200 },
	{ "tnd", 1500 },
	{ "jod", 400 },
	{ "omr", 200 },
	{ "aed", 200 },
	{ "sar", 200 },
	{ "ils", 200 },
	{ "thb", 1000 },
};

static bool read_currency(const struct request *q, struct reply *r, char out[4], int64_t *least)
{
	const char *s = form_get(q->form, "currency");
	size_t i;

	if (!s || !*s) {
		reply_param(
			r, "currency", "parameter_missing", "Missing required param: currency.");
		return false;
	}
	for (i = 0; i < 3 && s[i]; i++)
		out[i] = (char)tolower((unsigned char)s[i]);
	out[i] = '\0';
	for (i = 0; strlen(s) == 3 && i < sizeof(currencies) / sizeof(*currencies); i++) {
		if (!strcmp(currencies[i].code, out)) {
			*least = currencies[i].least;
			return true;
		}
	}
	reply_param(r, "currency", NULL, "Invalid currency: %.16s.", s);
	return false;
}

static bool read_amount(const struct request *q, struct reply *r, int64_t least, int64_t *out)
{
	int got = form_int(q->form, "amount", INT64_MIN, INT64_MAX, out);

	if (got < 0)
		reply_param(r, "amount", "parameter_missing", "Missing required param: amount.");
	else if (!got)
		reply_param(r, "amount", "parameter_invalid_integer", "Invalid integer: %.40s.",
			form_get(q->form, "amount"));
	else if (*out < least)
		reply_param(r, "amount", "amount_too_small",
			"The amount is below the least that can be charged.");
	else if (*out > AMOUNT_MAX)
		reply_param(r, "amount", "amount_too_large", "The amount is above %d.", AMOUNT_MAX);
	else
		return true;
	return false;
}

static json_t *read_metadata(const struct request *q, struct reply *r)
{
	json_t *o = json_object();
	char key[64];
	size_t i;

	for (i = 0; i < q->form->n; i++) {
		const struct form_pair *p = &q->form->pair[i];

		if (strncmp(p->name, "metadata", 8))
			continue;
		if (!form_sub(p->name, "metadata", key, sizeof(key)) || !*key || strlen(key) > 40 ||
			strlen(p->value) > 500 || json_object_size(o) >= 50) {
			reply_param(r, p->name, "parameter_invalid",
				"Metadata holds at most 50 names of 40 characters with values of "
				"500.");
			json_decref(o);
			return NULL;
		}
		if (json_object_set_new(o, key, json_string(p->value))) {
			reply_param(r, p->name, "parameter_invalid", "Metadata must be UTF-8.");
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static json_t *read_types(const struct request *q)
{
	json_t *types = json_array();
	char index[8];
	size_t i;

	for (i = 0; i < q->form->n; i++)
		if (form_sub(q->form->pair[i].name, "payment_method_types", index, sizeof(index)))
			json_array_append_new(types, json_string(q->form->pair[i].value));
	if (!json_array_size(types))
		json_array_append_new(types, json_string("card"));
	return types;
}

static bool read_capture(const struct request *q, struct reply *r, bool *manual)
{
	const char *s = form_get(q->form, "capture_method");

	*manual = s && !strcmp(s, "manual");
	if (!s || *manual || !strcmp(s, "automatic") || !strcmp(s, "automatic_async"))
		return true;
	reply_param(r, "capture_method", NULL,
		"capture_method must be automatic, automatic_async or manual.");
	return false;
}

static struct intent *new_intent(struct sandbox *sb)
{
	struct intent *pi = calloc(1, sizeof(*pi));
	size_t n;

	if (!pi)
		return NULL;
	sandbox_id(sb, &sb->intents, "pi_", 24, pi->id);
	n = strlen(pi->id);
	memcpy(pi->secret, pi->id, n);
	rng_id(&sb->rng, "_secret_", 25, pi->secret + n);
	pi->row.id = pi->id;
	pi->created = clock_s();
	return pi;
}

static char *dup_param(const struct request *q, const char *name)
{
	const char *s = form_get(q->form, name);

	return s && *s ? strdup(s) : NULL;
}

/* True when the reply still has to be written by the caller's confirm step. */
static bool wants_confirm(const struct request *q)
{
	const char *s = form_get(q->form, "confirm");

	return s && !strcmp(s, "true");
}

static struct intent *build(struct sandbox *sb, const struct request *q, struct reply *r)
{
	struct intent *pi = new_intent(sb);
	int64_t least = 0;

	if (!pi) {
		reply_json(r, 500, NULL);
		return NULL;
	}
	if (read_currency(q, r, pi->currency, &least) && read_amount(q, r, least, &pi->amount) &&
		read_capture(q, r, &pi->manual) && (pi->metadata = read_metadata(q, r))) {
		pi->types = read_types(q);
		pi->description = dup_param(q, "description");
		pi->receipt_email = dup_param(q, "receipt_email");
		pi->return_url = dup_param(q, "return_url");
		if (table_put(&sb->intents, &pi->row))
			return pi;
		reply_json(r, 500, NULL);
	}
	intent_free(&pi->row);
	return NULL;
}

void intent_create(struct sandbox *sb, const struct request *q, struct reply *r)
{
	static const char *const params[] = { "amount", "currency", "capture_method",
		"payment_method_types[", "metadata[", "description", "receipt_email", "confirm",
		"payment_method", "payment_method_data[", "return_url",
		"automatic_payment_methods[", "statement_descriptor_suffix", "shipping[",
		"payment_method_options[", "confirmation_method", NULL };
	struct intent *pi;

	if (!intent_params_known(q, r, params))
		return;
	pi = build(sb, q, r);
	if (!pi)
		return;
	intent_save(sb, pi);
	event_emit(sb, "payment_intent.created", intent_json(sb, pi, q->base_url), q);
	if (wants_confirm(q)) {
		struct request confirm = *q;

		memcpy(confirm.id, pi->id, strlen(pi->id) + 1);
		intent_confirm_known(sb, pi, &confirm, r);
		return;
	}
	reply_json(r, 200, intent_json(sb, pi, q->base_url));
}
