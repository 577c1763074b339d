/* Profile, addresses, export, erasure; and what must hold for the whole schema. */
#include "world.h"

#include <pthread.h>

#include "services/identity/identity_db.h"

static Identity__V1__User *me_of(const struct principal *who)
{
	Identity__V1__MeRequest in = IDENTITY__V1__ME_REQUEST__INIT;
	Identity__V1__User *out = NULL;

	MUST(ASK("GetMe", who, &in, &out, e));
	return out;
}

static void test_profile(void **state)
{
	Identity__V1__UpdateMeRequest in = IDENTITY__V1__UPDATE_ME_REQUEST__INIT;
	struct principal me = bearer(newcomer("profile@example.com"));
	Identity__V1__User *u = me_of(&me);
	struct err why = { 0 };

	(void)state;
	assert_string_equal(u->email, "profile@example.com");
	assert_string_equal(u->name, "Ann Example");
	assert_string_equal(u->phone, "+4915112345678");
	assert_string_equal(u->locale, "en");
	assert_false(u->email_verified);
	assert_string_equal(u->hdr_etag, arena_printf(w.arena, "%s-1", u->id));
	in.name = (char *)"\xc3\x84nne";
	in.hdr_if_match = u->hdr_etag;
	MUST(ASK("UpdateMe", &me, &in, &u, e));
	assert_string_equal(u->name, "\xc3\x84nne");
	assert_string_equal(u->phone, "+4915112345678");
	assert_int_equal(u->version, 2);
	assert_int_equal(ASK("UpdateMe", &me, &in, NULL, &why), E_PRECOND);
	assert_string_equal(why.details[0].value, u->hdr_etag);
	in.hdr_if_match = NULL;
	in.phone = (char *)"";
	MUST(ASK("UpdateMe", &me, &in, &u, e));
	assert_null(u->phone);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.account WHERE id = '%s' AND phone_index IS NOT NULL", u->id), 0);
	in.phone = (char *)"not a number";
	REFUSED(ASK("UpdateMe", &me, &in, NULL, e), "common.invalid_input");
	REFUSED(ASK("GetMe", &nobody, &in, NULL, e), "common.unauthenticated");
}

static Identity__V1__Address *new_address(const struct principal *who, const char *line1, bool is_default)
{
	Identity__V1__CreateAddressRequest in = IDENTITY__V1__CREATE_ADDRESS_REQUEST__INIT;
	Identity__V1__Address *out = NULL;

	in.name = (char *)"Ann Example";
	in.line1 = (char *)line1;
	in.city = (char *)"Lisboa";
	in.postal_code = (char *)"1100-001";
	in.country = (char *)"PT";
	in.has_is_default = 1;
	in.is_default = is_default;
	MUST(ASK("CreateAddress", who, &in, &out, e));
	return out;
}

