/*
 * Finished spans, sent to a collector by OTLP over HTTP (JSON). Off until trace_export_start was told where to.
 *
 * A span costs its caller one copy under a lock: nothing here waits for the network, and nothing here fails a request.
 * At most TRACE_QUEUE spans wait; what comes while the queue is full is counted and dropped, and so is a batch the
 * collector did not take. Names and codes only: never an id of a person, a path, or text from outside.
 */
#ifndef SOUK_TRACE_EXPORT_H
#define SOUK_TRACE_EXPORT_H

#include <stdint.h>

#include "common/err.h"

#define TRACE_QUEUE 2048

enum trace_kind { TRACE_SERVER = 2, TRACE_CONSUMER = 5 }; /* as OTLP numbers them */

/*
 * url: where the collector listens, "http://collector:4318"; "" or NULL: nothing is sent, and the rest costs a branch.
 * Once per process; the strings are copied.
 */
MUST_CHECK enum err_code trace_export_start(const char *url, const char *service, struct err *e);
void trace_export_stop(void); /* sends what waits, for at most 2 s; fine when nothing was started */

/*
 * The span that `traceparent` names has ended, begun at start_us (mono_us). parent: the traceparent that came with the
 * work, or NULL or anything invalid for a root. code: "OK" or the name of the error. Does nothing for a trace whose
 * sender did not ask for it to be recorded (flag 01).
 */
void trace_span(const char *traceparent, const char *parent, enum trace_kind kind, const char *name, const char *code,
		int64_t start_us);

#endif
