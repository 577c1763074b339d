#include "services/reco/par.h"

#include <pthread.h>
#include <stdbool.h>

struct par {
	par_fn *fn;
	void *arg;
	int64_t n, step;
	_Atomic int64_t next;
	const atomic_bool *stop;
};

struct worker {
	struct par *p;
	int index;
	pthread_t thread;
	bool started;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct par *p = w->p;

	for (;;) {
		int64_t from = p->next++ * p->step;

		if (from >= p->n || (p->stop && atomic_load(p->stop)))
			return NULL;
		p->fn(p->arg, w->index, from, from + p->step < p->n ? from + p->step : p->n);
	}
}

void par_for(int threads, int64_t n, int64_t step, par_fn *fn, void *arg, const atomic_bool *stop)
{
	struct par p = { .fn = fn, .arg = arg, .n = n, .step = step > 0 ? step : 1, .stop = stop };
	struct worker w[PAR_MAX] = { 0 };

	threads = threads < 1 ? 1 : threads > PAR_MAX ? PAR_MAX : threads;
	for (int i = 0; i < threads; i++)
		w[i] = (struct worker){ .p = &p, .index = i };
	for (int i = 1; i < threads; i++)
		w[i].started = pthread_create(&w[i].thread, NULL, work, &w[i]) == 0;
	work(&w[0]);
	for (int i = 1; i < threads; i++)
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
}