static void test_addresses(void **state)
{
	Identity__V1__UpdateAddressRequest in = IDENTITY__V1__UPDATE_ADDRESS_REQUEST__INIT;
	Identity__V1__DeleteAddressRequest del = IDENTITY__V1__DELETE_ADDRESS_REQUEST__INIT;
	Identity__V1__AddressesRequest list = IDENTITY__V1__ADDRESSES_REQUEST__INIT;
	Identity__V1__AddressRequest ask = IDENTITY__V1__ADDRESS_REQUEST__INIT;
	struct principal me = bearer(newcomer("address@example.com")), other = bearer(newcomer("address2@example.com"));
	struct principal checkout = service("checkout"), notify = service("notify");
	Identity__V1__Address *a = new_address(&me, "Rua Um 1", true), *b = new_address(&me, "Rua Dois 2", true), *out;
	Identity__V1__AddressesReply *page;

	(void)state;
	(void)new_address(&other, "Somewhere else", false);
	list.has_limit = 1;
	list.limit = 1;
	MUST(ASK("ListAddresses", &me, &list, &page, e));
	assert_int_equal(page->n_data, 1);
	assert_string_equal(page->data[0]->line1, "Rua Um 1");
	assert_false(page->data[0]->is_default); /* the second took it over */
	list.cursor = page->next_cursor;
	REFUSED(ASK("ListAddresses", &other, &list, NULL, e), "common.cursor_invalid");
	MUST(ASK("ListAddresses", &me, &list, &page, e));
	assert_string_equal(page->data[0]->id, b->id);
	assert_true(page->data[0]->is_default);
	assert_null(page->next_cursor);

	in.address_id = a->id;
	in.line2 = (char *)"second floor";
	in.has_is_default = in.is_default = 1;
	REFUSED(ASK("UpdateAddress", &other, &in, NULL, e), "common.not_found");
	in.hdr_if_match = (char *)"adr_x-9";
	REFUSED(ASK("UpdateAddress", &me, &in, NULL, e), "common.precondition_failed");
	in.hdr_if_match = NULL;
	MUST(ASK("UpdateAddress", &me, &in, &out, e));
	assert_string_equal(out->line1, "Rua Um 1");
	assert_string_equal(out->line2, "second floor");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.address WHERE user_id = '%s' AND is_default", me.user_id), 1);
	in.line2 = (char *)"";
	in.hdr_if_match = out->hdr_etag;
	MUST(ASK("UpdateAddress", &me, &in, &out, e));
	assert_null(out->line2);
	in.line1 = (char *)"";
	in.country = (char *)"Portugal";
	REFUSED(ASK("UpdateAddress", &me, &in, NULL, e), "common.invalid_input");

	ask.user_id = (char *)me.user_id;
	ask.address_id = b->id;
	MUST(ASK("GetAddressFor", &checkout, &ask, &out, e));
	assert_string_equal(out->line1, "Rua Dois 2");
	MUST(ASK("GetAddressFor", &me, &ask, &out, e));
	REFUSED(ASK("GetAddressFor", &other, &ask, NULL, e), "common.not_found");
	REFUSED(ASK("GetAddressFor", &notify, &ask, NULL, e), "common.forbidden");
	ask.user_id = (char *)other.user_id;
	REFUSED(ASK("GetAddressFor", &checkout, &ask, NULL, e), "common.not_found");

	del.address_id = b->id;
	REFUSED(ASK("DeleteAddress", &other, &del, NULL, e), "common.not_found");
	MUST(ASK("DeleteAddress", &me, &del, NULL, e));
	REFUSED(ASK("DeleteAddress", &me, &del, NULL, e), "common.not_found");
}

static void *add_default(void *arg)
{
	Identity__V1__CreateAddressRequest in = IDENTITY__V1__CREATE_ADDRESS_REQUEST__INIT;
	struct arena *a = arena_new("thread", 1 << 20);
	const struct principal *who = arg;
	enum err_code code;

	in.name = in.line1 = in.city = (char *)"x";
	in.country = (char *)"PT";
	in.has_is_default = in.is_default = 1;
	code = ask_in(a, "CreateAddress", who, &in, NULL, NULL);
	arena_free(a);
	return code == OK || code == E_RULE ? NULL : (void *)1;
}

static void test_address_limit_and_default_race(void **state)
{
	struct principal me = bearer(newcomer("many@example.com"));
	pthread_t t[16];

	(void)state;
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 16; i++)
			assert_int_equal(pthread_create(&t[i], NULL, add_default, &me), 0);
		for (int i = 0; i < 16; i++) {
			void *bad;

			assert_int_equal(pthread_join(t[i], &bad), 0);
			assert_null(bad);
		}
	}
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.address WHERE user_id = '%s'", me.user_id),
			 IDENTITY_ADDRESSES_MAX);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.address WHERE user_id = '%s' AND is_default", me.user_id), 1);
}

