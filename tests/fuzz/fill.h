/*
 * A message of any type filled from the fuzzer's bytes: which fields are there, how many, and what they hold, with
 * a liking for values that pass the checks (ids of the right kind, currencies, addresses) so that what lies behind the
 * checks is reached. Without bytes left everything stays unset.
 */
#ifndef SOUK_FUZZ_FILL_H
#define SOUK_FUZZ_FILL_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <string.h>

#include "common/arena.h"
#include "common/timeutil.h"

struct bytes {
	const uint8_t *p;
	size_t n;
};

static inline uint8_t take(struct bytes *b)
{
	if (!b->n)
		return 0;
	b->n--;
	return *b->p++;
}

static inline char *fill_junk(struct arena *a, struct bytes *b)
{
	static const char *const odd[] = {
		"", " ", "-1", "0", "null", "../../etc/passwd", "' OR 1=1 --", "%s%n%x", "\xf0\x9f\x92\xa5",
		"\xc2\x85", "a\nb", "\x7f", "\xe2\x80\xa8", "99999999999999999999", "1e400", "usr_", "*", "{\"a\":",
	};
	uint8_t k = take(b);
	char *s;

	if (k < 160)
		return arena_strdup(a, odd[k % (sizeof(odd) / sizeof(*odd))]);
	if (k < 190) {
		size_t n = (size_t)1 << (k % 15);

		s = arena_alloc(a, n + 1);
		memset(s, 'a' + k % 26, n);
		return s;
	}
	s = arena_alloc(a, k % 32u + 1);
	for (int i = 0; i < k % 32; i++)
		s[i] = (char)(take(b) & 0x7f);
	return s;
}

/* What a field of this name may well hold: ids of the right kind first, then texts. */
static inline char *fill_guess(struct arena *a, const char *name, struct bytes *b)
{
	static const char *const ids[][2] = {
		{ "user_id", "usr" },	  { "vendor_id", "vnd" },   { "variant_id", "var" },  { "product_id", "prd" },
		{ "category_id", "cat" }, { "vendor_order", "vor" }, { "order_id", "ord" },   { "cart_id", "crt" },
		{ "checkout_id", "chk" }, { "address_id", "adr" },  { "line_id", "lin" },     { "location_id", "loc" },
		{ "import_id", "imp" },	  { "session_id", "ses" },  { "webhook_id", "whk" },  { "delivery_id", "whd" },
		{ "refund_id", "rfd" },	  { "message_id", "msg" },  { "promotion_id", "prm" }, { "price_id", "prc" },
		{ "key_id", "key" },	  { "link_id", "lnk" },	    { "return_id", "ret" },   { "review_id", "rev" },
		{ "parent_id", "cat" },	  { "owner", "chk" },
	};
	static const char *const texts[][2] = {
		{ "email", "ann@b.example" }, { "currency", "USD" },	    { "country", "US" },
		{ "password", "kitchen teapot 7" }, { "url", "https://shop.example/hook" }, { "slug", "a-slug" },
		{ "sku", "SKU-1" },	      { "locale", "en" },	    { "lang", "en" },
		{ "phone", "+351210000000" }, { "region", "IL" },	    { "postal_code", "62701" },
		{ "format", "csv" },	      { "policy", "reject_all" },   { "code", "123456" },
		{ "hdr_if_match", "crt_01jd0000000000000000000001-1" },	    { "role", "vendor.owner" },
		{ "perm", "vendor.catalog" }, { "client_ip", "192.0.2.1" }, { "tax_class", "standard" },
		{ "hdr_signature", "t=1700000000,v1=00" },		    { "event", "order.placed" },
		{ "attributes", "{\"material\":\"steel\"}" },		    { "shipping_method", "standard" },
	};
	unsigned k = take(b) % 4u;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		if (strstr(name, ids[i][0]))
			return arena_printf(a, "%s_01jd000000000000000000000%u", ids[i][1], k);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strstr(name, texts[i][0]))
			return arena_strdup(a, texts[i][1]);
	return arena_printf(a, "Word %u", k);
}

static inline int64_t fill_number(struct bytes *b)
{
	static const int64_t known[] = { 0, 1, 2, 5, 100, -1, 1999, 10000, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1LL << 40 };
	uint8_t k = take(b);

	if (k < 128)
		return known[k % (sizeof(known) / sizeof(*known))];
	return k < 160 ? wall_ms() + (k - 144) * 3600000 : k - 160;
}

static inline ProtobufCMessage *fill_message(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes *b, int depth);

/* One value of the field's type at *at. */
static inline void fill_value(struct arena *a, const ProtobufCFieldDescriptor *f, void *at, struct bytes *b, int depth)
{
	ProtobufCBinaryData *bin = at;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = take(b) % 4 ? fill_guess(a, f->name, b) : fill_junk(a, b);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		bin->data = (uint8_t *)fill_junk(a, b);
		bin->len = strlen((char *)bin->data);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)at = fill_message(a, f->descriptor, b, depth + 1);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = take(b) & 1;
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		*(double *)at = (double)fill_number(b) / 7;
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		*(float *)at = (float)fill_number(b) / 7;
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		*(int64_t *)at = fill_number(b);
		break;
	default: /* 32 bits, enums among them */
		*(int32_t *)at = (int32_t)fill_number(b);
		break;
	}
}

static inline size_t fill_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return 8;
	default:
		return 4;
	}
}

static inline void fill_field(struct arena *a, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m, struct bytes *b, int depth)
{
	char *base = (char *)m;
	uint8_t k = take(b);
	size_t n;
	char *list;

	if (k % 8 == 0)
		return; /* stays unset */
	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		if (f->quantifier_offset)
			*(protobuf_c_boolean *)(base + f->quantifier_offset) = 1;
		fill_value(a, f, base + f->offset, b, depth);
		return;
	}
	n = k > 250 ? 300 : k % 4;
	list = arena_alloc(a, n * fill_size(f) + 1);
	for (size_t i = 0; i < n; i++)
		fill_value(a, f, list + i * fill_size(f), b, depth);
	*(size_t *)(base + f->quantifier_offset) = n;
	*(void **)(base + f->offset) = list;
}

static inline ProtobufCMessage *fill_message(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes *b, int depth)
{
	ProtobufCMessage *m = arena_alloc(a, d->sizeof_message);

	protobuf_c_message_init(d, m);
	if (depth < 8)
		for (unsigned i = 0; i < d->n_fields; i++)
			fill_field(a, &d->fields[i], m, b, depth);
	return m;
}

#endif
