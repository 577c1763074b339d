/* From "tcp://catalog:7002,tcp://10.0.0.9:7002" to every literal address behind it. */
#ifndef SOUK_RPC_RESOLVE_H
#define SOUK_RPC_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"
#include "common/err.h"

enum { RPC_URL_MAX = 128, RPC_URLS_MAX = 32 };

struct rpc_addr {
	char url[RPC_URL_MAX]; /* "tcp://10.0.0.9:7002", "tcp://[::1]:7002", "ipc:///run/x.sock" */
};

/* One entry of a list. */
struct rpc_target {
	char scheme[16]; /* "tcp", "ipc", … */
	char host[96];	 /* without brackets; a path for ipc */
	char port[8];	 /* "" for ipc */
	bool literal;	 /* an address, not a name: nothing to ask */
};

/* E_INVALID "conf.invalid" for an empty list, an overlong one, or what is no nng url. */
MUST_CHECK enum err_code rpc_targets_parse(const char *urls, struct rpc_target out[RPC_URLS_MAX], size_t *n_r,
					   struct err *e);

/* The addresses of one name: how many of at most max, or -1 when the question failed. Replaced in tests. */
typedef int rpc_lookup_fn(const char *host, const char *port, struct rpc_addr *out, size_t max, void *arg);
rpc_lookup_fn rpc_lookup_dns; /* getaddrinfo; blocks */

/* The same for a target: literals answer themselves. */
int rpc_target_addrs(const struct rpc_target *, rpc_lookup_fn *, void *arg, struct rpc_addr *out, size_t max);

#endif