static void test_contact(void **state)
{
	Identity__V1__ContactRequest in = IDENTITY__V1__CONTACT_REQUEST__INIT;
	struct principal notify = service("notify"), cart = service("cart");
	Identity__V1__TokenReply *t = newcomer("contact@example.com");
	Identity__V1__Contact *out;

	(void)state;
	in.user_id = t->user_id;
	MUST(ASK("GetContact", &notify, &in, &out, e));
	assert_string_equal(out->email, "contact@example.com");
	assert_string_equal(out->name, "Ann Example");
	REFUSED(ASK("GetContact", &cart, &in, NULL, e), "common.forbidden");
	in.user_id = (char *)"usr_nobody";
	REFUSED(ASK("GetContact", &notify, &in, NULL, e), "common.not_found");
}

/* Rows of the whole schema in which a text appears, as it is or as hexadecimal of a bytea. */
static int64_t leaks(const char *text)
{
	pg_fixture_sql(w.fx,
		       "CREATE OR REPLACE FUNCTION pg_temp.leaks(p text) RETURNS bigint LANGUAGE plpgsql AS $$"
		       " DECLARE r record; n bigint; total bigint := 0; BEGIN"
		       " FOR r IN SELECT c.oid::regclass AS t FROM pg_class c WHERE relnamespace = 'identity'::regnamespace"
		       " AND relkind = 'r' LOOP EXECUTE format('SELECT count(*) FROM %%s x WHERE strpos(lower(x::text), lower($1)) > 0"
		       " OR strpos(x::text, $2) > 0', r.t) INTO n USING p, encode(convert_to(p, 'UTF8'), 'hex');"
		       " total := total + n; END LOOP; RETURN total; END $$");
	return pg_fixture_i64(w.fx, "SELECT pg_temp.leaks('%s')", text);
}

static Identity__V1__TokenReply *canary_person(const char *email)
{
	Identity__V1__RegisterRequest in = IDENTITY__V1__REGISTER_REQUEST__INIT;
	Identity__V1__LoginRequest enter = IDENTITY__V1__LOGIN_REQUEST__INIT;
	Identity__V1__CreateAddressRequest home = IDENTITY__V1__CREATE_ADDRESS_REQUEST__INIT;
	Identity__V1__MfaEnrollRequest mfa = IDENTITY__V1__MFA_ENROLL_REQUEST__INIT;
	Identity__V1__TokenReply *t = NULL;
	struct principal me;

	in.email = enter.email = (char *)email;
	in.password = enter.password = mfa.password = (char *)"canarypassword 93";
	in.name = home.name = (char *)"Canaryname";
	in.phone = home.phone = (char *)"+351912345678";
	MUST(ASK("RegisterUser", &nobody, &in, NULL, e));
	MUST(ASK("RegisterUser", &nobody, &in, NULL, e));
	enter.hdr_user_agent = (char *)"Canaryagent";
	enter.hdr_client_ip = (char *)"198.51.100.231";
	enter.has_refresh_in_body = enter.refresh_in_body = 1;
	MUST(ASK("Login", &nobody, &enter, &t, e));
	me = bearer(t);
	home.line1 = home.line2 = (char *)"Canaryline";
	home.city = (char *)"Canarycity";
	home.region = (char *)"Canaryregion";
	home.postal_code = (char *)"Canarypost";
	home.country = (char *)"PT";
	MUST(ASK("CreateAddress", &me, &home, NULL, e));
	MUST(ASK("MfaEnroll", &me, &mfa, NULL, e));
	return t;
}

/* Nothing personal and no secret rests in the schema in the clear, mechanisms and audit log included. */
static void test_canaries(void **state)
{
	Identity__V1__TokenReply *t = canary_person("canarymail@example.com");
	static const char *const canaries[] = { "canary", "912345678", "198.51.100.231" };

	(void)state;
	assert_true(leaks("administrator") > 0); /* the search finds what is there */
	assert_true(leaks(t->user_id) > 0);
	for (size_t i = 0; i < ARRAY_LEN(canaries); i++)
		assert_int_equal(leaks(canaries[i]), 0);
	assert_int_equal(leaks(t->refresh_token), 0);
	assert_int_equal(leaks(mailed_token(t->user_id, "verify_email")), 0);
}

