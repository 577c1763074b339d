/* JSON text, path variables and query parameters into protobuf messages. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/money.h"
#include "common/timeutil.h"
#include "gateway/json_pb.h"

struct reader {
	struct arena *a;
	struct err *e;
	char path[200];
	size_t len;
};

PRINTF_LIKE(2, 3) static size_t push(struct reader *r, const char *fmt, ...)
{
	size_t was = r->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->path + r->len, sizeof r->path - r->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		r->len += (size_t)n;
	if (r->len >= sizeof r->path)
		r->len = sizeof r->path - 1;
	return was;
}

static void pop(struct reader *r, size_t was)
{
	r->len = was;
	r->path[was] = '\0';
}

static bool bad(struct reader *r, const char *what)
{
	err_detail(r->e, r->len ? r->path : "body", NULL, "%s", what);
	return false;
}

static bool store_int(struct reader *r, const ProtobufCFieldDescriptor *f, int64_t v, void *p)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		if (v < INT32_MIN || v > INT32_MAX)
			return bad(r, "is out of range (32 bits)");
		*(int32_t *)p = (int32_t)v;
		return true;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		if (v < 0 || v > UINT32_MAX)
			return bad(r, "is out of range (0 to 4294967295)");
		*(uint32_t *)p = (uint32_t)v;
		return true;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		if (v < 0)
			return bad(r, "must not be negative");
		*(uint64_t *)p = (uint64_t)v;
		return true;
	default:
		*(int64_t *)p = v;
		return true;
	}
}

static bool store_time(struct reader *r, const ProtobufCFieldDescriptor *f, const char *text, void *p)
{
	int64_t ms;

	if (!time_parse_rfc3339(text, &ms))
		return bad(r, "must be a time such as 2026-01-15T10:30:00.000Z");
	return store_int(r, f, ms, p);
}

static bool store_enum(struct reader *r, const ProtobufCFieldDescriptor *f, const char *text, void *p)
{
	const ProtobufCEnumDescriptor *d = f->descriptor;
	char word[64], all[110] = "must be one of:";
	size_t n = strlen(all);

	for (unsigned i = 0; i < d->n_values; i++) {
		jpb_enum_word(d, d->values[i].value, word);
		if (!word[0])
			continue;
		if (!strcmp(word, text)) {
			*(int32_t *)p = d->values[i].value;
			return true;
		}
		if (n + strlen(word) + 2 < sizeof all)
			n += (size_t)snprintf(all + n, sizeof all - n, " %s", word);
	}
	return bad(r, all);
}

static bool store_bytes(struct reader *r, const char *text, size_t len, void *p)
{
	ProtobufCBinaryData *v = p;

	v->data = arena_alloc(r->a, len + 1);
	return base64_decode(text, len, v->data, len, &v->len) || bad(r, "must be base64 with padding");
}

static bool store_real(const ProtobufCFieldDescriptor *f, double v, void *p)
{
	if (f->type == PROTOBUF_C_TYPE_FLOAT)
		*(float *)p = (float)v;
	else
		*(double *)p = v;
	return true;
}

static bool is_real(ProtobufCType t)
{
	return t == PROTOBUF_C_TYPE_FLOAT || t == PROTOBUF_C_TYPE_DOUBLE;
}

/* ---- JSON ---- */

static void read_object(struct reader *r, ProtobufCMessage *m, json_t *o, bool top);

static bool read_attributes(struct reader *r, json_t *v, ProtobufCMessage *m)
{
	char *text;

	if (!json_is_object(v))
		return bad(r, "must be an object");
	text = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(15));
	if (!text)
		return bad(r, "cannot be taken over");
	jpb_put_str(m, "text", arena_strdup(r->a, text));
	free(text);
	return true;
}

static void money_complete(struct reader *r, const ProtobufCMessage *m)
{
	const char *cur = jpb_get_str(m, "currency");
	size_t was;

	if (!jpb_has(m, "amount")) {
		was = push(r, ".amount");
		bad(r, "is required");
		pop(r, was);
	}
	if (!cur || !money_valid_currency(cur)) {
		was = push(r, ".currency");
		bad(r, cur ? "is not a known ISO 4217 currency" : "is required");
		pop(r, was);
	}
}

static bool read_message(struct reader *r, const ProtobufCFieldDescriptor *f, json_t *v, void *p)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	ProtobufCMessage *m = jpb_new(r->a, d);
	size_t before = r->e->n_details;

	*(ProtobufCMessage **)p = m;
	if (!strcmp(d->name, "common.v1.Json"))
		return read_attributes(r, v, m);
	if (!json_is_object(v))
		return bad(r, "must be an object");
	read_object(r, m, v, false);
	if (r->e->n_details == before && !strcmp(d->name, "common.v1.Money"))
		money_complete(r, m);
	return r->e->n_details == before;
}

