#include "services/identity/email.h"

#include <string.h>

#include "common/check.h"
#include "services/identity/guard.h"
#include "services/identity/notice.h"
#include "services/identity/password.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

RPC_HANDLER(identity_email_change, Identity__V1__ChangeEmailRequest, Identity__V1__AcceptedReply)

const struct rpc_method identity_email_methods[] = {
	{ "ChangeEmail", identity_email_change_, RPC_WRITE, 0 },
	{ 0 },
};

#define ACCOUNT_EMAIL "identity.account.email"
#define LINK_EMAIL    "identity.link.email"
#define LINK_OLD      "identity.link.old_email"

enum err_code email_tell_owner(struct call *c, struct pg *pg, struct pg_bytes email_index, struct err *e)
{
	struct arena *a = c->arena;
	struct guard g = { 0 };
	const char *owner;
	int64_t wait_ms;
	bool verified;

	guard_add(c, &g, BACKOFF_MAIL, email_index.data, email_index.len, "register");
	if (identity_db_account_id(pg, a, email_index, &owner, &verified, e) ||
	    identity_db_backoff_wait(pg, a, g.key, g.n, &wait_ms, e))
		return e->code;
	if (!owner || wait_ms > 0)
		return OK;
	if (identity_db_backoff_fail(pg, g.key[0], backoff_rule(BACKOFF_MAIL), e))
		return e->code;
	return notice_security(pg, a, owner, "register_attempt", e);
}

/* The account's row, locked, and its person's keys (the caller's to free). */
static enum err_code lock_person(struct call *c, struct pg *pg, const char *user_id, struct account_row **row_r,
				 struct keyring **ring_r, struct err *e)
{
	bool found = false;

	if (identity_db_account_lock(pg, c->arena, user_id, row_r, &found, e))
		return e->code;
	if (!found || !(*row_r)->person_key.data)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	return person_key_open(&identity_of(c)->keys, c->arena, user_id, (*row_r)->person_key, ring_r, e);
}

/* ---- asking ---- */
struct wish {
	struct call *c;
	const char *email; /* normalised */
	struct link_email sealed;
};

/* Mails are counted for addresses that are taken too, so that the answer does not tell. */
static enum err_code begin_change(struct wish *w, struct pg *pg, struct keyring *ring, const char *link_id, struct err *e)
{
	struct call *c = w->c;
	const char *owner;
	bool verified;

	if (identity_db_account_id(pg, c->arena, w->sealed.email_index, &owner, &verified, e))
		return e->code;
	if (owner && strcmp(owner, c->who.user_id) == 0)
		return err_set(e, E_RULE, "identity.email_same", "%s", owner);
	if (owner)
		return email_tell_owner(c, pg, w->sealed.email_index, e);
	if (crypto_seal_text(ring, LINK_EMAIL, link_id, w->email, c->arena, &w->sealed.email, e) ||
	    identity_db_link_end(pg, c->who.user_id, "change_email", e) ||
	    identity_db_link_add_email(pg, link_id, c->who.user_id, LINK_CHANGE_S, &w->sealed, e))
		return e->code;
	return notice_email(pg, c->arena, c->who.user_id, "user.email_change_requested", link_id, e);
}

static enum err_code ask_change(struct pg *pg, void *arg, struct err *e)
{
	struct wish *w = arg;
	struct call *c = w->c;
	struct guard g = { 0 };
	struct account_row *row;
	struct keyring *ring;
	int64_t wait_ms;
	char link_id[ID_LEN];

	guard_add(c, &g, BACKOFF_MAIL, c->who.user_id, strlen(c->who.user_id), "change");
	if (identity_db_backoff_wait(pg, c->arena, g.key, g.n, &wait_ms, e))
		return e->code;
	if (wait_ms > 0) {
		e->retry_after_ms = (int)wait_ms;
		return err_set(e, E_EXHAUSTED, "identity.slowed", "mails to new addresses");
	}
	if (identity_db_backoff_fail(pg, g.key[0], backoff_rule(BACKOFF_MAIL), e) ||
	    lock_person(c, pg, c->who.user_id, &row, &ring, e))
		return e->code;
	id_new("lnk", link_id);
	w->sealed.email_index = person_email_index(&identity_of(c)->keys, c->arena, w->email);
	(void)begin_change(w, pg, ring, link_id, e);
	keyring_free(ring);
	return e->code;
}

static enum err_code identity_email_change(struct call *c, const Identity__V1__ChangeEmailRequest *in,
					   Identity__V1__AcceptedReply *out)
{
	struct wish w = { .c = c };
	struct login_row *row = NULL;

	if (call_user(c))
		return c->err.code;
	check_email(&c->err, "email", in->email);
	check_password_given(&c->err, "password", in->password);
	if (input_ok(c) || password_confirm(c, in->password, &row))
		return c->err.code;
	w.email = crypto_normal_email(c->arena, in->email);
	out->status = call_str(c, "accepted");
	return call_tx(c, CALL_TX_PLAIN, ask_change, &w);
}

/* ---- confirming ---- */

/* From one row's column to another's. */
static enum err_code reseal(struct call *c, struct keyring *ring, const char *from, const char *from_id, struct pg_bytes in,
			    const char *to, const char *to_id, struct pg_bytes *out, struct err *e)
{
	const char *plain;

	if (crypto_open_text(ring, from, from_id, in, c->arena, &plain, e))
		return e->code;
	return crypto_seal_text(ring, to, to_id, plain, c->arena, out, e);
}

static enum err_code swap(struct call *c, struct pg *pg, struct keyring *ring, const struct account_row *row,
			  const struct link_row *link, struct err *e)
{
	struct link_email fresh = { .email_index = link->email_index };
	struct pg_bytes old;

	if (reseal(c, ring, LINK_EMAIL, link->id, link->email, ACCOUNT_EMAIL, row->id, &fresh.email, e) ||
	    reseal(c, ring, ACCOUNT_EMAIL, row->id, row->email, LINK_OLD, link->id, &old, e) ||
	    identity_db_account_email(pg, row->id, &fresh, e) || identity_db_link_keep_old(pg, link->id, old, e))
		return e->code;
	/* What was mailed to the address before opens nothing any more. */
	if (identity_db_link_end(pg, row->id, "password_reset", e) || identity_db_link_end(pg, row->id, "verify_email", e))
		return e->code;
	return notice_email(pg, c->arena, row->id, "user.email_changed", link->id, e);
}

enum err_code email_confirm(struct call *c, struct pg *pg, const struct link_row *link, struct err *e)
{
	struct account_row *row;
	struct keyring *ring;

	if (lock_person(c, pg, link->user_id, &row, &ring, e))
		return e->code;
	(void)swap(c, pg, ring, row, link, e);
	keyring_free(ring);
	return e->code;
}

enum err_code email_of_link(struct call *c, struct pg *pg, const struct link_row *link, bool old, const char **email_r,
			    struct err *e)
{
	struct pg_bytes sealed = old ? link->old_email : link->email;
	struct account_row *row;
	struct keyring *ring;
	bool found = false;

	if (identity_db_account_get(pg, c->arena, link->user_id, &row, &found, e))
		return e->code;
	if (!found || !row->person_key.data || !sealed.data)
		return err_set(e, E_NOT_FOUND, "common.not_found", "address of link");
	if (person_key_open(&identity_of(c)->keys, c->arena, row->id, row->person_key, &ring, e))
		return e->code;
	noted(crypto_open_text(ring, old ? LINK_OLD : LINK_EMAIL, link->id, sealed, c->arena, email_r, e));
	keyring_free(ring);
	return e->code;
}
