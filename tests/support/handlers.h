/* Calling a daemon's handlers as the dispatcher does, without a transport: real tables, real PostgreSQL. */
#ifndef SOUK_TEST_HANDLERS_H
#define SOUK_TEST_HANDLERS_H

#include "common/call.h"
#include "common/rpc.h"

struct handlers {
	const struct rpc_service *service; /* one, not a list */
	struct pg_pool *pool;
	void *svc;
};

extern const struct principal who_nobody;
struct principal who_user(const char *user_id);
struct principal who_service(const char *name);
/* A vendor's token with that one permission. */
struct principal who_vendor(const char *vendor_id, const char *const *perm);
struct principal who_admin(const char *const *perm);

/* Runs a method; *out_r (a message pointer's address, may be NULL) is in the arena. On failure *e (may be NULL) says why. */
enum err_code handlers_ask(const struct handlers *h, struct arena *a, const char *method, const struct principal *who,
			   const void *in, void *out_r, struct err *e);

#endif
