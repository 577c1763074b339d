/*
 * The small HTTP port for operators and probes: GET /livez (the process runs), /readyz (200 ready or ready but
 * degraded, 503 while starting or draining), /metrics (Prometheus). Nothing else is served.
 */
#ifndef SOUK_ADMIN_H
#define SOUK_ADMIN_H

#include "common/err.h"

struct admin;
/* listen: "127.0.0.1:7202", "[::1]:7202", port 0: any free one. NULL or "": *a_r is NULL and nothing is served. */
MUST_CHECK enum err_code admin_start(const char *listen, struct admin **a_r, struct err *e);
int admin_port(const struct admin *a); /* the real port; 0 for NULL */
void admin_stop(struct admin *a);      /* NULL is fine; takes up to 2 s */

#endif
