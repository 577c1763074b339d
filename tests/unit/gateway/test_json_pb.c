/* gateway/json_*.c: round trips, and everything a body can get wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "catalog.pb-c.h"
#include "cart.pb-c.h"
#include "checkout.pb-c.h"
#include "common.pb-c.h"
#include "identity.pb-c.h"
#include "inventory.pb-c.h"
#include "gateway/json_pb.h"

static struct arena *a;

static int setup(void **state)
{
	(void)state;
	a = arena_new("test", 8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static char *written(const ProtobufCMessage *m)
{
	struct buf b;
	char *s;

	buf_init(&b, 1 << 20);
	jpb_write(&b, m);
	assert_false(buf_over(&b));
	s = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return s;
}

static ProtobufCMessage *read_ok(const ProtobufCMessageDescriptor *d, const char *text)
{
	ProtobufCMessage *m = jpb_new(a, d);
	struct err e = { 0 };

	if (jpb_read(a, text, strlen(text), m, &e))
		fail_msg("%s: %s (%s)", text, e.msg, e.n_details ? e.details[0].message : "");
	return m;
}

static void same(const ProtobufCMessageDescriptor *d, const char *text)
{
	assert_string_equal(written(read_ok(d, text)), text);
}

/* The first detail names the field and says that. */
static void refused(const ProtobufCMessageDescriptor *d, const char *text, size_t len, const char *slug,
		    const char *field, const char *what)
{
	ProtobufCMessage *m = jpb_new(a, d);
	struct err e = { 0 };

	if (jpb_read(a, text, len, m, &e) != E_INVALID)
		fail_msg("accepted: %s", text);
	assert_string_equal(e.slug, slug);
	assert_true(e.n_details > 0);
	if (strcmp(e.details[0].field, field) || !strstr(e.details[0].message, what))
		fail_msg("%s: \"%s\" %s; wanted \"%s\" %s", text, e.details[0].field, e.details[0].message, field, what);
}

static void bad(const ProtobufCMessageDescriptor *d, const char *text, const char *field, const char *what)
{
	refused(d, text, strlen(text), "common.invalid_input", field, what);
}

static void broken(const char *text, size_t len, const char *field, const char *what)
{
	refused(&common__v1__audit_row__descriptor, text, len, "common.invalid_json", field, what);
}

#define AUDIT &common__v1__audit_row__descriptor
#define AVAIL &inventory__v1__availability_reply__descriptor
#define RESERVE &inventory__v1__reserve_request__descriptor
#define VARIANT &catalog__v1__variant_info__descriptor

static void round_trips(void **state)
{
	(void)state;
	same(AUDIT, "{}");
	same(AUDIT, "{\"id\":9223372036854775807,\"changed_at\":\"2026-01-15T10:30:00.123Z\",\"actor\":\"a\"}");
	same(AUDIT, "{\"id\":-9223372036854775808}");
	same(AUDIT, "{\"before\":{\"a\":[1,{\"b\":null}],\"c\":1.5,\"price\":0.1}}");
	same(VARIANT, "{\"variant_id\":\"var_1\",\"price\":{\"amount\":1999,\"currency\":\"USD\"},\"sellable\":true,"
		      "\"weight_g\":-5,\"category_ids\":[\"a\",\"b\"]}");
	same(VARIANT, "{\"sellable\":false,\"category_ids\":[]}");
	same(RESERVE, "{\"reservation_key\":\"k\",\"lines\":[{\"variant_id\":\"v\",\"qty\":2147483647},{\"qty\":-2147483648}],"
		      "\"ttl_s\":60}");
	same(AVAIL, "{\"data\":[{\"available\":0,\"backorder\":true}]}");
	same(&common__v1__request__descriptor, "{\"version\":4294967295,\"payload\":\"AAEC/w==\"}");
	same(&common__v1__principal__descriptor, "{\"kind\":\"user\",\"roles\":[],\"perms\":[\"a\\\"b\\\\c\\n\"]}");
}

static void texts_come_back_as_they_went(void **state)
{
	Common__V1__AuditRow *row;

	(void)state;
	row = (Common__V1__AuditRow *)read_ok(AUDIT, "{\"actor\":\"\\u00e4\\ud83d\\ude00\\u2028/\\t\"}");
	assert_string_equal(row->actor, "\xc3\xa4\xf0\x9f\x98\x80\xe2\x80\xa8/\t");
	row = (Common__V1__AuditRow *)read_ok(AUDIT, written(&row->base));
	assert_string_equal(row->actor, "\xc3\xa4\xf0\x9f\x98\x80\xe2\x80\xa8/\t");
	row->actor = (char *)(uintptr_t)"bad \xff\xc0\x80 utf-8 \x01";
	assert_non_null(strstr(written(&row->base), "\\u0001"));
	assert_null(strstr(written(&row->base), "\xff"));
}

