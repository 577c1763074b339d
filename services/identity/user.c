/* Registration and the user's own profile. */
#include "common/check.h"
#include "services/identity/account.h"
#include "services/identity/consent.h"
#include "services/identity/email.h"
#include "services/identity/link.h"
#include "services/identity/notice.h"
#include "services/identity/password.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

RPC_HANDLER(identity_user_register, Identity__V1__RegisterRequest, Identity__V1__RegisterReply)
RPC_HANDLER(identity_user_get, Identity__V1__MeRequest, Identity__V1__User)
RPC_HANDLER(identity_user_update, Identity__V1__UpdateMeRequest, Identity__V1__User)

const struct rpc_method identity_user_methods[] = {
	{ "RegisterUser", identity_user_register_, RPC_WRITE, 0 },
	{ "GetMe", identity_user_get_, RPC_READ, 0 },
	{ "UpdateMe", identity_user_update_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

struct registration {
	struct call *c;
	struct account_new account;
	const Identity__V1__RegisterRequest *in;
};

static enum err_code store_registration(struct pg *pg, void *arg, struct err *e)
{
	struct registration *r = arg;
	bool added = false;

	if (identity_db_account_add(pg, &r->account, &added, e))
		return e->code;
	if (!added)
		return email_tell_owner(r->c, pg, r->account.email_index, e);
	if (consent_store(pg, r->c->arena, r->account.id, r->in->consents, r->in->n_consents, e) ||
	    notice_registered(pg, r->c->arena, r->account.id, r->account.locale, e))
		return e->code;
	return link_send(r->c, pg, r->account.id, "verify_email", e);
}

static enum err_code identity_user_register(struct call *c, const Identity__V1__RegisterRequest *in,
					    Identity__V1__RegisterReply *out)
{
	struct registration r = { .c = c, .in = in };
	char phc[PHC_LEN];

	check_email(&c->err, "email", in->email);
	password_good(&c->err, "password", in->password, in->email);
	account_check(c, in->name, in->phone, in->locale);
	consent_check(c, in->consents, in->n_consents);
	if (input_ok(c) || password_make(c, in->password, phc) ||
	    account_seal(identity_of(c), c->arena, in->email, in->name, in->phone,
			 account_locale(c, in->locale, in->hdr_accept_language), &r.account, &c->err))
		return c->err.code;
	r.account.phc = phc;
	if (call_tx(c, CALL_TX_PLAIN, store_registration, &r))
		return c->err.code;
	out->status = call_str(c, "accepted");
	return OK;
}

static enum err_code identity_user_get(struct call *c, const Identity__V1__MeRequest *in, Identity__V1__User *out)
{
	struct account_row *row;
	struct pg *pg;

	(void)in;
	if (call_user(c) || call_pg(c, &pg))
		return c->err.code;
	if (account_find(c, pg, c->who.user_id, &row) == OK)
		noted(account_show(c, pg, row, false, out));
	pg_return(pg);
	return c->err.code;
}

struct profile {
	struct call *c;
	const Identity__V1__UpdateMeRequest *in;
	Identity__V1__User *out;
};

static enum err_code seal_profile(struct profile *p, const struct account_row *row, struct account_change *ch,
				  struct err *e)
{
	struct identity_keys *keys = &identity_of(p->c)->keys;
	struct arena *a = p->c->arena;
	struct account_texts now;
	const char *name, *phone;
	struct keyring *ring;
	enum err_code code = OK;

	if (account_read(p->c, row, &now))
		return p->c->err.code;
	name = p->in->name ? p->in->name : now.name;
	phone = p->in->phone ? p->in->phone : now.phone;
	if (phone && !*phone)
		phone = NULL;
	*ch = (struct account_change){ .locale = p->in->locale ? p->in->locale : row->locale, .version = row->version };
	if (phone)
		ch->phone_index = person_phone_index(keys, a, phone);
	if (person_key_open(keys, a, row->id, row->person_key, &ring, e))
		return e->code;
	if (crypto_seal_text(ring, "identity.account.name", row->id, name, a, &ch->name, e) ||
	    crypto_seal_text(ring, "identity.account.phone", row->id, phone, a, &ch->phone, e))
		code = e->code;
	keyring_free(ring);
	return code;
}

static enum err_code store_profile(struct pg *pg, void *arg, struct err *e)
{
	struct profile *p = arg;
	struct call *c = p->c;
	struct account_change ch;
	struct account_row *row;
	bool found = false, done = false;

	if (identity_db_account_lock(pg, c->arena, c->who.user_id, &row, &found, e))
		return e->code;
	if (!found || !row->person_key.data)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	if (etag_check(c, p->in->hdr_if_match, etag_of(c, row->id, row->version)) || seal_profile(p, row, &ch, e) ||
	    identity_db_account_update(pg, row->id, &ch, &done, e) ||
	    identity_db_account_get(pg, c->arena, row->id, &row, &found, e))
		return e->code;
	return account_show(c, pg, row, false, p->out);
}

static enum err_code identity_user_update(struct call *c, const Identity__V1__UpdateMeRequest *in, Identity__V1__User *out)
{
	struct profile p = { .c = c, .in = in, .out = out };

	account_check(c, in->name, in->phone, in->locale);
	if (call_user(c) || input_ok(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, store_profile, &p);
}
