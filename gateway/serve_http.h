/* The gateway behind a listener: worker threads and the doorbells that drop cached answers. */
#ifndef SOUK_GATEWAY_SERVE_HTTP_H
#define SOUK_GATEWAY_SERVE_HTTP_H

#include "gateway/gateway.h"

struct gateway_front;
/* gw must outlive it. */
MUST_CHECK enum err_code gateway_start(struct gateway *gw, struct gateway_front **f_r, struct err *e);
int gateway_port(const struct gateway_front *);
int gateway_busy(const struct gateway_front *); /* connections being served */
/* readyz turns 503 and answers close their connections, for drain_ms; then the end, without losing who has connected. */
void gateway_stop(struct gateway_front *, int drain_ms);
/* --health: 0 when the gateway at that listen address answers /readyz with 200. Prints one line. */
int gateway_health(const char *listen);

#endif
