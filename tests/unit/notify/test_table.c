#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "events.pb-c.h"
#include "services/notify/event_json.h"
#include "services/notify/notify.h"

static void every_method_is_served_once(void **state)
{
	struct rpc_bound *b = NULL;
	struct err e = { 0 };

	(void)state;
	if (rpc_bind(notify_services, &b, &e))
		fail_msg("%s", e.msg);
	rpc_bound_free(b);
}

/* A type that can be subscribed to is handled, so that it is told at all. */
static void every_type_is_heard(void **state)
{
	(void)state;
	for (size_t i = 0; event_types[i]; i++) {
		size_t j = 0;

		while (notify_inbox[j].type && strcmp(notify_inbox[j].type, event_types[i]) != 0)
			j++;
		if (!notify_inbox[j].type)
			fail_msg("%s has no handler", event_types[i]);
	}
}

static void words(void **state)
{
	(void)state;
	assert_true(event_words_match("order.placed", "order.placed"));
	assert_true(event_words_match("a.b order.*", "order.placed"));
	assert_true(event_words_match("*", "order.placed"));
	assert_false(event_words_match("order.place", "order.placed"));
	assert_false(event_words_match("vendor.*", "vendor_order.placed"));
	assert_false(event_words_match("", "order.placed"));
	assert_true(event_word_ok("order.placed"));
	assert_true(event_word_ok("vendor.*"));
	assert_true(event_word_ok("*"));
	assert_false(event_word_ok("user.registered"));
	assert_false(event_word_ok("*.placed"));
	assert_false(event_word_ok("or*der.*"));
	assert_false(event_word_ok("order.placed x"));
	assert_false(event_word_ok(""));
	assert_false(event_word_ok(NULL));
}

static json_t *tell(const ProtobufCMessage *m, const char *type)
{
	const struct inbox_event ev = { .event_id = "e1", .type = type, .occurred_at = 1767225600000, .msg = m };
	struct buf b;
	json_t *o;

	buf_init(&b, 100000);
	event_json(&ev, &b);
	o = json_loads(buf_cstr(&b), JSON_REJECT_DUPLICATES, NULL);
	if (!o)
		fail_msg("not JSON: %s", buf_cstr(&b));
	buf_free(&b);
	return o;
}

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	o = json_object_get(o, a);
	return json_string_value(b ? json_object_get(o, b) : o);
}

static void an_event_as_json(void **state)
{
	Events__V1__OrderLine first = EVENTS__V1__ORDER_LINE__INIT, line = EVENTS__V1__ORDER_LINE__INIT;
	Events__V1__OrderLine *lines[2] = { &first, &line };
	Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;
	Common__V1__Money total = COMMON__V1__MONEY__INIT;
	json_t *o, *data;

	(void)state;
	m.order_id = "ord_1";
	m.total = &total;
	total.currency = "EUR";
	line.variant_id = "quote\" and \x01";
	line.has_qty = true;
	line.qty = 3;
	m.lines = lines;
	m.n_lines = 2;
	o = tell(&m.base, "order.placed");
	data = json_object_get(o, "data");
	assert_string_equal(text_at(o, "id", NULL), "e1");
	assert_string_equal(text_at(o, "type", NULL), "order.placed");
	assert_string_equal(text_at(o, "created_at", NULL), "2026-01-01T00:00:00.000Z");
	assert_string_equal(text_at(data, "order_id", NULL), "ord_1");
	assert_string_equal(text_at(data, "total", "currency"), "EUR");
	assert_null(json_object_get(data, "user_id"));
	assert_int_equal(json_array_size(json_object_get(data, "lines")), 2);
	data = json_array_get(json_object_get(data, "lines"), 1);
	assert_int_equal(json_integer_value(json_object_get(data, "qty")), 3);
	assert_string_equal(text_at(data, "variant_id", NULL), "quote\" and \x01");
	json_decref(o);
}

/* event_json knows texts, whole numbers, bools and messages; an event with another kind of field would be told wrongly. */
static void check_fields(const ProtobufCMessageDescriptor *d, int depth)
{
	assert_true(depth < 4);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];

		switch (f->type) {
		case PROTOBUF_C_TYPE_STRING:
		case PROTOBUF_C_TYPE_BOOL:
		case PROTOBUF_C_TYPE_INT32:
		case PROTOBUF_C_TYPE_INT64:
			break;
		case PROTOBUF_C_TYPE_MESSAGE:
			check_fields(f->descriptor, depth + 1);
			break;
		default:
			fail_msg("%s.%s is of a type that event_json does not know", d->name, f->name);
		}
	}
}

static void events_have_known_fields(void **state)
{
	(void)state;
	for (size_t i = 0; notify_inbox[i].type; i++)
		check_fields(notify_inbox[i].desc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_is_served_once), cmocka_unit_test(every_type_is_heard),
		cmocka_unit_test(words),		       cmocka_unit_test(an_event_as_json),
		cmocka_unit_test(events_have_known_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