static void empty_bodies_are_empty_objects(void **state)
{
	(void)state;
	assert_string_equal(written(read_ok(AUDIT, "")), "{}");
	assert_string_equal(written(read_ok(AUDIT, " \r\n\t ")), "{}");
}

static void types(void **state)
{
	(void)state;
	bad(AUDIT, "[]", "body", "object");
	bad(AUDIT, "{\"nope\":1}", "nope", "not a known");
	bad(AUDIT, "{\"id\":\"1\"}", "id", "integer");
	bad(AUDIT, "{\"id\":1.0}", "id", "integer");
	bad(AUDIT, "{\"id\":1e3}", "id", "integer");
	bad(AUDIT, "{\"id\":true}", "id", "integer");
	bad(AUDIT, "{\"id\":null}", "id", "null");
	bad(AUDIT, "{\"id\":[1]}", "id", "integer");
	bad(AUDIT, "{\"actor\":1}", "actor", "text");
	bad(AUDIT, "{\"actor\":{}}", "actor", "text");
	bad(AUDIT, "{\"changed_at\":1768473000000}", "changed_at", "time");
	bad(AUDIT, "{\"changed_at\":\"yesterday\"}", "changed_at", "time");
	bad(AUDIT, "{\"before\":[]}", "before", "object");
	bad(AUDIT, "{\"before\":\"{}\"}", "before", "object");
	bad(VARIANT, "{\"sellable\":1}", "sellable", "true or false");
	bad(VARIANT, "{\"weight_g\":2147483648}", "weight_g", "range");
	bad(VARIANT, "{\"weight_g\":-2147483649}", "weight_g", "range");
	bad(VARIANT, "{\"category_ids\":\"a\"}", "category_ids", "list");
	bad(VARIANT, "{\"category_ids\":[\"a\",2]}", "category_ids[1]", "text");
	bad(VARIANT, "{\"price\":5}", "price", "object");
	bad(VARIANT, "{\"price\":{\"amount\":1}}", "price.currency", "required");
	bad(VARIANT, "{\"price\":{\"currency\":\"USD\"}}", "price.amount", "required");
	bad(VARIANT, "{\"price\":{\"amount\":1,\"currency\":\"usd\"}}", "price.currency", "ISO 4217");
	bad(VARIANT, "{\"price\":{\"amount\":1.5,\"currency\":\"USD\"}}", "price.amount", "integer");
	bad(RESERVE, "{\"lines\":[{\"qty\":1},{\"qty\":\"x\"}]}", "lines[1].qty", "integer");
	bad(RESERVE, "{\"lines\":[{\"qty\":1,\"price\":1}]}", "lines[0].price", "not a known");
	bad(&common__v1__principal__descriptor, "{\"kind\":\"root\"}", "kind", "one of: user service");
	bad(&common__v1__principal__descriptor, "{\"kind\":\"KIND_USER\"}", "kind", "one of");
	bad(&common__v1__principal__descriptor, "{\"kind\":\"unspecified\"}", "kind", "one of");
	bad(&common__v1__principal__descriptor, "{\"kind\":1}", "kind", "text");
	bad(&common__v1__request__descriptor, "{\"version\":-1}", "version", "range");
	bad(&common__v1__request__descriptor, "{\"version\":4294967296}", "version", "range");
	bad(&common__v1__request__descriptor, "{\"payload\":\"AAE\"}", "payload", "base64");
	bad(&common__v1__request__descriptor, "{\"payload\":\"AAF=\"}", "payload", "base64");
}

static void hidden_fields_are_unknown(void **state)
{
	(void)state;
	bad(&cart__v1__cart_for_checkout_request__descriptor, "{\"hdr_cart_token\":\"stolen\"}", "hdr_cart_token",
	    "not a known");
}

static void hidden_fields_are_not_written(void **state)
{
	Identity__V1__Address m = IDENTITY__V1__ADDRESS__INIT;

	(void)state;
	m.id = (char *)(uintptr_t)"adr_1";
	m.hdr_etag = (char *)(uintptr_t)"secret";
	assert_string_equal(written(&m.base), "{\"id\":\"adr_1\"}");
}

