/*
 * Memory with one lifetime: everything taken from an arena goes at its reset. One per request; never shared between
 * threads.
 *
 * Past its limit an arena keeps serving arena_alloc (so that no caller needs a NULL check) but remembers it:
 * whoever loops over input from outside, and the request loop before it replies, asks arena_over. arena_pb refuses at
 * the limit, which bounds what unpacking a message may take. Running out of memory ends the process.
 */
#ifndef SOUK_ARENA_H
#define SOUK_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"

struct arena;

struct arena *arena_new(const char *name /* static, for logs */, size_t limit) RETURNS_NONNULL;
void arena_free(struct arena *a); /* NULL is fine */
void arena_reset(struct arena *a); /* keeps the first block for the next request */

void *arena_alloc(struct arena *a, size_t size) RETURNS_NONNULL; /* zeroed, aligned to 16 */
void *arena_array(struct arena *a, size_t n, size_t size) RETURNS_NONNULL; /* n elements; the product is checked */
void *arena_dup(struct arena *a, const void *p, size_t n) RETURNS_NONNULL; /* a NUL follows, not counted */
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t max) RETURNS_NONNULL;
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3) RETURNS_NONNULL;
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF_LIKE(2, 0) RETURNS_NONNULL;

bool arena_over(const struct arena *a);	  /* sticky until reset */
size_t arena_used(const struct arena *a); /* bytes since the last reset */
size_t arena_peak(const struct arena *a); /* largest arena_used ever */

/* For protobuf_c unpack: free is a no-op, alloc returns NULL past the limit. Memory is not zeroed. */
ProtobufCAllocator arena_pb(struct arena *a);

#endif
