/*
 * JSON <-> protobuf by descriptor, for every message there is.
 *
 * Field names verbatim; integers only where the field is an integer, within its range; int32/int64 fields whose name
 * ends in _at are RFC 3339 texts outside and epoch milliseconds inside; bytes are base64; the value ORDER_STATE_PAID of
 * enum OrderState is "paid"; common.v1.Json {text} is any JSON object; an unset optional field is an absent key; null is
 * refused. Fields named hdr_* or raw_body belong to the gateway and never appear in JSON.
 */
#ifndef SOUK_GATEWAY_JSON_PB_H
#define SOUK_GATEWAY_JSON_PB_H

#include <protobuf-c/protobuf-c.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"

#define JSON_DEPTH_MAX 32

/* ---- reading: all errors are E_INVALID with a detail per field, the path written like items[0].qty ---- */

/* An empty message of the descriptor in the arena. */
ProtobufCMessage *jpb_new(struct arena *a, const ProtobufCMessageDescriptor *d);

/*
 * Reads a JSON object into m, whose fields set before (path, query) may not occur again. Empty text counts as {}.
 * Slugs: common.invalid_json (not JSON at all, too deep, duplicate key), common.invalid_input (does not fit).
 */
MUST_CHECK enum err_code jpb_read(struct arena *a, const char *text, size_t len, ProtobufCMessage *m, struct err *e);

/*
 * One path variable or query parameter, already percent-decoded; value is NUL-terminated as well. Repeated fields append.
 * Adds a detail and returns E_INVALID when there is no such field or the text does not fit.
 */
MUST_CHECK enum err_code jpb_set_text(struct arena *a, ProtobufCMessage *m, const char *name, const char *value,
				      size_t len, struct err *e);

/* Every word of "a b c" must be set (texts and lists not empty); a detail for each that is not. */
MUST_CHECK enum err_code jpb_required(const ProtobufCMessage *m, const char *words, struct err *e);

/* ---- fields by name; absent fields are no error: the row decides what a message has ---- */
const ProtobufCFieldDescriptor *jpb_field(const ProtobufCMessage *m, const char *name);
bool jpb_is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
bool jpb_has(const ProtobufCMessage *m, const char *name);
bool jpb_put_str(ProtobufCMessage *m, const char *name, const char *s); /* not copied; false: no such string field */
bool jpb_put_int(ProtobufCMessage *m, const char *name, int64_t v);
bool jpb_put_bytes(ProtobufCMessage *m, const char *name, const void *p, size_t n);
const char *jpb_get_str(const ProtobufCMessage *m, const char *name); /* NULL when absent or unset */
bool jpb_get_int(const ProtobufCMessage *m, const char *name, int64_t *v_r);
bool jpb_get_bytes(const ProtobufCMessage *m, const char *name, ProtobufCBinaryData *v_r);
size_t jpb_element_size(ProtobufCType t); /* of one element in the array of a repeated field */
bool jpb_hidden(const char *field_name); /* hdr_* and raw_body */

/* ---- writing ---- */
/* The message as a JSON object, without hidden fields. Lists are always there, also empty ones. */
void jpb_write(struct buf *b, const ProtobufCMessage *m);

/* The public word of an enum value ("paid"), lower case, into out; "" when there is none (UNSPECIFIED, unknown). */
void jpb_enum_word(const ProtobufCEnumDescriptor *d, int value, char out[64]);
bool jpb_is_time(const ProtobufCFieldDescriptor *f); /* an integer field named *_at */

/* ---- scanning (json_scan.c): no recursion, no allocation ---- */
/* Deepest nesting is within JSON_DEPTH_MAX; else false and the offset of the bracket that goes past it. */
bool json_depth_ok(const char *text, size_t len, size_t *bad_r);
/* The path ("items[3].qty") that stands at a byte offset of a possibly broken text; "body" at the top. */
void json_path_at(const char *text, size_t len, size_t offset, char *out, size_t cap);

#endif
