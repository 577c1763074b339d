/* The identity daemon's inside: its settings, its state and the tables of its handler files. */
#ifndef SOUK_IDENTITY_H
#define SOUK_IDENTITY_H

#include "common/call.h"
#include "common/crypto.h"
#include "common/daemon.h"
#include "common/id.h"
#include "common/inbox.h"
#include "common/migrate.h"
#include "common/rpc.h"
#include "common/timer.h"

#include "identity.pb-c.h"

#define IDENTITY_ADDRESSES_MAX 50
#define IDENTITY_KEYS_MAX      50
#define IDENTITY_MEMBERS_MAX   200
#define IDENTITY_INVITED_MAX   50 /* open invitations of a vendor */

struct identity_conf {
	struct daemon_conf d;
	const char *catalog_url, *catalog_bell_url;
	const char *issuer;	 /* iss of access tokens */
	int access_ttl_s;
	int argon2_memory_kib, argon2_passes;
	int hash_permits;	 /* password hashes at once; 0: half the processors, at least one */
	int hash_queue;		 /* callers that may wait for a permit */
	bool verified_only;	 /* no login before the address is verified */
	int address_free;	 /* failed logins from one address before it is slowed down */
	int sessions_max;	 /* live sessions of a user; the one used longest ago ends for a further one */
	int fresh_login_s;	 /* how long after login erasure needs no new one */
};

struct signer;
struct hash_queue;

/* Keys that are made from index.key, one per purpose. */
struct identity_keys {
	struct keyring *ring; /* seals the persons' keys */
	struct key32 index;   /* blind indexes */
	struct key32 refresh, link, code, backoff;
};

struct identity_svc {
	const struct identity_conf *conf;
	struct pg_pool *pool;
	struct identity_keys keys;
	struct signer *signer;
	struct hash_queue *hashes;
	char *dummy_phc; /* verified when there is no account, so that the answer takes as long */
};

/* Loads keys and opens the queue; a released or zeroed svc may be released again. */
MUST_CHECK enum err_code identity_svc_open(const struct identity_conf *, struct pg_pool *, struct identity_svc *svc_r,
					   struct err *);
void identity_svc_close(struct identity_svc *);

/* souk-identity --bootstrap-admin: prints "<e-mail> <token>" on stdout; the reset endpoint takes both. */
MUST_CHECK enum err_code identity_bootstrap(struct identity_svc *, const char *email, struct err *);

extern const struct rpc_method identity_user_methods[];
extern const struct rpc_method identity_login_methods[];
extern const struct rpc_method identity_session_methods[];
extern const struct rpc_method identity_password_methods[];
extern const struct rpc_method identity_link_methods[];
extern const struct rpc_method identity_mfa_methods[];
extern const struct rpc_method identity_address_methods[];
extern const struct rpc_method identity_member_methods[];
extern const struct rpc_method identity_invitation_methods[];
extern const struct rpc_method identity_email_methods[];
extern const struct rpc_method identity_consent_methods[];
extern const struct rpc_method identity_role_methods[];
extern const struct rpc_method identity_admin_user_methods[];
extern const struct rpc_method identity_api_key_methods[];
extern const struct rpc_method identity_erasure_methods[];
extern const struct rpc_method identity_internal_methods[];

extern const struct rpc_service identity_services[]; /* all of the above, for rpc_bind */
extern const struct pg_stmt *const *const identity_stmts[];
extern const struct inbox_handler identity_inbox[];
extern const struct timer_job identity_jobs[];

extern const struct migration identity_migrations[];

static inline struct identity_svc *identity_of(const struct call *c)
{
	return c->svc;
}

#endif
