/* Protobuf messages to JSON text, straight into the output buffer. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/timeutil.h"
#include "gateway/json_pb.h"

bool jpb_hidden(const char *name)
{
	return !strncmp(name, "hdr_", 4) || !strcmp(name, "raw_body");
}

static bool is_integer(ProtobufCType t)
{
	return t <= PROTOBUF_C_TYPE_FIXED64;
}

bool jpb_is_time(const ProtobufCFieldDescriptor *f)
{
	size_t n = strlen(f->name);

	return is_integer(f->type) && n > 3 && !memcmp(f->name + n - 3, "_at", 3);
}

void jpb_enum_word(const ProtobufCEnumDescriptor *d, int value, char out[64])
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
	const char *word, *p;
	size_t n = 0;

	out[0] = '\0';
	if (!v || !value)
		return;
	/* The prefix is the enum's CamelCase name in CAPITALS_WITH_UNDERSCORES. */
	word = v->name;
	for (p = d->short_name; *p; p++) {
		if (*p >= 'A' && *p <= 'Z' && p != d->short_name && *word == '_')
			word++;
		if ((*p & ~0x20) != (*word & ~0x20))
			break;
		word++;
	}
	word = *p || *word != '_' ? v->name : word + 1;
	for (; word[n] && n < 63; n++)
		out[n] = (char)(word[n] >= 'A' && word[n] <= 'Z' ? word[n] | 0x20 : word[n]);
	out[n] = '\0';
}

static void write_u64(struct buf *b, uint64_t v)
{
	char t[20];
	size_t i = sizeof t;

	do
		t[--i] = (char)('0' + v % 10);
	while (v /= 10);
	buf_add(b, t + i, sizeof t - i);
}

static void write_i64(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_char(b, '-');
	write_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void write_real(struct buf *b, double v)
{
	char t[32];

	if (!isfinite(v)) {
		buf_str(b, "0");
		return;
	}
	snprintf(t, sizeof t, "%.15g", v);
	buf_str(b, t);
}

/* Plain ASCII without quotes, the usual case, goes in one piece. */
static void write_str(struct buf *b, const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if ((unsigned char)s[n] < 0x20 || (unsigned char)s[n] > 0x7e || s[n] == '"' || s[n] == '\\')
			break;
	if (s[n]) {
		buf_json_str(b, s);
		return;
	}
	buf_char(b, '"');
	buf_add(b, s, n);
	buf_char(b, '"');
}

static void write_message(struct buf *b, const ProtobufCMessage *m);

static void write_bytes(struct buf *b, const ProtobufCBinaryData *v)
{
	char text[BASE64_LEN(48)];

	buf_char(b, '"');
	for (size_t i = 0; i < v->len; i += 48)
		buf_add(b, text, base64_encode(v->data + i, v->len - i < 48 ? v->len - i : 48, text));
	buf_char(b, '"');
}

static void write_submessage(struct buf *b, const ProtobufCMessage *m)
{
	const char *text;

	if (!m) {
		buf_str(b, "{}");
	} else if (!strcmp(m->descriptor->name, "common.v1.Json")) {
		text = jpb_get_str(m, "text");
		buf_str(b, text && *text ? text : "{}");
	} else {
		write_message(b, m);
	}
}

static void write_integer(struct buf *b, const ProtobufCFieldDescriptor *f, int64_t v)
{
	char t[TIME_TEXT_LEN];

	if (!jpb_is_time(f)) {
		write_i64(b, v);
		return;
	}
	time_rfc3339(v, t);
	buf_char(b, '"');
	buf_str(b, t);
	buf_char(b, '"');
}

static void write_value(struct buf *b, const ProtobufCFieldDescriptor *f, const void *p)
{
	char word[64];

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		write_integer(b, f, *(const int32_t *)p);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		write_integer(b, f, *(const int64_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		write_u64(b, *(const uint32_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		write_u64(b, *(const uint64_t *)p);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		write_real(b, (double)*(const float *)p);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		write_real(b, *(const double *)p);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		buf_str(b, *(const protobuf_c_boolean *)p ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_ENUM:
		jpb_enum_word(f->descriptor, *(const int32_t *)p, word);
		write_str(b, word);
		break;
	case PROTOBUF_C_TYPE_STRING:
		write_str(b, *(char *const *)p ? *(char *const *)p : "");
		break;
	case PROTOBUF_C_TYPE_BYTES:
		write_bytes(b, p);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		write_submessage(b, *(ProtobufCMessage *const *)p);
		break;
	}
}

static void write_list(struct buf *b, const ProtobufCFieldDescriptor *f, const char *items, size_t n)
{
	size_t step = jpb_element_size(f->type);

	buf_char(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		write_value(b, f, items + i * step);
	}
	buf_char(b, ']');
}

/* An enum's zero means "not said": it has no word. */
static bool shown(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	char word[64];

	if (!jpb_is_set(m, f))
		return false;
	if (f->type != PROTOBUF_C_TYPE_ENUM)
		return true;
	jpb_enum_word(f->descriptor, *(const int32_t *)(const void *)((const char *)m + f->offset), word);
	return word[0] != '\0';
}

static void write_message(struct buf *b, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	bool first = true;

	buf_char(b, '{');
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const char *base = (const char *)m;
		bool list = f->label == PROTOBUF_C_LABEL_REPEATED;

		if ((!list && !shown(m, f)) || jpb_hidden(f->name))
			continue;
		if (!first)
			buf_char(b, ',');
		first = false;
		buf_char(b, '"');
		buf_str(b, f->name);
		buf_add(b, "\":", 2);
		if (list)
			write_list(b, f, *(char *const *)(const void *)(base + f->offset),
				   *(const size_t *)(const void *)(base + f->quantifier_offset));
		else
			write_value(b, f, base + f->offset);
	}
	buf_char(b, '}');
}

void jpb_write(struct buf *b, const ProtobufCMessage *m)
{
	write_message(b, m);
}
