/* W3C trace context: "00-<32 hex trace id>-<16 hex span id>-<2 hex flags>". Only what is needed to pass it on. */
#ifndef SOUK_TRACE_H
#define SOUK_TRACE_H

#include <stdbool.h>

#define TRACE_LEN 56 /* with the NUL */

bool trace_ok(const char *traceparent); /* NULL is not */
void trace_new(char out[TRACE_LEN]);	/* a new trace, sampled */
/* The same trace with a new span id; a new trace when parent is not ok. */
void trace_child(const char *parent, char out[TRACE_LEN]);

#endif
