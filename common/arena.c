#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1 /* clang's way of saying it */
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define REDZONE 16 /* between allocations, so that overruns inside a block are seen */
#define POISON(p, n)                                                                                \
	do {                                                                                        \
		void *poisoned = (p);                                                               \
		/* gcc believes that poisoning reads fresh memory */                                \
		__asm__("" : "+r"(poisoned) : : "memory");                                          \
		__asan_poison_memory_region(poisoned, (n));                                         \
	} while (0)
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define REDZONE 0
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define BLOCK_SIZE 8192
#define ALIGN	   16

struct block {
	struct block *next;
	size_t size, used; /* of data */
	alignas(ALIGN) unsigned char data[];
};

struct arena {
	const char *name;
	size_t limit, used, peak;
	bool over;
	struct block *first; /* kept over resets */
	struct block *last;
};

static NORETURN void out_of_memory(const char *name, size_t size)
{
	fprintf(stderr, "{\"level\":\"CRITICAL\",\"message\":\"out of memory\",\"context\":{\"arena\":\"%s\",\"bytes\":%zu}}\n",
		name, size);
	abort();
}

static struct block *block_new(struct arena *a, size_t size)
{
	struct block *b = size <= SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + size) : NULL;

	if (!b)
		out_of_memory(a->name, size);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	POISON(b->data, size);
	return b;
}

struct arena *arena_new(const char *name, size_t limit)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		out_of_memory(name, sizeof(*a));
	a->name = name;
	a->limit = limit;
	return a;
}

static void block_free(struct block *b)
{
	UNPOISON(b->data, b->size);
	free(b);
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct block *b = a->first, *next; b; b = next) {
		next = b->next;
		block_free(b);
	}
	free(a);
}

void arena_reset(struct arena *a)
{
	struct block *b = a->first;

	a->used = 0;
	a->over = false;
	if (!b)
		return;
	for (struct block *x = b->next, *next; x; x = next) {
		next = x->next;
		block_free(x);
	}
	b->next = NULL;
	a->last = b;
	if (b->size > BLOCK_SIZE) { /* one request with a giant first allocation must not cost for ever */
		block_free(b);
		a->first = a->last = NULL;
		return;
	}
	b->used = 0;
	POISON(b->data, b->size);
}

/* Uninitialised memory; counts against the limit without enforcing it. */
static void *take(struct arena *a, size_t size)
{
	size_t need;
	struct block *b = a->last;
	void *p;

	if (size > SIZE_MAX - 2 * ALIGN - REDZONE)
		out_of_memory(a->name, size);
	need = (size + REDZONE + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (need == 0)
		need = ALIGN;
	if (!b || b->size - b->used < need) {
		/* Later blocks grow with what was used, so that a big arena is few mallocs. */
		size_t want = a->first ? a->used / 2 : 0;

		want = want < BLOCK_SIZE ? BLOCK_SIZE : want > (1u << 20) ? (1u << 20) : want;
		b = block_new(a, need > want ? need : want);
		if (a->last)
			a->last->next = b;
		else
			a->first = b;
		a->last = b;
	}
	p = b->data + b->used;
	b->used += need;
	if (__builtin_add_overflow(a->used, size, &a->used))
		a->used = SIZE_MAX;
	if (a->used > a->limit)
		a->over = true;
	if (a->used > a->peak)
		a->peak = a->used;
	UNPOISON(p, size);
	return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return memset(take(a, size), 0, size);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory(a->name, SIZE_MAX);
	return arena_alloc(a, total);
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
	unsigned char *out = take(a, n + 1);

	if (n)
		memcpy(out, p, n);
	out[n] = 0;
	return out;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_dup(a, s, strlen(s)) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t max)
{
	return arena_dup(a, s, s ? strnlen(s, max) : 0);
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	char *out;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0)
		n = 0, small[0] = '\0';
	if ((size_t)n < sizeof(small)) {
		out = arena_dup(a, small, (size_t)n);
	} else {
		out = take(a, (size_t)n + 1);
		(void)vsnprintf(out, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return out;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *out;

	va_start(ap, fmt);
	out = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return out;
}

bool arena_over(const struct arena *a)
{
	return a->over;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

size_t arena_peak(const struct arena *a)
{
	return a->peak;
}

static void *pb_alloc(void *arena, size_t size)
{
	struct arena *a = arena;

	if (a->over || size > a->limit || a->used > a->limit - size) {
		a->over = true;
		return NULL;
	}
	return take(a, size);
}

static void pb_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

ProtobufCAllocator arena_pb(struct arena *a)
{
	return (ProtobufCAllocator){ .alloc = pb_alloc, .free = pb_free, .allocator_data = a };
}