static void every_fault_is_listed(void **state)
{
	ProtobufCMessage *m = jpb_new(a, VARIANT);
	const char *text = "{\"variant_id\":1,\"weight_g\":\"x\",\"sellable\":0,\"zzz\":1}";
	struct err e = { 0 };

	(void)state;
	assert_int_equal(jpb_read(a, text, strlen(text), m, &e), E_INVALID);
	assert_int_equal(e.n_details, 4);
}

static void a_thousand_faults_do_not_overflow(void **state)
{
	struct buf b;
	struct err e = { 0 };
	ProtobufCMessage *m = jpb_new(a, VARIANT);

	(void)state;
	buf_init(&b, 1 << 20);
	buf_str(&b, "{\"category_ids\":[");
	for (int i = 0; i < 1000; i++)
		buf_str(&b, i ? ",1" : "1");
	buf_str(&b, "]}");
	assert_int_equal(jpb_read(a, b.data, b.len, m, &e), E_INVALID);
	assert_int_equal(e.n_details, ERR_DETAILS_MAX);
	buf_free(&b);
}

#define BROKEN(text, field, what) broken(text, sizeof text - 1, field, what)

static void not_json(void **state)
{
	(void)state;
	BROKEN("{", "body", "not valid JSON");
	BROKEN("{\"actor\":\"a\"", "actor", "not valid JSON");
	BROKEN("{'actor':1}", "body", "not valid JSON");
	BROKEN("{\"actor\":\"a\",}", "body", "not valid JSON");
	BROKEN("{} {}", "body", "not valid JSON");
	BROKEN("{}x", "body", "not valid JSON");
	BROKEN("\xef\xbb\xbf{}", "body", "not valid");
	BROKEN("{\"id\":NaN}", "id", "not valid JSON");
	BROKEN("{\"id\":01}", "id", "not valid JSON");
	BROKEN("{\"id\":1}\0", "body", "not valid JSON");
	BROKEN("{\"id\":1,\"id\":2}", "id", "twice");
	BROKEN("{\"before\":{\"a\":{\"x\":1,\"x\":1}}}", "before.a.x", "twice");
	BROKEN("{\"id\":9223372036854775808}", "id", "range");
	BROKEN("{\"id\":-9223372036854775809}", "id", "range");
	BROKEN("{\"before\":{\"x\":1e400}}", "before.x", "range");
	BROKEN("{\"actor\":\"a\\u0000b\"}", "actor", "NUL");
	BROKEN("{\"actor\":\"\xff\"}", "actor", "UTF-8");
	BROKEN("{\"actor\":\"\xc0\x80\"}", "actor", "UTF-8");
	BROKEN("{\"actor\":\"\xed\xa0\x80\"}", "actor", "UTF-8");
	BROKEN("{\"actor\":\"\\ud800\"}", "actor", "not valid");
	BROKEN("{\"actor\":\"a\nb\"}", "actor", "not valid JSON");
}

static char *nested(int n)
{
	struct buf b;
	char *s;

	buf_init(&b, 1 << 20);
	buf_str(&b, "{\"before\":{\"a\":");
	for (int i = 2; i < n; i++)
		buf_char(&b, '[');
	for (int i = 2; i < n; i++)
		buf_char(&b, ']');
	buf_str(&b, "}}");
	s = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return s;
}

static void depth(void **state)
{
	char *deep = nested(JSON_DEPTH_MAX + 1), *very = nested(200000);

	(void)state;
	read_ok(AUDIT, nested(JSON_DEPTH_MAX));
	refused(AUDIT, deep, strlen(deep), "common.invalid_json", "before.a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]",
		"deeply");
	refused(AUDIT, very, strlen(very), "common.invalid_json",
		"before.a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]", "deeply");
}

/* Brackets in strings do not nest, escapes do not end them. */
static void depth_of_strings(void **state)
{
	size_t at;
	char text[200] = "{\"a\":\"";

	(void)state;
	for (int i = 0; i < 100; i++)
		strncat(text, "[", sizeof text - strlen(text) - 1);
	strncat(text, "\\\"[[[\"}", sizeof text - strlen(text) - 1);
	assert_true(json_depth_ok(text, strlen(text), &at));
}

