#include "common/pb_guard.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct frame {
	const ProtobufCMessageDescriptor *desc;
	const uint8_t *end;
};

struct scan {
	const uint8_t *p;
	struct frame stack[PB_GUARD_DEPTH];
	unsigned depth; /* frames in use */
	size_t fields, unknown;
	const char *why; /* set on refusal */
	const char *field;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

bool pb_utf8_ok(const void *s, size_t len)
{
	const uint8_t *p = s, *end = p + len;

	while (p < end) {
		uint32_t cp, min;
		int more;
		uint64_t word;

		/* Eight plain ASCII bytes at once: no high bit, no zero byte. */
		while (end - p >= 8) {
			memcpy(&word, p, sizeof(word));
			if ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u)
				break;
			p += 8;
		}
		if (p == end)
			break;
		if (*p < 0x80) {
			if (*p++ == 0)
				return false;
			continue;
		}
		if ((*p & 0xe0) == 0xc0)
			more = 1, cp = *p & 0x1fu, min = 0x80;
		else if ((*p & 0xf0) == 0xe0)
			more = 2, cp = *p & 0x0fu, min = 0x800;
		else if ((*p & 0xf8) == 0xf0)
			more = 3, cp = *p & 0x07u, min = 0x10000;
		else
			return false;
		if (end - p <= more)
			return false;
		for (p++; more > 0; more--, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | (*p & 0x3fu);
		}
		if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
			return false;
	}
	return true;
}

static bool refuse(struct scan *s, const char *why)
{
	s->why = why;
	return false;
}

/* At most ten bytes, as protobuf-c reads them. */
static bool read_varint(struct scan *s, const uint8_t *end, uint64_t *v_r)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 70 && s->p < end; shift += 7) {
		uint8_t b = *s->p++;

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*v_r = v;
			return true;
		}
	}
	return refuse(s, "bad varint");
}

static int wire_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_BYTES;
	default:
		return WIRE_VARINT;
	}
}

/* A length-delimited value of a scalar repeated field: every element counts as a field. */
static bool count_packed(struct scan *s, int wire, size_t len)
{
	if (wire == WIRE_VARINT) {
		const uint8_t *end = s->p + len;
		unsigned run = 0;

		for (; s->p < end; s->p++) {
			if (++run > 10)
				return refuse(s, "bad varint");
			if (!(*s->p & 0x80)) {
				s->fields++;
				run = 0;
			}
		}
		if (run)
			return refuse(s, "bad varint");
		return true;
	}
	if (len % (wire == WIRE_32 ? 4 : 8))
		return refuse(s, "bad packed length");
	s->fields += len / (wire == WIRE_32 ? 4 : 8);
	s->p += len;
	return true;
}

static bool scan_bytes(struct scan *s, const ProtobufCFieldDescriptor *f, size_t len)
{
	if (!f || f->type == PROTOBUF_C_TYPE_BYTES) {
		s->p += len;
		return true;
	}
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		if (!pb_utf8_ok(s->p, len))
			return refuse(s, "text is not UTF-8 or holds a NUL");
		s->p += len;
		return true;
	}
	if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		if (s->depth == PB_GUARD_DEPTH)
			return refuse(s, "nested too deep");
		s->stack[s->depth].desc = f->descriptor;
		s->stack[s->depth].end = s->p + len;
		s->depth++;
		return true;
	}
	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return refuse(s, "wrong wire type");
	return count_packed(s, wire_of(f->type), len);
}

static bool scan_value(struct scan *s, const ProtobufCFieldDescriptor *f, unsigned wire, const uint8_t *end)
{
	uint64_t v;
	size_t left;

	switch (wire) {
	case WIRE_VARINT:
		return read_varint(s, end, &v);
	case WIRE_64:
	case WIRE_32:
		left = wire == WIRE_64 ? 8 : 4;
		if ((size_t)(end - s->p) < left)
			return refuse(s, "cut short");
		s->p += left;
		return true;
	case WIRE_BYTES:
		if (!read_varint(s, end, &v))
			return false;
		if (v > (size_t)(end - s->p))
			return refuse(s, "length past the end");
		return scan_bytes(s, f, (size_t)v);
	default:
		return refuse(s, "unsupported wire type");
	}
}

static bool scan_field(struct scan *s)
{
	const struct frame *top = &s->stack[s->depth - 1];
	const ProtobufCFieldDescriptor *f;
	uint64_t key;
	unsigned wire;

	if (!read_varint(s, top->end, &key))
		return false;
	if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
		return refuse(s, "bad field number");
	wire = (unsigned)(key & 7);
	f = protobuf_c_message_descriptor_get_field(top->desc, (unsigned)(key >> 3));
	if (f) {
		s->field = f->name;
		if (wire != (unsigned)wire_of(f->type) && wire != WIRE_BYTES)
			return refuse(s, "wrong wire type");
	} else {
		s->field = "unknown";
		if (++s->unknown > PB_GUARD_UNKNOWN)
			return refuse(s, "too many unknown fields");
	}
	s->fields++;
	if (!scan_value(s, f, wire, top->end))
		return false;
	if (s->fields > PB_GUARD_FIELDS)
		return refuse(s, "too many fields");
	return true;
}

enum err_code pb_guard(const ProtobufCMessageDescriptor *desc, const void *bytes, size_t len, struct err *e)
{
	static const uint8_t nothing;
	struct scan s;

	s.p = bytes ? bytes : &nothing;
	s.stack[0].desc = desc;
	s.stack[0].end = s.p + len;
	s.depth = 1;
	s.fields = s.unknown = 0;
	s.why = s.field = NULL;
	while (s.depth) {
		if (s.p == s.stack[s.depth - 1].end) {
			s.depth--;
			continue;
		}
		if (!scan_field(&s))
			return err_set(e, E_INVALID, "rpc.bad_request", "%s: %s: %s", desc->name,
				       s.field ? s.field : "start", s.why);
	}
	return OK;
}

enum err_code pb_unpack(const ProtobufCMessageDescriptor *desc, const void *bytes, size_t len, struct arena *a,
			ProtobufCMessage **msg_r, struct err *e)
{
	static const uint8_t nothing;
	ProtobufCAllocator alloc = arena_pb(a);
	ProtobufCMessage *msg;

	if (pb_guard(desc, bytes, len, e))
		return e->code;
	msg = protobuf_c_message_unpack(desc, &alloc, len, bytes ? bytes : &nothing);
	if (arena_over(a))
		return err_set(e, E_TOO_LARGE, "common.too_large", "%s does not fit into the arena", desc->name);
	if (!msg)
		return err_set(e, E_INVALID, "rpc.bad_request", "%s does not unpack", desc->name);
	*msg_r = msg;
	return OK;
}
