/* Change, forget, reset: the password endpoints, and the queue in front of every hash. */
#include "services/identity/password.h"

#include <string.h>

#include "common/check.h"
#include "events.pb-c.h"
#include "services/identity/hash_queue.h"
#include "services/identity/link.h"
#include "services/identity/notice.h"
#include "services/identity/password_rules.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"
#include "services/identity/token.h"

RPC_HANDLER(identity_password_change, Identity__V1__ChangePasswordRequest, Common__V1__Empty)
RPC_HANDLER(identity_password_forgot, Identity__V1__ForgotPasswordRequest, Identity__V1__AcceptedReply)
RPC_HANDLER(identity_password_reset, Identity__V1__ResetPasswordRequest, Common__V1__Empty)

const struct rpc_method identity_password_methods[] = {
	{ "ChangePassword", identity_password_change_, RPC_WRITE, 0 },
	{ "ForgotPassword", identity_password_forgot_, RPC_WRITE, 0 },
	{ "ResetPassword", identity_password_reset_, RPC_WRITE, 0 },
	{ 0 },
};

struct argon2_cost password_cost(const struct identity_conf *conf)
{
	return (struct argon2_cost){ .memory_kib = (uint32_t)conf->argon2_memory_kib,
				     .passes = (uint32_t)conf->argon2_passes,
				     .lanes = 1 };
}

bool password_good(struct err *e, const char *field, const char *password, const char *email)
{
	enum password_verdict v;

	if (!check_password_given(e, field, password))
		return false;
	v = password_judge(password, email);
	if (v == PASSWORD_GOOD)
		return true;
	err_detail(e, field, NULL, "%s", password_reason(v));
	return false;
}

enum err_code password_make(struct call *c, const char *password, char phc[PHC_LEN])
{
	struct identity_svc *svc = identity_of(c);
	struct argon2_cost cost = password_cost(svc->conf);
	enum err_code code;

	if (hash_queue_enter(svc->hashes, c->deadline_ms, &c->err))
		return c->err.code;
	code = password_hash(&cost, password, phc, &c->err);
	hash_queue_leave(svc->hashes);
	return code;
}

enum err_code password_matches(struct call *c, const char *phc, const char *password, bool *match_r)
{
	struct identity_svc *svc = identity_of(c);
	enum err_code code;
	bool match = false;

	if (hash_queue_enter(svc->hashes, c->deadline_ms, &c->err))
		return c->err.code;
	code = password_verify(phc ? phc : svc->dummy_phc, password, &match, &c->err);
	hash_queue_leave(svc->hashes);
	if (code == OK)
		*match_r = match && phc;
	return code;
}

bool password_outdated(struct call *c, const char *phc)
{
	struct argon2_cost cost = password_cost(identity_of(c)->conf);

	return password_weaker(phc, &cost);
}

static enum err_code confirm_load(struct call *c, const struct guard *g, struct login_row **row_r)
{
	struct pg *pg;
	bool found = false;

