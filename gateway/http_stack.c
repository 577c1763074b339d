#include "gateway/http_stack.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT_PAGES 2 /* below our own frame: what the call of madvise itself stands on, the red zone, a signal's frame */

char *http_stack_low(void)
{
	pthread_attr_t attr;
	void *low = NULL;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr))
		return NULL;
	if (pthread_attr_getstack(&attr, &low, &size))
		low = NULL;
	(void)pthread_attr_destroy(&attr);
	return low;
}

void http_stack_shed(char *low)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)low + page - 1) & ~(page - 1);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(page - 1);

	if (low && here > from + KEPT_PAGES * page)
		(void)madvise((void *)from, here - KEPT_PAGES * page - from, MADV_DONTNEED);
}
