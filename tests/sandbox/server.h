/* HTTP by civetweb: reading a request within bounds, who is asking, and answers that may be broken
 * on purpose. */
#ifndef SANDBOX_SERVER_H
#define SANDBOX_SERVER_H

#include "sandbox.h"

struct server;
/* Listens on sb->conf.listen and sets sb->base_url; *port_r is the port really taken. */
bool server_start(struct sandbox *sb, struct server **s_r, int *port_r, char *why, size_t why_len);
void server_stop(struct server *s); /* waits for the answers under way */

#endif
