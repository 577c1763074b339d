#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[FAULT_KIND_COUNT_] = {
	[FAULT_DELAY] = "delay_ms",
	[FAULT_CLOSE_BEFORE] = "close_before",
	[FAULT_CLOSE_AFTER] = "close_after",
	[FAULT_STATUS_429] = "status_429",
	[FAULT_500_STORED] = "error_500_stored",
	[FAULT_500_UNSTORED] = "error_500_unstored",
	[FAULT_CONFLICT_409] = "conflict_409",
	[FAULT_TRUNCATE_BODY] = "truncate_body",
	[FAULT_INVALID_JSON] = "invalid_json",
	[FAULT_WRONG_AMOUNT] = "wrong_amount",
	[FAULT_SLOW_DRIP] = "slow_drip",
	[FAULT_HUGE_BODY] = "huge_body",
	[FAULT_DROP] = "drop",
	[FAULT_DUPLICATE] = "duplicate",
	[FAULT_REORDER] = "reorder",
	[FAULT_HOOK_DELAY] = "delay_ms",
	[FAULT_BAD_SIGNATURE] = "bad_signature",
	[FAULT_OLD_TIMESTAMP] = "old_timestamp",
	[FAULT_FUTURE_TIMESTAMP] = "future_timestamp",
	[FAULT_TWO_SECRETS] = "two_secrets",
	[FAULT_WRONG_LIVEMODE] = "wrong_livemode",
	[FAULT_NO_SIGNATURE] = "no_signature",
	[FAULT_V0_ONLY] = "v0_only",
	[FAULT_BIT_FLIP] = "bit_flip",
};

static bool type_matches(const char *pattern, const char *type)
{
	size_t n = strlen(pattern);

	if (!n)
		return true;
	if (pattern[n - 1] == '*')
		return !strncmp(pattern, type, n - 1);
	return !strcmp(pattern, type);
}

/* Counts the match and says whether the fault fires on it. */
static bool draw(struct fault *f, int64_t *fired)
{
	if (++f->seen < f->nth || (f->count && f->fired >= f->count))
		return false;
	if (f->probability < 1.0 && rng_unit(&f->rng) >= f->probability)
		return false;
	f->fired++;
	(*fired)++;
	return true;
}

struct api_plan faults_api(struct faults *f, enum op op, const char *object, int64_t *fired)
{
	struct api_plan plan = { .hit = false };
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct fault *x = &f->item[i];

		if (x->webhook || (!x->any_op && x->op != op) ||
			(*x->object && strcmp(x->object, object)))
			continue;
		if (!draw(x, fired))
			continue;
		if (x->kind == FAULT_DELAY) {
			if (x->after)
				plan.after_ms += x->delay_ms;
			else
				plan.before_ms += x->delay_ms;
		} else if (!plan.hit) {
			plan.hit = true;
			plan.what = *x;
			if (x->kind != FAULT_SLOW_DRIP)
				plan.before_ms += x->delay_ms;
		}
	}
	return plan;
}

static void spoil(struct hook_plan *plan, const struct fault *x)
{
	switch (x->kind) {
	case FAULT_DROP:
		plan->drop = true;
		plan->retry_ms = x->retry_ms;
		break;
	case FAULT_DUPLICATE:
		plan->copies = (int)x->copies;
		break;
	case FAULT_REORDER:
		plan->reorder = true;
		plan->hold_ms = x->hold_ms;
		break;
	case FAULT_HOOK_DELAY:
		plan->delay_ms += x->delay_ms;
		break;
	case FAULT_BAD_SIGNATURE:
		plan->bad_signature = true;
		break;
	case FAULT_OLD_TIMESTAMP:
		plan->skew_s -= x->seconds;
		break;
	case FAULT_FUTURE_TIMESTAMP:
		plan->skew_s += x->seconds;
		break;
	case FAULT_TWO_SECRETS:
		plan->two_secrets = true;
		break;
	case FAULT_WRONG_LIVEMODE:
		plan->wrong_livemode = true;
		break;
	case FAULT_NO_SIGNATURE:
		plan->no_signature = true;
		break;
	case FAULT_V0_ONLY:
		plan->v0_only = true;
		break;
	case FAULT_BIT_FLIP:
		plan->bit_flip = true;
		break;
	default:
		break;
	}
	plan->attempts = x->attempts;
}

