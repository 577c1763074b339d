#include "common/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics_process.h"

#define INDEX_SIZE (2 * METRICS_MAX) /* open addressing, at most half full */
#define LABELS_MAX 512

static const double bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
				 0.25,	0.5,	0.75,  1,    2.5,   5,	  7.5,	 10 };
#define BOUNDS ARRAY_LEN(bounds)

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct histogram {
	_Atomic uint64_t bucket[BOUNDS + 1]; /* not cumulative; the last is +Inf */
	_Atomic int64_t sum_ns;
};

struct metric {
	enum kind kind;
	const char *name, *help, *labels; /* owned */
	_Atomic int64_t count;	  /* value of a counter, or whole part of a gauge, or observations */
	_Atomic uint64_t bits; /* a gauge set to a double */
	struct histogram *h;
	double (*fn)(void *);
	void *arg;
};

static struct {
	pthread_mutex_t lock;
	struct metric *list[METRICS_MAX];
	size_t n;
	uint16_t index[INDEX_SIZE]; /* position + 1, 0: free */
	_Atomic int64_t dropped;
	struct metric spare[3]; /* where writes go past the limit; one per kind */
	struct histogram spare_h;
} reg = { .lock = PTHREAD_MUTEX_INITIALIZER, .spare = { { .kind = COUNTER }, { .kind = GAUGE }, { .kind = HISTOGRAM } } };

