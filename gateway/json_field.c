/* Fields of a message found by name: what the gateway itself fills (hdr_*, raw_body) and reads. */
#include <string.h>

#include "gateway/json_pb.h"

ProtobufCMessage *jpb_new(struct arena *a, const ProtobufCMessageDescriptor *d)
{
	ProtobufCMessage *m = arena_alloc(a, d->sizeof_message);

	protobuf_c_message_init(d, m);
	return m;
}

const ProtobufCFieldDescriptor *jpb_field(const ProtobufCMessage *m, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
}

static const void *at(const ProtobufCMessage *m, unsigned offset)
{
	return (const char *)m + offset;
}

static void *at_w(ProtobufCMessage *m, unsigned offset)
{
	return (char *)m + offset;
}

bool jpb_is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *p;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)at(m, f->quantifier_offset) > 0;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE) {
		p = *(void *const *)at(m, f->offset);
		return p && p != f->default_value;
	}
	if (f->label != PROTOBUF_C_LABEL_OPTIONAL)
		return true;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)at(m, f->quantifier_offset) == f->id;
	return *(const protobuf_c_boolean *)at(m, f->quantifier_offset);
}

bool jpb_has(const ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f = jpb_field(m, name);

	return f && jpb_is_set(m, f);
}

size_t jpb_element_size(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4; /* also bool (protobuf_c_boolean is an int) and enum */
	}
}

static const ProtobufCFieldDescriptor *single(const ProtobufCMessage *m, const char *name, ProtobufCType t)
{
	const ProtobufCFieldDescriptor *f = jpb_field(m, name);

	return f && f->type == t && f->label == PROTOBUF_C_LABEL_OPTIONAL ? f : NULL;
}

bool jpb_put_str(ProtobufCMessage *m, const char *name, const char *s)
{
	const ProtobufCFieldDescriptor *f = single(m, name, PROTOBUF_C_TYPE_STRING);

	if (!f)
		return false;
	*(const char **)at_w(m, f->offset) = s;
	return true;
}

bool jpb_put_int(ProtobufCMessage *m, const char *name, int64_t v)
{
	const ProtobufCFieldDescriptor *f = jpb_field(m, name);

	if (!f || f->label != PROTOBUF_C_LABEL_OPTIONAL)
		return false;
	if (f->type == PROTOBUF_C_TYPE_INT64)
		*(int64_t *)at_w(m, f->offset) = v;
	else if (f->type == PROTOBUF_C_TYPE_INT32 && v >= INT32_MIN && v <= INT32_MAX)
		*(int32_t *)at_w(m, f->offset) = (int32_t)v;
	else
		return false;
	*(protobuf_c_boolean *)at_w(m, f->quantifier_offset) = 1;
	return true;
}

bool jpb_put_bytes(ProtobufCMessage *m, const char *name, const void *p, size_t n)
{
	const ProtobufCFieldDescriptor *f = single(m, name, PROTOBUF_C_TYPE_BYTES);
	ProtobufCBinaryData *v;

	if (!f)
		return false;
	v = at_w(m, f->offset);
	v->len = n;
	v->data = (uint8_t *)(uintptr_t)p;
	*(protobuf_c_boolean *)at_w(m, f->quantifier_offset) = 1;
	return true;
}

const char *jpb_get_str(const ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f = single(m, name, PROTOBUF_C_TYPE_STRING);

	return f ? *(const char *const *)at(m, f->offset) : NULL;
}

bool jpb_get_int(const ProtobufCMessage *m, const char *name, int64_t *v_r)
{
	const ProtobufCFieldDescriptor *f = jpb_field(m, name);

	if (!f || f->label != PROTOBUF_C_LABEL_OPTIONAL || !jpb_is_set(m, f))
		return false;
	if (f->type == PROTOBUF_C_TYPE_INT64)
		*v_r = *(const int64_t *)at(m, f->offset);
	else if (f->type == PROTOBUF_C_TYPE_INT32)
		*v_r = *(const int32_t *)at(m, f->offset);
	else
		return false;
	return true;
}

bool jpb_get_bytes(const ProtobufCMessage *m, const char *name, ProtobufCBinaryData *v_r)
{
	const ProtobufCFieldDescriptor *f = single(m, name, PROTOBUF_C_TYPE_BYTES);

	if (!f || !jpb_is_set(m, f))
		return false;
	*v_r = *(const ProtobufCBinaryData *)at(m, f->offset);
	return true;
}
