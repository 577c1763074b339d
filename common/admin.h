/* The small admin HTTP port: GET /livez, /readyz, /metrics. */
#ifndef SOUK_ADMIN_H
#define SOUK_ADMIN_H

#include "common/err.h"

struct admin;
MUST_CHECK enum err_code admin_start(const char *host_port, struct admin **a_r, struct err *e);
int admin_port(const struct admin *a); /* the real one when asked for 0 */
void admin_stop(struct admin *a);

#endif
