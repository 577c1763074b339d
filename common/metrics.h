/*
 * Counters, gauges and histograms of this process, rendered as Prometheus text 0.0.4 by the admin port.
 *
 * Names: souk_<what>_<unit>[_total], base units (seconds, bytes). Labels are few and bounded: methods, codes, never
 * ids or paths. Creating is create-or-get under a lock: do it at start or keep the pointer; add, set and observe are
 * lock-free. At most METRICS_MAX series: what comes later is counted in souk_metrics_dropped_total and goes nowhere.
 */
#ifndef SOUK_METRICS_H
#define SOUK_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define METRICS_MAX 2048

struct metric;

/* labels: `method="Get",code="OK"` as made by metric_labels, or NULL. Never returns NULL; lives for ever. */
struct metric *metric_counter(const char *name, const char *help, const char *labels) RETURNS_NONNULL;
struct metric *metric_gauge(const char *name, const char *help, const char *labels) RETURNS_NONNULL;
/* Buckets from 1 ms to 10 s; observe seconds. */
struct metric *metric_histogram(const char *name, const char *help, const char *labels) RETURNS_NONNULL;
/* A gauge whose value is asked for at each scrape; fn must not block. */
void metric_gauge_fn(const char *name, const char *help, const char *labels, double (*fn)(void *arg), void *arg);
/* Forgets all gauges of that fn and arg (before arg is freed). */
void metric_gauge_fn_drop(double (*fn)(void *arg), void *arg);

/* Writes key="value" pairs, escaped, into out; arguments are pairs of strings and a NULL. Returns out. */
const char *metric_labels(char *out, size_t size, ...) __attribute__((sentinel));

void metric_add(struct metric *m, int64_t n); /* counters (n >= 0) and gauges; NULL is fine, as for the next two */
void metric_set(struct metric *m, double v);
void metric_observe(struct metric *m, double seconds);
int64_t metric_value(const struct metric *m); /* of a counter or gauge; observations of a histogram */

void metrics_render(struct buf *out); /* everything, and the process itself: PSS, RSS, CPU, descriptors, threads */

#endif
