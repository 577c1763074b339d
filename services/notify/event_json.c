#include "services/notify/event_json.h"

#include <string.h>

#include "common/timeutil.h"

#define DEPTH_MAX 4 /* events nest two deep */

const char *const event_types[] = {
	"order.placed",	       "order.cancelled",	"order.refunded",      "order.delivered",
	"vendor_order.placed", "vendor_order.shipped",	"vendor_order.delivered", "checkout.expired",
	"checkout.payment_failed", "checkout.refunded", "vendor.applied",      "vendor.approved",
	"vendor.rejected",     "vendor.suspended",	"vendor.changed",      "product.changed",
	"stock.changed",       "review.created",	"review.moderated",    NULL,
};

static void message(struct buf *out, const ProtobufCMessage *m, int depth);

/* field.total's member inside the message: scalars stand there, messages and texts by pointer. */
static void scalar(struct buf *out, const ProtobufCFieldDescriptor *f, const void *at, int depth)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		buf_json_str(out, *(char *const *)at);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		buf_str(out, *(const protobuf_c_boolean *)at ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
		buf_i64(out, *(const int32_t *)at);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
		buf_i64(out, *(const int64_t *)at);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		message(out, *(ProtobufCMessage *const *)at, depth + 1);
		break;
	default: /* events have no others; a test holds that */
		buf_str(out, "null");
	}
}

static size_t width(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
		return sizeof(int64_t);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	default:
		return sizeof(int32_t);
	}
}

static bool present(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)m;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return true;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void *const *)(const void *)(base + f->offset) != NULL;
	return *(const protobuf_c_boolean *)(const void *)(base + f->quantifier_offset);
}

static void field(struct buf *out, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, int depth)
{
	const char *base = (const char *)m, *list;
	size_t n;

	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		scalar(out, f, base + f->offset, depth);
		return;
	}
	n = *(const size_t *)(const void *)(base + f->quantifier_offset);
	list = *(const char *const *)(const void *)(base + f->offset);
	buf_char(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(out, ',');
		scalar(out, f, list + i * width(f->type), depth);
	}
	buf_char(out, ']');
}

static void message(struct buf *out, const ProtobufCMessage *m, int depth)
{
	bool first = true;

	buf_char(out, '{');
	for (unsigned i = 0; m && depth < DEPTH_MAX && i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];

		if (!present(m, f))
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_json_str(out, f->name);
		buf_char(out, ':');
		field(out, m, f, depth);
	}
	buf_char(out, '}');
}

void event_json(const struct inbox_event *ev, struct buf *out)
{
	char at[TIME_TEXT_LEN];

	buf_str(out, "{\"id\":");
	buf_json_str(out, ev->event_id);
	buf_str(out, ",\"type\":");
	buf_json_str(out, ev->type);
	buf_fmt(out, ",\"created_at\":\"%s\",\"data\":", time_rfc3339(ev->occurred_at, at));
	message(out, ev->msg, 0);
	buf_char(out, '}');
}

static bool word_matches(const char *word, size_t n, const char *type)
{
	if (n && word[n - 1] == '*')
		return strncmp(word, type, n - 1) == 0;
	return strlen(type) == n && memcmp(word, type, n) == 0;
}

bool event_words_match(const char *words, const char *type)
{
	for (const char *p = words; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (word_matches(p, n, type))
			return true;
		p += n;
	}
	return false;
}

bool event_word_ok(const char *word)
{
	size_t n = word ? strlen(word) : 0;

	if (!n || strchr(word, ' ') || (strchr(word, '*') && strchr(word, '*') != word + n - 1))
		return false;
	for (size_t i = 0; event_types[i]; i++)
		if (word_matches(word, n, event_types[i]))
			return true;
	return false;
}
