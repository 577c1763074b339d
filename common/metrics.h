/* Counters, gauges, histograms in Prometheus text. Made (or found) by name and labels, then used without a lock. */
#ifndef SOUK_METRICS_H
#define SOUK_METRICS_H

#include <stdint.h>

#include "common/buf.h"

struct metric;
/* labels: `method="AddItem",outcome="ok"` or NULL. Never NULL: past the bound of series a spare that is not rendered. */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
struct metric *metric_histogram(const char *name, const char *help, const char *labels); /* seconds */

void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t v);
void metric_observe_us(struct metric *m, int64_t microseconds);
int64_t metric_value(const struct metric *m);

void metrics_render(struct buf *b); /* with process_* of this process */

#endif
