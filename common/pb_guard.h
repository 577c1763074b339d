/*
 * A linear look at packed protobuf bytes before protobuf-c unpacks them: no recursion, no allocation. protobuf-c itself
 * has no nesting limit, keeps every unknown field in an allocation of its own, and accepts strings that are not UTF-8
 * or hold a NUL (behind which they would be cut).
 */
#ifndef SOUK_PB_GUARD_H
#define SOUK_PB_GUARD_H

#include <protobuf-c/protobuf-c.h>

#include "common/arena.h"
#include "common/compiler.h"
#include "common/err.h"

enum {
	PB_GUARD_DEPTH = 32,	  /* messages inside messages, the outermost counts as 1 */
	PB_GUARD_FIELDS = 65536,  /* fields and packed elements of the whole message */
	PB_GUARD_UNKNOWN = 256,	  /* unknown fields of the whole message: a newer peer sends a few, an attack many */
};

/* OK when the bytes may be unpacked by desc. Otherwise E_INVALID "rpc.bad_request" with the reason in err.msg. */
MUST_CHECK enum err_code pb_guard(const ProtobufCMessageDescriptor *desc, const void *bytes, size_t len, struct err *);

/* pb_guard, then unpack into the arena. Growth past the arena's limit is E_TOO_LARGE "common.too_large". */
MUST_CHECK enum err_code pb_unpack(const ProtobufCMessageDescriptor *desc, const void *bytes, size_t len,
				   struct arena *, ProtobufCMessage **msg_r, struct err *);

/* Valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF) without a NUL. */
bool pb_utf8_ok(const void *s, size_t len);

#endif
