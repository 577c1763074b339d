/*
 * One arena per request: allocation never returns NULL, everything goes at once. Past its limit it goes on from a
 * small reserve and remembers (arena_over), so that nobody has to check every allocation.
 */
#ifndef SOUK_ARENA_H
#define SOUK_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"

struct arena;

struct arena *arena_new(const char *name, size_t limit); /* aborts the process when even that fails */
void arena_free(struct arena *a);			  /* NULL is fine */
void arena_reset(struct arena *a);			  /* gives memory past the first block back */
void *arena_alloc(struct arena *a, size_t size);	  /* zeroed, 16-byte aligned, never NULL */
bool arena_over(const struct arena *a);		  /* sticky until reset: the result is not to be used */
size_t arena_used(const struct arena *a);
char *arena_strdup(struct arena *a, const char *s);	  /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
ProtobufCAllocator arena_pb(struct arena *a);		  /* free is a no-op; NULL past the limit, so unpack fails */

#endif
