#include "services/identity/account.h"

#include <ctype.h>
#include <string.h>

#include "common/check.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

enum err_code account_read(struct call *c, const struct account_row *row, struct account_texts *texts_r)
{
	struct account_texts t = { 0 };
	struct keyring *ring;
	enum err_code code = OK;

	if (row->person_key.data) {
		if (person_key_open(&identity_of(c)->keys, c->arena, row->id, row->person_key, &ring, &c->err))
			return c->err.code;
		if (crypto_open_text(ring, "identity.account.email", row->id, row->email, c->arena, &t.email, &c->err) ||
		    crypto_open_text(ring, "identity.account.name", row->id, row->name, c->arena, &t.name, &c->err) ||
		    crypto_open_text(ring, "identity.account.phone", row->id, row->phone, c->arena, &t.phone, &c->err))
			code = c->err.code;
		keyring_free(ring);
	}
	if (code == OK)
		*texts_r = t;
	return code;
}

static enum err_code show_roles(struct call *c, struct pg *pg, const char *user_id, Identity__V1__User *out)
{
	struct member_row *members;
	struct word_row *roles;
	size_t n_members, n_roles;

	if (identity_db_admin_roles(pg, c->arena, user_id, &roles, &n_roles, &c->err) ||
	    identity_db_memberships(pg, c->arena, user_id, NULL, &members, &n_members, &c->err))
		return c->err.code;
	out->n_roles = out->n_memberships = 0; /* a retried transaction fills them anew */
	out->roles = arena_array(c->arena, n_roles + 1, sizeof(char *));
	for (size_t i = 0; i < n_roles; i++)
		out->roles[out->n_roles++] = call_str(c, roles[i].word);
	out->memberships = arena_array(c->arena, n_members + 1, sizeof(*out->memberships));
	for (size_t i = 0; i < n_members; i++) {
		Identity__V1__Membership *m = arena_alloc(c->arena, sizeof(*m));

		identity__v1__membership__init(m);
		m->vendor_id = call_str(c, members[i].vendor_id);
		m->role = call_str(c, members[i].role);
		m->vendor_status = call_str(c, members[i].vendor_status);
		out->memberships[out->n_memberships++] = m;
	}
	return OK;
}

enum err_code account_show(struct call *c, struct pg *pg, const struct account_row *row, bool masked,
			   Identity__V1__User *out)
{
	struct account_texts t;

	if (account_read(c, row, &t) || show_roles(c, pg, row->id, out))
		return c->err.code;
	out->id = call_str(c, row->id);
	out->email = call_str(c, masked ? person_mask_email(c->arena, t.email) : t.email);
	out->name = call_str(c, masked ? person_mask_name(c->arena, t.name) : t.name);
	out->phone = call_str(c, masked ? person_mask_phone(c->arena, t.phone) : t.phone);
	out->locale = call_str(c, row->locale);
	out->status = call_str(c, row->status);
	SET(out, email_verified, row->email_verified);
	SET(out, mfa_enabled, row->mfa);
	SET(out, created_at, row->created_at);
	SET(out, updated_at, row->updated_at);
	SET(out, version, row->version);
	out->hdr_etag = etag_of(c, row->id, row->version);
	return OK;
}

void account_check(struct call *c, const char *name, const char *phone, const char *locale)
{
	if (name)
		check_text(&c->err, "name", name, 1, 200);
	if (phone && *phone)
		check_phone(&c->err, "phone", phone);
	if (locale)
		check_language(&c->err, "locale", locale);
}

const char *account_locale(struct call *c, const char *locale, const char *accept_language)
{
	struct err ignored = { 0 };
	size_t n = 0;
	char *first;

	if (locale)
		return locale;
	if (!accept_language)
		return "en";
	while (n < 16 && (isalnum((unsigned char)accept_language[n]) || accept_language[n] == '-'))
		n++;
	first = arena_strndup(c->arena, accept_language, n);
	return check_language(&ignored, "locale", first) ? first : "en";
}

enum err_code account_seal(struct identity_svc *svc, struct arena *a, const char *email, const char *name, const char *phone,
			   const char *locale, struct account_new *n_r, struct err *e)
{
	struct account_new n = { .locale = locale };
	char *id = arena_alloc(a, ID_LEN);
	struct keyring *ring;
	enum err_code code = OK;

	id_new("usr", id);
	n.id = id;
	email = crypto_normal_email(a, email);
	if (phone && !*phone)
		phone = NULL;
	n.email_index = person_email_index(&svc->keys, a, email);
	if (phone)
		n.phone_index = person_phone_index(&svc->keys, a, phone);
	if (person_key_new(&svc->keys, a, id, &n.person_key, &ring, e))
		return e->code;
	if (crypto_seal_text(ring, "identity.account.email", id, email, a, &n.email, e) ||
	    crypto_seal_text(ring, "identity.account.name", id, name, a, &n.name, e) ||
	    crypto_seal_text(ring, "identity.account.phone", id, phone, a, &n.phone, e))
		code = e->code;
	keyring_free(ring);
	if (code == OK)
		*n_r = n;
	return code;
}

enum err_code account_find(struct call *c, struct pg *pg, const char *user_id, struct account_row **row_r)
{
	bool found = false;

	if (identity_db_account_get(pg, c->arena, user_id, row_r, &found, &c->err))
		return c->err.code;
	return found ? OK : not_found(c, "user");
}