static void set_text(ProtobufCMessage *m, const char *name, const char *value, enum err_code want)
{
	struct err e = { 0 };

	if (jpb_set_text(a, m, name, value, strlen(value), &e) != want)
		fail_msg("%s=%s", name, value);
	if (want)
		assert_string_equal(e.details[0].field, name);
}

static void parameters(void **state)
{
	Inventory__V1__ReserveRequest *r = (Inventory__V1__ReserveRequest *)jpb_new(a, RESERVE);
	Common__V1__AuditRow *row = (Common__V1__AuditRow *)jpb_new(a, AUDIT);
	Catalog__V1__VariantInfo *v = (Catalog__V1__VariantInfo *)jpb_new(a, VARIANT);
	struct err e = { 0 };

	(void)state;
	set_text(&r->base, "ttl_s", "60", OK);
	assert_int_equal(r->ttl_s, 60);
	set_text(&r->base, "ttl_s", "61", E_INVALID); /* twice */
	set_text(&r->base, "lines", "x", E_INVALID);
	set_text(&r->base, "nope", "x", E_INVALID);
	set_text(&row->base, "id", "", E_INVALID);
	set_text(&row->base, "id", "-", E_INVALID);
	set_text(&row->base, "id", "+5", E_INVALID);
	set_text(&row->base, "id", "5 ", E_INVALID);
	set_text(&row->base, "id", "0x10", E_INVALID);
	set_text(&row->base, "id", "9223372036854775808", E_INVALID);
	set_text(&row->base, "id", "-9223372036854775808", OK);
	assert_true(row->id == INT64_MIN);
	set_text(&row->base, "changed_at", "2026-01-15T10:30:00Z", OK);
	set_text(&row->base, "actor", "\xff", E_INVALID);
	assert_int_equal(jpb_set_text(a, &row->base, "actor", "a\0b", 3, &e), E_INVALID);
	set_text(&v->base, "sellable", "yes", E_INVALID);
	set_text(&v->base, "sellable", "false", OK);
	assert_true(v->has_sellable && !v->sellable);
	for (int i = 0; i < 9; i++)
		set_text(&v->base, "category_ids", i % 2 ? "odd" : "even", OK);
	assert_int_equal(v->n_category_ids, 9);
	assert_string_equal(v->category_ids[7], "odd");
	assert_string_equal(v->category_ids[8], "even");
}

static void body_may_not_repeat_the_path(void **state)
{
	Inventory__V1__ReserveRequest *r = (Inventory__V1__ReserveRequest *)jpb_new(a, RESERVE);
	const char *text = "{\"owner\":\"other\"}";
	struct err e = { 0 };

	(void)state;
	set_text(&r->base, "owner", "me", OK);
	assert_int_equal(jpb_read(a, text, strlen(text), &r->base, &e), E_INVALID);
	assert_string_equal(r->owner, "me");
	assert_non_null(strstr(e.details[0].message, "already"));
}

static void required(void **state)
{
	ProtobufCMessage *m = read_ok(RESERVE, "{\"reservation_key\":\"\",\"lines\":[],\"ttl_s\":0}");
	struct err e = { 0 };

	(void)state;
	assert_int_equal(jpb_required(m, "ttl_s", &e), OK);
	assert_int_equal(jpb_required(m, "", &e), OK);
	assert_int_equal(jpb_required(m, "reservation_key lines owner ttl_s", &e), E_INVALID);
	assert_int_equal(e.n_details, 3);
}

static void enum_words(void **state)
{
	char word[64];

	(void)state;
	jpb_enum_word(&common__v1__principal__kind__descriptor, 1, word);
	assert_string_equal(word, "user");
	jpb_enum_word(&common__v1__principal__kind__descriptor, 0, word);
	assert_string_equal(word, "");
	jpb_enum_word(&common__v1__principal__kind__descriptor, 77, word);
	assert_string_equal(word, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(round_trips),
		T(texts_come_back_as_they_went),
		T(empty_bodies_are_empty_objects),
		T(types),
		T(hidden_fields_are_unknown),
		T(hidden_fields_are_not_written),
		T(every_fault_is_listed),
		T(a_thousand_faults_do_not_overflow),
		T(not_json),
		T(depth),
		T(depth_of_strings),
		T(parameters),
		T(body_may_not_repeat_the_path),
		T(required),
		T(enum_words),
	};

	return cmocka_run_group_tests_name("gateway json_pb", tests, NULL, NULL);
}