static void test_export(void **state)
{
	Identity__V1__ExportMeRequest in = IDENTITY__V1__EXPORT_ME_REQUEST__INIT;
	struct principal me = bearer(canary_person("export@example.com"));
	Identity__V1__UserExport *out;

	(void)state;
	MUST(ASK("ExportMe", &me, &in, &out, e));
	assert_string_equal(out->user->email, "export@example.com");
	assert_int_equal(out->n_addresses, 1);
	assert_string_equal(out->addresses[0]->region, "Canaryregion");
	assert_int_equal(out->n_sessions, 1);
	assert_string_equal(out->sessions[0]->user_agent, "Canaryagent");
	assert_int_equal(out->sessions[0]->current, 1);
}

static void test_erasure(void **state)
{
	Identity__V1__EraseMeRequest in = IDENTITY__V1__ERASE_ME_REQUEST__INIT;
	Identity__V1__ContactRequest contact = IDENTITY__V1__CONTACT_REQUEST__INIT;
	Identity__V1__TokenReply *t = canary_person("erase@example.com"), *again;
	struct principal me = bearer(t), notify = service("notify");
	Identity__V1__LogoutReply *out;
	struct account_row *row;
	struct pg *pg;
	bool found;

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE identity.session SET created_at = created_at - interval '1 hour' WHERE id = '%s'", t->session_id);
	REFUSED(ASK("EraseMe", &me, &in, NULL, e), "identity.fresh_login");
	pg_fixture_sql(w.fx, "UPDATE identity.session SET created_at = now() WHERE id = '%s'", t->session_id);
	MUST(ASK("EraseMe", &me, &in, &out, e));
	assert_string_equal(out->hdr_refresh_token, "");
	REFUSED(REFRESH(t->refresh_token, &again, e), "identity.refresh_invalid");
	REFUSED(try_login("erase@example.com", "canarypassword 93", NULL, NULL, NULL, e), "identity.bad_credentials");
	contact.user_id = t->user_id;
	REFUSED(ASK("GetContact", &notify, &contact, NULL, e), "common.not_found");
	MUST(pg_borrow(w.pool, mono_ms() + 5000, &pg, e));
	MUST(identity_db_account_get(pg, w.arena, t->user_id, &row, &found, e));
	pg_return(pg);
	assert_true(found);
	assert_string_equal(row->status, "erased");
	assert_null(row->email.data);
	assert_null(row->person_key.data);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'user.erased' AND agg_id = '%s'", t->user_id), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT (SELECT count(*) FROM identity.address WHERE user_id = u) + (SELECT count(*)"
					      " FROM identity.password WHERE user_id = u) + (SELECT count(*) FROM identity.totp WHERE user_id = u)"
					      " + (SELECT count(*) FROM identity.link WHERE user_id = u) FROM (VALUES ('%s')) v(u)", t->user_id), 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.session WHERE user_id = '%s' AND (ip IS NOT NULL OR user_agent IS NOT NULL)",
					t->user_id), 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.revocation WHERE user_id = '%s' AND min_token_version > 1", t->user_id), 1);
	/* The key of what the audit log still holds is nowhere. */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.audit_log WHERE table_name = 'person_key' AND row_id = '%s'"
					      " AND coalesce(before->>'sealed', after->>'sealed') <> '***'", t->user_id), 0);
	register_user("erase@example.com"); /* the address is free again */
	assert_string_not_equal(login("erase@example.com")->user_id, t->user_id);
}

