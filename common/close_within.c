#include "common/close_within.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct closing {
	void (*close)(void *what);
	void *what;
	struct closing *next; /* of those that did not come back */
};

static void *run(void *arg)
{
	const struct closing *c = arg;

	c->close(c->what);
	return NULL;
}

static void keep(struct closing *c)
{
	static struct closing *_Atomic kept;

	c->next = atomic_load(&kept);
	while (!atomic_compare_exchange_weak(&kept, &c->next, c))
		;
}

bool close_within(void (*close)(void *what), void *what, int ms)
{
	struct closing *c = calloc(1, sizeof(*c));
	struct timespec until;
	pthread_t t;

	if (!c)
		abort();
	c->close = close;
	c->what = what;
	if (pthread_create(&t, NULL, run, c)) {
		keep(c);
		return false;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	if (!pthread_timedjoin_np(t, NULL, &until)) {
		free(c);
		return true;
	}
	pthread_detach(t);
	keep(c);
	return false;
}
