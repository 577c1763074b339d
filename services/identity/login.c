/* Login and refresh: the two ways to an access token. */
#include <string.h>

#include "common/check.h"
#include "services/identity/guard.h"
#include "services/identity/identity_db.h"
#include "services/identity/notice.h"
#include "services/identity/password.h"
#include "services/identity/person.h"
#include "services/identity/refresh_rules.h"
#include "services/identity/reply.h"
#include "services/identity/session_open.h"

RPC_HANDLER(identity_session_login, Identity__V1__LoginRequest, Identity__V1__TokenReply)
RPC_HANDLER(identity_session_refresh, Identity__V1__RefreshRequest, Identity__V1__TokenReply)

const struct rpc_method identity_login_methods[] = {
	{ "Login", identity_session_login_, RPC_WRITE, 0 },
	{ "Refresh", identity_session_refresh_, RPC_WRITE, 0 },
	{ 0 },
};

struct login {
	struct call *c;
	struct session_ask ask;
	struct session_made made;
	struct login_row *row;
	const char *new_phc;   /* NULL: the stored one is good enough */
	const char *mfa_token; /* NULL: no second factor */
	struct guard guard;
};

/* A device with a refresh token of this very account is not slowed down by what strangers do to the account. */
static bool known_device(struct call *c, struct pg *pg, const char *text, struct pg_bytes email_index)
{
	struct refresh_token token;
	struct session_row *s;
	struct login_row *row;
	bool found = false, account = false;

	if (!refresh_token_read(&identity_of(c)->keys, text, &token) ||
	    identity_db_session_get(pg, c->arena, token.session_id, &s, &found, &c->err) || !found ||
	    identity_db_login(pg, c->arena, email_index, &row, &account, &c->err) || !account)
		return false;
	return strcmp(row->id, s->user_id) == 0;
}

static enum err_code login_load(struct login *l, const Identity__V1__LoginRequest *in)
{
	struct call *c = l->c;
	struct pg_bytes index = person_email_index(&identity_of(c)->keys, c->arena, in->email);
	struct pg *pg;
	bool found = false, known;

	if (call_pg(c, &pg))
		return c->err.code;
	known = known_device(c, pg, in->hdr_refresh_token, index);
	guard_login(c, &l->guard, index, in->hdr_client_ip, known);
	if (c->err.code == OK && guard_check(c, pg, &l->guard) == OK &&
	    identity_db_login(pg, c->arena, index, &l->row, &found, &c->err) == OK && !found)
		l->row = NULL;
	pg_return(pg);
	return c->err.code;
}

/* Everything is checked after the password, so that nothing can be learned without it. */
static enum err_code login_prove(struct login *l, const char *password)
{
	struct call *c = l->c;
	char *phc;
	bool match = false;

	if (password_matches(c, l->row ? l->row->phc : NULL, password, &match))
		return c->err.code;
	if (!match) {
		if (guard_fail(c, &l->guard))
			return c->err.code;
		return err_set(&c->err, E_UNAUTH, "identity.bad_credentials", "%s", l->row ? "password" : "address");
	}
	if (strcmp(l->row->status, "active") != 0)
		return err_set(&c->err, E_DENIED, "identity.disabled", "%s is %s", l->row->id, l->row->status);
	if (identity_of(c)->conf->verified_only && !l->row->email_verified)
		return err_set(&c->err, E_DENIED, "identity.email_unverified", "%s", l->row->id);
	if (!password_outdated(c, l->row->phc))
		return OK;
	phc = arena_alloc(c->arena, PHC_LEN);
	if (password_make(c, password, phc) == OK)
		l->new_phc = phc;
	else
		err_clear(&c->err); /* the next login raises it */
	return OK;
}

static enum err_code challenge(struct login *l, struct pg *pg, struct err *e)
{
	struct call *c = l->c;
	char *token = arena_alloc(c->arena, 44);
	uint8_t hash[SHA256_LEN];
	struct grant g;

	if (grant_find(pg, c->arena, l->row->id, l->ask.audience, l->ask.vendor_id, &g, e))
		return e->code;
	random_token(token);
	token_hash(token, hash);
	l->mfa_token = token;
	return identity_db_challenge_add(pg, hash, l->row->id, g.audience, *g.vendor_id ? g.vendor_id : NULL,
					 l->row->token_version, e);
}

static enum err_code login_store(struct pg *pg, void *arg, struct err *e)
{
	struct login *l = arg;

	if (l->new_phc && identity_db_password_rehash(pg, l->row->id, l->row->phc, l->new_phc, e))
		return e->code;
	if (guard_clear(l->c, pg, &l->guard, e))
		return e->code;
	return l->row->mfa ? challenge(l, pg, e) : session_open(l->c, pg, &l->ask, &l->made, e);
}

