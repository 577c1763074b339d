/* The daemon's state, the tables that main.c hands to the library, and the periodic jobs. */
#include <stdlib.h>
#include <string.h>

#include "common/idem.h"
#include "common/timeutil.h"
#include "services/identity/hash_queue.h"
#include "services/identity/identity.h"
#include "services/identity/identity_db.h"
#include "services/identity/password.h"
#include "services/identity/token.h"

static const struct rpc_method *const tables[] = {
	identity_user_methods,	   identity_login_methods,   identity_session_methods, identity_password_methods,
	identity_link_methods,	   identity_mfa_methods,     identity_address_methods, identity_member_methods,
	identity_role_methods,	   identity_admin_user_methods, identity_api_key_methods, identity_erasure_methods,
	identity_internal_methods, identity_invitation_methods, identity_email_methods, identity_consent_methods, NULL,
};

const struct rpc_service identity_services[] = {
	{ &identity__v1__identity__descriptor, tables },
	{ 0 },
};

const struct pg_stmt *const *const identity_stmts[] = {
	identity_db_account_stmts, identity_db_session_stmts, identity_db_mfa_stmts,	identity_db_link_stmts,
	identity_db_address_stmts, identity_db_role_stmts,    identity_db_member_stmts, identity_db_api_key_stmts,
	identity_db_event_stmts,   identity_db_invitation_stmts, identity_db_consent_stmts, NULL,
};

/* Somebody's password that nobody has. */
static enum err_code make_dummy(struct identity_svc *svc, struct err *e)
{
	struct argon2_cost cost = password_cost(svc->conf);
	char nobody[44], phc[PHC_LEN];

	random_token(nobody);
	if (password_hash(&cost, nobody, phc, e))
		return e->code;
	svc->dummy_phc = malloc(sizeof(phc));
	if (!svc->dummy_phc)
		abort();
	memcpy(svc->dummy_phc, phc, sizeof(phc));
	return OK;
}

/* Half of the contexts stay free for requests that hash nothing. */
static void open_queue(struct identity_svc *svc)
{
	const struct identity_conf *conf = svc->conf;
	int permits = conf->hash_permits > 0 ? conf->hash_permits : hash_queue_default_permits();
	int half = conf->d.contexts / 2 > 0 ? conf->d.contexts / 2 : 1;
	int queue = conf->hash_queue;

	if (permits > half)
		permits = half;
	if (queue > half - permits)
		queue = half - permits;
	svc->hashes = hash_queue_new(permits, queue);
}

enum err_code identity_svc_open(const struct identity_conf *conf, struct pg_pool *pool, struct identity_svc *svc_r,
				struct err *e)
{
	struct identity_svc svc = { .conf = conf, .pool = pool };

	if (keyring_load(conf->d.keys_dir, "identity", &svc.keys.ring, e) ||
	    key_load(conf->d.keys_dir, "index.key", &svc.keys.index, e) ||
	    signer_open(conf->d.keys_dir, &svc.signer, e) || make_dummy(&svc, e)) {
		identity_svc_close(&svc);
		return e->code;
	}
	identity_keys_derive(&svc.keys);
	open_queue(&svc);
	if (pool)
		idem_seal_with(pool, svc.keys.ring);
	*svc_r = svc;
	return OK;
}

void identity_svc_close(struct identity_svc *svc)
{
	hash_queue_free(svc->hashes);
	signer_close(svc->signer);
	keyring_free(svc->keys.ring);
	key_wipe(&svc->keys.index);
	key_wipe(&svc->keys.refresh);
	key_wipe(&svc->keys.link);
	key_wipe(&svc->keys.code);
	key_wipe(&svc->keys.backoff);
	free(svc->dummy_phc);
	*svc = (struct identity_svc){ 0 };
}

/* ---- periodic ---- */
static enum err_code sweep_tx(struct pg *pg, void *arg, struct err *e)
{
	return identity_db_sweep(pg, arg, e);
}

static enum err_code sweep(void *arg, struct arena *a, struct err *e)
{
	struct identity_svc *svc = arg;
	const struct pg_actor actor = { "system", "" };
	int64_t removed;

	(void)a;
	return pg_tx(svc->pool, mono_ms() + 30000, &actor, sweep_tx, &removed, e);
}

/* A key added to the folder is published here and signs once it is an hour old. */
static enum err_code reload_keys(void *arg, struct arena *a, struct err *e)
{
	struct identity_svc *svc = arg;

	(void)a;
	return signer_reload(svc->signer, e);
}

const struct timer_job identity_jobs[] = {
	{ "identity_sweep", 60000, true, sweep },
	{ "identity_signing_keys", 60000, false, reload_keys },
	{ 0 },
};
