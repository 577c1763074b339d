#include "services/identity/session_open.h"

#include <string.h>

#include "common/check.h"
#include "services/identity/identity_db.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

#define AGENT_MAX 200

/* What a client calls itself is kept short and clean; it is shown to the user, and it is personal. */
static const char *clean_agent(struct arena *a, const char *s)
{
	size_t n;

	if (!s || !*s)
		return NULL;
	n = strlen(s);
	if (!text_clean(s, n))
		return NULL;
	return arena_strndup(a, s, utf8_cut(s, n < AGENT_MAX ? n : AGENT_MAX));
}

/* The account's row is locked, so that logins at once count each other's sessions. */
static enum err_code seal_device(struct call *c, struct pg *pg, const struct session_ask *ask, struct session_new *n,
				 struct err *e)
{
	struct account_row *row;
	struct keyring *ring;
	enum err_code code = OK;
	bool found = false;

	if (identity_db_account_lock(pg, c->arena, ask->user_id, &row, &found, e))
		return e->code;
	if (!found || !row->person_key.data)
		return err_set(e, E_UNAUTH, "identity.refresh_invalid", "account is gone");
	if (person_key_open(&identity_of(c)->keys, c->arena, row->id, row->person_key, &ring, e))
		return e->code;
	if (crypto_seal_text(ring, "identity.session.user_agent", n->id, clean_agent(c->arena, ask->user_agent), c->arena,
			     &n->user_agent, e) ||
	    crypto_seal_text(ring, "identity.session.ip", n->id, ask->ip, c->arena, &n->ip, e))
		code = e->code;
	keyring_free(ring);
	return code;
}

static enum err_code make_room(struct call *c, struct pg *pg, const char *user_id, struct err *e)
{
	return identity_db_session_trim(pg, user_id, identity_of(c)->conf->sessions_max - 1, e);
}

enum err_code session_open(struct call *c, struct pg *pg, const struct session_ask *ask, struct session_made *made_r,
			   struct err *e)
{
	struct session_made made;
	struct session_new n = { .user_id = ask->user_id };
	char id[ID_LEN];

	id_new("ses", id);
	refresh_token_first(&identity_of(c)->keys, id, &made.token);
	if (grant_find(pg, c->arena, ask->user_id, ask->audience, ask->vendor_id, &made.grant, e))
		return e->code;
	n.id = id;
	n.audience = made.grant.audience;
	n.vendor_id = *made.grant.vendor_id ? made.grant.vendor_id : NULL;
	n.token_hash = made.token.hash;
	if (seal_device(c, pg, ask, &n, e) || make_room(c, pg, ask->user_id, e) || identity_db_session_add(pg, &n, e))
		return e->code;
	*made_r = made;
	return OK;
}

static char **words(struct call *c, const char *const *from, size_t n)
{
	char **to = arena_array(c->arena, n + 1, sizeof(*to));

	for (size_t i = 0; i < n; i++)
		to[i] = call_str(c, from[i]);
	return to;
}

enum err_code session_answer(struct call *c, const struct session_ask *ask, const struct session_made *m,
			     Identity__V1__TokenReply *out)
{
	struct identity_svc *svc = identity_of(c);
	const char *token;

	if (signer_issue(svc->signer, svc->conf, c->arena, ask->user_id, m->token.session_id, ask->token_version, &m->grant,
			 &token, &c->err))
		return c->err.code;
	out->access_token = call_str(c, token);
	out->token_type = call_str(c, "Bearer");
	SET(out, expires_in, svc->conf->access_ttl_s);
	out->user_id = call_str(c, ask->user_id);
	out->session_id = call_str(c, m->token.session_id);
	out->audience = call_str(c, m->grant.audience);
	if (*m->grant.vendor_id)
		out->vendor_id = call_str(c, m->grant.vendor_id);
	out->roles = words(c, m->grant.roles, m->grant.n_roles);
	out->n_roles = m->grant.n_roles;
	out->perms = words(c, m->grant.perms, m->grant.n_perms);
	out->n_perms = m->grant.n_perms;
	if (ask->in_body)
		out->refresh_token = call_str(c, m->token.text);
	else
		out->hdr_refresh_token = call_str(c, m->token.text);
	return OK;
}
