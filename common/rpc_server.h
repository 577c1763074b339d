/* Serves rpc_dispatch on nng REP: worker threads, each with a context and an arena. Answers the Node service too. */
#ifndef SOUK_RPC_SERVER_H
#define SOUK_RPC_SERVER_H

#include "common/daemon.h"
#include "common/rpc.h"

struct rpc_server;
/* services: the daemon's own; Node is added by the server. conf gives listen address, contexts, drain time. */
MUST_CHECK enum err_code rpc_server_start(const struct daemon_conf *conf, const char *self,
					  const struct rpc_service *services, const struct rpc_keys *keys,
					  struct pg_pool *pool, void *svc, struct rpc_server **s_r, struct err *);
/* Draining flag in every reply, keep answering for drain_ms, refuse new work (common.draining), finish, join. */
void rpc_server_stop(struct rpc_server *);
const char *rpc_server_url(const struct rpc_server *); /* the real address when listening on port 0 */
/* --health: calls Node.Health at the daemon's own address; 0 healthy, 1 not. Prints one line. */
int rpc_health(const struct daemon_conf *conf, const char *self);

#endif
