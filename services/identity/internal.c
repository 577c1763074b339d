/* What other processes ask: keys and revocations for the gateway, contacts for notify, addresses for checkout. */
#include <string.h>

#include "common/id.h"
#include "services/identity/account.h"
#include "services/identity/address.h"
#include "services/identity/email.h"
#include "services/identity/identity_db.h"
#include "services/identity/reply.h"
#include "services/identity/token.h"

RPC_HANDLER(identity_internal_jwks, Identity__V1__JwksRequest, Identity__V1__JwksReply)
RPC_HANDLER(identity_internal_revocations, Identity__V1__RevocationsRequest, Identity__V1__RevocationsReply)
RPC_HANDLER(identity_internal_contact, Identity__V1__ContactRequest, Identity__V1__Contact)
RPC_HANDLER(identity_internal_address, Identity__V1__AddressRequest, Identity__V1__Address)

const struct rpc_method identity_internal_methods[] = {
	{ "GetJwks", identity_internal_jwks_, RPC_READ | RPC_INTERNAL, 0 },
	{ "ListRevocations", identity_internal_revocations_, RPC_READ | RPC_INTERNAL, 0 },
	{ "GetContact", identity_internal_contact_, RPC_READ | RPC_INTERNAL, 0 },
	{ "GetAddressFor", identity_internal_address_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

#define REVOCATIONS_PAGE 1000

/* Public keys: anyone may ask. */
static enum err_code identity_internal_jwks(struct call *c, const Identity__V1__JwksRequest *in, Identity__V1__JwksReply *out)
{
	(void)in;
	out->jwks = signer_jwks(identity_of(c)->signer, c->arena);
	return OK;
}

static void fill(struct call *c, const struct revocation_row *rows, size_t n, Identity__V1__RevocationsReply *out)
{
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Identity__V1__Revocation *r = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*r));

		identity__v1__revocation__init(r);
		r->session_id = call_str(c, rows[i].session_id);
		r->user_id = call_str(c, rows[i].user_id);
		if (rows[i].min_token_version)
			SET(r, min_token_version, rows[i].min_token_version);
		SET(r, revoked_at, rows[i].revoked_at);
	}
}

static enum err_code identity_internal_revocations(struct call *c, const Identity__V1__RevocationsRequest *in,
						   Identity__V1__RevocationsReply *out)
{
	int64_t after = in->has_after && in->after > 0 ? in->after : 0, horizon, next;
	struct revocation_row *rows;
	struct pg *pg;
	size_t n;

	if (call_service(c, "gateway") || call_pg(c, &pg))
		return c->err.code;
	noted(identity_db_revocations(pg, c->arena, after, REVOCATIONS_PAGE, &rows, &n, &horizon, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	fill(c, rows, n, out);
	/* A full page may not be the end: go on after its last transaction, but never past the horizon. */
	next = n >= REVOCATIONS_PAGE && rows[n - 1].xid < horizon ? rows[n - 1].xid : horizon;
	SET(out, next, next);
	return OK;
}

/* The address that the person had before the change by this link. */
static enum err_code email_before(struct call *c, struct pg *pg, const char *user_id, const char *link_id,
				  const char **email_r)
{
	struct link_row *link;
	bool found = false;

	if (identity_db_link_get(pg, c->arena, link_id, &link, &found, &c->err))
		return c->err.code;
	if (!found || strcmp(link->user_id, user_id) != 0)
		return not_found(c, "link");
	return email_of_link(c, pg, link, true, email_r, &c->err);
}

static enum err_code contact(struct call *c, struct pg *pg, const Identity__V1__ContactRequest *in,
			     Identity__V1__Contact *out)
{
	struct account_row *row;
	struct account_texts t;

	if (account_find(c, pg, in->user_id, &row))
		return c->err.code;
	if (strcmp(row->status, "erased") == 0)
		return not_found(c, "erased user");
	if (account_read(c, row, &t) || (in->link_id && email_before(c, pg, row->id, in->link_id, &t.email)))
		return c->err.code;
	out->user_id = call_str(c, row->id);
	out->email = call_str(c, t.email);
	out->name = call_str(c, t.name);
	out->locale = call_str(c, row->locale);
	SET(out, email_verified, row->email_verified);
	return OK;
}

static enum err_code identity_internal_contact(struct call *c, const Identity__V1__ContactRequest *in,
					       Identity__V1__Contact *out)
{
	struct pg *pg;

	if (call_service(c, "notify,checkout"))
		return c->err.code;
	if (!id_valid("usr", in->user_id))
		return not_found(c, "user");
	if (call_pg(c, &pg))
		return c->err.code;
	(void)contact(c, pg, in, out);
	pg_return(pg);
	return c->err.code;
}

static enum err_code address(struct call *c, struct pg *pg, const Identity__V1__AddressRequest *in,
			     Identity__V1__Address *out)
{
	struct address_row *row;
	bool found = false;

	if (identity_db_address_get(pg, c->arena, in->user_id, in->address_id, &row, &found, &c->err))
		return c->err.code;
	return found ? address_show(c, pg, in->user_id, row, 1, &out) : not_found(c, "address");
}

/* checkout asks for its buyer: as itself, or forwarding the buyer, who then gets his own only. */
static enum err_code identity_internal_address(struct call *c, const Identity__V1__AddressRequest *in,
					       Identity__V1__Address *out)
{
	struct pg *pg;

	if (c->who.kind == WHO_USER) {
		if (!in->user_id || strcmp(in->user_id, c->who.user_id) != 0)
			return not_found(c, "address of another");
	} else if (call_service(c, "checkout")) {
		return c->err.code;
	}
	if (!id_valid("usr", in->user_id) || !id_valid("adr", in->address_id))
		return not_found(c, "address");
	if (call_pg(c, &pg))
		return c->err.code;
	(void)address(c, pg, in, out);
	pg_return(pg);
	return c->err.code;
}
