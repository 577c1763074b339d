/*
 * A wrong wall clock, to be preloaded: adds the seconds that stand in the file $CHAOS_CLOCK_FILE (an int64, changed while the
 * program runs) to the realtime clock. The monotonic clock stays as it is, like a machine whose date was set wrong.
 * Waits until a point of realtime are brought back to the true clock, since the kernel does not know of the lie.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CHAOS_CLOCK_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd >= 0 ? mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_wait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlvsym(
		RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
	if (!real_wait)
		real_wait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(
			RTLD_NEXT, "pthread_cond_timedwait");
	if (at != MAP_FAILED)
		offset = at;
	if (fd >= 0)
		close(fd);
}

static int64_t lie(void)
{
	return offset ? *offset : 0;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc;

	if (!real_clock)
		begin();
	rc = real_clock(id, t);
	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += lie();
	return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec t;

	(void)tz;
	clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict until)
{
	struct timespec now, t = *until;

	real_clock(CLOCK_REALTIME, &now);
	/* Closer to our wrong present than to the true one, and no monotonic time. */
	if (lie() && t.tv_sec > now.tv_sec / 2 && llabs(t.tv_sec - now.tv_sec - lie()) < llabs(lie()) / 2)
		t.tv_sec -= lie();
	return real_wait(c, m, &t);
}