static void test_consents(void **state)
{
	Identity__V1__RegisterRequest reg = IDENTITY__V1__REGISTER_REQUEST__INIT;
	Identity__V1__ConsentChoice terms = IDENTITY__V1__CONSENT_CHOICE__INIT, *choices[] = { &terms };
	Identity__V1__PutConsentRequest put = IDENTITY__V1__PUT_CONSENT_REQUEST__INIT;
	Identity__V1__ConsentsRequest list = IDENTITY__V1__CONSENTS_REQUEST__INIT;
	Identity__V1__ExportMeRequest export = IDENTITY__V1__EXPORT_ME_REQUEST__INIT;
	Identity__V1__ConsentsReply *now;
	Identity__V1__UserExport *all;
	struct principal me;

	(void)state;
	reg.email = (char *)"consent@example.com";
	reg.password = (char *)PASSWORD;
	reg.consents = choices;
	reg.n_consents = 1;
	terms.purpose = (char *)"terms";
	terms.version = (char *)"2026-01";
	REFUSED(ASK("RegisterUser", &nobody, &reg, NULL, e), "common.invalid_input"); /* granted is not said */
	terms.has_granted = terms.granted = 1;
	MUST(ASK("RegisterUser", &nobody, &reg, NULL, e));
	me = bearer(login("consent@example.com"));
	put.purpose = (char *)"marketing";
	put.version = (char *)"7";
	put.has_granted = put.granted = 1;
	MUST(ASK("PutConsent", &me, &put, NULL, e));
	put.granted = 0;
	MUST(ASK("PutConsent", &me, &put, NULL, e));
	put.purpose = (char *)"everything";
	REFUSED(ASK("PutConsent", &me, &put, NULL, e), "common.invalid_input");
	REFUSED(ASK("ListConsents", &nobody, &list, NULL, e), "common.unauthenticated");
	MUST(ASK("ListConsents", &me, &list, &now, e));
	assert_int_equal(now->n_data, 2);
	assert_string_equal(now->data[0]->purpose, "marketing");
	assert_int_equal(now->data[0]->granted, 0);
	assert_int_equal(now->data[1]->granted, 1);
	MUST(ASK("ExportMe", &me, &export, &all, e));
	assert_int_equal(all->n_consents, 3); /* every decision */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'user.consent_changed'"), 3);
	assert_false(pg_fixture_i64(w.fx, "SELECT has_table_privilege('souk_identity', 'identity.consent', 'UPDATE')::int::bigint"));
	MUST(ASK("EraseMe", &me, &(Identity__V1__EraseMeRequest)IDENTITY__V1__ERASE_ME_REQUEST__INIT, NULL, e));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.consent"), 0);
}

/* Who did it is in the log: the person, though login and register came without a token. */
static void test_audit(void **state)
{
	Identity__V1__TokenReply *t = newcomer("audit@example.com");
	struct principal me = bearer(t);

	(void)state;
	(void)new_address(&me, "Rua Um 1", false);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT actor FROM identity.audit_log WHERE table_name = 'address' ORDER BY id DESC LIMIT 1"),
			    arena_printf(w.arena, "user:%s", t->user_id));
	assert_string_equal(pg_fixture_text(w.fx, "SELECT request_id FROM identity.audit_log WHERE table_name = 'address' ORDER BY id DESC LIMIT 1"),
			    "req_test00001");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT actor FROM identity.audit_log WHERE table_name = 'session' AND row_id = '%s'", t->session_id),
			    arena_printf(w.arena, "user:%s", t->user_id));
	MUST(REFRESH(t->refresh_token, &t, e)); /* a touch is not a change */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.audit_log WHERE table_name = 'session' AND row_id = '%s'", t->session_id), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.audit_log WHERE after->>'phc' LIKE '$argon%%' OR"
					      " (after->>'token_hash') <> '***' OR (after->>'secret') <> '***'"), 0);
	assert_string_equal(pg_fixture_unaudited(w.fx, "identity"), "");
}

static void test_statements(void **state)
{
	struct pg *pg;

	(void)state;
	MUST(pg_borrow(w.pool, mono_ms() + 5000, &pg, e));
	MUST(pg_check_stmts(pg, identity_stmts, e));
	pg_return(pg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profile),	 cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_limit_and_default_race), cmocka_unit_test(test_contact),
		cmocka_unit_test(test_canaries), cmocka_unit_test(test_export),
		cmocka_unit_test(test_erasure),	 cmocka_unit_test(test_audit),
		cmocka_unit_test(test_statements), cmocka_unit_test(test_consents),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