struct hook_plan faults_hook(struct faults *f, const char *type, const char *object, int64_t *fired)
{
	struct hook_plan plan = { .copies = 1 };
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct fault *x = &f->item[i];

		if (!x->webhook || !type_matches(x->type, type) ||
			(*x->object && strcmp(x->object, object)))
			continue;
		if (draw(x, fired))
			spoil(&plan, x);
	}
	return plan;
}

/* ---- scripting ---- */

static bool parse_op(struct fault *f, const char *s)
{
	int i;

	if (!strcmp(s, "webhook")) {
		f->webhook = true;
		return true;
	}
	if (!strcmp(s, "any")) {
		f->any_op = true;
		return true;
	}
	for (i = 0; i < OP_CONTROL; i++) {
		if (!strcmp(op_name((enum op)i), s)) {
			f->op = (enum op)i;
			return true;
		}
	}
	return false;
}

static bool parse_kind(struct fault *f, const char *s)
{
	int i = f->webhook ? FAULT_HOOK_FIRST_ : 0,
	    end = f->webhook ? FAULT_KIND_COUNT_ : FAULT_HOOK_FIRST_;

	for (; i < end; i++) {
		if (!strcmp(kind_names[i], s)) {
			f->kind = (enum fault_kind)i;
			return true;
		}
	}
	return false;
}

static bool parse_word(char *out, size_t len, const json_t *v)
{
	const char *s = json_string_value(v);

	if (!s || strlen(s) >= len)
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static bool parse_whole(int64_t *out, const json_t *v, int64_t min, int64_t max)
{
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return false;
	*out = json_integer_value(v);
	return true;
}

/* One member of a fault but operation and kind. False: unknown or out of range. */
static bool parse_member(struct fault *f, const char *name, const json_t *v)
{
	static const struct {
		const char *name;
		size_t offset;
		int64_t min, max;
	} whole[] = {
		{ "nth", offsetof(struct fault, nth), 1, INT64_MAX },
		{ "count", offsetof(struct fault, count), 0, INT64_MAX },
		{ "delay_ms", offsetof(struct fault, delay_ms), 0, 600000 },
		{ "retry_after", offsetof(struct fault, retry_after), 0, 3600 },
		{ "amount_delta", offsetof(struct fault, amount_delta), -1000000000, 1000000000 },
		{ "bytes", offsetof(struct fault, bytes), 0, 64 << 20 },
		{ "n", offsetof(struct fault, copies), 1, 100 },
		{ "hold_ms", offsetof(struct fault, hold_ms), 1, 600000 },
		{ "seconds", offsetof(struct fault, seconds), 0, 1000000000 },
		{ "attempts", offsetof(struct fault, attempts), -1, 1000 },
		{ "retry_ms", offsetof(struct fault, retry_ms), 0, 600000 },
	};
	size_t i;

	for (i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (!strcmp(whole[i].name, name))
			return parse_whole((int64_t *)(void *)((char *)f + whole[i].offset), v,
				whole[i].min, whole[i].max);
	if (!strcmp(name, "object"))
		return parse_word(f->object, sizeof(f->object), v);
	if (!strcmp(name, "type"))
		return parse_word(f->type, sizeof(f->type), v);
	if (!strcmp(name, "probability")) {
		f->probability = json_number_value(v);
		return json_is_number(v) && f->probability >= 0.0 && f->probability <= 1.0;
	}
	if (!strcmp(name, "seed")) {
		rng_seed(&f->rng, (uint64_t)json_integer_value(v));
		return json_is_integer(v);
	}
	if (!json_is_boolean(v))
		return false;
	if (!strcmp(name, "should_retry"))
		f->should_retry = json_is_true(v) ? 1 : -1;
	else if (!strcmp(name, "after"))
		f->after = json_is_true(v);
	else if (!strcmp(name, "processed"))
		f->processed = json_is_true(v);
	else if (!strcmp(name, "reset"))
		f->reset = json_is_true(v);
	else
		return false;
	return true;
}

static bool parse_fault(struct fault *f, json_t *o, char *why, size_t why_len)
{
	const char *op = json_string_value(json_object_get(o, "operation"));
	const char *kind = json_string_value(json_object_get(o, "kind")), *name;
	json_t *v;

	*f = (struct fault){ .nth = 1,
		.count = 1,
		.probability = 1.0,
		.retry_after = 1,
		.amount_delta = 1,
		.copies = 2,
		.hold_ms = 2000,
		.seconds = 600,
		.attempts = 1,
		.bytes = -1 };
	rng_seed(&f->rng, 1);
	if (!op || !parse_op(f, op)) {
		snprintf(why, why_len,
			"operation must be create, confirm, capture, cancel, refund, retrieve, "
			"list, "
			"authenticate, any or webhook");
		return false;
	}
	if (!kind || !parse_kind(f, kind)) {
		snprintf(why, why_len, "kind is unknown for this operation");
		return false;
	}
	json_object_foreach(o, name, v)
	{
		if (!strcmp(name, "operation") || !strcmp(name, "kind"))
			continue;
		if (!parse_member(f, name, v)) {
			snprintf(why, why_len, "%.40s is unknown or out of range", name);
			return false;
		}
	}
	if (f->kind == FAULT_SLOW_DRIP && !f->delay_ms)
		f->delay_ms = 100;
	if (f->kind == FAULT_HUGE_BODY && f->bytes < 0)
		f->bytes = 8 << 20;
	return true;
}

static json_t *fault_json(const struct fault *f)
{
	json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:I, s:f, s:I, s:I}", "id", f->id, "operation",
		f->webhook  ? "webhook"
		: f->any_op ? "any"
			    : op_name(f->op),
		"kind", kind_names[f->kind], "nth", (json_int_t)f->nth, "count",
		(json_int_t)f->count, "probability", f->probability, "seen", (json_int_t)f->seen,
		"fired", (json_int_t)f->fired);

	if (*f->object)
		json_object_set_new(o, "object", json_string(f->object));
	if (*f->type)
		json_object_set_new(o, "type", json_string(f->type));
	return o;
}

