/* The first administrator (decisions 35): a one-time token, printed by whoever can start the daemon. */
#include <stdio.h>

#include "common/check.h"
#include "common/id.h"
#include "common/timeutil.h"
#include "services/identity/account.h"
#include "services/identity/identity_db.h"
#include "services/identity/person.h"
#include "services/identity/token.h"

#define BOOTSTRAP_S (24 * 3600)

struct bootstrap {
	struct identity_svc *svc;
	struct arena *arena;
	const char *email;
	char token[LINK_TEXT_LEN];
};

static enum err_code account_for(struct bootstrap *b, struct pg *pg, const char **id_r, struct err *e)
{
	struct account_new account;
	bool verified, added = false;

	if (identity_db_account_id(pg, b->arena, person_email_index(&b->svc->keys, b->arena, b->email), id_r, &verified, e))
		return e->code;
	if (*id_r)
		return OK;
	if (account_seal(b->svc, b->arena, b->email, "Administrator", NULL, "en", &account, e) ||
	    identity_db_account_add(pg, &account, &added, e))
		return e->code;
	*id_r = account.id;
	return added ? OK : err_set(e, E_DENIED, "identity.disabled", "this account is disabled");
}

/* As long as no administrator has a password, a new token may be made; it ends the one before. */
static enum err_code prepare(struct pg *pg, void *arg, struct err *e)
{
	struct bootstrap *b = arg;
	char *link = arena_alloc(b->arena, ID_LEN);
	uint8_t hash[SHA256_LEN];
	const char *id;
	int64_t administrators;
	bool done;

	if (identity_db_other_administrators(pg, b->arena, "", &administrators, e))
		return e->code;
	if (administrators > 0)
		return err_set(e, E_CONFLICT, "identity.bootstrap_done", "there is an administrator already");
	id_new("lnk", link);
	link_token(&b->svc->keys, link, b->token);
	token_hash(b->token, hash);
	if (account_for(b, pg, &id, e) || identity_db_user_role_add(pg, id, "administrator", "system", &done, e) ||
	    identity_db_link_end(pg, id, "bootstrap", e))
		return e->code;
	return identity_db_link_add(pg, link, id, "bootstrap", BOOTSTRAP_S, hash, e);
}

enum err_code identity_bootstrap(struct identity_svc *svc, const char *email, struct err *e)
{
	const struct pg_actor actor = { "system", "bootstrap" };
	struct bootstrap b = { .svc = svc, .email = email };

	if (!check_email(e, "email", email))
		return err_set(e, E_INVALID, "common.invalid_input", "--bootstrap-admin needs an e-mail address");
	b.arena = arena_new("bootstrap", 1 << 20);
	if (pg_tx(svc->pool, mono_ms() + 30000, &actor, prepare, &b, e) == OK)
		(void)printf("%s %s\n", email, b.token);
	arena_free(b.arena);
	return e->code;
}