static enum err_code identity_session_login(struct call *c, const Identity__V1__LoginRequest *in,
					    Identity__V1__TokenReply *out)
{
	struct login l = { .c = c };

	check_email(&c->err, "email", in->email);
	check_password_given(&c->err, "password", in->password);
	if (grant_check(in->audience, in->vendor_id, &c->err) || input_ok(c) || login_load(&l, in) ||
	    login_prove(&l, in->password))
		return c->err.code;
	l.ask = (struct session_ask){ .user_id = l.row->id,
				      .token_version = l.row->token_version,
				      .audience = in->audience,
				      .vendor_id = in->vendor_id,
				      .user_agent = in->hdr_user_agent,
				      .ip = in->hdr_client_ip,
				      .in_body = in->refresh_in_body };
	call_act_as(c, l.row->id);
	if (call_tx(c, CALL_TX_PLAIN, login_store, &l))
		return c->err.code;
	if (!l.mfa_token)
		return session_answer(c, &l.ask, &l.made, out);
	SET(out, mfa_required, true);
	out->mfa_token = call_str(c, l.mfa_token);
	return OK;
}

/* ---- refresh ---- */
struct refresh {
	struct call *c;
	const Identity__V1__RefreshRequest *in;
	struct refresh_token old, next;
	struct session_ask ask;
	struct session_made made;
	enum refresh_verdict verdict;
};

static void family_of(const struct session_row *s, struct refresh_family *f)
{
	*f = (struct refresh_family){ .revoked = s->revoked,
				      .generation = s->generation,
				      .rotated_at = s->rotated_at,
				      .expires_at = s->expires_at,
				      .absolute_at = s->absolute_at,
				      .has_previous = s->prev_hash.len == SHA256_LEN };
	if (s->token_hash.len == SHA256_LEN)
		memcpy(f->current, s->token_hash.data, SHA256_LEN);
	if (f->has_previous)
		memcpy(f->previous, s->prev_hash.data, SHA256_LEN);
}

/*
 * The conditional UPDATE decides among all who come at once; only those that it turned away ask the rules why. A
 * reused token ends the family in this same transaction, which therefore commits: the refusal comes afterwards.
 */
static enum err_code refresh_decide(struct refresh *r, struct pg *pg, struct err *e)
{
	struct call *c = r->c;
	struct refresh_family before, after;
	struct session_row *s;
	bool done = false, found = false;
	const char *vendor = *r->made.grant.vendor_id ? r->made.grant.vendor_id : NULL;

	if (identity_db_session_rotate(pg, r->old.session_id, r->old.hash, r->next.hash, r->made.grant.audience, vendor, &done,
				       e))
		return e->code;
	r->verdict = REFRESH_ROTATE;
	if (done)
		return OK;
	if (identity_db_session_get(pg, c->arena, r->old.session_id, &s, &found, e))
		return e->code;
	r->verdict = REFRESH_OVER;
	if (!found)
		return OK;
	family_of(s, &before);
	r->verdict = refresh_step(&before, r->old.hash, r->next.hash, s->now, &after);
	if (r->verdict == REFRESH_ROTATE) /* it changed between the two statements: look again */
		return err_set(e, E_RETRY, "common.retry", "session moved");
	if (r->verdict != REFRESH_REUSE)
		return OK;
	if (identity_db_session_revoke(pg, s->id, NULL, "refresh token used again", &done, e) ||
	    notice_revoked(pg, c->arena, s->user_id, s->id, e))
		return e->code;
	return OK;
}

static enum err_code refresh_store(struct pg *pg, void *arg, struct err *e)
{
	struct refresh *r = arg;
	struct call *c = r->c;
	struct session_row *s;
	const char *audience = r->in->audience, *vendor_id = r->in->vendor_id;
	bool found = false;

	if (identity_db_session_get(pg, c->arena, r->old.session_id, &s, &found, e))
		return e->code;
	r->verdict = REFRESH_OVER;
	if (!found || s->revoked || strcmp(s->status, "active") != 0)
		return OK;
	if (!audience || !*audience) {
		audience = s->audience;
		vendor_id = s->vendor_id;
	}
	call_act_as(c, s->user_id);
	r->ask.user_id = s->user_id;
	r->ask.token_version = s->token_version;
	if (grant_find(pg, c->arena, s->user_id, audience, vendor_id, &r->made.grant, e))
		return e->code;
	return refresh_decide(r, pg, e);
}

static enum err_code identity_session_refresh(struct call *c, const Identity__V1__RefreshRequest *in,
					      Identity__V1__TokenReply *out)
{
	const char *text = in->refresh_token ? in->refresh_token : in->hdr_refresh_token;
	struct refresh r = { .c = c, .in = in };

	r.ask.in_body = in->refresh_token != NULL;
	if (grant_check(in->audience, in->vendor_id, &c->err))
		return c->err.code;
	if (!refresh_token_read(&identity_of(c)->keys, text, &r.old))
		return err_set(&c->err, E_UNAUTH, "identity.refresh_invalid", "no token of ours");
	refresh_token_next(&identity_of(c)->keys, &r.old, &r.next);
	r.made.token = r.next;
	if (call_tx(c, CALL_TX_PLAIN, refresh_store, &r))
		return c->err.code;
	if (r.verdict == REFRESH_OVER)
		return err_set(&c->err, E_UNAUTH, "identity.refresh_invalid", "session is over");
	if (r.verdict == REFRESH_REUSE)
		return err_set(&c->err, E_UNAUTH, "identity.refresh_reused", "session %s ended", r.old.session_id);
	return session_answer(c, &r.ask, &r.made, out);
}
