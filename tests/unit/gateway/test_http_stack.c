/* A thread that went deep once gives the pages back, and goes on as if nothing had been. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "gateway/http_stack.h"

enum { PAGE = 4096, DEEP = 48 };

static int resident(char *low, size_t pages)
{
	unsigned char in[1024];
	int n = 0;

	assert_true(pages <= sizeof(in));
	assert_int_equal(mincore(low, pages * PAGE, in), 0);
	for (size_t i = 0; i < pages; i++)
		n += in[i] & 1;
	return n;
}

__attribute__((noinline)) static int go_deep(int seed)
{
	volatile char text[DEEP * PAGE];
	int sum = 0;

	for (size_t i = 0; i < sizeof(text); i += PAGE)
		text[i] = (char)(seed + (int)(i / PAGE));
	for (size_t i = 0; i < sizeof(text); i += PAGE)
		sum += text[i];
	return sum;
}

struct seen {
	int before, deep, after, sum[2];
	char kept[64];
};

static void *thread(void *arg)
{
	struct seen *s = arg;
	char *low = http_stack_low(), kept[64] = "what stands above the frame";
	size_t pages;

	if (!low)
		return NULL;
	pages = ((uintptr_t)__builtin_frame_address(0) - (uintptr_t)low) / PAGE;
	s->before = resident(low, pages);
	s->sum[0] = go_deep(1);
	s->deep = resident(low, pages);
	http_stack_shed(low);
	s->after = resident(low, pages);
	s->sum[1] = go_deep(1);
	memcpy(s->kept, kept, sizeof(kept));
	return NULL;
}

static void deep_pages_go(void **state)
{
	struct seen s = { 0 };
	pthread_attr_t attr;
	pthread_t t;

	(void)state;
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstacksize(&attr, 1 << 20), 0);
	assert_int_equal(pthread_create(&t, &attr, thread, &s), 0);
	pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	assert_true(s.deep >= DEEP);
	assert_true(s.after <= s.deep - DEEP / 2);
	assert_true(s.after <= s.before + 8);
	assert_int_equal(s.sum[0], s.sum[1]);
	assert_string_equal(s.kept, "what stands above the frame");
	http_stack_shed(NULL); /* nothing known: nothing done */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(deep_pages_go) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
