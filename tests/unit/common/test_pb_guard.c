#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common.pb-c.h"
#include "common/pb_guard.h"

/* A type that contains itself, which no .proto of ours may have: only the guard's own limit stops it. */
static const ProtobufCMessageDescriptor nest;
static const ProtobufCFieldDescriptor nest_fields[] = {
	{ .name = "child", .id = 1, .label = PROTOBUF_C_LABEL_OPTIONAL, .type = PROTOBUF_C_TYPE_MESSAGE, .descriptor = &nest },
	{ .name = "n", .id = 2, .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_INT32 },
	{ .name = "f", .id = 3, .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_FIXED32 },
};
static const ProtobufCIntRange nest_ranges[] = { { 1, 0 }, { 0, 3 } };
static const ProtobufCMessageDescriptor nest = {
	.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
	.name = "test.Nest",
	.n_fields = 3,
	.fields = nest_fields,
	.n_field_ranges = 1,
	.field_ranges = nest_ranges,
};

static enum err_code guard(const ProtobufCMessageDescriptor *d, const void *p, size_t n)
{
	struct err e = { 0 };
	enum err_code rc = pb_guard(d, p, n, &e);

	if (rc)
		assert_string_equal(e.slug, "rpc.bad_request");
	return rc;
}

/* depth messages inside each other, built from the inside out; returns the length, the bytes end at buf + size. */
static size_t nested(uint8_t *buf, size_t size, int depth)
{
	size_t len = 0;

	while (--depth > 0) {
		size_t n = len, at = size - len, k = 0;
		uint8_t head[8] = { 0x0a };

		for (k = 1; n >= 0x80; n >>= 7)
			head[k++] = (uint8_t)(n | 0x80);
		head[k++] = (uint8_t)n;
		memcpy(buf + at - k, head, k);
		len += k;
	}
	return len;
}

static void test_depth(void **state)
{
	static uint8_t buf[100000];
	size_t len;

	(void)state;
	len = nested(buf, sizeof(buf), PB_GUARD_DEPTH);
	assert_int_equal(guard(&nest, buf + sizeof(buf) - len, len), OK);
	len = nested(buf, sizeof(buf), PB_GUARD_DEPTH + 1);
	assert_int_equal(guard(&nest, buf + sizeof(buf) - len, len), E_INVALID);
	len = nested(buf, sizeof(buf), 10000); /* kills protobuf-c's unpack on a small stack */
	assert_int_equal(guard(&nest, buf + sizeof(buf) - len, len), E_INVALID);
}

static void test_a_million_unknown_fields(void **state)
{
	const size_t n = 1000000;
	uint8_t *buf = malloc(2 * n);
	size_t i;

	(void)state;
	for (i = 0; i < n; i++) {
		buf[2 * i] = 15 << 3; /* field 15, varint */
		buf[2 * i + 1] = 1;
	}
	assert_int_equal(guard(&common__v1__money__descriptor, buf, 2 * PB_GUARD_UNKNOWN), OK);
	assert_int_equal(guard(&common__v1__money__descriptor, buf, 2 * (PB_GUARD_UNKNOWN + 1)), E_INVALID);
	assert_int_equal(guard(&common__v1__money__descriptor, buf, 2 * n), E_INVALID);
	free(buf);
}

static void test_number_of_fields(void **state)
{
	const size_t n = PB_GUARD_FIELDS + 1;
	uint8_t *buf = malloc(2 * n + 16);
	size_t i, k;

	(void)state;
	for (i = 0; i < n; i++) {
		buf[2 * i] = 2 << 3;
		buf[2 * i + 1] = 7;
	}
	assert_int_equal(guard(&nest, buf, 2 * (n - 1)), OK);
	assert_int_equal(guard(&nest, buf, 2 * n), E_INVALID);
	/* The elements of a packed list count too. */
	buf[0] = 2 << 3 | 2;
	for (k = 1, i = n; i >= 0x80; i >>= 7)
		buf[k++] = (uint8_t)(i | 0x80);
	buf[k++] = (uint8_t)i;
	memset(buf + k, 1, n);
	assert_int_equal(guard(&nest, buf, k + n), E_INVALID);
	free(buf);
}

static void test_packed(void **state)
{
	static const uint8_t good[] = { 2 << 3 | 2, 3, 1, 0x80, 1, 3 << 3 | 2, 4, 1, 2, 3, 4 };
	static const uint8_t cut_varint[] = { 2 << 3 | 2, 2, 1, 0x80 };
	static const uint8_t odd_fixed[] = { 3 << 3 | 2, 3, 1, 2, 3 };

	(void)state;
	assert_int_equal(guard(&nest, good, sizeof(good)), OK);
	assert_int_equal(guard(&nest, cut_varint, sizeof(cut_varint)), E_INVALID);
	assert_int_equal(guard(&nest, odd_fixed, sizeof(odd_fixed)), E_INVALID);
}

