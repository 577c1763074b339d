#include "services/identity/consent.h"

#include "common/check.h"
#include "common/timeutil.h"
#include "services/identity/identity_db.h"
#include "services/identity/notice.h"
#include "services/identity/reply.h"

RPC_HANDLER(identity_consent_list, Identity__V1__ConsentsRequest, Identity__V1__ConsentsReply)
RPC_HANDLER(identity_consent_put, Identity__V1__PutConsentRequest, Identity__V1__Consent)

const struct rpc_method identity_consent_methods[] = {
	{ "ListConsents", identity_consent_list_, RPC_READ, 0 },
	{ "PutConsent", identity_consent_put_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define PURPOSES "terms|privacy|marketing|analytics|personalisation"

static void check_choice(struct call *c, const char *purpose, bool has_granted, const char *version)
{
	check_oneof(&c->err, "purpose", purpose, PURPOSES);
	check_text(&c->err, "version", version, 1, 60);
	if (!has_granted)
		err_detail(&c->err, "granted", NULL, "is required");
}

void consent_check(struct call *c, Identity__V1__ConsentChoice *const *choices, size_t n)
{
	if (n > CONSENTS_AT_ONCE)
		err_detail(&c->err, "consents", NULL, "at most %d", CONSENTS_AT_ONCE);
	for (size_t i = 0; i < n && i < CONSENTS_AT_ONCE; i++)
		check_choice(c, choices[i]->purpose, choices[i]->has_granted, choices[i]->version);
}

enum err_code consent_store(struct pg *pg, struct arena *a, const char *user_id,
			    Identity__V1__ConsentChoice *const *choices, size_t n, struct err *e)
{
	char id[ID_LEN];

	for (size_t i = 0; i < n; i++) {
		id_new("cns", id);
		if (identity_db_consent_add(pg, id, user_id, choices[i]->purpose, choices[i]->granted, choices[i]->version,
					    e) ||
		    notice_consent(pg, a, user_id, choices[i]->purpose, choices[i]->granted, e))
			return e->code;
	}
	return OK;
}

enum err_code consent_show(struct call *c, struct pg *pg, const char *user_id, bool all, Identity__V1__Consent ***list_r,
			   size_t *n_r, struct err *e)
{
	Identity__V1__Consent **list;
	struct consent_row *rows;
	size_t n;

	if (identity_db_consents(pg, c->arena, user_id, all, &rows, &n, e))
		return e->code;
	list = arena_array(c->arena, n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		list[i] = arena_alloc(c->arena, sizeof(**list));
		identity__v1__consent__init(list[i]);
		list[i]->purpose = call_str(c, rows[i].purpose);
		list[i]->version = call_str(c, rows[i].version);
		SET(list[i], granted, rows[i].granted);
		SET(list[i], decided_at, rows[i].decided_at);
	}
	*list_r = list;
	*n_r = n;
	return OK;
}

static enum err_code identity_consent_list(struct call *c, const Identity__V1__ConsentsRequest *in,
					   Identity__V1__ConsentsReply *out)
{
	struct pg *pg;

	(void)in;
	if (call_user(c) || call_pg(c, &pg))
		return c->err.code;
	noted(consent_show(c, pg, c->who.user_id, false, &out->data, &out->n_data, &c->err));
	pg_return(pg);
	return c->err.code;
}

struct decision {
	struct call *c;
	Identity__V1__ConsentChoice choice;
};

static enum err_code store(struct pg *pg, void *arg, struct err *e)
{
	struct decision *d = arg;
	Identity__V1__ConsentChoice *one = &d->choice;

	return consent_store(pg, d->c->arena, d->c->who.user_id, &one, 1, e);
}

static enum err_code identity_consent_put(struct call *c, const Identity__V1__PutConsentRequest *in,
					  Identity__V1__Consent *out)
{
	struct decision d = { .c = c, .choice = IDENTITY__V1__CONSENT_CHOICE__INIT };

	if (call_user(c))
		return c->err.code;
	check_choice(c, in->purpose, in->has_granted, in->version);
	if (input_ok(c))
		return c->err.code;
	d.choice.purpose = in->purpose;
	d.choice.version = in->version;
	d.choice.granted = in->granted;
	out->purpose = call_str(c, in->purpose);
	out->version = call_str(c, in->version);
	SET(out, granted, in->granted);
	SET(out, decided_at, wall_ms());
	return call_tx(c, CALL_TX_ONLY, store, &d);
}