static bool read_string(struct reader *r, const ProtobufCFieldDescriptor *f, json_t *v, void *p)
{
	const char *s;

	if (!json_is_string(v))
		return bad(r, jpb_is_time(f) ? "must be a time as text" : "must be a text");
	s = json_string_value(v);
	if (f->type == PROTOBUF_C_TYPE_ENUM)
		return store_enum(r, f, s, p);
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return store_bytes(r, s, json_string_length(v), p);
	if (jpb_is_time(f))
		return store_time(r, f, s, p);
	*(char **)p = arena_strndup(r->a, s, json_string_length(v));
	return true;
}

static bool read_value(struct reader *r, const ProtobufCFieldDescriptor *f, json_t *v, void *p)
{
	if (json_is_null(v))
		return bad(r, "must not be null; leave it out");
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return read_message(r, f, v, p);
	if (f->type == PROTOBUF_C_TYPE_BOOL) {
		if (!json_is_boolean(v))
			return bad(r, "must be true or false");
		*(protobuf_c_boolean *)p = json_is_true(v);
		return true;
	}
	if (is_real(f->type)) {
		if (!json_is_number(v))
			return bad(r, "must be a number");
		return store_real(f, json_number_value(v), p);
	}
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_ENUM ||
	    f->type == PROTOBUF_C_TYPE_BYTES || jpb_is_time(f))
		return read_string(r, f, v, p);
	if (!json_is_integer(v))
		return bad(r, "must be an integer");
	return store_int(r, f, json_integer_value(v), p);
}

static void *field_at(ProtobufCMessage *m, unsigned offset)
{
	return (char *)m + offset;
}

static void mark_set(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		*(uint32_t *)field_at(m, f->quantifier_offset) = f->id;
	else if (f->label == PROTOBUF_C_LABEL_OPTIONAL)
		*(protobuf_c_boolean *)field_at(m, f->quantifier_offset) = 1;
}

static void read_list(struct reader *r, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, json_t *v)
{
	size_t n = json_array_size(v), step = jpb_element_size(f->type), got = 0;
	char *items;

	if (!json_is_array(v)) {
		bad(r, "must be a list");
		return;
	}
	items = arena_alloc(r->a, n * step + 1);
	for (size_t i = 0; i < n && r->e->n_details < ERR_DETAILS_MAX; i++) {
		size_t was = push(r, "[%zu]", i);

		if (read_value(r, f, json_array_get(v, i), items + i * step))
			got++;
		pop(r, was);
	}
	if (got != n)
		return;
	*(char **)field_at(m, f->offset) = items;
	*(size_t *)field_at(m, f->quantifier_offset) = n;
}

static void read_field(struct reader *r, ProtobufCMessage *m, const char *key, json_t *v, bool top)
{
	const ProtobufCFieldDescriptor *f = jpb_field(m, key);

	if (!f || jpb_hidden(key)) {
		bad(r, "is not a known field");
	} else if (top && jpb_is_set(m, f)) {
		bad(r, "is already given by the path or the query");
	} else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		read_list(r, m, f, v);
	} else if (read_value(r, f, v, field_at(m, f->offset))) {
		mark_set(m, f);
	} else if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE) {
		*(void **)field_at(m, f->offset) = NULL;
	}
}

/* Only what reads well goes into the name of an unknown field. */
static const char *plain_key(struct reader *r, const char *key)
{
	char *s = arena_strndup(r->a, key, strnlen(key, 60));

	for (char *p = s; *p; p++)
		if ((unsigned char)*p < 0x21 || (unsigned char)*p > 0x7e)
			*p = '?';
	return s;
}

static void read_object(struct reader *r, ProtobufCMessage *m, json_t *o, bool top)
{
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v) {
		size_t was = push(r, "%s%s", r->len ? "." : "", plain_key(r, key));

		read_field(r, m, key, v, top);
		pop(r, was);
		if (r->e->n_details >= ERR_DETAILS_MAX)
			return;
	}
}

static enum err_code not_json(const char *text, size_t len, size_t offset, const char *what, struct err *e)
{
	char path[64];

	json_path_at(text, len, offset, path, sizeof path);
	err_detail(e, path, NULL, "%s", what);
	return err_set(e, E_INVALID, "common.invalid_json", "%s at byte %zu", what, offset);
}

static enum err_code parse_error(const char *text, size_t len, const json_error_t *j, struct err *e)
{
	size_t at = j->position > 0 ? (size_t)j->position : 0;
	char what[120];

	switch (json_error_code(j)) {
	case json_error_duplicate_key:
		return not_json(text, len, at, "is given twice", e);
	case json_error_invalid_utf8:
		return not_json(text, len, at, "is not valid UTF-8", e);
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return not_json(text, len, at, "must not hold a NUL character", e);
	case json_error_numeric_overflow:
		return not_json(text, len, at, "is out of range", e);
	default:
		snprintf(what, sizeof what, "is not valid JSON (line %d, column %d)", j->line, j->column);
		return not_json(text, len, at, what, e);
	}
}

static bool blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

enum err_code jpb_read(struct arena *a, const char *text, size_t len, ProtobufCMessage *m, struct err *e)
{
	struct reader r = { .a = a, .e = e };
	json_error_t jerr;
	size_t at = 0;
	json_t *root;

