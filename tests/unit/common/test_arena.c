#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t n = 0; n < 300; n++) {
			unsigned char *p = arena_alloc(a, n);

			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xaa, n);
		}
		arena_reset(a);
	}
	arena_free(a);
	arena_free(NULL);
}

static void allocations_do_not_overlap(void **state)
{
	struct arena *a = arena_new("test", 1 << 24);
	unsigned char *p[400];

	(void)state;
	for (size_t i = 0; i < 400; i++) {
		p[i] = arena_alloc(a, i * 7 % 1000 + 1);
		memset(p[i], (int)(i % 251), i * 7 % 1000 + 1);
	}
	for (size_t i = 0; i < 400; i++)
		for (size_t k = 0; k < i * 7 % 1000 + 1; k++)
			assert_int_equal(p[i][k], i % 251);
	arena_free(a);
}

static void limit_is_sticky_until_reset(void **state)
{
	struct arena *a = arena_new("test", 1000);
	char *p;

	(void)state;
	(void)arena_alloc(a, 900);
	assert_false(arena_over(a));
	p = arena_alloc(a, 50000);
	memset(p, 1, 50000); /* still served */
	assert_true(arena_over(a));
	assert_true(arena_used(a) >= 50900);
	(void)arena_alloc(a, 1);
	assert_true(arena_over(a));
	arena_reset(a);
	assert_false(arena_over(a));
	assert_int_equal(arena_used(a), 0);
	assert_true(arena_peak(a) >= 50900);
	arena_free(a);
}

static void protobuf_allocator_refuses_past_limit(void **state)
{
	struct arena *a = arena_new("test", 1000);
	ProtobufCAllocator pb = arena_pb(a);

	(void)state;
	assert_non_null(pb.alloc(pb.allocator_data, 600));
	pb.free(pb.allocator_data, pb.allocator_data);
	assert_null(pb.alloc(pb.allocator_data, 600));
	assert_true(arena_over(a));
	assert_null(pb.alloc(pb.allocator_data, 1)); /* sticky */
	arena_reset(a);
	assert_null(pb.alloc(pb.allocator_data, SIZE_MAX));
	arena_reset(a);
	assert_non_null(pb.alloc(pb.allocator_data, 1000));
	arena_free(a);
}

static void texts(void **state)
{
	struct arena *a = arena_new("test", 1 << 20);
	char big[5000];

	(void)state;
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_null(arena_strdup(a, NULL));
	assert_string_equal(arena_strdup(a, "souk"), "souk");
	assert_string_equal(arena_strndup(a, "souk", 2), "so");
	assert_string_equal(arena_strndup(a, "souk", 99), "souk");
	assert_string_equal(arena_strndup(a, NULL, 99), "");
	assert_string_equal(arena_printf(a, "%s-%d", "x", 5), "x-5");
	assert_int_equal(strlen(arena_printf(a, "%s%s", big, big)), 9998);
	assert_string_equal(arena_printf(a, "%s", ""), "");
	assert_memory_equal(arena_dup(a, "a\0b", 3), "a\0b\0", 4);
	assert_memory_equal(arena_array(a, 3, 4), "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(allocations_do_not_overlap),
		cmocka_unit_test(limit_is_sticky_until_reset),
		cmocka_unit_test(protobuf_allocator_refuses_past_limit),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
