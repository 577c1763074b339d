/* Where log lines go: whole lines, never waiting for the reader. Used by log.c alone. */
#ifndef SOUK_LOG_SINK_H
#define SOUK_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes to fd from now on, through a description of its own where the kernel allows, so that other users of the same
 * terminal or pipe keep their blocking mode. Not while other threads log. */
void log_sink_open(int fd);

/* Takes a whole line or drops it (false). What the pipe does not take at once waits in a small buffer. */
bool log_sink_write(const char *line, size_t n);
/*
 * The same for lines that may be a little late (access): they wait for company, at most 50 ms, and go in one write. One write a
 * line costs a busy gateway a third of its time. A crash may lose the last of them.
 */
bool log_sink_write_lazy(const char *line, size_t n);
/* Tries to write what waits; true when nothing is left. */
bool log_sink_drain(void);

int64_t log_sink_dropped(void);		    /* ever */
int64_t log_sink_take_dropped(void);	    /* not yet told; taken by the caller */
void log_sink_give_dropped(int64_t untold); /* back, when telling failed too */

#endif