void faults_post(struct faults *f, const struct request *q, struct reply *r)
{
	json_t *list = json_object_get(q->json, "faults"), *data = json_array();
	size_t i, n = list ? json_array_size(list) : 1, had = f->n;
	char why[160] = "the list of faults is full";
	bool ok = f->n + n <= FAULTS_MAX && json_is_object(q->json) && n > 0;

	for (i = 0; ok && i < n; i++) {
		struct fault *x = &f->item[f->n];

		ok = parse_fault(x, list ? json_array_get(list, i) : q->json, why, sizeof(why));
		if (ok) {
			x->id = ++f->next_id;
			f->n++;
			json_array_append_new(data, fault_json(x));
		}
	}
	if (!ok) {
		f->n = had;
		json_decref(data);
		reply_error(r, 400, (struct api_error){ .code = "fault_invalid" }, "%s", why);
		return;
	}
	reply_json(r, 200, json_pack("{s:o}", "data", data));
}

void faults_get(const struct faults *f, struct reply *r)
{
	json_t *data = json_array();
	size_t i;

	for (i = 0; i < f->n; i++)
		json_array_append_new(data, fault_json(&f->item[i]));
	reply_json(r, 200, json_pack("{s:o}", "data", data));
}

void faults_delete(struct faults *f, const struct request *q, struct reply *r)
{
	size_t i;
	int64_t id;

	if (!*q->id) {
		f->n = 0;
		reply_json(r, 200, json_pack("{s:b}", "deleted", 1));
		return;
	}
	id = strtoll(q->id, NULL, 10);
	for (i = 0; i < f->n; i++) {
		if (f->item[i].id == id) {
			memmove(&f->item[i], &f->item[i + 1], (f->n - i - 1) * sizeof(*f->item));
			f->n--;
			reply_json(r, 200, json_pack("{s:b}", "deleted", 1));
			return;
		}
	}
	reply_missing(r, "fault", q->id);
}