	if (call_pg(c, &pg))
		return c->err.code;
	if (guard_check(c, pg, g) == OK)
		noted(identity_db_login_by_id(pg, c->arena, c->who.user_id, row_r, &found, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	return found ? OK : err_set(&c->err, E_UNAUTH, "identity.bad_credentials", "no such account");
}

enum err_code password_confirm(struct call *c, const char *password, struct login_row **row_r)
{
	struct guard g = { 0 };
	bool match = false;

	guard_add(c, &g, BACKOFF_PAIR, c->who.user_id, strlen(c->who.user_id), "confirm");
	if (confirm_load(c, &g, row_r) || password_matches(c, (*row_r)->phc, password, &match))
		return c->err.code;
	if (match)
		return OK;
	if (guard_fail(c, &g))
		return c->err.code;
	return err_set(&c->err, E_UNAUTH, "identity.bad_credentials", "wrong password");
}

/* ---- change ---- */
struct new_password {
	struct call *c;
	const char *user_id, *phc, *keep_session;
	const char *link_id; /* NULL unless by a link */
};

/* Whoever had a session by the old password has none by the new one. */
static enum err_code store_password(struct pg *pg, void *arg, struct err *e)
{
	struct new_password *n = arg;
	int64_t ended;
	bool used = true;

	if (n->link_id && identity_db_link_use(pg, n->link_id, &used, e))
		return e->code;
	if (!used)
		return err_set(e, E_GONE, "identity.link_invalid", "used meanwhile");
	if (identity_db_password_put(pg, n->user_id, n->phc, e) ||
	    identity_db_session_revoke_all(pg, n->user_id, n->keep_session, "password changed", &ended, e) ||
	    identity_db_link_end(pg, n->user_id, "password_reset", e) ||
	    identity_db_link_end(pg, n->user_id, "bootstrap", e))
		return e->code;
	/* The link came by mail to the address, so it is the owner's; and tokens of every session end at once. */
	if (n->link_id && (identity_db_account_verified(pg, n->user_id, e) || identity_db_account_bump(pg, n->user_id, e)))
		return e->code;
	return notice_security(pg, n->c->arena, n->user_id, "password_changed", e);
}

static enum err_code identity_password_change(struct call *c, const Identity__V1__ChangePasswordRequest *in,
					      Common__V1__Empty *out)
{
	struct new_password n = { .c = c };
	struct login_row *row = NULL;
	char phc[PHC_LEN];

	(void)out;
	if (call_user(c))
		return c->err.code;
	check_password_given(&c->err, "current_password", in->current_password);
	password_good(&c->err, "new_password", in->new_password, NULL);
	if (input_ok(c) || password_confirm(c, in->current_password, &row) || password_make(c, in->new_password, phc))
		return c->err.code;
	n.user_id = row->id;
	n.keep_session = c->who.session_id;
	n.phc = phc;
	return call_tx(c, CALL_TX_PLAIN, store_password, &n);
}

/* ---- forgotten ---- */
struct forgot {
	struct call *c;
	const char *email;
};

/* Mails are counted for unknown addresses too, so that neither answer nor effort differs. */
static enum err_code send_reset(struct pg *pg, void *arg, struct err *e)
{
	struct forgot *f = arg;
	struct call *c = f->c;
	struct pg_bytes index = person_email_index(&identity_of(c)->keys, c->arena, f->email);
	struct guard g = { 0 };
	const char *user_id;
	int64_t wait_ms;
	bool verified;

	guard_add(c, &g, BACKOFF_MAIL, index.data, index.len, "");
	if (identity_db_backoff_wait(pg, c->arena, g.key, g.n, &wait_ms, e) ||
	    identity_db_account_id(pg, c->arena, index, &user_id, &verified, e))
		return e->code;
	if (wait_ms > 0)
		return OK;
	if (identity_db_backoff_fail(pg, g.key[0], backoff_rule(BACKOFF_MAIL), e))
		return e->code;
	return user_id ? link_send(c, pg, user_id, "password_reset", e) : OK;
}

static enum err_code identity_password_forgot(struct call *c, const Identity__V1__ForgotPasswordRequest *in,
					      Identity__V1__AcceptedReply *out)
{
	struct forgot f = { .c = c, .email = in->email };

	check_email(&c->err, "email", in->email);
	if (input_ok(c) || call_tx(c, CALL_TX_PLAIN, send_reset, &f))
		return c->err.code;
	out->status = call_str(c, "accepted");
	return OK;
}

/* ---- reset ---- */
/* The link must be open, for a password, and for this account if one is named. */
static enum err_code find_reset(struct call *c, const Identity__V1__ResetPasswordRequest *in, struct link_row **link_r)
{
	uint8_t hash[SHA256_LEN];
	const char *user_id = NULL;
	struct pg *pg;
	bool found = false, verified;

	token_hash(in->token, hash);
	if (call_pg(c, &pg))
		return c->err.code;
	if (identity_db_link_find(pg, c->arena, hash, link_r, &found, &c->err) == OK && in->email)
		noted(identity_db_account_id(pg, c->arena,
					     person_email_index(&identity_of(c)->keys, c->arena, in->email), &user_id,
					     &verified, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	if (!found || !(*link_r)->open ||
	    (strcmp((*link_r)->kind, "password_reset") != 0 && strcmp((*link_r)->kind, "bootstrap") != 0) ||
	    (in->email && (!user_id || strcmp(user_id, (*link_r)->user_id) != 0)))
		return err_set(&c->err, E_GONE, "identity.link_invalid", "reset link");
	return OK;
}

static enum err_code identity_password_reset(struct call *c, const Identity__V1__ResetPasswordRequest *in,
					     Common__V1__Empty *out)
{
	struct new_password n = { .c = c };
	struct link_row *link = NULL;
	char phc[PHC_LEN];

	(void)out;
	check_text(&c->err, "token", in->token, 20, 200);
	password_good(&c->err, "password", in->password, in->email);
	if (in->email)
		check_email(&c->err, "email", in->email);
	if (input_ok(c) || find_reset(c, in, &link) || password_make(c, in->password, phc))
		return c->err.code;
	n.user_id = link->user_id;
	n.link_id = link->id;
	n.phc = phc;
	call_act_as(c, link->user_id);
	return call_tx(c, CALL_TX_PLAIN, store_password, &n);
}