static size_t hash(const char *name, const char *labels)
{
	uint64_t h = 1469598103934665603u; /* FNV-1a */

	for (const char *s = name; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	h = (h ^ '{') * 1099511628211u;
	for (const char *s = labels; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)(h % INDEX_SIZE);
}

static struct metric *spare(enum kind kind)
{
	reg.spare[HISTOGRAM].h = &reg.spare_h;
	atomic_fetch_add(&reg.dropped, 1);
	return &reg.spare[kind];
}

static struct metric *metric_new(enum kind kind, const char *name, const char *help, const char *labels)
{
	struct metric *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->kind = kind;
	m->name = strdup(name);
	m->help = strdup(help ? help : "");
	m->labels = strdup(labels);
	m->h = kind == HISTOGRAM ? calloc(1, sizeof(*m->h)) : NULL;
	if (m->name && m->help && m->labels && (m->h || kind != HISTOGRAM))
		return m;
	free((char *)m->name);
	free((char *)m->help);
	free((char *)m->labels);
	free(m->h);
	free(m);
	return NULL;
}

static struct metric *get(enum kind kind, const char *name, const char *help, const char *labels)
{
	struct metric *m = NULL;
	size_t at;

	labels = labels ? labels : "";
	(void)pthread_mutex_lock(&reg.lock);
	for (at = hash(name, labels); reg.index[at]; at = (at + 1) % INDEX_SIZE) {
		m = reg.list[reg.index[at] - 1];
		if (strcmp(m->name, name) == 0 && strcmp(m->labels, labels) == 0)
			goto out;
	}
	m = reg.n < METRICS_MAX ? metric_new(kind, name, help, labels) : NULL;
	if (m) {
		reg.list[reg.n++] = m;
		reg.index[at] = (uint16_t)reg.n;
	}
out:
	if (!m || m->kind != kind) /* full, or one name with two kinds: a bug, but not worth a crash */
		m = spare(kind);
	(void)pthread_mutex_unlock(&reg.lock);
	return m;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels)
{
	return get(COUNTER, name, help, labels);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels)
{
	return get(GAUGE, name, help, labels);
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels)
{
	return get(HISTOGRAM, name, help, labels);
}

void metric_gauge_fn(const char *name, const char *help, const char *labels, double (*fn)(void *arg), void *arg)
{
	struct metric *m = get(GAUGE, name, help, labels);

	(void)pthread_mutex_lock(&reg.lock);
	m->fn = fn;
	m->arg = arg;
	(void)pthread_mutex_unlock(&reg.lock);
}

void metric_gauge_fn_drop(double (*fn)(void *arg), void *arg)
{
	(void)pthread_mutex_lock(&reg.lock);
	for (size_t i = 0; i < reg.n; i++)
		if (reg.list[i]->fn == fn && reg.list[i]->arg == arg)
			reg.list[i]->fn = NULL;
	(void)pthread_mutex_unlock(&reg.lock);
}

/* The escapes of a label value: \\ \" \n. Appends what fits. */
static size_t label_value(char *out, size_t size, size_t n, const char *v)
{
	for (; *v && n + 3 < size; v++) {
		if (*v == '"' || *v == '\\' || *v == '\n')
			out[n++] = '\\';
		out[n++] = *v == '\n' ? 'n' : *v;
	}
	return n;
}

const char *metric_labels(char *out, size_t size, ...)
{
	const char *key, *value;
	size_t n = 0;
	va_list ap;

	if (!size)
		return out;
	va_start(ap, size);
	while ((key = va_arg(ap, const char *)) && (value = va_arg(ap, const char *))) {
		size_t need = strlen(key) + 5; /* comma, =, two quotes, NUL */

		if (n + need >= size)
			break;
		n += (size_t)snprintf(out + n, size - n, "%s%s=\"", n ? "," : "", key);
		n = label_value(out, size, n, value);
		out[n++] = '"';
	}
	va_end(ap);
	out[n] = '\0';
	return out;
}

void metric_add(struct metric *m, int64_t n)
{
	if (m)
		atomic_fetch_add_explicit(&m->count, n, memory_order_relaxed);
}

void metric_set(struct metric *m, double v)
{
	uint64_t bits;

	if (!m)
		return;
	/* Whole numbers go where metric_add counts, so that a gauge may be used both ways. */
	if (v == floor(v) && fabs(v) < 9e15) {
		atomic_store_explicit(&m->bits, 0, memory_order_relaxed);
		atomic_store_explicit(&m->count, (int64_t)v, memory_order_relaxed);
		return;
	}
	memcpy(&bits, &v, sizeof(bits));
	atomic_store_explicit(&m->bits, bits, memory_order_relaxed);
}

void metric_observe(struct metric *m, double seconds)
{
	size_t i = 0;

	if (!m || !m->h || !(seconds >= 0)) /* NaN too */
		return;
	while (i < BOUNDS && seconds > bounds[i])
		i++;
	atomic_fetch_add_explicit(&m->h->bucket[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->h->sum_ns, (int64_t)(fmin(seconds, 1e6) * 1e9), memory_order_relaxed);
	atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
}

int64_t metric_value(const struct metric *m)
{
	return atomic_load_explicit(&((struct metric *)m)->count, memory_order_relaxed);
}

/* ---- rendering ---- */

static void put_double(struct buf *b, double v)
{
	if (isnan(v))
		buf_str(b, "NaN");
	else if (isinf(v))
		buf_str(b, v > 0 ? "+Inf" : "-Inf");
	else
		buf_fmt(b, "%.15g", v);
}

static void put_series(struct buf *b, const char *name, const char *suffix, const char *labels)
{
	buf_fmt(b, "%s%s", name, suffix);
	if (*labels)
		buf_fmt(b, "{%s}", labels);
	buf_char(b, ' ');
}

static void put_histogram(struct buf *b, const struct metric *m)
{
	const char *comma = *m->labels ? "," : "";
	uint64_t total = 0;

	for (size_t i = 0; i <= BOUNDS; i++) {
		total += atomic_load_explicit(&m->h->bucket[i], memory_order_relaxed);
		if (i < BOUNDS)
			buf_fmt(b, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", m->name, m->labels, comma, bounds[i], total);
		else
			buf_fmt(b, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", m->name, m->labels, comma, total);
	}
	put_series(b, m->name, "_sum", m->labels);
	put_double(b, (double)atomic_load_explicit(&m->h->sum_ns, memory_order_relaxed) / 1e9);
	buf_char(b, '\n');
	put_series(b, m->name, "_count", m->labels);
	buf_fmt(b, "%" PRIu64 "\n", total); /* the same number as the last bucket, whatever ran meanwhile */
}

static void put_metric(struct buf *b, const struct metric *m)
{
	uint64_t bits = atomic_load_explicit(&((struct metric *)m)->bits, memory_order_relaxed);
	double v;

	if (m->kind == HISTOGRAM) {
		put_histogram(b, m);
		return;
	}
	put_series(b, m->name, "", m->labels);
	if (m->fn) {
		put_double(b, m->fn(m->arg));
	} else if (bits) {
		memcpy(&v, &bits, sizeof(v));
		put_double(b, v);
	} else {
		buf_i64(b, metric_value(m));
	}
	buf_char(b, '\n');
}

static int by_name(const void *a, const void *b)
{
	const struct metric *x = *(const struct metric *const *)a, *y = *(const struct metric *const *)b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->labels, y->labels);
}

void metrics_render(struct buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	static struct metric *sorted[METRICS_MAX];
	const char *last = "";
	size_t n;

	(void)pthread_mutex_lock(&reg.lock); /* also guards sorted, and keeps callbacks from being dropped meanwhile */
	n = reg.n;
	memcpy(sorted, reg.list, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), by_name); /* the format wants the series of a name together */
	for (size_t i = 0; i < n; i++) {
		const struct metric *m = sorted[i];

		if (strcmp(m->name, last) != 0)
			buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, types[m->kind]);
		last = m->name;
		put_metric(out, m);
	}
	(void)pthread_mutex_unlock(&reg.lock);
	buf_fmt(out,
		"# HELP souk_metrics_dropped_total Requests for a series past the limit\n"
		"# TYPE souk_metrics_dropped_total counter\nsouk_metrics_dropped_total %" PRId64 "\n",
		atomic_load(&reg.dropped));
	metrics_render_process(out);
}