/* Money { amount = 1 varint, currency = 2 string } */
static void test_broken_bytes(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[16];
		size_t len;
	} cases[] = {
		{ "field number 0", { 0x00, 1 }, 2 },
		{ "key cut short", { 0x80 }, 1 },
		{ "varint cut short", { 0x08, 0x80 }, 2 },
		{ "varint of eleven bytes", { 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 }, 12 },
		{ "string past the end", { 0x12, 5, 'E', 'U', 'R' }, 5 },
		{ "string length of 2^63", { 0x12, 255, 255, 255, 255, 255, 255, 255, 255, 127, 'x' }, 11 },
		{ "group", { 0x0b, 0x0c }, 2 },
		{ "wire type 7", { 0x0f, 1 }, 2 },
		{ "string sent as varint", { 0x10, 1 }, 2 },
		{ "varint sent as string", { 0x0a, 1, 'x' }, 3 },
		{ "fixed32 cut short", { 0x7d, 1, 2, 3 }, 4 },
		{ "fixed64 cut short", { 0x79, 1, 2, 3, 4, 5, 6, 7 }, 8 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (guard(&common__v1__money__descriptor, cases[i].bytes, cases[i].len) != E_INVALID)
			fail_msg("accepted: %s", cases[i].what);
	assert_int_equal(guard(&common__v1__money__descriptor, NULL, 0), OK);
}

static void test_strings(void **state)
{
	static const struct {
		const char *s;
		size_t len;
		bool ok;
	} cases[] = {
		{ "EUR", 3, true },		       { "", 0, true },
		{ "gr\xc3\xbc\xc3\x9f", 6, true },     { "\xf0\x9f\x98\x80", 4, true },
		{ "\xef\xbf\xbf", 3, true },	       { "\xf4\x8f\xbf\xbf", 4, true },
		{ "a\0b", 3, false },		       { "0123456789\0", 11, false },
		{ "\xff", 1, false },		       { "abc\xc3", 4, false },
		{ "\xc0\x80", 2, false },	       { "\xc1\xbf", 2, false },
		{ "\xe0\x80\x80", 3, false },	       { "\xed\xa0\x80", 3, false },
		{ "\xf0\x80\x80\x80", 4, false },      { "\xf4\x90\x80\x80", 4, false },
		{ "\x80", 1, false },		       { "12345678\x80", 9, false },
		{ "1234567\0", 8, false },	       { "\xc3(", 2, false },
		{ "\xf8\x88\x80\x80\x80", 5, false },
	};
	uint8_t buf[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		buf[0] = 0x12;
		buf[1] = (uint8_t)cases[i].len;
		memcpy(buf + 2, cases[i].s, cases[i].len);
		if ((guard(&common__v1__money__descriptor, buf, cases[i].len + 2) == OK) != cases[i].ok)
			fail_msg("string case %zu", i);
	}
	/* bytes fields are not text */
	buf[0] = 13 << 3 | 2;
	buf[1] = 2;
	memcpy(buf + 2, "\0\xff", 2);
	assert_int_equal(guard(&common__v1__request__descriptor, buf, 4), OK);
}

static void test_unpack_within_the_arena(void **state)
{
	struct arena *a = arena_new("test", 64 << 10);
	ProtobufCMessage *msg = NULL;
	struct err e = { 0 };
	uint8_t *big = malloc(200000);
	size_t n = 0;

	(void)state;
	assert_int_equal(pb_unpack(&common__v1__money__descriptor, "\x08\x05\x12\x03"
								   "EUR",
				   7, a, &msg, &e),
			 OK);
	assert_int_equal(((Common__V1__Money *)(void *)msg)->amount, 5);
	/* 40,000 short strings in a list take far more memory than bytes. */
	while (n < 120000) {
		memcpy(big + n, "\x3a\x01x", 3); /* Principal.roles */
		n += 3;
	}
	assert_int_equal(pb_unpack(&common__v1__principal__descriptor, big, n, a, &msg, &e), E_TOO_LARGE);
	assert_string_equal(e.slug, "common.too_large");
	free(big);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_a_million_unknown_fields),
		cmocka_unit_test(test_number_of_fields),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_broken_bytes),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_unpack_within_the_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
