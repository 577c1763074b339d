/* The process as /proc sees it, for metrics.c alone. */
#ifndef SOUK_METRICS_PROCESS_H
#define SOUK_METRICS_PROCESS_H

#include "common/buf.h"

void metrics_render_process(struct buf *out);

#endif
