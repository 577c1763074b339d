#include "common/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAITING_MAX (256 * 1024)
#define LAZY_BYTES  (32 * 1024) /* enough company for a write */
#define LAZY_MS	    50

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some; /* a lazy line waits */
	int fd;
	bool own;    /* opened by us */
	bool socket; /* send without waiting */
	size_t from, to; /* what waits: a ring without wrap, moved down when it empties or fills */
	char waiting[WAITING_MAX];
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER, .fd = STDERR_FILENO };
static bool lazy; /* the thread that writes late lines runs */

static _Atomic int64_t dropped_ever, dropped_untold;

void log_sink_open(int fd)
{
	struct stat st;
	char path[40];
	int mine = -1;

	(void)pthread_mutex_lock(&sink.lock);
	if (sink.own)
		(void)close(sink.fd);
	sink.own = sink.socket = false;
	sink.fd = fd;
	sink.from = sink.to = 0;
	/*
	 * O_NONBLOCK belongs to the open file, which we share with whoever started us; a pipe or terminal can be
	 * opened again for ourselves. A regular file never blocks, and a second description would not share its offset.
	 */
	if (fstat(fd, &st) == 0) {
		if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
			(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			mine = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		}
		sink.socket = S_ISSOCK(st.st_mode);
	}
	if (mine >= 0) {
		sink.fd = mine;
		sink.own = true;
	}
	(void)pthread_mutex_unlock(&sink.lock);
}

static ssize_t put(const char *p, size_t n)
{
	ssize_t w;

	do {
		w = sink.socket ? send(sink.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(sink.fd, p, n);
	} while (w < 0 && errno == EINTR);
	return w;
}

/* With the lock held. A reader that is gone for good (EPIPE) counts as not reading. */
static bool drain(void)
{
	while (sink.from < sink.to) {
		ssize_t w = put(sink.waiting + sink.from, sink.to - sink.from);

		if (w <= 0)
			return false;
		sink.from += (size_t)w;
	}
	sink.from = sink.to = 0;
	return true;
}

static bool keep(const char *p, size_t n)
{
	if (sink.from && sizeof(sink.waiting) - sink.to < n) {
		memmove(sink.waiting, sink.waiting + sink.from, sink.to - sink.from);
		sink.to -= sink.from;
		sink.from = 0;
	}
	if (sizeof(sink.waiting) - sink.to < n)
		return false;
	memcpy(sink.waiting + sink.to, p, n);
	sink.to += n;
	return true;
}

bool log_sink_write(const char *line, size_t n)
{
	ssize_t w = 0;
	bool ok;

	(void)pthread_mutex_lock(&sink.lock);
	if (drain())
		w = put(line, n);
	if (w < 0)
		w = 0;
	/* A line that was begun must be finished, or the next one would be glued to its half: the buffer is then
	 * empty, so its rest always fits. */
	ok = (size_t)w == n || keep(line + w, n - (size_t)w);
	(void)pthread_mutex_unlock(&sink.lock);
	if (!ok) {
		atomic_fetch_add(&dropped_ever, 1);
		atomic_fetch_add(&dropped_untold, 1);
	}
	return ok;
}

/* Runs for ever, asleep while nothing waits. */
static void *lazy_thread(void *arg)
{
	const struct timespec pause = { 0, LAZY_MS * 1000000L };

	(void)arg;
	for (;;) {
		(void)pthread_mutex_lock(&sink.lock);
		while (sink.from == sink.to)
			(void)pthread_cond_wait(&sink.some, &sink.lock);
		(void)pthread_mutex_unlock(&sink.lock);
		(void)nanosleep(&pause, NULL);
		(void)log_sink_drain();
	}
	return NULL;
}

static void lazy_start(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attr, 64 * 1024);
	lazy = pthread_create(&thread, &attr, lazy_thread, NULL) == 0;
	(void)pthread_attr_destroy(&attr);
}

bool log_sink_write_lazy(const char *line, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	bool ok, wake;

	(void)pthread_once(&once, lazy_start);
	if (!lazy)
		return log_sink_write(line, n);
	(void)pthread_mutex_lock(&sink.lock);
	wake = sink.from == sink.to;
	if (sink.to - sink.from + n > LAZY_BYTES)
		(void)drain();
	ok = keep(line, n);
	if (wake && ok)
		(void)pthread_cond_signal(&sink.some);
	(void)pthread_mutex_unlock(&sink.lock);
	if (!ok) {
		atomic_fetch_add(&dropped_ever, 1);
		atomic_fetch_add(&dropped_untold, 1);
	}
	return ok;
}

bool log_sink_drain(void)
{
	bool done;

	(void)pthread_mutex_lock(&sink.lock);
	done = drain();
	(void)pthread_mutex_unlock(&sink.lock);
	return done;
}

int64_t log_sink_dropped(void)
{
	return atomic_load(&dropped_ever);
}

int64_t log_sink_take_dropped(void)
{
	return atomic_load_explicit(&dropped_untold, memory_order_relaxed) ? atomic_exchange(&dropped_untold, 0) : 0;
}

void log_sink_give_dropped(int64_t untold)
{
	if (untold)
		atomic_fetch_add(&dropped_untold, untold);
}