	if (blank(text, len))
		return OK;
	if (!json_depth_ok(text, len, &at))
		return not_json(text, len, at, "is nested too deeply (32 levels at most)", e);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &jerr);
	if (!root)
		return parse_error(text, len, &jerr, e);
	if (json_is_object(root))
		read_object(&r, m, root, true);
	else
		bad(&r, "must be a JSON object");
	json_decref(root);
	if (e->n_details)
		return err_set(e, E_INVALID, "common.invalid_input", "%s: %s", e->details[0].field,
			       e->details[0].message);
	return OK;
}

/* ---- texts of the path and the query ---- */

static bool text_integer(struct reader *r, const ProtobufCFieldDescriptor *f, const char *s, size_t len, void *p)
{
	int64_t v = 0;
	bool neg = len && s[0] == '-';

	if (len == (size_t)neg || len > 20)
		return bad(r, "must be an integer");
	for (size_t i = neg; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return bad(r, "must be an integer");
		if (__builtin_mul_overflow(v, 10, &v) ||
		    (neg ? __builtin_sub_overflow(v, s[i] - '0', &v) : __builtin_add_overflow(v, s[i] - '0', &v)))
			return bad(r, "is out of range");
	}
	return store_int(r, f, v, p);
}

static bool text_real(struct reader *r, const ProtobufCFieldDescriptor *f, const char *s, size_t len, void *p)
{
	char *end;
	double v;

	if (!len || len > 40 || strspn(s, "0123456789.-+eE") != len)
		return bad(r, "must be a number");
	v = strtod(s, &end);
	if (*end || !isfinite(v))
		return bad(r, "must be a number");
	return store_real(f, v, p);
}

static bool text_value(struct reader *r, const ProtobufCFieldDescriptor *f, const char *s, size_t len, void *p)
{
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		*(char **)p = arena_strndup(r->a, s, len);
		return true;
	}
	if (f->type == PROTOBUF_C_TYPE_BOOL) {
		*(protobuf_c_boolean *)p = !strcmp(s, "true");
		return !strcmp(s, "true") || !strcmp(s, "false") || bad(r, "must be true or false");
	}
	if (f->type == PROTOBUF_C_TYPE_ENUM)
		return store_enum(r, f, s, p);
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return store_bytes(r, s, len, p);
	if (is_real(f->type))
		return text_real(r, f, s, len, p);
	return jpb_is_time(f) ? store_time(r, f, s, p) : text_integer(r, f, s, len, p);
}

/* Grows by doubling at powers of two: no capacity is stored anywhere. */
static void *append_slot(struct arena *a, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t step = jpb_element_size(f->type);
	char **items = field_at(m, f->offset);
	size_t n = *(size_t *)field_at(m, f->quantifier_offset);

	if (!(n & (n - 1)) || !*items) {
		char *grown = arena_alloc(a, (n ? 2 * n : 1) * step);

		if (n)
			memcpy(grown, *items, n * step);
		*items = grown;
	}
	return *items + n * step;
}

enum err_code jpb_set_text(struct arena *a, ProtobufCMessage *m, const char *name, const char *value, size_t len,
			   struct err *e)
{
	struct reader r = { .a = a, .e = e };
	const ProtobufCFieldDescriptor *f = jpb_field(m, name);
	bool ok = false;

	push(&r, "%s", plain_key(&r, name));
	if (!f || jpb_hidden(name) || f->type == PROTOBUF_C_TYPE_MESSAGE) {
		bad(&r, "is not a known parameter");
	} else if (strlen(value) != len || !utf8_valid(value, len)) {
		bad(&r, "is not valid UTF-8 without NUL");
	} else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		ok = text_value(&r, f, value, len, append_slot(a, m, f));
		*(size_t *)field_at(m, f->quantifier_offset) += ok;
	} else if (jpb_is_set(m, f)) {
		bad(&r, "is given twice");
	} else {
		ok = text_value(&r, f, value, len, field_at(m, f->offset));
		if (ok)
			mark_set(m, f);
	}
	return ok ? OK : err_set(e, E_INVALID, "common.invalid_input", "parameter %s", r.path);
}

enum err_code jpb_required(const ProtobufCMessage *m, const char *words, struct err *e)
{
	char name[64];

	while (words && *words) {
		size_t n = strcspn(words, " ");
		const ProtobufCFieldDescriptor *f;

		snprintf(name, sizeof name, "%.*s", (int)n, words);
		f = jpb_field(m, name);
		if (f && (!jpb_is_set(m, f) || (f->type == PROTOBUF_C_TYPE_STRING &&
						f->label == PROTOBUF_C_LABEL_OPTIONAL && !*jpb_get_str(m, name))))
			err_detail(e, name, NULL, "is required");
		words += n;
		words += strspn(words, " ");
	}
	if (e->n_details)
		return err_set(e, E_INVALID, "common.invalid_input", "%s is required", e->details[0].field);
	return OK;
}
